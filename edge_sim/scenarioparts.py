"""What edge-sim.yaml says beside the definition, as values. ``scenariofile`` reads them.

What S3, SageMaker, Secrets Manager and Lambda hold, what lies on a board before the core starts, which updates come,
and what must come out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge_sim.errors import Position
from edge_sim.jobs.requests import Status
from edge_sim.jobs.update import Software

SourceKind = Literal["s3", "trainingJob", "secret"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a resource's address leads to: a folder to pack or a file as it is, or a secret's text.

    ``address`` is the S3 URI, the training job's ARN or the secret's ARN. ``object_uri`` is where the package
    lies in S3 (a training job's output; for ``s3`` the address itself); its ending says the archive format. ``stages``
    are a secret's values under other labels than AWSCURRENT.
    """

    kind: SourceKind
    address: str
    object_uri: str | None = None
    path: Path | None = None
    value: str | None = field(default=None, repr=False)
    stages: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Code:
    """What Lambda holds for one function version. ``handler`` is ``module.function``."""

    function_arn: str
    folder: Path
    handler: str
    runtime: str


@dataclass(frozen=True, kw_only=True)
class BoardFile:
    """A file, a folder or (``copy`` None) an empty directory laid on a board before the core starts.

    ``mode`` is for files; a directory gets search where it grants reading. Owner and group are the board's names.
    """

    path: str
    copy: Path | None = None
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644

    @property
    def directory_mode(self) -> int:
        return self.mode | (self.mode & 0o444) >> 2


@dataclass(frozen=True, kw_only=True)
class DeviceBacking:
    """What stands behind the board's node ``path`` instead of what its profile says; exactly one of the others.

    ``lines`` is a file whose lines are heard on a serial device, one a second. ``frames`` is a folder whose files come
    out of a character device, in the order of their names, as fast as they are read; both start again at their end.
    ``size_kib`` makes an empty block device, ``host`` is a node of this machine.
    """

    path: str
    lines: Path | None = None
    frames: Path | None = None
    size_kib: int | None = None
    host: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ExpectedInvocation:
    """One call of a function and what its result must contain."""

    function_id: str
    event: Any
    expect: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ExpectedUpdate:
    """One software update: the version offered, whether that build starts at all, and how its job must end."""

    version: str
    starts: bool
    software: Software
    status: Status
    running: str
    """The version that must be running afterwards."""
    place: Position | None = field(default=None, compare=False)
    """Where the scenario says so."""
