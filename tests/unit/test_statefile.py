"""The cloud's state file: whose it is, and how one of the first layout becomes one of today's."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from edge_sim.cloud import migration, statefile
from edge_sim.cloud.greengrass.updates import build_digest
from edge_sim.cloud.jobs.records import Job, Records, ThingGroup
from edge_sim.cloud.server import Cloud
from edge_sim.cloud.store import Store
from edge_sim.errors import UsageError
from edge_sim.jobs.execution import JobExecution
from tests import sweeps

URL = "https://s3.us-east-1.amazonaws.com/us-east-1-greengrass-updates/core/armv7l/greengrass-core-1.11.6.tar.gz"
FIRST = """
CREATE TABLE IF NOT EXISTS documents (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, id TEXT NOT NULL, parent TEXT, body TEXT NOT NULL,
    UNIQUE (kind, id)
);
CREATE INDEX IF NOT EXISTS by_parent ON documents (kind, parent, position);
"""
SECOND = """
CREATE TABLE documents (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, id TEXT NOT NULL, parent TEXT, body TEXT NOT NULL,
    UNIQUE (kind, id)
);
CREATE INDEX documents_by_kind ON documents (kind, position);
CREATE INDEX documents_by_parent ON documents (kind, parent, position);

CREATE TABLE jobs (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL UNIQUE, status TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX jobs_by_status ON jobs (status, position);

CREATE TABLE executions (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL, thing TEXT NOT NULL, number INTEGER NOT NULL,
    status TEXT NOT NULL, status_details TEXT, version INTEGER NOT NULL,
    queued_at REAL NOT NULL, started_at REAL, last_updated_at REAL NOT NULL,
    timeout_minutes INTEGER, job_deadline REAL, step_deadline REAL, deadline REAL,
    force_canceled INTEGER NOT NULL,
    UNIQUE (thing, job, number)
);
CREATE INDEX executions_by_thing ON executions (thing, position);
CREATE INDEX executions_by_thing_and_status ON executions (thing, status, position);
CREATE INDEX executions_by_job ON executions (job, position);
CREATE INDEX executions_by_job_and_status ON executions (job, status, position);
CREATE INDEX executions_by_deadline ON executions (deadline) WHERE deadline IS NOT NULL;

CREATE TABLE execution_counts (
    job TEXT NOT NULL, status TEXT NOT NULL, executions INTEGER NOT NULL,
    PRIMARY KEY (job, status)
) WITHOUT ROWID;
CREATE TRIGGER execution_queued AFTER INSERT ON executions BEGIN
    INSERT INTO execution_counts VALUES (new.job, new.status, 1)
        ON CONFLICT (job, status) DO UPDATE SET executions = executions + 1;
END;
CREATE TRIGGER execution_changed AFTER UPDATE OF status ON executions WHEN old.status <> new.status BEGIN
    UPDATE execution_counts SET executions = executions - 1 WHERE job = old.job AND status = old.status;
    INSERT INTO execution_counts VALUES (new.job, new.status, 1)
        ON CONFLICT (job, status) DO UPDATE SET executions = executions + 1;
END;
CREATE TRIGGER execution_deleted AFTER DELETE ON executions BEGIN
    UPDATE execution_counts SET executions = executions - 1 WHERE job = old.job AND status = old.status;
END;

CREATE TABLE outbox (position INTEGER PRIMARY KEY, thing TEXT, topic TEXT NOT NULL, payload BLOB NOT NULL);
PRAGMA application_id = 1701081961; PRAGMA user_version = 2;
"""
JOB: dict[str, Any] = {
    "job_id": "j",
    "arn": "arn:aws:iot:us-east-1:123456789012:job/j",
    "targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/all"],
    "things": ["b", "a", "c"],
    "document": '{"a": "ü"}',
    "created_at": 1_700_000_000.5,
    "last_updated_at": 1_700_000_001.5,
    "completed_at": None,
    "status": "IN_PROGRESS",
    "description": None,
    "role_arn": None,
    "expires_s": 3600,
    "timeout_minutes": 7,
    "maximum_per_minute": 50,
    "force_canceled": False,
    "reason_code": None,
    "comment": None,
}
EXECUTION: dict[str, Any] = {
    "job_id": "j",
    "thing_name": "b",
    "queued_at": 1_700_000_000.5,
    "last_updated_at": 1_700_000_002.5,
    "status": "IN_PROGRESS",
    "status_details": {"step": "ä"},
    "started_at": 1_700_000_001.5,
    "number": 1,
    "version": 3,
    "timeout_minutes": 7,
    "job_deadline": 1_700_000_421.5,
    "step_deadline": 1_700_000_400.5,
    "force_canceled": False,
}
EXECUTIONS = [
    EXECUTION,
    {**EXECUTION, "thing_name": "a", "status": "SUCCEEDED", "job_deadline": None, "step_deadline": None},
    {**EXECUTION, "thing_name": "c", "status": "QUEUED", "status_details": None, "job_deadline": None}
    | {"step_deadline": None, "started_at": None, "version": 1},
]


def first_layout(path: Path, *, cut_off: bool = False) -> Path:
    """Write a state as the first layout's program did; ``cut_off``: as a kill left it, all in the log."""
    written = path if not cut_off else path.with_name("written")
    with contextlib.closing(sqlite3.connect(written, isolation_level=None)) as state:
        state.execute("PRAGMA journal_mode=WAL")
        state.executescript(FIRST)
        state.execute("PRAGMA user_version=1")
        documents: list[tuple[str, str, str | None, Any]] = [
            ("thing", "a", None, {"name": "a", "arn": "arn", "id": "1", "attributes": {}}),
            ("thing-group", "all", None, {"id": "g", "things": ["b", "a", "c"]}),
            ("thing-group", "empty", None, {"id": "e", "things": []}),
            ("job", "j", None, JOB),
            *(("job-execution", f"{e['thing_name']}/j", e["thing_name"], e) for e in EXECUTIONS),
            ("groups/versions", "v1", "g1", {"Version": "v1"}),
            ("groups/versions", "v2", "g1", {"Version": "v2"}),
        ]
        for system in ("raspbian", "ubuntu"):
            build = {"operating_system": system, "url": URL, "sha256": "0" * 64}
            documents.append(("builds", f"core/{system}/armv7l/1.11.6", f"core/{system}/armv7l", build))
        for kind, id_, parent, body in documents:
            row = (kind, id_, parent, json.dumps(body, ensure_ascii=False))
            state.execute("INSERT INTO documents (kind, id, parent, body) VALUES (?, ?, ?, ?)", row)
        if cut_off:
            for name in ("", "-wal"):
                shutil.copyfile(f"{written}{name}", f"{path}{name}")
    if cut_off:
        written.unlink()
    return path


def everything(store: Store) -> dict[str, Any]:
    """Return what FIRST held, as today's code reads it."""
    records = Records(store)
    return {
        "job": records.job("j"),
        "counts": +records.counts("j"),
        "executions": records.executions("j"),
        "due": records.due(1_700_000_400.5),
        "members": (records.members("all"), records.members("empty"), records.group("all")),
        "versions": store.list("groups/versions", "g1"),
        "things": store.list("thing"),
        "builds": len(store.list("builds")),
        "digest": build_digest(store, URL),
        "left": (store.list("job"), store.list("job-execution")),
    }


EXPECTED = {
    "job": Job(
        **{k: v for k, v in JOB.items() if k not in ("things", "targets", "maximum_per_minute")},
        targets=tuple(JOB["targets"]),
        rollout={"maximumPerMinute": 50},
    ),
    "counts": Counter(IN_PROGRESS=1, SUCCEEDED=1, QUEUED=1),
    "executions": [JobExecution(**e) for e in EXECUTIONS],
    "due": [("b", "j")],
    "members": (["b", "a", "c"], [], ThingGroup(name="all", id="g")),
    "versions": [{"Version": "v1"}, {"Version": "v2"}],
    "things": [{"name": "a", "arn": "arn", "id": "1", "attributes": {}}],
    "builds": 2,
    "digest": "0" * 64,
    "left": ([], []),
}


@pytest.mark.parametrize("cut_off", [False, True])
def test_a_state_of_the_first_layout_is_brought_to_todays_with_everything(tmp_path: Path, cut_off: bool) -> None:
    path = first_layout(tmp_path / "state.db", cut_off=cut_off)
    path.chmod(0o640)
    assert statefile.look(path) == migration.FIRST_LAYOUT
    for _ in range(2):  # the second time it is one of today's
        store = Store(path)
        assert everything(store) == EXPECTED
        store.close()
        assert statefile.look(path) == statefile.LAYOUT
    assert [p.name for p in tmp_path.iterdir()] == ["state.db"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_state_of_the_second_layout_keeps_its_jobs_and_may_have_rollouts(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    kept = {name: value for name, value in JOB.items() if name not in ("job_id", "status", "things")}
    row = {**EXECUTION, "status_details": json.dumps(EXECUTION["status_details"]), "deadline": 1_700_000_400.5}
    names = {"job": "job_id", "thing": "thing_name"}
    columns = [name for name in row if name not in ("job_id", "thing_name")] + list(names)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as state:
        state.executescript(SECOND)
        state.execute("INSERT INTO jobs (job, status, body) VALUES ('j', 'IN_PROGRESS', ?)", (json.dumps(kept),))
        values = [row[names.get(column, column)] for column in columns]
        marks = ", ".join("?" for _ in columns)
        state.execute(f"INSERT INTO executions ({', '.join(columns)}) VALUES ({marks})", values)
    store = Store(path)
    records = Records(store)
    assert (records.job("j"), records.executions("j")) == (EXPECTED["job"], [JobExecution(**EXECUTION)])
    assert records.due_jobs(2_000_000_000) == []
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    statefile._lay_out(fresh)
    look = "SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
    assert store.execute(look) == fresh.execute(look).fetchall()
    for table in ("jobs", "executions"):
        query = f"SELECT name FROM pragma_table_info('{table}') ORDER BY name"
        assert store.execute(query) == fresh.execute(query).fetchall()
    store.close()
    assert statefile.look(path) == statefile.LAYOUT


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.sweep
def test_a_migration_killed_at_any_line_leaves_the_old_state_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    left = False
    kept = first_layout(tmp_path / "kept", cut_off=True)
    whole = lines_passed(copied(kept, tmp_path / "whole"))
    assert whole > 50
    sample = sweeps.points(range(1, whole + 1), every=6)
    layouts: set[int] = set()
    for line in sample:
        state = copied(kept, tmp_path / str(line))
        assert lines_passed(state, kill_at=line) == line
        left = left or any(temporary.iterdir())
        layouts.add(statefile.look(state))
        store = Store(state)
        assert everything(store) == EXPECTED, line
        store.close()
        assert [p.name for p in state.parent.iterdir()] == ["state.db"], line
        shutil.rmtree(state.parent)
    record_property("summary", f"migration of a state: killed at {len(sample)} of {whole} lines")
    statefile.look(kept)
    assert (left, list(temporary.iterdir())) == (True, []), "what a killed call left is swept by the next one"
    assert layouts == {migration.FIRST_LAYOUT, statefile.LAYOUT}


def copied(state: Path, to: Path) -> Path:
    to.mkdir()
    for name in ("", "-wal"):
        shutil.copyfile(f"{state}{name}", to / f"state.db{name}")
    return to / "state.db"


def lines_passed(path: Path, *, kill_at: int | None = None) -> int:
    """Open a state in another process; return to how many lines it came of the modules that migrate.

    The process kills itself as it comes to the ``kill_at``-th.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        lines = set()

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            if frame.f_code.co_filename not in (statefile.__file__, migration.__file__):
                return None
            place = (frame.f_code.co_filename, frame.f_lineno)
            if event == "line" and place not in lines:
                lines.add(place)
                os.write(writer, b".")
                if len(lines) == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        try:
            sys.settrace(trace)
            statefile.connect(path)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        passed = len(pipe.read())
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]) == (kill_at is not None)
    return passed


def test_a_migration_that_fails_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = first_layout(tmp_path / "state.db")
    with monkeypatch.context() as full:

        def fail(*_: Any) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        full.setattr(migration, "_insert_execution", fail)
        with pytest.raises(UsageError, match=r"state\.db: cannot be used .*: database or disk is full"):
            Store(path)
    assert [p.name for p in tmp_path.iterdir()] == ["state.db"]
    assert everything(Store(path)) == EXPECTED


@pytest.mark.parametrize("body", ["{", "[]", "{}", "null"])
def test_a_state_with_a_damaged_document_is_left_as_it_is(tmp_path: Path, body: str) -> None:
    path = first_layout(tmp_path / "state.db")
    sql(path, f"UPDATE documents SET body = '{body}' WHERE id = 'a/j'; PRAGMA journal_mode=DELETE")
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"state\.db: cannot be migrated to layout 3, as a document in it is damaged"):
        Store(path)
    assert [p.name for p in tmp_path.iterdir()] == ["state.db"]
    assert path.read_bytes() == before


def sql(path: Path, script: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as state:
        state.executescript(script)


def other_table(path: Path) -> None:
    sql(path, "CREATE TABLE notes (id INTEGER PRIMARY KEY, text); INSERT INTO notes VALUES (1, 'mine')")


def same_table_and_more(path: Path) -> None:
    sql(path, f"{FIRST} CREATE TABLE notes (text); PRAGMA user_version=1")


def same_name(path: Path) -> None:
    sql(path, "CREATE TABLE documents (id INTEGER PRIMARY KEY, title); PRAGMA user_version=1")


def version_only(path: Path) -> None:
    sql(path, f"{FIRST} PRAGMA user_version=2")


def application(path: Path) -> None:
    sql(path, "PRAGMA application_id=252006673; PRAGMA user_version=1")


def in_the_log(path: Path) -> None:
    """A file whose tables lie in its log alone, as after a kill."""
    written = path.with_name("written")
    with contextlib.closing(sqlite3.connect(written, isolation_level=None)) as state:
        state.execute("PRAGMA journal_mode=WAL")
        state.execute("CREATE TABLE notes (text)")
        for name in ("", "-wal"):
            shutil.copyfile(f"{written}{name}", f"{path}{name}")
    written.unlink()


def in_use(path: Path) -> None:
    other_table(path)
    sql(path, "PRAGMA journal_mode=WAL; INSERT INTO notes VALUES (2, 'more')")


def later(path: Path) -> None:
    Store(path).close()
    sql(path, "PRAGMA journal_mode=DELETE; PRAGMA user_version=99")


def text(path: Path) -> None:
    path.write_text("SQLite format 3 is what I write about\n" * 9)


def cut_header(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0")


def damaged(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\0" * 4000)


OTHERS = [
    (other_table, "is the SQLite file of another program"),
    (same_table_and_more, "is the SQLite file of another program"),
    (same_name, "is the SQLite file of another program"),
    (version_only, "is the SQLite file of another program"),
    (application, "is the SQLite file of another program"),
    (in_the_log, "is the SQLite file of another program"),
    (in_use, "is the SQLite file of another program"),
    (later, "was written by a later edge-sim"),
    (text, "is not an SQLite file"),
    (cut_header, "is not an SQLite file"),
    (damaged, "cannot be read as an SQLite file"),
    (Path.mkdir, "is not a regular file"),
    (os.mkfifo, "is not a regular file"),
]


@pytest.mark.parametrize(("make", "why"), OTHERS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_file_of_somebody_else_is_refused_and_nothing_is_touched(tmp_path: Path, make: Any, why: str) -> None:
    path = tmp_path / "state.db"
    make(path)
    before = snapshot(tmp_path)
    for use in (Store, lambda path: Cloud(path).__enter__()):
        with pytest.raises(UsageError) as refused:
            use(path)
        assert refused.value.brief.startswith(f"{path}: {why}")
        assert len(refused.value.brief.splitlines()) == 1
        assert refused.value.hint == "Choose another file for --state, or one that does not exist yet."
    assert snapshot(tmp_path) == before


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {p.name: (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in sorted(folder.iterdir())}


@pytest.mark.parametrize("make", [Path.touch, lambda path: sql(path, "PRAGMA journal_mode=WAL; VACUUM")])
def test_an_empty_file_becomes_a_state(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "state.db"
    make(path)
    store = Store(path)
    store.put("k", "a", {"v": 1})
    store.close()
    assert Store(path).get("k", "a") == {"v": 1}


def test_a_log_without_its_file_does_not_become_part_of_a_new_state(tmp_path: Path) -> None:
    first = first_layout(tmp_path / "state.db", cut_off=True)
    first.unlink()
    assert everything(Store(first))["job"] is None


def test_a_state_behind_a_link_stays_behind_it(tmp_path: Path) -> None:
    target = first_layout(tmp_path / "target.db")
    link = tmp_path / "state.db"
    link.symlink_to(target)
    assert everything(Store(link)) == EXPECTED
    assert link.readlink() == target
    assert statefile.look(target) == statefile.LAYOUT
