"""What devices are told, and when: after COMMIT, in order, again after a restart, and never what was not stored."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import resource
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_sim.cloud.store import Store
from tests.jobs_broker import Broker, Things


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def test_an_answer_leaves_when_another_connection_can_read_what_it_says(path: Path) -> None:
    read: list[str] = []

    def look(topic: str, payload: bytes) -> None:
        with contextlib.closing(sqlite3.connect(path)) as other:
            read.append(other.execute("SELECT status FROM executions").fetchone()[0])

    things = Things(path, broker=Broker(look))
    things.job("j", "a")
    things.update("a", "j", "IN_PROGRESS")
    things.update("a", "j", "SUCCEEDED")
    assert things.broker.topics() == [
        "a/notify",
        "a/notify-next",
        "a/j/update/accepted",
        "a/j/update/accepted",
        "a/notify",
        "a/notify-next",
    ]
    assert read == ["QUEUED", "QUEUED", "IN_PROGRESS", "SUCCEEDED", "SUCCEEDED", "SUCCEEDED"]


def test_what_a_transaction_undoes_is_never_told() -> None:
    things = Things(None)
    things.job("j", "a")
    things.broker.messages.clear()

    def fail() -> None:
        with things.store.transaction():
            things.service.cancel_job("j")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert things.broker.messages == []
    things.service.cancel_job("j")
    assert things.broker.topics() == ["a/notify", "a/notify-next"]


@pytest.mark.process
@pytest.mark.parametrize("lost", ["a/j/update/accepted", "a/notify", "a/notify-next"])
def test_a_cloud_killed_between_commit_and_broker_says_it_after_the_restart(path: Path, lost: str) -> None:
    things = Things(path)
    things.job("j", "a")
    things.job("k", "a")
    things.store.close()

    def work() -> None:
        def die(topic: str, payload: bytes) -> None:
            if topic.endswith(f"things/{lost.replace('a/', 'a/jobs/', 1)}"):
                os._exit(9)

        again = Things(path, broker=Broker(die))
        again.update("a", "j", "SUCCEEDED")

    assert died(work) == 9
    with Things(path).restarted() as again:
        assert again.service.execution("a", "j").status == "SUCCEEDED"
        heard = again.broker.wait_for(lost)
        assert again.broker.topics().index("a/j/update/accepted") < again.broker.topics().index("a/notify")
    if lost == "a/notify":
        assert [job["jobId"] for job in heard["jobs"]["QUEUED"]] == ["k"]
    if lost == "a/notify-next":
        assert heard["execution"]["jobId"] == "k"


def died(work: Callable[[], None]) -> int:
    """Run in a process of its own; return its exit status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_thing_that_has_nothing_left_to_do_hears_that_too_after_a_restart(path: Path) -> None:
    things = Things(path, broker=Broker(takes=False))
    things.job("j", "a")
    things.service.cancel_job("j")
    things.store.close()
    with Things(path).restarted() as again:
        assert again.broker.wait_for("a/notify") == {"timestamp": 1000, "jobs": {}}
        assert again.broker.wait_for("a/notify-next") == {"timestamp": 1000}


def test_a_restart_announces_the_next_job_of_every_thing_that_has_one(path: Path) -> None:
    things = Things(path)
    names = [f"t{n:03}" for n in range(250)]
    things.job("j", *names)
    things.update("t000", "j", "SUCCEEDED")
    things.device.sweep()
    things.store.close()
    with Things(path).restarted() as again:
        heard = [again.broker.wait_for(f"{name}/notify-next") for name in names[1:]]
        assert {h["execution"]["jobId"] for h in heard} == {"j"}
        assert "t000/notify-next" not in again.broker.topics()


def test_what_the_broker_has_acknowledged_is_not_said_again(path: Path) -> None:
    things = Things(path)
    things.job("j", "a")
    things.update("a", "j", "SUCCEEDED")
    things.device.stop()
    things.job("k", "a")
    things.broker.acknowledges = False
    things.update("a", "k", "SUCCEEDED")
    things.device.sweep()
    things.store.close()
    with Things(path).restarted() as again:
        again.broker.wait_for("a/notify-next")
        assert again.broker.topics() == ["a/k/update/accepted", "a/notify", "a/notify-next"]


def test_what_the_broker_cannot_take_waits_and_keeps_its_order() -> None:
    things = Things(None, broker=Broker(takes=False))
    things.job("j", "a")
    things.update("a", "j", "SUCCEEDED")
    assert things.broker.messages == []
    things.broker.takes = True
    things.device.sweep()
    assert things.broker.topics() == [
        *("a/notify", "a/notify-next"),
        *("a/j/update/accepted", "a/notify", "a/notify-next"),
    ]


def test_messages_that_arrive_together_share_one_commit() -> None:
    things = Things(None)
    names = [f"t{n}" for n in range(20)]
    things.job("j", *names)
    statements: list[str] = []
    things.store._db.set_trace_callback(statements.append)
    things.device.take([things.message(name, "j", {"status": "IN_PROGRESS"}) for name in names])
    assert statements.count("COMMIT") == 1
    assert things.broker.topics()[-20:] == [f"{name}/j/update/accepted" for name in names]


