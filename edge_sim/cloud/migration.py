"""From an earlier layout of the state file to today's.

The first layout, one table of documents, kept jobs and executions as documents of the kinds ``job`` and
``job-execution``, a job with the names of its things and a thing group with those of its members, and found a build's
file by reading all builds. The second knew neither rollouts nor retries.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

FIRST_LAYOUT = 1
FIRST_TABLES = frozenset(
    {("documents", "position", "kind", "id", "parent", "body"), ("sqlite_sequence", "name", "seq")}
)
_MOVED = ("job", "job-execution")


def from_first_layout(state: sqlite3.Connection, lay_out: Callable[[sqlite3.Connection], None]) -> None:
    """Bring a state of the first layout to the one that ``lay_out`` makes.

    Call it on a copy that takes the state's place when this has returned: what is half done is not undone.
    """
    state.execute("ALTER TABLE documents RENAME TO earlier")
    lay_out(state)
    state.execute("BEGIN IMMEDIATE")
    state.execute(
        "INSERT INTO documents (position, kind, id, parent, body) "
        "SELECT position, kind, id, parent, body FROM earlier WHERE kind NOT IN (?, ?)",
        _MOVED,
    )
    for job in _earlier(state, "job"):
        _insert_job(state, job)
    for execution in _earlier(state, "job-execution"):
        _insert_execution(state, execution)
    for name, group in _groups(state):
        _split_group(state, name, group)
    for build in _earlier(state, "builds"):
        _insert_build_file(state, build)
    state.execute("DROP TABLE earlier")
    _name_rollouts(state)
    state.execute("COMMIT")


def from_second_layout(state: sqlite3.Connection) -> None:
    """Bring a state of the second layout to the third, which must be today's. Call it on a copy, as the other."""
    state.execute("BEGIN IMMEDIATE")
    state.execute("ALTER TABLE jobs ADD COLUMN continuous INTEGER NOT NULL DEFAULT 0")
    state.execute("ALTER TABLE jobs ADD COLUMN next_batch_at REAL")
    state.execute("CREATE INDEX jobs_by_selection ON jobs (continuous, status, position)")
    state.execute("CREATE INDEX jobs_by_next_batch ON jobs (next_batch_at) WHERE next_batch_at IS NOT NULL")
    state.execute("ALTER TABLE executions ADD COLUMN retry_attempt INTEGER NOT NULL DEFAULT 0")
    _name_rollouts(state)
    state.execute("PRAGMA user_version = 3")
    state.execute("COMMIT")


def _name_rollouts(state: sqlite3.Connection) -> None:
    """Say a job's rate as AWS's jobExecutionsRolloutConfig does."""
    for position, body in state.execute("SELECT position, body FROM jobs").fetchall():
        job = json.loads(body)
        rate = job.pop("maximum_per_minute", None)
        job["rollout"] = {} if rate is None else {"maximumPerMinute": rate}
        state.execute("UPDATE jobs SET body = ? WHERE position = ?", (_text(job), position))


def _earlier(state: sqlite3.Connection, kind: str) -> list[dict[str, object]]:
    rows = state.execute("SELECT body FROM earlier WHERE kind = ? ORDER BY position", (kind,))
    return [json.loads(body) for (body,) in rows.fetchall()]


def _groups(state: sqlite3.Connection) -> list[tuple[str, dict[str, object]]]:
    rows = state.execute("SELECT id, body FROM earlier WHERE kind = 'thing-group' ORDER BY position")
    return [(name, json.loads(body)) for name, body in rows.fetchall()]


def _insert_job(state: sqlite3.Connection, job: Mapping[str, object]) -> None:
    body = {name: value for name, value in job.items() if name not in ("job_id", "status", "things")}
    row = (job["job_id"], job["status"], _text(body))
    state.execute("INSERT INTO jobs (job, status, body) VALUES (?, ?, ?)", row)


def _insert_execution(state: sqlite3.Connection, execution: Mapping[str, Any]) -> None:
    timers = [at for at in (execution["job_deadline"], execution["step_deadline"]) if at is not None]
    details = execution["status_details"]
    row = {
        **execution,
        "status_details": None if details is None else _text(details),
        "deadline": min(timers) if timers and execution["status"] == "IN_PROGRESS" else None,
    }
    state.execute(
        "INSERT INTO executions (job, thing, number, status, status_details, version, queued_at, started_at, "
        "last_updated_at, timeout_minutes, job_deadline, step_deadline, deadline, force_canceled) VALUES "
        "(:job_id, :thing_name, :number, :status, :status_details, :version, :queued_at, :started_at, "
        ":last_updated_at, :timeout_minutes, :job_deadline, :step_deadline, :deadline, :force_canceled)",
        row,
    )


def _split_group(state: sqlite3.Connection, name: str, group: Mapping[str, Any]) -> None:
    body = {key: value for key, value in group.items() if key != "things"}
    state.execute("UPDATE documents SET body = ? WHERE kind = 'thing-group' AND id = ?", (_text(body), name))
    for thing in group["things"]:
        _insert_document(state, "thing-group-member", f"{name}/{thing}", {"thing": thing}, name)


def _insert_build_file(state: sqlite3.Connection, build: Mapping[str, Any]) -> None:
    query = "SELECT body FROM documents WHERE kind = 'build-files' AND id = ?"
    row = state.execute(query, (build["url"],)).fetchone()
    systems = json.loads(row[0])["systems"] if row else []
    body = {"sha256": build["sha256"], "systems": [*systems, build["operating_system"]]}
    _insert_document(state, "build-files", build["url"], body, None)


def _insert_document(
    state: sqlite3.Connection, kind: str, id_: str, body: Mapping[str, object], parent: str | None
) -> None:
    state.execute(
        "INSERT INTO documents (kind, id, parent, body) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
        (kind, id_, parent, _text(body)),
    )


def _text(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
