"""The SQLite file of ``--state``: its layout, and how a file becomes one.

``PRAGMA application_id`` says that a file is this program's, ``user_version`` names its layout; both stand in the
file's first 100 bytes, so a file of somebody else is recognised, and refused, without being opened for writing. A new
file, and one of an earlier layout, is written beside its place and renamed into it: whole, or not at all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
from pathlib import Path

from edge_sim.cloud import migration
from edge_sim.errors import UsageError
from edge_sim.folders import while_in_use

APPLICATION_ID = 0x65647369
"""The letters "edsi"."""
LAYOUT = 3
BUSY_TIMEOUT_S = 5.0
_MAGIC = b"SQLite format 3\0"
_HEADER_SIZE = 100
_HINT = "Choose another file for --state, or one that does not exist yet."

# Executions are counted for each status by triggers: in the same transaction, whoever changes them.
_TABLES = """
CREATE TABLE documents (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, id TEXT NOT NULL, parent TEXT, body TEXT NOT NULL,
    UNIQUE (kind, id)
);
CREATE INDEX documents_by_kind ON documents (kind, position);
CREATE INDEX documents_by_parent ON documents (kind, parent, position);

CREATE TABLE jobs (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL UNIQUE, status TEXT NOT NULL,
    continuous INTEGER NOT NULL DEFAULT 0, next_batch_at REAL, body TEXT NOT NULL
);
CREATE INDEX jobs_by_status ON jobs (status, position);
CREATE INDEX jobs_by_selection ON jobs (continuous, status, position);
CREATE INDEX jobs_by_next_batch ON jobs (next_batch_at) WHERE next_batch_at IS NOT NULL;

CREATE TABLE executions (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL, thing TEXT NOT NULL, number INTEGER NOT NULL,
    status TEXT NOT NULL, status_details TEXT, version INTEGER NOT NULL,
    queued_at REAL NOT NULL, started_at REAL, last_updated_at REAL NOT NULL,
    timeout_minutes INTEGER, job_deadline REAL, step_deadline REAL, deadline REAL,
    force_canceled INTEGER NOT NULL, retry_attempt INTEGER NOT NULL DEFAULT 0,
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
"""


def connect(path: Path | None) -> sqlite3.Connection:
    """Return a connection to the state at ``path``, made or brought to LAYOUT when needed; None is one in memory.

    The caller has seen to it that no other cloud uses the file. Raises UsageError when it cannot be used.
    """
    try:
        if path is None:
            memory = _open(":memory:")
            _lay_out(memory)
            return memory
        path = path.resolve()
        layout = look(path)
        if layout != LAYOUT:
            _rewrite(path, layout)
        state = _open(path)
        state.execute("PRAGMA journal_mode = WAL")
        return state
    except (sqlite3.Error, OSError) as error:
        raise _unusable(path, f"cannot be used as the cloud's state: {error}") from error


def look(path: Path) -> int:
    """Return the layout of the state file at ``path``, 0 when there is none yet; the file is only read.

    Raises UsageError when it is anything but a state that this program can use.
    """
    path = path.resolve()
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _unusable(path, "is not a regular file, so it cannot hold the cloud's state")
        with path.open("rb") as file:
            header = file.read(_HEADER_SIZE)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from error
    if not header:
        return 0
    if not header.startswith(_MAGIC) or len(header) < _HEADER_SIZE:
        raise _unusable(path, "is not an SQLite file, so it cannot hold the cloud's state; it was left unchanged")
    layout, application = int.from_bytes(header[60:64], "big"), int.from_bytes(header[68:72], "big")
    if application == APPLICATION_ID and layout <= LAYOUT:
        return layout
    if application == APPLICATION_ID:
        text = f"was written by a later edge-sim (layout {layout}; this one knows {LAYOUT}); it was left unchanged"
        raise _unusable(path, text)
    if application == 0 and layout in (0, migration.FIRST_LAYOUT):
        tables = _tables(path)
        if tables == migration.FIRST_TABLES:
            return migration.FIRST_LAYOUT
        if not tables:
            return 0
    raise _unusable(path, "is the SQLite file of another program; it was left unchanged")


def _tables(path: Path) -> frozenset[tuple[str, ...]]:
    """Return every table as its name and its columns, without leaving anything beside the file.

    A log of changes that still lies beside it counts: SQLite would work it in, so a copy of both is looked at.
    """
    log = path.with_name(f"{path.name}-wal")
    try:
        if not log.exists() or not log.stat().st_size:
            with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as state:
                return _columns(state)
        with while_in_use("edge-sim-state-") as (folder, _):
            copy = folder / "copy"
            shutil.copyfile(path, copy)
            shutil.copyfile(log, copy.with_name("copy-wal"))
            with contextlib.closing(sqlite3.connect(copy)) as state:
                return _columns(state)
    except sqlite3.Error as error:
        raise _unusable(path, f"cannot be read as an SQLite file ({error}); it was left unchanged") from error


def _columns(state: sqlite3.Connection) -> frozenset[tuple[str, ...]]:
    names = [name for (name,) in state.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    query = "SELECT name FROM pragma_table_info(?) ORDER BY cid"
    return frozenset((name, *(column for (column,) in state.execute(query, (name,)))) for name in names)


def _rewrite(path: Path, layout: int) -> None:
    """Put a state of LAYOUT, with everything that the one at ``path`` holds, in its place."""
    beside = path.with_name(f"{path.name}.new")
    for name in (beside, beside.with_name(f"{beside.name}-journal")):
        name.unlink(missing_ok=True)  # of a call that was killed
    try:
        beside.touch(mode=0o600, exist_ok=False)
        with contextlib.closing(_open(path)) as old, contextlib.closing(_open(beside)) as new:
            old.execute(
                "PRAGMA journal_mode = DELETE"
            )  # works the log in: beside another file it would be taken for its
            old.backup(new)
            if layout:
                _migrate(path, new, layout)
            else:
                _lay_out(new)
        shutil.copymode(path, beside)
        with contextlib.suppress(PermissionError):
            os.chown(beside, path.stat().st_uid, path.stat().st_gid)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _migrate(path: Path, copy: sqlite3.Connection, layout: int) -> None:
    try:
        if layout == migration.FIRST_LAYOUT:
            migration.from_first_layout(copy, _lay_out)
        else:
            migration.from_second_layout(copy)
    except (KeyError, TypeError, ValueError) as error:
        text = (
            f"cannot be migrated to layout {LAYOUT}, as a document in it is damaged ({error!r}); it was left unchanged"
        )
        raise _unusable(path, text, details=repr(error)) from error


def _lay_out(state: sqlite3.Connection) -> None:
    """Make the tables of LAYOUT in one transaction with the marks that say so."""
    marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {LAYOUT};"
    state.executescript(f"BEGIN IMMEDIATE; {_TABLES} {marks} COMMIT;")


def _open(path: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def _unusable(path: Path | None, why: str, *, details: str | None = None) -> UsageError:
    return UsageError(f"{path}: {why}", details=details, hint=_HINT)
