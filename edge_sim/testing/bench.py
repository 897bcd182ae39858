"""The cloud and the kept boards of one pytest process: made when a test first needs them, gone with the session.

A board is kept from test to test. Before it gets another group it is reset by Greengrass's own ResetDeployment; where a
test did what no reset undoes (a function of the user's ran, a command, an update) a new board takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from subprocess import CompletedProcess
from typing import Literal

from edge_sim.definitions.definition import Definition
from edge_sim.emulation import drivers, hostchecks
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.drivers import Driver
from edge_sim.emulation.local.board import LocalBoard
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.greengrass.group import Group
from edge_sim.profiles import load_profile
from edge_sim.runs import aws
from edge_sim.runs.aws import Aws
from edge_sim.runs.boardrun import DEPLOY_S, BoardRun
from edge_sim.runs.boardspec import board_spec
from edge_sim.runs.cloudprocess import CloudProcess
from edge_sim.runs.liveboard import LiveBoard
from edge_sim.runs.onboards import inputs
from edge_sim.runs.results import BoardReport
from edge_sim.runs.rows import UpdateRow
from edge_sim.runs.runner import check_definition, provide
from edge_sim.runs.steps import BoardStep, Steps
from edge_sim.scenario import Scenario, Update, redaction
from edge_sim.testing.deployment import Deployment, reported
from edge_sim.validation.cache import trees

DriverChoice = Literal["local", "docker"]


@dataclass(kw_only=True)
class KeptBoard:
    """A board that is up. ``part`` is what was last done there; ``deployment`` the group that it has, if any.

    ``content`` is the digest of the files that a scenario laid on it. ``changed``: no reset makes it as it was.
    ``used``: by the test that runs.
    """

    live: LiveBoard
    content: str
    closing: ExitStack
    part: BoardRun | None = None
    deployment: Deployment | None = None
    changed: bool = False
    used: bool = True

    def change(self) -> None:
        """Note that something is about to be done that no reset undoes."""
        self.changed = True

    def check_window(self, seconds: int | None) -> None:
        """Raise UsageError where the board was made with another stable window than a test asks for."""
        agent = self.live.spec.agent
        if seconds is not None and agent and agent.stable_window_s != seconds:
            raise UsageError(
                f"the stable window of {self.live.spec.profile.name} is its scenario's, not {seconds} s",
                hint="Write stableWindow in the scenario, or update a board to which the test has deployed nothing.",
            )

    def fits(self, spec: BoardSpec, content: str) -> bool:
        """Say whether this is a board of that spec, as it was made, and still there."""
        if self.changed or (self.live.spec, self.content) != (spec, content):
            return False
        try:
            self.live.alive()
        except UnsupportedEnvironmentError:
            return False
        return True


class Bench:
    """What the tests of one process share. ``parts`` are all that was done on boards, for the report."""

    def __init__(self, driver: DriverChoice) -> None:
        self._driver_name = driver
        self._closing = ExitStack()
        self._boards: dict[str, KeptBoard] = {}
        self.parts: list[BoardRun] = []

    @cached_property
    def driver(self) -> Driver:
        if self._driver_name == "local":
            return self._closing.enter_context(drivers.local())
        return self._closing.enter_context(drivers.docker((), progress=_quiet, purpose="pytest"))

    @cached_property
    def cloud(self) -> CloudProcess:
        """The local cloud, which boards of the driver reach."""
        packages = hostchecks.packages()
        if packages.status == "missing":
            raise UnsupportedEnvironmentError(f"{packages.check}: {packages.found}", hint=packages.fix)
        return self._closing.enter_context(CloudProcess(bind=self.driver.bind))

    @cached_property
    def client(self) -> Aws:
        return Aws(self.cloud.http, self.cloud.region, self.cloud.explain)

    def close(self) -> None:
        """End every board, then the cloud."""
        with self._closing:
            for name in [*self._boards]:
                self._drop(name)

    def end_test(self) -> None:
        """Have no later test see what this one did."""
        for name, board in [*self._boards.items()]:
            board.used = False
            if board.changed:
                self._drop(name)

    def deploy(self, scenario: Scenario, profile: str) -> Deployment:
        """Deploy a scenario's group to the board of a profile, unless that has it already, and nothing ran there since.

        Raises InvalidDefinitionError for a group that is refused, AccessError for a board that is not as planned then,
        UnsupportedEnvironmentError for what this machine cannot do or prove.
        """
        warnings = check_definition(scenario.definition)
        content = trees(inputs(scenario))
        board = self._fitting(scenario, profile, content)
        if board.deployment and board.deployment.of(scenario, content):
            return board.deployment
        board = self._reset(board, scenario, content)
        definitions = provide(scenario, self.cloud, self.client, _quiet)
        board.part = self._begin(BoardRun(scenario, board.live, definitions))
        board.part.report.notes += warnings
        deployment = Deployment(board.part, content, board.change)
        board.change()  # what a deployment that fails leaves behind is not looked at
        deployment.deploy()
        board.deployment, board.changed = deployment, False
        return deployment

    def plain(self, profile: str, stable_window_s: int | None = None) -> KeptBoard:
        """Return the board that the test uses already, else one with nothing deployed."""
        board = self._boards.get(load_profile(profile).name)
        if board and board.used:
            board.check_window(stable_window_s)
            return board
        nothing = Scenario(
            name="no group", definition=Definition(group=Group(), form="scenario"), stable_window_s=stable_window_s
        )
        board = self._reset(self._fitting(nothing, profile, ""), nothing, "")
        board.part = self._begin(BoardRun(nothing, board.live, {}))
        return board

    def update(self, profile: str, update: Callable[[str], Update], stable_window_s: int | None = None) -> UpdateRow:
        """Update a board: ``update`` says how, from the version that runs now.

        Raises UpdateError where the job does not end as expected.
        """
        board = self.plain(profile, stable_window_s)
        assert board.part is not None  # noqa: S101 - plain and deploy begin one
        obstacle = board.part.obstacle_to_updates()
        if obstacle:
            raise UnsupportedEnvironmentError(obstacle)
        software = update("").software
        board.change()
        with reported(board.part):
            board.part.update(update(board.part.running(software)))
        return board.part.report.updates[-1]

    def execute(self, profile: str, argv: Sequence[str], timeout_s: float) -> CompletedProcess[str]:
        """Run a program on a board as its root, with the board's files only."""
        board = self.plain(profile)
        board.change()
        machine = board.live.board
        if isinstance(machine, LocalBoard):
            return machine.exec(argv, timeout_s, inside=True)
        return machine.exec(argv, timeout_s)

    def reports(self) -> list[BoardReport]:
        """Return what was done on every board, without secrets; the group is in its name."""
        reports = [redaction(part.scenario).value(part.report) for part in self.parts]
        for part, report in zip(self.parts, reports, strict=True):
            report.profile = f"{report.profile}: {part.scenario.name}"
        return reports

    def _fitting(self, scenario: Scenario, profile_name: str, content: str) -> KeptBoard:
        """Return the kept board of a profile where it is as ``scenario`` needs it, else a new one."""
        profile = load_profile(profile_name)
        thing = f"pytest-{profile.name}"
        spec = board_spec(scenario, profile, mqtt=self.cloud.mqtt, cafile=None, binds={}, thing=thing)
        on_board = content if spec.files or spec.devices else ""
        board = self._boards.get(profile.name)
        if board and board.used and board.changed:
            raise UsageError(
                f"{profile.name}: this test has changed the board already, and a deployment needs one as it was made",
                hint="Deploy before functions are invoked, commands run or updates made, or in a test of its own.",
            )
        if board and board.fits(spec, on_board):
            board.used = True
            return board
        self._drop(profile.name)
        closing = ExitStack()
        live = closing.enter_context(
            LiveBoard(spec, self.driver, self.cloud, self.client, Steps(profile.name, 0, _ignore))
        )
        self._boards[profile.name] = KeptBoard(live=live, content=on_board, closing=closing)
        return self._boards[profile.name]

    def _reset(self, board: KeptBoard, scenario: Scenario, content: str) -> KeptBoard:
        """Return the board without a deployment: by a reset, or a new one where that is not enough."""
        if board.deployment is None:
            return board
        enough = not board.deployment.runs_by_itself
        group_id = board.deployment.group_id
        if enough and aws.reset(self.client, group_id, timeout_s=DEPLOY_S, alive=board.live.alive):
            board.deployment = None
            return board
        self._drop(board.live.spec.profile.name)
        return self._fitting(scenario, board.live.spec.profile.name, content)

    def _begin(self, part: BoardRun) -> BoardRun:
        part.introduce()
        self.parts.append(part)
        return part

    def _drop(self, name: str) -> None:
        board = self._boards.pop(name, None)
        if board:
            board.closing.close()


def _ignore(_step: BoardStep) -> None:
    """Say nothing of a step."""


def _quiet(_text: str) -> None:
    """Say nothing: pytest has the terminal."""
