"""A plan that a host sends to a board, to have it probed there: ``agent access --planned``.

``edge-sim access --probe`` over ssh works the group and its plan out on the host, where their files are, and asks the
board only what its processes may open. The form is ours: a group.json, the plan's paths as rows of a layout, and the
path to ask about where it is only one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from edge_sim.agent.functions.access import matrix
from edge_sim.agent.probe import probe
from edge_sim.errors import UsageError
from edge_sim.facts import Node
from edge_sim.greengrass import groupfile
from edge_sim.greengrass.plan import paths_of_interest
from edge_sim.greengrass.rows import AccessRow, LayoutRow
from edge_sim.jsonobject import JsonObject


def document(group_json: Mapping[str, object], nodes: Mapping[str, Node], path: str | None) -> bytes:
    """Return what a host sends."""
    layout = [LayoutRow(path=name, node=node).as_json() for name, node in nodes.items()]
    return json.dumps({"group": group_json, "layout": layout, "path": path}).encode()


def rows(sent: bytes, root: Path, greengrass_root: str) -> list[AccessRow]:
    """Return the rows for what a host sent, every function against every resource, on the board below ``root``.

    Raises UsageError for bytes of another form, and what ``matrix`` raises.
    """
    try:
        answer = JsonObject.parse(sent.decode(), "it")
        group = groupfile.decode(json.loads(sent)["group"])
        layout = answer.children("layout", LayoutRow.from_json)
        path = answer.text_or_none("path")
    except (ValueError, KeyError) as error:
        raise UsageError(f"the plan on the standard input cannot be read: {error}") from error
    facts = probe(root, paths_of_interest(group, greengrass_root), greengrass_root=greengrass_root)
    return matrix(group, root, facts, {row.path: row.node for row in layout}, every=True, path=path)
