from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.paginate import TokenDecoder

from edge_sim.cloud import pages
from edge_sim.cloud.greengrass.updates import build_digest
from edge_sim.cloud.jobs.records import Records
from edge_sim.cloud.store import Store
from edge_sim.errors import UsageError
from edge_sim.jobs.execution import JobExecution


def test_a_new_process_finds_everything_in_the_order_it_was_written(tmp_path: Path) -> None:
    first = Store(tmp_path / "state.db")
    for name in ("b", "a", "c"):
        first.put("thing", name, {"name": name}, parent="group")
    first.put("thing", "b", {"name": "b", "again": True})
    first.close()
    again = Store(tmp_path / "state.db")
    assert [d["name"] for d in again.list("thing", parent="group")] == ["b", "a", "c"]
    assert again.get("thing", "b") == {"name": "b", "again": True}
    assert again.get("thing", "nobody") is None


def test_a_failed_transaction_leaves_nothing_even_when_nested() -> None:
    store = Store()
    store.put("k", "kept", {"v": 1})

    def fail() -> None:
        with store.transaction():
            store.put("k", "outer", {})
            with store.transaction():
                store.put("k", "inner", {})
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert store.list("k") == [{"v": 1}]
    with store.transaction():
        store.put("k", "later", {"v": 2})
    assert store.list("k") == [{"v": 1}, {"v": 2}]


def test_a_nested_block_that_fails_is_undone_alone() -> None:
    store, told = Store(), []
    with store.transaction():
        store.put("k", "outer", {"v": 1})
        with contextlib.suppress(ValueError), store.transaction():
            store.put("k", "inner", {"v": 2})
            store.on_commit(lambda: told.append("inner"))
            raise ValueError
        store.on_commit(lambda: told.append("outer"))
        assert told == []
    assert store.list("k") == [{"v": 1}]
    assert told == ["outer"]


def test_nothing_more_is_written_once_sqlite_has_undone_the_transaction() -> None:
    """As it may when the disk is full: what comes after would otherwise be stored without what came before."""
    store, told = Store(), []

    def write() -> None:
        with store.transaction():
            store.put("k", "before", {})
            store.on_commit(lambda: told.append("stored"))
            store._db.execute("ROLLBACK")
            with contextlib.suppress(sqlite3.OperationalError), store.transaction():
                store.put("k", "after", {})

    with pytest.raises(sqlite3.OperationalError, match="undone by an earlier error"):
        write()
    assert store.list("k") == []
    assert told == []
    with store.transaction():
        store.put("k", "later", {})
    assert store.list("k") == [{}]


def test_two_threads_never_lose_an_increment() -> None:
    store = Store()
    store.put("n", "count", {"value": 0})

    def add() -> None:
        for _ in range(50):
            with store.transaction():
                value = (store.get("n", "count") or {})["value"]
                store.put("n", "count", {"value": value + 1})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert store.get("n", "count") == {"value": 200}


def test_a_file_that_is_no_state_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database, but long enough to be looked at " * 40)
    with pytest.raises(UsageError, match=r"notes\.txt: is not an SQLite file"):
        Store(path)


def test_delete_says_whether_there_was_something() -> None:
    store = Store()
    store.put("k", "a", {})
    assert store.delete("k", "a")
    assert not store.delete("k", "a")


@pytest.mark.parametrize("parent", [None, "group"])
@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_show_every_document_once_whatever_is_written_in_between(parent: str | None, newest_first: bool) -> None:
    store = Store()
    store.put("other", "x", {}, parent="group")
    for number in range(7):
        store.put("k", str(number), {"n": number}, parent="group")
    store.put("k", "0", {"n": 0, "again": True})
    shown: list[int] = []
    position: int | None = 0
    while position is not None:
        found = store.page("k", parent, limit=3, position=position, newest_first=newest_first)
        assert len(found.documents) <= 3
        shown += [document["n"] for document in found.documents]
        position = found.position
        store.delete("k", str(shown[0]))
    assert shown == (list(range(7))[::-1] if newest_first else list(range(7)))


def test_a_page_that_ends_with_the_last_document_has_no_next_one() -> None:
    store = Store()
    for number in range(4):
        store.put("k", str(number), {"n": number})
    assert store.page("k", limit=4).position is None
    assert store.page("k", limit=3).position is not None
    assert store.page("nothing", limit=3) == ([], None)