def test_what_only_asks_writes_nothing(path: Path) -> None:
    things = Things(path)
    things.job("j", "a")
    changes = things.store.changes
    for call in ("get", "$next/get", "j/get"):
        things.device.take([(f"$aws/things/a/jobs/{call}", b"")])
    assert things.broker.topics()[-3:] == ["a/get/accepted", "a/$next/get/accepted", "a/j/get/accepted"]
    assert things.store.changes == changes


def test_one_that_is_refused_or_breaks_leaves_the_others_of_its_batch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    things = Things(None)
    things.job("j", "a", "b", "c", "d")
    notify = things.device._notify

    def break_for_c(thing: str, *rest: Any) -> None:
        if thing == "c":
            raise ZeroDivisionError
        notify(thing, *rest)

    monkeypatch.setattr(things.device, "_notify", break_for_c)
    things.broker.messages.clear()
    body = {"status": "SUCCEEDED", "clientToken": "t"}
    things.device.take(
        [
            things.message("a", "j", body),
            things.message("b", "j", {**body, "expectedVersion": 7}),
            things.message("c", "j", body),
            things.message("d", "j", body),
        ]
    )
    verdicts = [t for t in things.broker.topics() if "/update/" in t]
    assert verdicts == [
        "a/j/update/accepted",
        "b/j/update/rejected",
        "c/j/update/rejected",
        "d/j/update/accepted",
    ]
    assert [things.service.execution(t, "j").status for t in "abcd"] == ["SUCCEEDED", "QUEUED", "QUEUED", "SUCCEEDED"]
    assert +things.service.counts(things.service.job("j")) == {"SUCCEEDED": 2, "QUEUED": 2}


@contextlib.contextmanager
def no_more_pages(store: Store) -> Iterator[None]:
    """SQLite's own limit: "database or disk is full", as on a disk without room."""
    ((pages,),) = store.execute("PRAGMA page_count")
    store.execute(f"PRAGMA max_page_count = {pages}")
    yield
    store.execute("PRAGMA max_page_count = 1000000")


@contextlib.contextmanager
def broken_disk(store: Store) -> Iterator[None]:
    """Writes fail for good: the kernel's limit on files makes SQLite's write an I/O error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("fault", "why"), [(no_more_pages, "database or disk is full"), (broken_disk, "disk I/O error")]
)
@pytest.mark.parametrize("together", [True, False])
def test_what_cannot_be_stored_is_rejected_and_never_accepted(
    path: Path, fault: Callable[[Store], Any], why: str, together: bool
) -> None:
    things = Things(path)
    names = [f"t{n}" for n in range(6)]
    things.job("j", *names)
    body = {"status": "IN_PROGRESS", "statusDetails": dict.fromkeys("abcdefghij", "x" * 1000), "clientToken": "t"}
    updates = [things.message(name, "j", body) for name in names]
    ask = (f"$aws/things/{names[0]}/jobs/get", b"{}")
    with fault(things.store):
        things.broker.messages.clear()
        for batch in [[ask, *updates]] if together else [[ask], *([u] for u in updates)]:
            things.device.take(batch)
        assert things.broker.topics()[0] == f"{names[0]}/get/accepted"
        verdicts = dict(zip(names, things.broker.topics()[1:], strict=True))
        for name, (_, payload) in zip(names, things.broker.messages[1:], strict=True):
            stored = things.service.execution(name, "j").version > 1
            assert verdicts[name] == f"{name}/j/update/{'accepted' if stored else 'rejected'}"
            if not stored:
                answer = json.loads(payload)
                assert (answer["code"], answer["clientToken"]) == ("InternalError", "t")
                assert answer["message"] == f"edge-sim cannot write its state: {why}."
        assert f"{names[-1]}/j/update/rejected" in verdicts.values()
    things.broker.messages.clear()
    things.device.take([u for name, u in zip(names, updates, strict=True) if "rejected" in verdicts[name]])
    assert things.broker.topics()[-1] == f"{names[-1]}/j/update/accepted"
    things.store.close()
    with Things(path).restarted() as again:
        assert [again.service.execution(name, "j").version for name in names] == [2] * 6


def test_the_end_of_an_execution_costs_the_same_however_many_the_job_has() -> None:
    """All executions of the job were read at every end: a job of 1,000 things took SQLite 10 s."""

    def steps_of(count: int) -> int:
        steps = itertools.count()
        things = Things(None)
        things.job("j", *(f"t{n}" for n in range(count)))
        things.update("t1", "j", "SUCCEEDED")  # the notices of the job itself are cleared away with it
        things.store._db.set_progress_handler(lambda: next(steps) and None, 10)
        things.update("t0", "j", "SUCCEEDED")
        return next(steps)

    few, many = steps_of(3), steps_of(300)
    assert 0 < many < 2 * few, (few, many)


def test_two_threads_tell_a_thing_the_news_in_order() -> None:
    """Notices of concurrent changes come in the order of the changes: the last one tells the state."""
    things = Things(None)
    things.job("first", "a")

    def create(number: int) -> None:
        for another in range(10):
            things.job(f"j{number}-{another}", "a")

    threads = [threading.Thread(target=create, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    last = [json.loads(p) for t, p in things.broker.messages if t.endswith("jobs/notify")][-1]
    assert [s["jobId"] for s in last["jobs"]["QUEUED"]] == [e.job_id for e in things.device.pending("a")][:10]
    assert len(things.device.pending("a")) == 41
