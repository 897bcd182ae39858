"""What the Jobs service costs as things, jobs, documents and messages become many.

Things that finish one job together: 1,000 of them against 100, in memory. A page of a list: where 100,000 are kept
against where 100 are. Updates over MQTT, many on their way at once: ``edge-sim cloud serve --state`` against the least
that can be written with paho-mqtt, a client that answers each request at once; same broker (mosquitto), same client.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from benchmarks import mqtt_loop
from edge_sim.cloud.brokers.broker import start_broker
from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.records import Records
from edge_sim.cloud.jobs.service import JobsService
from edge_sim.cloud.store import Store
from edge_sim.jobs.execution import JobExecution

FEW, MANY = 100, 1000
FINISH_RATIO, FINISH_S = 10.0, 0.3
FINISH_NOISE = 1.1
"""What is linear has a ratio of 10, give or take the clock."""
TOGETHER = 50
"""Reports that the bridge hands over at once while many things report."""
KEPT_FEW, KEPT_MANY, PAGE = 100, 100_000, 50
PAGE_RATIO = 1.5
UPDATES, WINDOW, ALONE = 3000, 256, 300
RATE_RATIO, ALONE_P50_S, ALONE_P99_S = 0.4, 0.002, 0.020
UPDATE = b'{"status":"IN_PROGRESS","statusDetails":{"progress":"1"},"clientToken":"t"}'
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
    device = DevicePlane(store, presign=lambda url, *_: url, publish=lambda *_: Sent())
    service = JobsService(device, region="us-east-1", account="123456789012")
    names = [f"thing-{n}" for n in range(things)]
    service.things.create_group("all")
    for name in names:
        service.things.create(name)
        service.add_to_group("all", name)
    service.create_job("job", [f"{ARN}:thinggroup/all"], '{"do": "it"}')
    body = b'{"status": "SUCCEEDED", "clientToken": "t"}'
    updates = [(f"$aws/things/{name}/jobs/job/update", body) for name in names]

    def finish_all() -> None:
        for at in range(0, things, TOGETHER):
            device.take(updates[at : at + TOGETHER])

    took = seconds(finish_all)
    if service.job("job").status != "COMPLETED":
        raise SystemExit("the job was not completed")
    store.close()
    return took


def finish_pair() -> tuple[float, float]:
    """Return what ``finish`` takes with many things, and with few: the mean of as many runs as take equally long."""
    return finish(MANY), statistics.mean(finish(FEW) for _ in range(MANY // FEW))


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


def over_mqtt(runs: int, folder: Path) -> dict[str, Any]:
    """Return rates of updates that share the way, and how long one takes alone; the state's file is in ``folder``."""
    with start_broker() as broker, bare_responder(broker.url), served(broker.url, folder) as update:
        if broker.kind != "mosquitto":
            raise SystemExit("mosquitto is not installed: apt-get install mosquitto")
        pairs = [
            tuple(
                UPDATES / mqtt_loop.exchange(broker.url, topic, UPDATE, count=UPDATES, window=WINDOW)[0]
                for topic in (update, "bare/update")
            )
            for _ in range(runs)
        ]
        alone = sorted(mqtt_loop.exchange(broker.url, update, UPDATE, count=ALONE, window=1)[1])
    return {
        "updates_per_s": round(statistics.median(ours for ours, _ in pairs)),
        "bare_per_s": round(statistics.median(bare for _, bare in pairs)),
        "rate_ratio": round(statistics.median(ours / bare for ours, bare in pairs), 2),
        "alone_p50_s": round(alone[ALONE // 2], 5),
        "alone_p99_s": round(alone[ALONE * 99 // 100], 5),
    }


@contextmanager
def bare_responder(url: str) -> Iterator[None]:
    """Run the client that answers each request at once, in a process of its own."""
    argv = [sys.executable, "-m", "benchmarks.mqtt_loop", url]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if not process.stdout or process.stdout.readline() != b"ready\n":
            raise SystemExit("the bare responder did not start")
        yield
        process.communicate()


@contextmanager
def served(url: str, folder: Path) -> Iterator[str]:
    """Run a cloud with a thing that has a job; yield the topic of its updates."""
    argv = [sys.executable, "-m", "edge_sim.cli.main", "cloud", "serve", "--format", "json", "--broker", url]
    with subprocess.Popen([*argv, "--state", str(folder / "state.db")], stdout=subprocess.PIPE) as process:
        about = json.loads(process.stdout.readline() if process.stdout else b"null")
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        iot = boto3.client("iot", endpoint_url=about["http"], region_name=about["region"], **keys)
        target = iot.create_thing(thingName="thing")["thingArn"]
        iot.create_job(jobId="job", targets=[target], document='{"do": "it"}')
        yield "$aws/things/thing/jobs/job/update"
        process.terminate()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where the state's file is written")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    args = parser.parse_args()
    pairs = [finish_pair() for _ in range(args.runs)]
    many_s, few_s = (statistics.median(times) for times in zip(*pairs, strict=True))
    finish_ratio = statistics.median(many / few for many, few in pairs)
    lists = page_ratios(args.runs)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        mqtt = over_mqtt(args.runs, Path(folder))
    result: dict[str, Any] = {
        "runs": args.runs,
        "finish_100_s": round(few_s, 4),
        "finish_1000_s": round(many_s, 4),
        "mqtt": mqtt,
        "ratios": {
            "1000 things finish / 100": round(finish_ratio, 2),
            **{f"page of {name}, 100000 kept / 100": value for name, value in lists.items()},
            "updates over MQTT / bare paho": mqtt["rate_ratio"],
        },
        "limits": {
            "finish_ratio": FINISH_RATIO,
            "finish_1000_s": FINISH_S,
            "page_ratio": PAGE_RATIO,
            "rate_ratio": RATE_RATIO,
            "alone_p50_s": ALONE_P50_S,
            "alone_p99_s": ALONE_P99_S,
        },
        "ok": finish_ratio <= FINISH_RATIO * FINISH_NOISE
        and many_s <= FINISH_S
        and max(lists.values()) <= PAGE_RATIO
        and mqtt["rate_ratio"] >= RATE_RATIO
        and mqtt["alone_p50_s"] <= ALONE_P50_S
        and mqtt["alone_p99_s"] <= ALONE_P99_S,
    }
    if args.format == "json":
        print(json.dumps(result))
    else:
        print(f"one job finished by 100 things {few_s:.3f} s, by 1000 {many_s:.3f} s (limit {FINISH_S} s)")
        for name, value in result["ratios"].items():
            print(f"{name}: {value}")
        print(f"one update at a time: p50 {mqtt['alone_p50_s'] * 1e3:.2f} ms, p99 {mqtt['alone_p99_s'] * 1e3:.2f} ms")
        print(f"limits {result['limits']}, {args.runs} runs")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
