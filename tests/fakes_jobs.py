"""AWS IoT Jobs for one thing, kept in a file so that it outlives the process that asks. Rules as the real one's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_sim.agent.crashpoints import point
from edge_sim.agent.mqtt import OfflineError
from edge_sim.agent.update.jobclient import JobEndedError
from edge_sim.jobs.messages import JobExecutionData
from edge_sim.jobs.requests import Update

OPEN = ("QUEUED", "IN_PROGRESS")


class FileJobs:
    """Implements ``jobclient.Jobs``. ``online`` False: no answers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.online = True

    def queue(self, job: str, document: Mapping[str, Any]) -> None:
        jobs = self._read() if self.path.exists() else []
        jobs.append({"job": job, "status": "QUEUED", "version": 1, "details": {}, "document": document, "history": []})
        self._write(jobs)

    def get(self, job: str) -> dict[str, Any]:
        return next(j for j in self._read() if j["job"] == job)

    def force(self, job: str, status: str) -> None:
        """End a job as the cloud may."""
        jobs = self._read()
        next(j for j in jobs if j["job"] == job)["status"] = status
        self._write(jobs)

    def next(self) -> JobExecutionData | None:
        self._check_online()
        found = next((j for j in self._read() if j["status"] in OPEN), None)
        if found is None:
            return None
        return JobExecutionData(
            job_id=found["job"],
            status=found["status"],
            queued_at=1,
            last_updated_at=1,
            version_number=found["version"],
            status_details=found["details"],
            execution_number=1,
            document=found["document"],
        )

    def update(self, job: str, change: Update, *, attempts: int = 3) -> int:
        self._check_online()
        jobs = self._read()
        found = next(j for j in jobs if j["job"] == job)
        if found["status"] not in OPEN:
            raise JobEndedError(job, found["status"])
        found["history"].append(change.status)
        found["step"] = change.step_timeout_minutes
        if change.status == "IN_PROGRESS":
            found["shown"] = [*found.get("shown", ()), dict(change.status_details or {})]
            assert change.step_timeout_minutes, "a board that falls silent is to be noticed"
        found.update(status=change.status, details=dict(change.status_details or {}), version=found["version"] + 1)
        self._write(jobs)
        if change.status not in OPEN:
            point("P25 report-taken")
        return int(found["version"])

    def _check_online(self) -> None:
        if not self.online:
            raise OfflineError("nobody answers")

    def _read(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.path.read_text())
        return found

    def _write(self, jobs: list[dict[str, Any]]) -> None:
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(jobs))
        beside.replace(self.path)
