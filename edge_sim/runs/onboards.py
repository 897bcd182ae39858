"""A scenario on simulated boards of many kinds, each in as few words as ``edge-sim matrix`` has room for.

What was run before with the same content, board, code and machine is not run again.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation.drivers import DriverName, Progress
from edge_sim.errors import InvalidDefinitionError
from edge_sim.runs.results import BoardReport, exit_status
from edge_sim.runs.runner import run
from edge_sim.scenario import Scenario
from edge_sim.validation.cache import Cache, key, stable, trees
from edge_sim.validation.grid import RunOutcome
from edge_sim.versions import RELEASES

Place = tuple[str, str]
"""A cell: the profile's name and the core's version as it was asked for."""


def on_boards(
    scenario: Scenario,
    boards: Mapping[Place, DeviceProfile],
    driver: DriverName,
    cache: Cache | None,
    progress: Progress,
) -> dict[Place, RunOutcome]:
    """Run a scenario on a board for each place, all places of one version at once.

    Raises EdgeSimError where this machine cannot have such boards.
    """
    content = f"{scenario.digest} {trees(inputs(scenario))}"
    machine = f"{platform.uname()} {platform.python_version()} {os.geteuid()}"
    outcomes: dict[Place, RunOutcome] = {}
    waiting: dict[str, dict[Place, tuple[DeviceProfile, str]]] = {}
    for place, profile in boards.items():
        version = RELEASES.get(place[1], place[1])
        board = replace(profile, greengrass=replace(profile.greengrass, version=version))
        name = key("board", content, stable(board), driver, machine)
        before = RunOutcome.from_json(cache.get(name)) if cache else None
        if before:
            outcomes[place] = before
        else:
            waiting.setdefault(version, {})[place] = board, name
    for todo in waiting.values():
        fresh = _run(scenario, [board for board, _ in todo.values()], driver, progress)
        for place, (board, name) in todo.items():
            outcomes[place] = fresh[board.name]
            if cache:
                cache.put(name, outcomes[place].as_json())
    return outcomes


def inputs(scenario: Scenario) -> Iterator[Path]:
    """Yield the files and folders on this machine that a run depends on."""
    yield from (source.path for source in scenario.sources if source.path)
    yield from (code.folder for code in scenario.code)
    yield from (file.copy for file in scenario.files if file.copy)
    yield from (path for device in scenario.devices for path in (device.lines, device.frames) if path)


def _run(
    scenario: Scenario, profiles: Sequence[DeviceProfile], driver: DriverName, progress: Progress
) -> Mapping[str, RunOutcome]:
    try:
        report = run(scenario, profiles, driver=driver, progress=progress)
    except InvalidDefinitionError as error:
        return {
            profile.name: RunOutcome(status="fail", refused=True, exit_status=3, message=error.brief)
            for profile in profiles
        }
    return {board.profile: _outcome(board) for board in report.boards}


def _outcome(board: BoardReport) -> RunOutcome:
    texts = [*(f"{problem.where}: {problem.message}" for problem in board.problems), *map(str, board.not_proven)]
    packaged = board.deployment is not None and board.deployment.cause == "package"
    return RunOutcome(
        status="fail" if board.problems else "not proven" if board.not_proven else "pass",
        refused=not packaged and any(problem.kind == "definition" for problem in board.problems),
        exit_status=exit_status([board]),
        message=texts[0] if texts else None,
    )
