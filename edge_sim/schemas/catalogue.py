"""The schemas by name, as values and as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from edge_sim.profilefile import PROFILE
from edge_sim.scenariofile import SCENARIO
from edge_sim.schemas import group
from edge_sim.updatesfile import UPDATES

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_MAKERS: Mapping[str, Callable[[], dict[str, object]]] = {
    "scenario": SCENARIO.schema,
    "profile": PROFILE.schema,
    "group": group.schema,
    "updates": UPDATES.schema,
}
NAMES = tuple(_MAKERS)


def schema(name: str) -> dict[str, object]:
    """Return the schema of this name, one of ``NAMES``."""
    return {"$schema": DRAFT, **_MAKERS[name]()}


def text(name: str) -> str:
    """Return a schema as a JSON file has it."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"
