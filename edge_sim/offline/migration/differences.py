"""The access table of a migration: V1 computed from its plan, V2 from its own, function by function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from edge_sim.errors import EdgeSimError
from edge_sim.greengrass.rows import AccessRow
from edge_sim.offline import access
from edge_sim.offline.inputs import Inputs
from edge_sim.offline.packages import packed_group
from edge_sim.offline.plan import make_plan
from edge_sim.offline.target import Target
from edge_sim.v2.access import AccessDifference, cell, rights_of
from edge_sim.v2.move import Move
from edge_sim.v2.nucleus import BY_NAME, NUCLEI
from edge_sim.v2.tree import tree

_DECISIVE = ("$.Resources", "$.Functions", "$.DefaultConfig")
Rows = Mapping[tuple[str, str], AccessRow]


def before(inputs: Inputs, board: Target) -> tuple[Rows, str | None]:
    """Return V1's rows by function and resource, and why there are none.

    There are none where the core refuses the group, or where what could not be read of it decides who may open what:
    it would count as absent.
    """
    definition = inputs.scenario.definition
    try:
        definition.refuse(fault for fault in definition.errors if fault.path.startswith(_DECISIVE))
        with packed_group(inputs) as packed:
            access_rows = access.rows(make_plan(packed, board))
    except EdgeSimError as error:
        return {}, f"what V1 allowed is not known: {error.brief}"
    return {(row.function, row.resource): row for row in access_rows if row.resource}, None


def differences(move: Move, rows: Rows) -> tuple[AccessDifference, ...]:
    """Return a row for every function and resource, for both nuclei on the board that ``move`` goes to."""
    return tuple(_differences(move, rows))


def _differences(move: Move, rows: Rows) -> Iterator[AccessDifference]:
    moves = {name: replace(move, nucleus=BY_NAME[name]) for name in NUCLEI}
    nodes = {name: tree(target) for name, target in moves.items()}
    for function in move.own_functions:
        attached = {policy.resource_id for policy in function.policies}
        for resource in move.group.resources:
            if resource.secret and resource.id not in attached:
                continue
            was = rows.get((function.id, resource.id))
            yield AccessDifference(
                function=function.id,
                resource=resource.id,
                attached=resource.id in attached,
                before=rights_of(was),
                cells={name: cell(target, function, resource, was, nodes[name]) for name, target in moves.items()},
            )
