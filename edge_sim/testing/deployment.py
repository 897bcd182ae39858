"""A group on a board: what a test asks of it, and the errors that say what is not as it should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from edge_sim.errors import (
    AccessError,
    EdgeSimError,
    InvalidDefinitionError,
    UnknownFactError,
    UnsupportedEnvironmentError,
    UpdateError,
    UsageError,
)
from edge_sim.greengrass.rows import AccessRow, Expected
from edge_sim.pages import access
from edge_sim.runs.boardrun import BoardRun
from edge_sim.runs.results import Kind, Problem
from edge_sim.scenario import ExpectedInvocation, redaction
from edge_sim.validation.text import place

if TYPE_CHECKING:
    from edge_sim.runs.results import BoardReport

_ERRORS: Mapping[Kind, type[EdgeSimError]] = {
    "disagreement": EdgeSimError,
    "definition": InvalidDefinitionError,
    "access": AccessError,
    "function": AccessError,
    "update": UpdateError,
}
Right = Expected
RIGHTS: tuple[Right, ...] = get_args(Right)


class Deployment:
    """A group that was deployed to a board. ``report`` is what is known of it, as in the JSON of ``edge-sim run``."""

    def __init__(self, part: BoardRun, content: str, change: Callable[[], None]) -> None:
        self._part = part
        self._content = content
        self._change = change
        self._probed = False

    @property
    def report(self) -> BoardReport:
        return self._part.report

    @property
    def board(self) -> str:
        """The name of the board's profile."""
        return self._part.profile.name

    @property
    def group_id(self) -> str:
        row = self._part.report.deployment
        return row.group_id if row else ""

    @property
    def runs_by_itself(self) -> bool:
        """Whether the group starts code of the user's without being asked."""
        return any(function.pinned for function in self._part.scenario.definition.group.functions)

    def of(self, scenario: object, content: str) -> bool:
        """Say whether this is a deployment of just that."""
        return (self._part.scenario, self._content) == (scenario, content)

    def deploy(self) -> None:
        """Deploy the group, and compare what lies on the board with the plan."""
        with reported(self._part):
            if self._part.deploy():
                self._part.look()
        row = self._part.report.deployment
        if row is None or row.status != "Success":
            raise UnsupportedEnvironmentError(self._part.report.not_proven[-1])

    def access(self, function: str, resource: str) -> AccessRow:
        """Return what a function can do with a resource, tried by a process with the function's identity.

        Raises UsageError for an id that the group does not have, UnsupportedEnvironmentError where this machine proves
        nothing.
        """
        group = self._part.scenario.definition.group
        _check_name("function", function, [entry.id for entry in group.functions])
        _check_name("resource", resource, [entry.id for entry in group.resources])
        self._check_proves()
        if not self._probed:
            self._part.probe()
            self._probed = True
        row = next((r for r in self.report.access if (r.function, r.resource) == (function, resource)), None)
        if row is None:
            raise UnknownFactError(f"{self.board}: {function} × {resource}: there is no result for this pair")
        return row

    def assert_access(self, function: str, resource: str, right: Right) -> None:
        """Raise AccessError, with reason and remedy, unless a function has just this access to a resource.

        Raises UnknownFactError where it is not known.
        """
        if right not in RIGHTS:
            raise UsageError(f"{right!r} is not an access", hint=f"Use one of {', '.join(RIGHTS)}.")
        row = self.access(function, resource)
        judged = row if row.expected == right else replace(row, expected=right, ok=_as_expected(row, right))
        if judged.agree is False or judged.ok is False:
            kind: Kind = "disagreement" if judged.agree is False else "access"
            places = self.report.places
            position = places.get(("resource", resource)) or places.get(("function", function))
            problem = Problem(
                kind=kind,
                where=row.name,
                message=access.message(judged),
                hint=". ".join(access.remedies(judged)) or None,
                place=position,
            )
            if judged is not row:  # else the report has the problem from the probe
                self.report.problems.append(problem)
            raise _error(self._part, [problem], row.chain)
        if judged.ok is None:
            raise UnknownFactError(
                redaction(self._part.scenario).text(f"{self.board}: {row.name}: {access.message(row)}")
            )

    def invoke(self, function: str, event: object = None, *, expect: Mapping[str, object] | None = None) -> object:
        """Call a function and return its result, which must hold at least ``expect``.

        Raises AccessError, with the last lines of its log, when it fails or returns something else.
        """
        names = [entry.id for entry in self._part.scenario.definition.group.functions]
        _check_name("function", function, names)
        self._check_proves()
        self._change()
        with reported(self._part):
            self._part.invoke(
                ExpectedInvocation(function_id=function, event={} if event is None else event, expect=expect or {})
            )
        return self.report.functions[-1].result

    def _check_proves(self) -> None:
        """Raise UnsupportedEnvironmentError where a process is not what it would be on a board."""
        for missing in self._part.live.board.proves.missing:
            raise UnsupportedEnvironmentError(f"{self.board}: no {missing.claim}: {missing.reason}", hint=missing.help)


@contextmanager
def reported(part: BoardRun) -> Iterator[None]:
    """Raise the error of what the block adds to the report's problems."""
    before = len(part.report.problems)
    yield
    if part.report.problems[before:]:
        raise _error(part, part.report.problems[before:])


def _error(part: BoardRun, problems: list[Problem], chain: Sequence[str] = ()) -> EdgeSimError:
    """Return problems of a board as one error, without secrets: the first in full, the others a line each.

    ``chain`` is the way to what the first is about, step by step.
    """
    first, *others = redaction(part.scenario).value(problems)
    lines = [place(first.place)] if first.place else []
    lines += [*chain, *first.log, *(f"also {other.where}: {other.message}" for other in others)]
    brief = f"{part.profile.name}: {first.where}: {first.message}"
    return _ERRORS[first.kind](brief, details="\n".join(lines) or None, hint=first.hint)


def _as_expected(row: AccessRow, right: Right) -> bool | None:
    """Say whether a row has just the access ``right``; None where a process could not try it."""
    pairs = ((row.read.probed, right != "none"), (row.write.probed, right == "rw"))
    if any(probed not in (None, wish) for probed, wish in pairs):
        return False
    return None if any(probed is None for probed, _ in pairs) else True


def _check_name(noun: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise UsageError(f"the group has no {noun} {name!r}", hint=f"It has: {', '.join(known) or 'none'}.")
