"""Why an archive was refused: a stable code, a sentence, and what to do."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Literal

from edge_sim.errors import NO_ROOM, InvalidPackageError, UnsupportedEnvironmentError
from edge_sim.printing import printable

Code = Literal[
    "CHANGED",
    "CONFLICT",
    "DAMAGED",
    "DESTINATION",
    "DUPLICATE",
    "EMPTY",
    "ENCRYPTED",
    "LIMIT_ENTRIES",
    "LIMIT_RATIO",
    "LIMIT_SIZE",
    "LIMIT_TIME",
    "LINK",
    "NAME",
    "NO_PARENT",
    "SPARSE",
    "SPECIAL",
    "TRAILING",
    "TRUNCATED",
    "TYPE",
    "UNSUPPORTED",
]
_MAX_CHARS = 160
"""Characters of a hostile name that a message shows at most."""

REPACK = "repack it from plain files and directories, for example: tar -czf model.tar.gz ./model"

RENAME = "rename it, and pack again"

_WHERE = "in the scenario or the agent's configuration"
COPYING = f"copy their targets instead: --links copy, or packages: {{links: copy}} {_WHERE}"

_AGAIN = "copy or download it again, or repack it"


class ArchiveError(InvalidPackageError):
    """The archive is refused as a whole. ``code`` is stable; ``member`` is the escaped name it is about."""

    def __init__(self, code: Code, brief: str, *, member: str | None = None, hint: str | None = REPACK) -> None:
        super().__init__(brief, hint=_AGAIN if hint is REPACK and code in ("DAMAGED", "TRUNCATED") else hint)
        self.code = code
        self.member = member

    def inside(self, file_name: str) -> ArchiveError:
        """Return the same refusal, its sentence naming the archive."""
        brief = f"{escaped(file_name)}: {self.brief}"
        return ArchiveError(self.code, brief, member=self.member, hint=self.hint)


def v1_text(error: ArchiveError, *, source: str, directory: str) -> str:
    """Return V1's sentence (ml-console.md, "Unpacking error in runtime.log") around what is wrong.

    ``source`` is the package and ``directory`` what it is unpacked to, as the core would name them.
    """
    reason = error.brief
    if error.code == "NO_PARENT":
        reason = f"open {directory}/{error.member}: no such file or directory"
    return f"Error while processing. Error while unpacking the file from {source} to {directory}, error: {reason}"


def raising(limit: str) -> str:
    """Return the hint to raise the limit of this name."""
    return f"raise the limit “{limit}”: --limit {limit}=NUMBER, or packages: {{{limit}: NUMBER}} {_WHERE}"


Refuse = Callable[[ArchiveError], None]
"""Told of a fault that ends the unpacking, but not the reading: raises it, or keeps it and lets the reader go on."""


def at_once(error: ArchiveError) -> None:
    """Refuse the archive at its first fault."""
    raise error


class UnpackError(UnsupportedEnvironmentError):
    """The machine failed while a (so far) good archive was unpacked; ``code`` is ``NO_SPACE`` or the errno's name."""

    def __init__(self, file_name: str, error: OSError) -> None:
        number = error.errno or 0
        self.code = "NO_SPACE" if number == errno.ENOSPC else errno.errorcode.get(number, "OSERROR")
        hint = "Free some space and deploy again." if number in NO_ROOM else None
        super().__init__(f"{escaped(file_name)}: cannot be unpacked: {error.strerror} ({self.code})", hint=hint)


def escaped(name: str | bytes) -> str:
    """Return ``name`` fit for a log line: nothing but printable characters, and not too many of them."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    return printable(text[:_MAX_CHARS] + ("…" if len(text) > _MAX_CHARS else ""))
