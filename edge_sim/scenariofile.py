"""What edge-sim.yaml says beside the definition, as values, each with the function that reads it from its place.

What S3, SageMaker, Secrets Manager and Lambda hold, what a board's core takes of a package, what lies on a board
before the core starts, which updates come, and what must come out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge_sim import arns
from edge_sim.documents import Place, unusable
from edge_sim.jobs.requests import FINAL, Status
from edge_sim.jobs.update import SOFTWARE, Software
from edge_sim.limits import LINKS, NAMES, Limits

SourceKind = Literal["s3", "trainingJob", "secret"]
_KINDS: tuple[SourceKind, ...] = ("s3", "trainingJob", "secret")
_BOARD_PATH = (r"/(?!.*(^|/)\.\.?(/|$)).+", "an absolute path on the board, without . and ..")
_S3_URI = (r"s3://[a-z0-9.-]+/.+", "an S3 URI, s3://bucket/key")
_VERSION = (r"\d+\.\d+\.\d+", "a version of three numbers, such as 1.11.6")


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
class Invocation:
    """One call of a function and what its result must at least hold."""

    function_id: str
    event: Any
    expect: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Update:
    """One software update: the version offered, whether that build starts at all, and how its job must end."""

    version: str
    starts: bool
    software: Software
    status: Status
    running: str
    """The version that must run afterwards."""


def existing(place: Place, *, folder: bool | None = None) -> Path:
    """Return the path written at a place, relative to the scenario's file; it must be there."""
    path = place.file.parent / place.text(what="a path relative to this file")
    try:
        usable = path.is_dir() or path.is_file()  # opening a pipe would wait for somebody to write
    except OSError:  # a name that is too long, a folder above that may not be searched
        usable = False
    if not usable:
        place.fail(f"{path}: {unusable(path)}")
    if folder is not None and path.is_dir() != folder:
        place.fail(f"{path}: must be a {'folder' if folder else 'file'}")
    return path


def source(place: Place) -> Source:
    """Read what S3, SageMaker or Secrets Manager holds."""
    members = place.mapping((), ("s3", "trainingJob", "secret", "output", "folder", "file", "value", "stages"))
    kinds: list[SourceKind] = [kind for kind in _KINDS if kind in members]
    if len(kinds) != 1:
        place.fail("a source names exactly one of s3, trainingJob, secret")
    kind = kinds[0]
    required = {"s3": set(), "trainingJob": {"output"}, "secret": {"value"}}[kind]
    extra = set(members) - {kind} - required - ({"stages"} if kind == "secret" else {"folder", "file"})
    if required - set(members) or extra:
        keys = ", ".join(sorted(required)) or "nothing more"
        place.fail(f"a {kind} source takes {keys}" + ("" if kind == "secret" else " and folder or file"))
    if kind == "secret":
        arn = members["secret"].text(arns.pattern("secretsmanager", ".+"), "a secret's ARN")
        stages = (
            {label: value.text() for label, value in members["stages"].entries().items()} if "stages" in members else {}
        )
        return Source(kind=kind, address=arn, value=members["value"].text(), stages=stages)
    if ("folder" in members) == ("file" in members):
        place.fail(f"a {kind} source takes exactly one of folder and file")
    path = existing(members["folder"], folder=True) if "folder" in members else existing(members["file"], folder=False)
    if kind == "s3":
        uri = members["s3"].text(*_S3_URI)
        return Source(kind=kind, address=uri, object_uri=uri, path=path)
    arn = members["trainingJob"].text(arns.pattern("sagemaker", "training-job/.+"), "a training job's ARN")
    return Source(kind=kind, address=arn, object_uri=members["output"].text(*_S3_URI), path=path)


def code(place: Place) -> Code:
    """Read what Lambda holds."""
    members = place.mapping(("function", "folder", "handler", "runtime"))
    return Code(
        function_arn=members["function"].text(arns.pattern("lambda", "function:.+:.+"), "a qualified function ARN"),
        folder=existing(members["folder"], folder=True),
        handler=members["handler"].text(r"[\w./-]+\.\w+", "module.function"),
        runtime=members["runtime"].text(r"[a-z0-9.]+", "a Lambda runtime such as python3.7"),
    )


def packages(place: Place) -> Limits:
    """Read the limits of packages."""
    members = place.mapping((), (*NAMES, "links"))
    numbers = {name: value.whole() for name, value in members.items() if name != "links"}
    return Limits(**numbers, links=members["links"].choice(LINKS) if "links" in members else "refuse")


def board_file(place: Place) -> BoardFile:
    """Read what is laid on every board."""
    members = place.mapping(("path",), ("copy", "directory", "owner", "group", "mode"))
    directory = "directory" in members and members["directory"].flag()
    if directory == ("copy" in members):
        place.fail("takes either copy or directory: true")
    mode = members["mode"].text(r"0?[0-7]{3}", "three octal digits such as 0640") if "mode" in members else "0644"
    return BoardFile(
        path=members["path"].text(*_BOARD_PATH),
        copy=existing(members["copy"]) if "copy" in members else None,
        owner=members["owner"].text() if "owner" in members else "root",
        group=members["group"].text() if "group" in members else "root",
        mode=int(mode, 8),
    )


def device(place: Place) -> DeviceBacking:
    """Read what stands behind a device."""
    members = place.mapping(("path",), ("lines", "frames", "block", "host"))
    if len(members) != 2:
        place.fail("takes path and exactly one of lines, frames, block and host")
    return DeviceBacking(
        path=members["path"].text(r"/dev/.+", "a path below /dev"),
        lines=existing(members["lines"], folder=False) if "lines" in members else None,
        frames=existing(members["frames"], folder=True) if "frames" in members else None,
        size_kib=members["block"].kib() if "block" in members else None,
        host=Path(members["host"].text(r"/dev/.+", "a path below /dev")) if "host" in members else None,
    )


def invocation(place: Place) -> Invocation:
    """Read one call of a function."""
    members = place.mapping(("function", "event"), ("expect",))
    expect = members["expect"].value() if "expect" in members else {}
    if not isinstance(expect, dict):
        members["expect"].fail("must be a mapping: what the result must at least hold")
    return Invocation(function_id=members["function"].text(), event=members["event"].value(), expect=expect)


def update(place: Place) -> Update:
    """Read one software update."""
    members = place.mapping(("version", "starts", "expect"), ("software",))
    expect = members["expect"].mapping(("status", "version"))
    return Update(
        version=members["version"].text(*_VERSION),
        starts=members["starts"].flag(),
        software=members["software"].choice(SOFTWARE) if "software" in members else "core",
        status=expect["status"].choice(FINAL),
        running=expect["version"].text(*_VERSION),
    )


def stable_window(place: Place) -> int:
    """Return how many seconds a new core must run."""
    seconds = place.whole()
    if not 1 <= seconds <= 3600:
        place.fail(f"{seconds} is not a number of seconds from 1 to 3600")
    return seconds
