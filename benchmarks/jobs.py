"""What the Jobs service costs as things, jobs and documents become many.

Things that finish one job together: 1,000 of them against 100, in memory. A page of a list: where 100,000 are kept
against where 100 are.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.records import Records
from edge_sim.cloud.jobs.service import JobsService
from edge_sim.cloud.store import Store
from edge_sim.jobs.execution import JobExecution

FEW, MANY = 100, 1000
FINISH_RATIO, FINISH_S = 10.0, 0.3
KEPT_FEW, KEPT_MANY, PAGE = 100, 100_000, 50
PAGE_RATIO = 1.5
ARN = "arn:aws:iot:us-east-1:123456789012"


def seconds(work: Callable[[], object]) -> float:
    """Return what one call takes of a processor; nothing here waits."""
    start = time.process_time()
    work()
    return time.process_time() - start


class Sent:
    """A message that the broker has."""

    def is_published(self) -> bool:
        return True


def finish(things: int) -> float:
    """Return what it takes the service to hear from each of its things that the one job is done."""
    store = Store()
    device = DevicePlane(store, presign=lambda url, _: url, publish=lambda *_: Sent())
    service = JobsService(device, region="us-east-1", account="123456789012")
    names = [f"thing-{n}" for n in range(things)]
    service.create_thing_group("all")
    for name in names:
        service.create_thing(name)
        service.add_to_group("all", name)
    service.create_job("job", [f"{ARN}:thinggroup/all"], '{"do": "it"}')
    body = b'{"status": "SUCCEEDED", "clientToken": "t"}'
    updates = [(f"$aws/things/{name}/jobs/job/update", body) for name in names]

    def finish_all() -> None:
        for update in updates:
            device.take([update])

    took = seconds(finish_all)
    if service.job("job").status != "COMPLETED":
        raise SystemExit("the job was not completed")
    store.close()
    return took


def kept(count: int) -> tuple[Store, Records]:
    """Return a store with that many documents below one parent, jobs, and executions of one job and one thing."""
    store = Store()
    records = Records(store)
    with store.transaction():
        for n in range(count):
            store.put("definitions", str(n), {"Id": str(n), "Name": "a definition"}, parent="p")
            records.add_execution(JobExecution(job_id="job", thing_name=f"t{n}", queued_at=n, last_updated_at=n))
            records.add_execution(JobExecution(job_id=f"j{n}", thing_name="t", queued_at=n, last_updated_at=n))
    return store, records


def pages(store: Store, records: Records, count: int) -> dict[str, Callable[[], object]]:
    """Return what reads one page of each list, from its middle."""
    at = count  # of the documents it is the last: their own numbers begin at 1, the executions' are twice as many
    return {
        "documents": lambda: store.page("definitions", limit=PAGE, position=at // 2),
        "documents of a parent": lambda: store.page("definitions", "p", limit=PAGE, position=at // 2),
        "executions of a job": lambda: records.executions_page(job_id="job", limit=PAGE, position=at),
        "executions of a thing": lambda: records.executions_page(thing="t", status="QUEUED", limit=PAGE, position=at),
    }


def page_ratios(runs: int) -> dict[str, float]:
    """Return, for each list, the median of a page's cost where many are kept against where few are; paired in turn."""
    few, many = (pages(*kept(count), count) for count in (KEPT_FEW, KEPT_MANY))
    ratios = {}
    for name, read in few.items():
        pairs = [(seconds(many[name]), seconds(read)) for _ in range(runs * 20)]
        ratios[name] = round(statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs), 2)
    return ratios


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    args = parser.parse_args()
    pairs = [(finish(MANY), finish(FEW)) for _ in range(args.runs)]
    many_s, few_s = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    lists = page_ratios(args.runs)
    result: dict[str, Any] = {
        "runs": args.runs,
        "finish_100_s": round(few_s, 4),
        "finish_1000_s": round(many_s, 4),
        "ratios": {
            "1000 things finish / 100": round(ratio, 2),
            **{f"page of {name}, 100000 kept / 100": value for name, value in lists.items()},
        },
        "limits": {"finish_ratio": FINISH_RATIO, "finish_1000_s": FINISH_S, "page_ratio": PAGE_RATIO},
        "ok": ratio <= FINISH_RATIO and many_s <= FINISH_S and max(lists.values()) <= PAGE_RATIO,
    }
    if args.format == "json":
        print(json.dumps(result))
    else:
        print(f"one job finished by 100 things {few_s:.3f} s, by 1000 {many_s:.3f} s (limit {FINISH_S} s)")
        for name, value in result["ratios"].items():
            print(f"{name}: {value}")
        print(f"limits {FINISH_RATIO} and {PAGE_RATIO}, medians of {args.runs}")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
