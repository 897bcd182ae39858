"""Every deliberate error of edge_sim, the exit status that goes with it, and the place in a file that it is about.

Raise anywhere, translate once: only ``cli.main`` turns these into text and an exit status. An exception that is
not one of these is a bug and ends with exit status 1.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from edge_sim.printing import printable

if TYPE_CHECKING:
    from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when a file cannot grow: the disk is full, a quota used up, a limit (``ulimit -f``) reached."""
MACHINE = (*NO_ROOM, errno.EROFS, errno.EMFILE, errno.ENFILE)
"""What it says when the machine is at fault, not the file that was named: also a file system that is read-only, and no
descriptor left."""

INSTALL = "in edge-sim's checkout, python3 -m pip install '.[sim]' (with its wheel, 'FILE.whl[sim]')"
"""How the packages come that a board does not need. No index has a package of this name that is ours."""
REPORT_INSTALL = "In edge-sim's checkout: python3 -m pip install '.[report]' (with its wheel, 'FILE.whl[report]')"

FLEET_INSTALL = "In edge-sim's checkout: python3 -m pip install '.[sim,fleet]' (with its wheel, 'FILE.whl[sim,fleet]')"


@dataclass(frozen=True, kw_only=True)
class Position:
    """A place in a file; line and column count from 1, columns in characters. A whole file is its first character."""

    file: Path
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class EdgeSimError(Exception):
    """A failure we can explain.

    ``brief`` is one sentence naming where and what; ``details`` adds what somebody debugging needs;
    ``hint`` says what to do next.
    """

    exit_status = 1

    def __init__(self, brief: str, *, details: str | None = None, hint: str | None = None) -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = details
        self.hint = hint

    def explained(self) -> str:
        """Return what a user reads: ``error:``, the details indented, ``hint:``; each line printable."""
        details = [f"  {line}" for line in (self.details or "").splitlines()]
        lines = [f"error: {self.brief}", *details, *([f"hint: {self.hint}"] if self.hint else [])]
        return "\n".join(map(printable, lines))


class UsageError(EdgeSimError):
    """The command line or a name on it is wrong (an unknown profile, an unreadable path)."""

    exit_status = 2


class InvalidDefinitionError(EdgeSimError):
    """A definition, scenario or profile, or what it refers to, cannot be deployed.

    ``place`` is where it says so, and ``problem`` what is wrong there; ``brief`` is both.
    """

    exit_status = 3

    def __init__(
        self, problem: str, *, place: Position | None = None, details: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(f"{place}: {problem}" if place else problem, details=details, hint=hint)
        self.problem = problem
        self.place = place


class InvalidPackageError(InvalidDefinitionError):
    """What a definition refers to, a model's or a function's package, cannot be deployed."""


class AccessError(EdgeSimError):
    """Access on the board is not what the definition says."""

    exit_status = 4


class UpdateError(EdgeSimError):
    """A software update did not end as it should."""

    exit_status = 5


class UnknownFactError(EdgeSimError):
    """What was asked depends on something that is not known of the board."""

    exit_status = 6


class UnsupportedEnvironmentError(EdgeSimError):
    """This machine cannot do what was asked (no broker, a port in use, no namespaces)."""

    exit_status = 6


def file_error(brief: str, error: OSError, *, hint: str | None = None) -> EdgeSimError:
    """Return the error for a file that cannot be used: UsageError, or UnsupportedEnvironmentError (``MACHINE``)."""
    kind = UnsupportedEnvironmentError if error.errno in MACHINE else UsageError
    return kind(brief, hint=hint)


def assert_never(value: NoReturn) -> NoReturn:
    """Mark a place that no value reaches, so that mypy names it when a kind is added (``typing`` has it from 3.11)."""
    raise AssertionError(f"{type(value).__name__} is not provided for here")