def test_every_page_is_read_by_an_index() -> None:
    """So a page costs the same at 100,000 rows as at 100; benchmarks/jobs.py measures it."""
    store = Store()
    records = Records(store)
    queries: list[str] = []
    store._db.set_trace_callback(queries.append)
    for parent in (None, "p"):
        for newest_first in (False, True):
            store.page("k", parent, limit=3, position=5, newest_first=newest_first)
    for status in (None, "QUEUED"):
        records.jobs_page(status, None, limit=3, position=5)
        records.executions_page(thing="t", status=status, limit=3, position=5)
        records.executions_page(job_id="j", status=status, limit=3, position=5)
    store._db.set_trace_callback(None)
    assert len(queries) == 10
    for query in queries:
        steps = [row[3] for row in store.execute(f"EXPLAIN QUERY PLAN {query}")]
        assert len(steps) == 1, steps  # nothing is sorted
        assert steps[0].startswith("SEARCH")
        assert re.search("INDEX (documents|executions|jobs)_by_|INTEGER PRIMARY KEY", steps[0])
        assert re.search(r"(position|rowid)[<>]", steps[0])


def test_what_a_job_asks_again_and_again_is_searched_by_an_index() -> None:
    """By thing, job, number, status and deadline: its cost does not grow with what else is kept."""
    store = Store()
    records = Records(store)
    execution = JobExecution(job_id="j", thing_name="t", queued_at=0.0, last_updated_at=0.0)
    records.add_execution(execution)
    queries: list[str] = []
    store._db.set_trace_callback(queries.append)
    records.execution("t", "j")
    records.execution("t", "j", 1)
    records.tries(execution)
    records.pending("t")
    records.executions("j")
    records.counts("j")
    records.due(1.0)
    records.due_jobs(1.0)
    records.continuous_jobs()
    records.things_of("j")
    records.busy_things("", 5)
    records.put_execution(execution)
    build_digest(store, "https://s3.amazonaws.com/core.tar.gz")
    store._db.set_trace_callback(None)
    assert len(queries) >= 13
    for query in queries:
        steps = [row[3] for row in store.execute(f"EXPLAIN QUERY PLAN {query}")]
        assert steps, query
        assert all(step.startswith(("SEARCH", "USE TEMP B-TREE FOR")) for step in steps), (query, steps)


def test_the_counts_of_a_jobs_executions_are_of_the_same_transaction() -> None:
    """Whatever is written, in whatever way, and undone with it."""
    store = Store()
    records = Records(store)

    def counted() -> bool:
        rows = store.execute("SELECT job, status, count(*) FROM executions GROUP BY job, status")
        kept = store.execute("SELECT job, status, executions FROM execution_counts WHERE executions <> 0")
        return sorted(rows) == sorted(kept)

    many = [JobExecution(job_id=f"j{n % 2}", thing_name=f"t{n}", queued_at=0.0, last_updated_at=0.0) for n in range(6)]
    for execution in many:
        records.add_execution(execution)
    assert records.counts("j0") == {"QUEUED": 3}
    for execution in many[:4]:
        records.put_execution(replace(execution, status="IN_PROGRESS"))
    store.execute("UPDATE executions SET status = 'FAILED' WHERE thing = 't0'")
    assert +records.counts("j0") == {"FAILED": 1, "IN_PROGRESS": 1, "QUEUED": 1}
    before = records.counts("j0"), records.counts("j1")
    with contextlib.suppress(ValueError), store.transaction():
        records.put_execution(replace(many[4], status="SUCCEEDED"))
        records.delete_execution(many[5])
        records.delete_job("j1")
        assert counted()
        raise ValueError
    assert (records.counts("j0"), records.counts("j1")) == before
    records.delete_execution(many[4])
    assert +records.counts("j0") == {"FAILED": 1, "IN_PROGRESS": 1}
    records.delete_job("j1")
    assert +records.counts("j1") == {}
    assert counted()


@pytest.mark.parametrize("position", [1, 250, 2**40])
def test_a_token_stands_for_its_position(position: int) -> None:
    token = pages.token(position)
    assert pages.position(token) == position
    with pytest.raises(json.JSONDecodeError):  # botocore then takes it as it is, not for one of its own
        TokenDecoder().decode(token)


@pytest.mark.parametrize("token", ["", "x", "LTE=", "MQ", "MQ==\n", "w7w=", "\ud800", "OTk5OTk5OTk5OTk5OTk5OTk5OQ=="])
def test_a_token_of_somebody_else_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="not valid in this cloud"):
        pages.position(token)
