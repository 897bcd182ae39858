"""What the agent on a board answers, as rows; and what a refused deployment leaves open."""

from __future__ import annotations

from edge_sim.facts import HostFacts
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.rows import AccessRow, LayoutRow
from edge_sim.jsonobject import JsonObject


def undecided(group: Group, facts: HostFacts, why: str) -> str | None:
    """Return what the profile leaves open of a source that a deployment failed for; None where it is known.

    A simulated board has what its profile lists. That the real one lacks the rest is not proven by that.
    """
    sources = (resource.source_path for resource in group.resources)
    return next((doubt for path in sources if path and path in why and (doubt := facts.doubt(path))), None)


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
