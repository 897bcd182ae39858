"""What a definition is judged with: the boards of profiles, and what the definition's scenario adds to both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_sim.errors import EdgeSimError
from edge_sim.greengrass.functions import FunctionCode

if TYPE_CHECKING:
    from edge_sim.definitions.definition import Definition
    from edge_sim.facts import HostFacts
    from edge_sim.profiles import DeviceProfile
    from edge_sim.scenario import Scenario


def boards(
    definition: Definition, profiles: Sequence[DeviceProfile]
) -> tuple[Definition, dict[str, HostFacts], list[str]]:
    """Return the definition with its functions' code, each profile's facts by name, and a note if not all is known.

    A scenario lays files on its boards and says which runtime its functions have.
    """
    if definition.scenario is None:
        return definition, {profile.name: profile.facts() for profile in profiles}, []
    from edge_sim.offline.target import of_profile
    from edge_sim.scenario import load

    try:
        scenario = load(definition.scenario)
        facts = {profile.name: of_profile(profile, scenario.files).facts for profile in profiles}
        return _with_code(definition, scenario), facts, []
    except EdgeSimError as error:
        note = f"the scenario's files on a board and its functions' code are not known: {error.brief}"
        return definition, {profile.name: profile.facts() for profile in profiles}, [note]


def _with_code(definition: Definition, scenario: Scenario) -> Definition:
    by_arn = {
        code.function_arn: FunctionCode(artifact_arn="", handler=code.handler, runtime=code.runtime, sha256="", size=0)
        for code in scenario.code
    }
    known = {f.id: by_arn[f.arn] for f in definition.group.functions if f.arn in by_arn}
    return replace(definition, group=replace(definition.group, code={**definition.group.code, **known}))
