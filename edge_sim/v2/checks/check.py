"""A check: a rule of the catalogue's own kind that looks at a move. ``@check`` makes one of a generator of faults.

An *error* blocks: V2 refuses it, or has nothing for it, so that a person must decide first. A *warning* is a change
that no error tells of, a *note* is worth knowing. The ``phase`` says when it would show: at the call that makes a
component (create), at the deployment (deploy), or when the component runs (run). The text is always ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.rules.case import Case, environment_path
from edge_sim.greengrass.rules.rule import Fault, Label, Labels, Rule
from edge_sim.report import Phase, Severity
from edge_sim.v2.move import Move
from edge_sim.v2.nucleus import NUCLEI, NucleusName

IMPORT = "V2 guide, import-lambda-function-cli.md; botocore greengrassv2"
Look = Callable[[Move], Iterator[Fault]]


@dataclass(frozen=True, kw_only=True)
class MoveRule(Rule):
    """A rule about a move; ``nuclei`` are those that it holds for."""

    nuclei: tuple[NucleusName, ...] = NUCLEI


def check(
    id_: str,
    severity: Severity,
    *,
    source: str,
    condition: Label = "sourced",
    timing: Label = "inferred",
    phase: Phase = "run",
    hint: str | None = None,
    nuclei: tuple[NucleusName, ...] = NUCLEI,
) -> Callable[[Look], MoveRule]:
    """Make a rule of a function that looks at a move; its docstring is the rule in one sentence."""

    def decorate(look: Look) -> MoveRule:
        def at(case: Case) -> Iterator[Fault]:
            if isinstance(case, Move) and case.nucleus.name in nuclei:
                yield from look(case)

        return MoveRule(
            id=f"v2-{id_}",
            what=" ".join((look.__doc__ or "").split()),
            severity=severity,
            phase=phase,
            source=source,
            labels=Labels(condition=condition, timing=timing, text="ours"),
            hint=hint,
            nuclei=nuclei,
            check=at,
        )

    return decorate


def of(function: Function, key: str, message: str, hint: str | None = None, *, unknown: bool = False) -> Fault:
    """Return a fault at a member of a function's configuration; ``key`` "" is the function itself."""
    path = f"{function.path}.FunctionConfiguration.{key}" if key else f"{function.path}.FunctionArn"
    return Fault(
        path=path, message=f"function {function.id}: {message}", function=function.id, hint=hint, unknown=unknown
    )


def in_environment(function: Function, key: str, message: str, hint: str | None = None) -> Fault:
    """Return a fault at a member of a function's Environment."""
    path = f"{environment_path(function)}.{key}"
    return Fault(path=path, message=f"function {function.id}: {message}", function=function.id, hint=hint)
