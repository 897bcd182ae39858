"""What a run found, as values: one report a board, and the exit status they add up to.

``as_json`` is the contract of ``edge-sim run --format json``; the terminal and JUnit outputs are readings of the same
value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from edge_sim.certificate import CertificateRow
from edge_sim.definitions.definition import Item
from edge_sim.errors import Position
from edge_sim.greengrass.blast import BlastRadius
from edge_sim.greengrass.rows import AccessRow, LayoutRow
from edge_sim.runs.rows import DeploymentRow, FunctionRow, UpdateRow

Kind = Literal["disagreement", "definition", "access", "function", "update"]
"""``disagreement``: the computed and the probed access are not the same, so that one of the two is a bug."""

_STATUS: dict[Kind, int] = {
    "disagreement": 1,
    "definition": 3,
    "access": 4,
    "function": 4,
    "update": 5,
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is not as the definition or the scenario says; ``where`` names a resource, function or job.

    ``log``: the last lines of the function's log, which is gone with the board. ``place``: where the user's files say
    what it is about.
    """

    kind: Kind
    where: str
    message: str
    hint: str | None = None
    log: Sequence[str] = ()
    place: Position | None = None

    def as_json(self) -> dict[str, object]:
        """Return the problem; ``file``, ``line`` and ``column`` are null where nothing stands in a file."""
        where = self.place
        place = {"file": str(where.file), "line": where.line, "column": where.column} if where else _NOWHERE
        return {**{key: value for key, value in vars(self).items() if key != "place"}, **place}


_NOWHERE = {"file": None, "line": None, "column": None}


@dataclass(kw_only=True)
class BoardReport:
    """One board's part of the run; ``deployment`` is None where it came to none."""

    profile: str
    architecture: str
    operating_system: str
    machine: str = ""
    """What ``uname -m`` said where the agent ran."""
    standing_in: str | None = None
    core: str = ""
    driver: str = "local"
    certificate: Sequence[CertificateRow] = ()
    deployment: DeploymentRow | None = None
    layout: Sequence[LayoutRow] = ()
    access: Sequence[AccessRow] = ()
    blast_radius: BlastRadius | None = None
    functions: list[FunctionRow] = field(default_factory=list)
    updates: list[UpdateRow] = field(default_factory=list)
    not_proven: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    user_names: Mapping[int, str] = field(default_factory=dict)
    group_names: Mapping[int, str] = field(default_factory=dict)
    places: Mapping[Item, Position] = field(default_factory=dict)
    """Where resources and functions are defined."""
    seconds: float | None = None
    """What the board's part took, from making it to its end."""

    @property
    def ok(self) -> bool:
        return not self.problems and not self.not_proven

    def as_json(self) -> dict[str, object]:
        """Return the board's entry of ``boards``."""
        return {
            "profile": self.profile,
            "driver": self.driver,
            "core": self.core,
            "architecture": self.architecture,
            "operating_system": self.operating_system,
            "uname": self.machine,
            "standing_in": self.standing_in,
            "certificate": [row.as_json() for row in self.certificate],
            "deployment": self.deployment.as_json() if self.deployment else {},
            "layout": [row.as_json() for row in self.layout],
            "access": [row.as_json() for row in self.access],
            "blast_radius": self.blast_radius.as_json() if self.blast_radius else {},
            "functions": [row.as_json() for row in self.functions],
            "updates": [row.as_json() for row in self.updates],
            "not_proven": self.not_proven,
            "notes": self.notes,
            "problems": [problem.as_json() for problem in self.problems],
            "users": {name: uid for uid, name in self.user_names.items()},
            "groups": {name: gid for gid, name in self.group_names.items()},
            "seconds": self.seconds,
            "ok": self.ok,
        }


@dataclass(kw_only=True)
class RunReport:
    """All boards of one run, and what the run used."""

    scenario: str
    parts: Mapping[str, str] = field(default_factory=dict)
    boards: list[BoardReport] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(board.ok for board in self.boards)

    @property
    def exit_status(self) -> int:
        return exit_status(self.boards)

    def as_json(self) -> dict[str, object]:
        return {
            "ok": self.ok,
            "exit_status": self.exit_status,
            "scenario": self.scenario,
            "parts": dict(self.parts),
            "boards": [board.as_json() for board in self.boards],
        }


def exit_status(boards: Sequence[BoardReport]) -> int:
    """Return the documented status: the gravest problem's, 6 when something could not be proven here, else 0."""
    statuses = [_STATUS[problem.kind] for board in boards for problem in board.problems]
    if statuses:
        return min(statuses)
    return 6 if any(board.not_proven for board in boards) else 0
