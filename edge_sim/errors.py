"""Every deliberate error of edge_sim, and the exit status that goes with it.

Raise anywhere, translate once: only ``cli.main`` turns these into text and an exit status. An exception that is
not one of these is a bug and ends with exit status 1.
"""

from __future__ import annotations


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
        """Return what a user reads: ``error:``, the details indented, ``hint:``."""
        details = [f"  {line}" for line in (self.details or "").splitlines()]
        return "\n".join([f"error: {self.brief}", *details, *([f"hint: {self.hint}"] if self.hint else [])])


class UsageError(EdgeSimError):
    """The command line or a name on it is wrong (an unknown profile, an unreadable path)."""

    exit_status = 2


class InvalidDefinitionError(EdgeSimError):
    """A definition, scenario or profile, or what it refers to, cannot be deployed."""

    exit_status = 3


class InvalidPackageError(InvalidDefinitionError):
    """What a definition refers to, a model's or a function's package, cannot be deployed."""


class AccessError(EdgeSimError):
    """Access on the board is not what the definition says."""

    exit_status = 4


class UpdateError(EdgeSimError):
    """A software update did not end as it should."""

    exit_status = 5


class UnsupportedEnvironmentError(EdgeSimError):
    """This machine cannot do what was asked (no broker, a port in use, no namespaces)."""

    exit_status = 6
