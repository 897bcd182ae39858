"""The update document, and the phases of an update on a device.

Nobody published the document that Greengrass V1 sent to its OTA agent, so this one is simulator-defined, versioned
(``edgeSimUpdate``) and labelled so in docs/fidelity.md. A job is ours only if its id starts with
``GreengrassUpdateJob_`` (sourced) *and* its document carries the mark: V1's agent ignored every other job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, get_args

from edge_sim.arch import ARCHITECTURES
from edge_sim.errors import UpdateError

JOB_ID_PREFIX = "GreengrassUpdateJob_"
MARK = "edgeSimUpdate"
DOCUMENT_VERSION = 1
Software = Literal["core", "ota_agent"]
SOFTWARE: tuple[Software, ...] = get_args(Software)
OPERATING_SYSTEMS = ("ubuntu", "raspbian", "amazon_linux", "openwrt")
LOG_LEVELS = ("NONE", "TRACE", "DEBUG", "VERBOSE", "INFO", "WARN", "ERROR", "FATAL")
MAX_SIZE = 1 << 30
"""Bytes of a build. Real ones had 30 to 70 MB; a gigabyte is beyond what any such board could hold."""
MAX_URL_CHARS = 4096

VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){2}(-[a-zA-Z0-9]{1,32})?")
"""Of a core or an OTA agent."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLACEHOLDER = "${aws:iot:s3-presigned-url:"


MAX_STARTS = 3
"""How often the new version of one update is started (ours)."""


class Phase(Enum):
    """Where an update stands. The last three are ends: their names are the statuses to report to AWS IoT Jobs."""

    PREFLIGHT = "PREFLIGHT"
    STAGE = "STAGE"
    VERIFY = "VERIFY"
    ACTIVATE = "ACTIVATE"
    CONFIRM = "CONFIRM"
    ROLL_BACK = "ROLL_BACK"
    SUCCEEDED = "SUCCEEDED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"


class Event(Enum):
    """How a phase ended."""

    DONE = "done"
    BROKEN = "broken"
    """It went wrong: no space, a bad digest, a core that does not start, a limit that ran out."""
    CANCELED = "canceled"
    """The cloud has ended the job execution meanwhile (force-cancelled, timed out or deleted)."""
    CUT_OFF = "cut off"
    """The agent ended in the middle of it: it was stopped or killed, or the power failed."""


class PhaseScope(Enum):
    """What a phase may change on the board."""

    NOTHING = "nothing"
    STAGED = "staged"
    """Versions beside the running one, which stays as it is."""
    RUNNING = "running"
    """The link to the current version, and what runs."""


class Reporting(Enum):
    """What the cloud hears when a phase begins. Every one of these messages also brings news of a cancelled job."""

    NONE = "none"
    CONSENT = "consent"
    """IN_PROGRESS, and nothing is done before the cloud has accepted it."""
    PROGRESS = "progress"
    """How far the update is; no answer is no reason to stop."""


@dataclass(frozen=True, kw_only=True)
class PhaseRow:
    """One phase: what it may change, what is reported, and where each way out of it leads.

    A phase without a way for ``CANCELED`` cannot be cancelled. Where ``CUT_OFF`` leads to ``PREFLIGHT`` nothing is
    resumed on the board: the cloud hands the job over again.
    """

    scope: PhaseScope
    reporting: Reporting
    ways: Mapping[Event, Phase]


PHASES: Mapping[Phase, PhaseRow] = {
    Phase.PREFLIGHT: PhaseRow(
        scope=PhaseScope.NOTHING,
        reporting=Reporting.NONE,
        ways={
            Event.DONE: Phase.STAGE,
            Event.BROKEN: Phase.REJECTED,
            Event.CANCELED: Phase.REJECTED,
            Event.CUT_OFF: Phase.PREFLIGHT,
        },
    ),
    Phase.STAGE: PhaseRow(
        scope=PhaseScope.STAGED,
        reporting=Reporting.CONSENT,
        ways={
            Event.DONE: Phase.VERIFY,
            Event.BROKEN: Phase.FAILED,
            Event.CANCELED: Phase.FAILED,
            Event.CUT_OFF: Phase.PREFLIGHT,
        },
    ),
    Phase.VERIFY: PhaseRow(
        scope=PhaseScope.STAGED,
        reporting=Reporting.PROGRESS,
        ways={
            Event.DONE: Phase.ACTIVATE,
            Event.BROKEN: Phase.FAILED,
            Event.CANCELED: Phase.FAILED,
            Event.CUT_OFF: Phase.PREFLIGHT,
        },
    ),
    Phase.ACTIVATE: PhaseRow(
        scope=PhaseScope.RUNNING,
        reporting=Reporting.PROGRESS,
        ways={
            Event.DONE: Phase.CONFIRM,
            Event.BROKEN: Phase.ROLL_BACK,
            Event.CANCELED: Phase.ROLL_BACK,
            Event.CUT_OFF: Phase.ACTIVATE,
        },
    ),
    Phase.CONFIRM: PhaseRow(
        scope=PhaseScope.RUNNING,
        reporting=Reporting.PROGRESS,
        ways={
            Event.DONE: Phase.SUCCEEDED,
            Event.BROKEN: Phase.ROLL_BACK,
            Event.CANCELED: Phase.ROLL_BACK,
            Event.CUT_OFF: Phase.ACTIVATE,
        },
    ),
    Phase.ROLL_BACK: PhaseRow(
        scope=PhaseScope.RUNNING,
        reporting=Reporting.NONE,
        ways={
            Event.DONE: Phase.FAILED,
            Event.BROKEN: Phase.FAILED,
            Event.CUT_OFF: Phase.ROLL_BACK,
        },
    ),
}
"""The whole of it. A phase without a row is an end.

An update that was cut off with the switch under way goes on, and its stable window begins again; a cut counts as a
failed start, and after MAX_STARTS of them it is rolled back.
REJECTED only comes before the first IN_PROGRESS: AWS's embedded OTA library says the service refuses it afterwards.
A roll-back is never cancelled: it is already the way out.
"""


@dataclass(frozen=True, kw_only=True)
class UpdateDocument:
    """What to install, and where to get it. ``url`` is presigned, ``size`` in bytes, ``sha256`` in lower-case hex."""

    software: str
    version: str
    architecture: str
    operating_system: str
    log_level: str
    url: str
    sha256: str
    size: int


def title(software: str) -> str:
    """Return a software's name for people."""
    return "OTA agent" if software == "ota_agent" else software


def is_software_update(job_id: str, document: object) -> bool:
    """Tell whether a job is one of ours; every other job is to be left alone, neither accepted nor rejected."""
    return job_id.startswith(JOB_ID_PREFIX) and isinstance(document, Mapping) and MARK in document


def placeholder(s3_url: str) -> str:
    """Return the text that AWS IoT Jobs replaces by a presigned URL whenever a device gets the document."""
    return f"{_PLACEHOLDER}{s3_url}}}"


def build_document(update: UpdateDocument) -> dict[str, Any]:
    """Return the job document for ``update``, whose ``url`` is an S3 URL; it becomes a placeholder."""
    return {
        MARK: DOCUMENT_VERSION,
        "software": update.software,
        "version": update.version,
        "architecture": update.architecture,
        "operatingSystem": update.operating_system,
        "logLevel": update.log_level,
        "file": {"url": placeholder(update.url), "sha256": update.sha256, "size": update.size},
    }


def parse_document(document: object) -> UpdateDocument:
    """Return what a job document asks for. Raises UpdateError whose text is the reason to reject the job."""
    fields = _members(document, "the update document", _MEMBERS)
    if fields[MARK] != DOCUMENT_VERSION or isinstance(fields[MARK], bool):
        raise UpdateError(f"unknown version {fields[MARK]!r:.40} of the update document")
    file = _members(fields["file"], "file", ("url", "sha256", "size"))
    return UpdateDocument(
        software=_one_of(fields, "software", SOFTWARE),
        version=_matching(fields, "version", VERSION),
        architecture=_one_of(fields, "architecture", tuple(ARCHITECTURES)),
        operating_system=_one_of(fields, "operatingSystem", OPERATING_SYSTEMS),
        log_level=_one_of(fields, "logLevel", LOG_LEVELS),
        url=_url(file["url"]),
        sha256=_matching(file, "sha256", _SHA256),
        size=_size(file["size"]),
    )


_MEMBERS = (MARK, "software", "version", "architecture", "operatingSystem", "logLevel", "file")


def _members(value: object, where: str, names: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UpdateError(f"{where} is not an object")
    missing = [name for name in names if name not in value]
    if missing:
        raise UpdateError(f"{where} lacks {', '.join(missing)}")
    unknown = [name for name in value if name not in names]
    if unknown:
        raise UpdateError(f"{where} has the unknown member {unknown[0]!r:.80}")
    return value


def _one_of(fields: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = fields[name]
    if not isinstance(value, str) or value not in allowed:
        raise UpdateError(f"{name} is {value!r:.80}, not one of {', '.join(allowed)}")
    return value


def _matching(fields: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = fields[name]
    # A version becomes a directory name: nothing but digits, dots and one plain suffix gets through.
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise UpdateError(f"{name} is {value!r:.80}, which does not match {pattern.pattern}")
    return value


def _url(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_URL_CHARS:
        raise UpdateError(f"file.url is not a string of at most {MAX_URL_CHARS} characters")
    if value.startswith(_PLACEHOLDER):
        raise UpdateError("file.url is still a placeholder: the service did not presign it")
    if not value.startswith(("http://", "https://")) or not value.isprintable() or " " in value:
        raise UpdateError("file.url is not an http or https URL")
    if ".." in value.split("?", 1)[0].split("/"):
        raise UpdateError("file.url has '..' in its path")
    return value


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_SIZE:
        raise UpdateError(f"file.size is {value!r:.40}, not a number of bytes from 1 to {MAX_SIZE}")
    return value
