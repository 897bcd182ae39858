"""What the agent on a board answers, as rows; and what a refused deployment leaves open."""

from __future__ import annotations

from edge_sim.facts import HostFacts
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.rows import AccessRow, LayoutRow
from edge_sim.jsonobject import JsonObject


def undecided(group: Group, profile: HostFacts, board: HostFacts, why: str) -> str | None:
    """Return why a failed deployment says nothing of the real board; None where it does.

    ``board`` is the simulated one: it has what ``profile`` lists, and what a scenario lays on it. That the real board
    lacks the rest is not proven by that, and it has the devices that no simulated board can have.
    """
    for path in (resource.source_path for resource in group.resources):
        if path and path in why and board.at(path) is None:
            if profile.at(path) is not None:
                return f"no simulated board has {path}, which the profile lists"
            doubt = profile.doubt(path)
            if doubt:
                return f"{doubt}; this simulated board does not have it"
    return None


def read_layout(answer: JsonObject) -> tuple[tuple[LayoutRow, ...], tuple[str, ...], tuple[str, ...]]:
    """Return what lies on the board, what differs from the plan, and what the board could not show."""
    rows = answer.children("layout", LayoutRow.from_json)
    return rows, answer.texts("differences"), answer.texts("not_proven")


def read_access(answer: JsonObject) -> tuple[AccessRow, ...]:
    """Return who may open what."""
    return answer.children("access", AccessRow.from_json)


def words(text: str) -> set[str]:
    """Return the words of a sentence, to look for Ids among them."""
    return {word.strip(":.,") for word in text.split()}
