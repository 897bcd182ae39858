"""The board that a scenario is run on, worked out of the scenario and a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation.board import AgentSettings, BoardSpec, ThingCredentials
from edge_sim.scenario import Scenario


def thing_name(scenario: Scenario, profile: DeviceProfile) -> str:
    """Return the thing that a board of ``profile`` is in a run of ``scenario``."""
    return f"{scenario.name}-{profile.name}"


def board_spec(
    scenario: Scenario,
    profile: DeviceProfile,
    *,
    mqtt: str,
    cafile: Path | None,
    identity: ThingCredentials | None = None,
    binds: Mapping[str, Path],
    ports: Sequence[int] = (),
    thing: str | None = None,
) -> BoardSpec:
    """Return the board of ``profile`` that a scenario is run on; ``mqtt`` and ``cafile`` are its broker's.

    ``identity`` is what it shows to a broker that asks for certificates.

    ``ports`` are those of this machine's loopback that it must reach; ``thing``: the core's, None for the scenario's.
    """
    return BoardSpec(
        profile=profile,
        agent=AgentSettings(
            thing=thing or thing_name(scenario, profile),
            broker=mqtt,
            packages=scenario.packages,
            cafile=cafile,
            identity=identity,
            stable_window_s=scenario.stable_window_s,
        ),
        files=scenario.files,
        devices=scenario.devices,
        binds=binds,
        core=profile.greengrass.version,
        contained=_has_containers(scenario),
        ports=ports,
    )


def _has_containers(scenario: Scenario) -> bool:
    group = scenario.definition.group
    return any(group.isolation_mode(function) == "GreengrassContainer" for function in group.functions)
