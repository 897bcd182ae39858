"""Random groups on both nuclei: trees laid with V2's rules, and real processes that bear the computed access out."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_sim.agent.functions.calls import probe
from edge_sim.agent.probe import NodesBelow
from edge_sim.facts import Node
from edge_sim.greengrass.access import View
from edge_sim.greengrass.matrix import row
from edge_sim.greengrass.mounting import not_started
from edge_sim.offline import target
from edge_sim.offline.inputs import read_inputs
from edge_sim.offline.migration.materials import materials
from edge_sim.v2.access import process, question
from edge_sim.v2.move import Move
from edge_sim.v2.nucleus import BY_NAME, NUCLEI
from edge_sim.v2.tree import tree
from edge_sim.v2.verdicts import verdict
from tests.root.test_random_groups import board, made_board, written

__all__ = ["board"]
pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users' files")]
SEED = 20261129
GROUPS = int(os.environ.get("EDGE_SIM_GROUPS", "8"))


def lay(root: Path, nodes: Mapping[str, Node], known: Mapping[str, Node]) -> None:
    """Make what V2 would make on the board below ``root``, parents first."""
    for path in sorted(nodes):
        node, place = nodes[path], root / path[1:]
        if path in known or path == "/":
            continue
        if node.type == "directory":
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(b"x")
        os.chown(place, node.uid, node.gid)
        place.chmod(node.mode)


@pytest.mark.slow
def test_what_a_process_may_open_on_v2_is_what_is_computed(board: Path) -> None:
    dice, asked = random.Random(SEED), Counter[str]()
    for number in range(GROUPS):
        root = board / f"root{number}"
        paths = made_board(dice, root)
        inputs = read_inputs(written(dice, board / "group", paths), faulty=True)
        with materials(inputs) as made:
            known = {name: one.package for name, one in made.models.items()}
        facts = target.of_root(root, inputs.group).facts
        for name in NUCLEI:
            move = Move(group=inputs.group, facts=facts, to=facts, nucleus=BY_NAME[name], models_known=known)
            nodes = tree(move)
            lay(root, nodes, facts.paths)
            seen = NodesBelow(root, nodes)
            for function in move.own_functions:
                found = process(move, function)
                if verdict(move, function).becomes == "nothing" or not_started(found, seen):
                    continue
                questions = [q for r in move.group.resources if (q := question(move, function, r))]
                if found.isolation == "GreengrassContainer":
                    questions = [q for q in questions if q.attached]
                probed = probe(found, [path for q in questions for path, _ in q.paths], root)
                view = View(found, seen, facts)
                for one in questions:
                    told = row(view, one, probed)
                    assert told.agree is not False, (number, name, told)
                    asked[name] += told.paths
    print(f"{GROUPS} groups, paths asked: {dict(asked)}")  # shown by pytest -s
    assert min(asked.values()) > GROUPS * 4
