"""The boards that a definition is judged for: profiles, with the files that the definition's scenario lays on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_sim.errors import EdgeSimError

if TYPE_CHECKING:
    from edge_sim.definitions.definition import Definition
    from edge_sim.facts import HostFacts
    from edge_sim.profiles import DeviceProfile


def boards(definition: Definition, profiles: Sequence[DeviceProfile]) -> tuple[dict[str, HostFacts], list[str]]:
    """Return each profile's facts by name, and a note when the scenario's files could not be told."""
    if definition.scenario is None or not profiles:
        return {profile.name: profile.facts() for profile in profiles}, []
    from edge_sim.emulation.scenario import load
    from edge_sim.offline.target import of_profile

    try:
        files = load(definition.scenario).files
        return {profile.name: of_profile(profile, files).facts for profile in profiles}, []
    except EdgeSimError as error:
        note = f"the files that the scenario lays on a board are not known: {error.brief}"
        return {profile.name: profile.facts() for profile in profiles}, [note]
