"""The cloud and the kept boards of one pytest process: made when a test first needs them, gone with the session.

A board is kept from test to test. Before it gets another group it is reset by Greengrass's own ResetDeployment; where a
test did what no reset undoes (a function of the user's ran, a command, an update) a new board takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property
from subprocess import CompletedProcess

from edge_sim.definitions.definition import Definition
from edge_sim.emulation import hostchecks
from edge_sim.emulation.local.board import LocalBoard
from edge_sim.emulation.ssh import address
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.greengrass.group import Group
from edge_sim.runs import aws
from edge_sim.runs.aws import Aws
from edge_sim.runs.boardrun import DEPLOY_QUIET_S, BoardRun
from edge_sim.runs.cloudprocess import CloudProcess
from edge_sim.runs.liveboard import LiveBoard
from edge_sim.runs.onboards import inputs
from edge_sim.runs.results import BoardReport
from edge_sim.runs.rows import UpdateRow
from edge_sim.runs.runner import check_definition, provide
from edge_sim.runs.steps import BoardStep, StepCounter
from edge_sim.scenario import ExpectedUpdate, Scenario, redaction
from edge_sim.testing.boards import Boards, KeptBoard, Real, Simulated, quiet
from edge_sim.testing.deployment import Deployment, reported
from edge_sim.testing.driver import DRIVERS
from edge_sim.validation.cache import trees


class Bench:
    """What the tests of one process share. ``parts`` are all that was done on boards, for the report."""

    def __init__(self, driver: str) -> None:
        """``driver``: local, docker, or ssh://… for a real board, which the user has agreed to."""
        self._closing = ExitStack()
        self.kind: Boards = (
            Simulated("docker" if driver == "docker" else "local", self._closing)
            if driver in DRIVERS
            else Real(address.parse(driver), self._closing)
        )
        self._boards: dict[str, KeptBoard] = {}
        self.parts: list[BoardRun] = []

    @property
    def only(self) -> str | None:
        """The name of the one board that there is, None where profiles tell boards apart."""
        return self.kind.name("") if isinstance(self.kind, Real) else None

    @cached_property
    def cloud(self) -> CloudProcess:
        """The local cloud, which its boards reach."""
        packages = hostchecks.packages()
        if packages.status == "missing":
            raise UnsupportedEnvironmentError(f"{packages.check}: {packages.actual}", hint=packages.fix)
        return self._closing.enter_context(CloudProcess(bind=self.kind.bind))

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
        board = self._reset(board, scenario, profile, content)
        definitions = provide(scenario, self.cloud, self.client, quiet)
        board.part = self._begin(BoardRun(scenario, board.live, definitions))
        board.part.report.notes += [*board.notes, *warnings]
        deployment = Deployment(board.part, content, board.change)
        board.change()  # what a deployment that fails leaves behind is not looked at
        deployment.deploy()
        board.deployment, board.changed = deployment, False
        return deployment

    def plain(self, profile: str, stable_window_s: int | None = None) -> KeptBoard:
        """Return the board that the test uses already, else one with nothing deployed."""
        board = self._boards.get(self.kind.name(profile))
        if board and board.used:
            board.check_window(stable_window_s)
            return board
        nothing = Scenario(
            name="no group", definition=Definition(group=Group(), form="scenario"), stable_window_s=stable_window_s
        )
        board = self._reset(self._fitting(nothing, profile, ""), nothing, profile, "")
        board.part = self._begin(BoardRun(nothing, board.live, {}))
        return board

    def update(
        self, profile: str, update: Callable[[str], ExpectedUpdate], stable_window_s: int | None = None
    ) -> UpdateRow:
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
        if board.live.real:
            name = board.live.spec.profile.name
            raise UnsupportedEnvironmentError(
                f"{name}: not run on a real board, because nothing undoes what a program does there"
            )
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
        name = self.kind.name(profile_name)
        board = self._boards.get(name)
        if board and board.used and board.changed:
            raise UsageError(
                f"{name}: this test has already changed the board, and a deployment needs an unchanged one",
                hint="Deploy before functions are invoked, commands run or updates made, or in a test of its own.",
            )
        if board and board.as_made and self.kind.fits(board, scenario, content, self.cloud):
            board.used = True
            return board
        self._drop(name)
        making = self.kind.making(scenario, profile_name, self.cloud)
        steps = StepCounter(name, 0, _ignore)
        closing = ExitStack()
        live = closing.enter_context(LiveBoard(making.spec, making.driver, self.cloud, self.client, steps))
        self._boards[name] = KeptBoard(
            live=live, scenario=scenario, content=content, closing=closing, notes=making.notes
        )
        return self._boards[name]

    def _reset(self, board: KeptBoard, scenario: Scenario, profile: str, content: str) -> KeptBoard:
        """Return the board without a deployment: by a reset, or a new one where that is not enough."""
        if board.deployment is None:
            return board
        enough = not board.deployment.runs_by_itself
        group_id = board.deployment.group_id
        if enough and aws.reset(self.client, group_id, quiet_s=DEPLOY_QUIET_S, alive=board.live.alive):
            board.deployment = None
            return board
        self._drop(self.kind.name(profile))
        return self._fitting(scenario, profile, content)

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
