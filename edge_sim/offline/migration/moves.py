"""Which moves there are: one for each board that a group goes to, on the nucleus that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from edge_sim.definitions.definition import Definition
from edge_sim.facts import HostFacts
from edge_sim.greengrass.functions import Function
from edge_sim.offline.inputs import Inputs
from edge_sim.offline.migration.differences import before, differences
from edge_sim.offline.migration.materials import Materials
from edge_sim.offline.migration.runreport import Observations
from edge_sim.offline.target import Target
from edge_sim.scenario import redaction
from edge_sim.v2.access import AccessDifference
from edge_sim.v2.checks import check
from edge_sim.v2.move import Move
from edge_sim.v2.nucleus import BY_NAME, NUCLEI, NucleusName
from edge_sim.v2.verdicts import FunctionVerdict, verdict
from edge_sim.validation.verdict import Verdict, judged, others

NucleusChoice = Literal["classic", "lite", "auto"]


@dataclass(frozen=True, kw_only=True)
class Migration:
    """A group on its way to one or more boards. ``moves`` are by the names of the boards, on the chosen nucleus.

    ``judgement`` is what the checks say. ``chosen`` says why that nucleus was chosen.
    """

    name: str
    from_board: str
    nucleus: NucleusName
    chosen: str
    moves: Mapping[str, Move]
    judgement: Verdict
    verdicts: Mapping[str, Mapping[NucleusName, Mapping[str, FunctionVerdict]]] = field(default_factory=dict)
    """By function Id, nucleus and board."""
    access: Mapping[str, tuple[AccessDifference, ...]] = field(default_factory=dict)
    """By board."""
    notes: tuple[str, ...] = ()

    @property
    def strictest(self) -> Move:
        """The move that models and mapping show: the one on which most functions cannot stay as they are."""
        return max(
            self.moves.values(), key=lambda move: sum(verdict(move, f).becomes != "lambda" for f in move.own_functions)
        )


def migration(
    inputs: Inputs,
    packages: Materials,
    *,
    target: NucleusChoice,
    leaving: Target,
    boards: Mapping[str, HostFacts],
    config: Mapping[str, object],
    observations: Observations,
    bucket: str | None,
    include_values: bool = False,
) -> Migration:
    """Judge a group for every board that it goes to. ``leaving`` is the board that it comes from."""

    def on(nucleus: NucleusName, variant: Definition, to: HostFacts | None) -> Move:
        return Move(
            group=variant.group,
            facts=leaving.facts,
            sections=others(variant),
            mentions=variant.mentions,
            nucleus=BY_NAME[nucleus],
            to=to,
            models_known={name: material.package for name, material in packages.models.items()},
            code_known={name: material.package for name, material in packages.code.items()},
            uses=packages.uses,
            config=config,
            published=observations.published,
            written=observations.written,
            bucket=bucket,
            include_values=include_values,
        )

    definition = inputs.scenario.definition
    judgements = {
        name: judged(definition, boards, lambda variant, to, name=name: check(on(name, variant, to)), migration=True)  # type: ignore[misc]
        for name in (NUCLEI if target == "auto" else (target,))
    }
    if not include_values:
        judgements = {name: redaction(inputs.scenario).value(judgement) for name, judgement in judgements.items()}
    nucleus = min(judgements, key=lambda name: len(judgements[name].errors))
    chosen = "as requested" if target != "auto" else _chosen(judgements)
    moves = {name: on(nucleus, definition, to) for name, to in boards.items()}
    rows, why = before(inputs, leaving)
    return Migration(
        name=inputs.scenario.name,
        from_board=leaving.name,
        nucleus=nucleus,
        chosen=chosen,
        moves=moves,
        judgement=judgements[nucleus],
        verdicts={f.id: _verdicts(moves, f) for f in next(iter(moves.values())).own_functions},
        access={name: differences(move, rows) for name, move in moves.items()},
        notes=(why,) if why else (),
    )


def _chosen(judgements: Mapping[NucleusName, Verdict]) -> str:
    counts: Sequence[str] = [f"{len(judgement.errors)} on {name}" for name, judgement in judgements.items()]
    return f"fewer blocking findings there ({', '.join(counts)}); if equal, classic"


def _verdicts(moves: Mapping[str, Move], function: Function) -> Mapping[NucleusName, Mapping[str, FunctionVerdict]]:
    return {
        name: {board: verdict(replace(move, nucleus=BY_NAME[name]), function) for board, move in moves.items()}
        for name in NUCLEI
    }
