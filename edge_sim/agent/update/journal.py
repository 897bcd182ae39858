"""The update's journal: what is about to be done, on the disk before it is done.

``<gg>/ggc/var/state/update-journal.json`` holds one record and its checksum; the copy before it stays beside it as
``update-journal.previous.json``. A record that is torn or altered is passed over for the previous one. The file is
there from the start of an update until the cloud has acknowledged the end, so that nothing is lost or done twice.
``update-holder.json``, written once an update, says which job this board has, also where both copies are lost.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_sim.agent import durable
from edge_sim.errors import UpdateError
from edge_sim.jobs.update import Phase

FORMAT = 1
MAX_BYTES = 64 * 1024
NAME = "update-journal.json"
PREVIOUS = "update-journal.previous.json"
HOLDER = "update-holder.json"


@dataclass(frozen=True, kw_only=True)
class Report:
    """The end of a job as it is to be reported to the cloud."""

    status: str
    details: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Record:
    """Where an update stands. ``confirmed`` is the commit point: set, the new version stays whatever happens.

    ``holder`` is what this board calls itself as the one that has the job: after a restart it goes on, and another
    board of the same name does not begin. ``software`` is the one that is updated, by its name in the job; ``starts``
    counts how often its new version was (about to be) started. ``token`` is the client token of the final report, the
    same at every attempt.
    """

    job: str
    execution: int
    version_number: int
    phase: Phase
    old: str | None
    new: str
    software: str = "core"
    starts: int = 0
    confirmed: bool = False
    reason: str | None = None
    report: Report | None = None
    token: str | None = None
    holder: str = ""


class Journal:
    """The journal in the directory ``state``.

    ``on_trouble`` hears of copies that could not be used, ``on_write`` of each record once it is on the disk.
    """

    def __init__(
        self,
        state: Path,
        *,
        on_trouble: Callable[[str], None] = lambda _: None,
        on_write: Callable[[Record], None] = lambda _: None,
    ) -> None:
        self._file = state / NAME
        self._previous = state / PREVIOUS
        self._holder = state / HOLDER
        self._on_trouble = on_trouble
        self._on_write = on_write

    def write(self, record: Record) -> None:
        """Put ``record`` on the disk; the one there before becomes the previous copy. Raises UpdateError."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            if self.holder(record.job, record.execution) != record.holder:
                durable.write(self._holder, json.dumps([record.job, record.execution, record.holder]).encode())
            if self._file.exists() and _decode(_content(self._file)) is not None:
                # a damaged one must not push out a good previous copy
                self._keep_previous()
            durable.write(self._file, _encode(record))
        except OSError as error:
            raise UpdateError(f"{self._file}: the update journal cannot be written: {error.strerror}") from error
        self._on_write(record)

    def read(self) -> Record | None:
        """Return the open record, or None when there is none (or none that is whole: that is logged).

        Raises UpdateError when the disk does not let it be read: nothing is known then.
        """
        for path in (self._file, self._previous):
            try:
                content = _content(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise UpdateError(f"{path}: the update journal cannot be read: {error.strerror}") from error
            record = _decode(content)
            if record is not None:
                return record
            self._on_trouble(f"{path}: damaged, so it is not used")
        return None

    def holder(self, job: str, execution: int) -> str:
        """Return what this board calls itself as the one that has a job's execution; empty when it has not."""
        try:
            known = json.loads(_content(self._holder))
            return str(known[2]) if known[:2] == [job, execution] else ""
        except (OSError, ValueError, TypeError, LookupError, RecursionError):
            return ""

    def close(self) -> None:
        """Forget the update: it is over and the cloud knows. Raises OSError."""
        self._remove(self._previous, self._file, self._holder)

    def discard(self) -> None:
        """Remove the copies of the record, which nobody can use; whose the job is stays known. Raises OSError."""
        self._remove(self._previous, self._file)

    def _remove(self, *files: Path) -> None:
        """Remove files, in order: after a power cut among the copies, the newer one must be the one that is found."""
        there = [file for file in files if os.path.lexists(file)]  # on a read-only disk, nothing to do is no error
        for file in there:
            file.unlink()
        if there:
            durable.sync_directory(self._file.parent)

    def _keep_previous(self) -> None:
        beside = self._previous.with_name(f".{PREVIOUS}.new")
        beside.unlink(missing_ok=True)
        os.link(self._file, beside)
        beside.replace(self._previous)


def _encode(record: Record) -> bytes:
    fields = asdict(record) | {"phase": record.phase.name}
    return json.dumps({"format": FORMAT, "checksum": _checksum(fields), "record": fields}).encode()


def _checksum(fields: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES)


def _decode(content: bytes) -> Record | None:
    """Return the record that a copy holds, or None when it is torn, altered or of another format."""
    try:
        document = json.loads(content)
        fields = document["record"]
        if document["format"] != FORMAT or document["checksum"] != _checksum(fields):
            return None
        report = fields["report"]
        fields |= {"phase": Phase[fields["phase"]], "report": Report(**report) if report else None}
        fields.pop("activated", None)  # of an older agent: the phase says it as well
        return Record(**fields)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
