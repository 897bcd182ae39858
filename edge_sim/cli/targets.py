"""The boards that a scenario is judged for: those of profiles, with the files that the scenario lays on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_sim.errors import InvalidDefinitionError

if TYPE_CHECKING:
    from edge_sim.deviceprofile import DeviceProfile
    from edge_sim.facts import HostFacts
    from edge_sim.report import Finding
    from edge_sim.scenario import Scenario


def boards(scenario: Scenario, profiles: Sequence[DeviceProfile]) -> tuple[dict[str, HostFacts], dict[str, Finding]]:
    """Return each profile's facts by name, and the fault of each board on which the scenario's files cannot be."""
    from edge_sim.offline.target import of_profile
    from edge_sim.scenario import fault

    facts, faults = {}, {}
    for profile in profiles:
        try:
            facts[profile.name] = of_profile(profile, scenario.files).facts
        except InvalidDefinitionError as error:
            facts[profile.name], faults[profile.name] = profile.facts(), fault(error)
    return facts, faults
