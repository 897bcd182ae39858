"""One board's part of a run: up, agent connected, deployed, looked at, functions invoked, updated.

A step that shows the definition to be wrong ends the board's part; what differs from the scenario is collected.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from edge_sim.agent import cgroups
from edge_sim.agent.config import STABLE_WINDOW_S
from edge_sim.agent.update.preflight import FREE_BYTES_NEEDED
from edge_sim.agent.update.software import OTA_AGENT
from edge_sim.agent.version import VERSION as AGENT_VERSION
from edge_sim.arch import UPDATE_TARGETS
from edge_sim.emulation import boardplan
from edge_sim.emulation.agentbuild import agent_build
from edge_sim.emulation.board import Board, BoardSpec
from edge_sim.emulation.corebuild import core_build
from edge_sim.emulation.doctor import certificate_for, real
from edge_sim.emulation.drivers import Driver
from edge_sim.emulation.platform import Platform
from edge_sim.errors import InvalidDefinitionError, Position, UnsupportedEnvironmentError
from edge_sim.greengrass.blast import blast_radius
from edge_sim.greengrass.functions import log_name
from edge_sim.greengrass.tree import Tree
from edge_sim.jobs.update import Software, title
from edge_sim.limits import LINKS_COPIED
from edge_sim.pages.access import message
from edge_sim.runs import aws
from edge_sim.runs.agentprocess import AgentProcess, NotHereError, agent_running, ask
from edge_sim.runs.answers import read_access, read_layout, undecided, words
from edge_sim.runs.aws import Aws
from edge_sim.runs.boardspec import thing_name
from edge_sim.runs.cloudprocess import CloudProcess
from edge_sim.runs.expected import differences
from edge_sim.runs.results import BoardReport, Kind, Problem
from edge_sim.runs.rows import DeploymentRow, FunctionRow, UpdateRow
from edge_sim.runs.steps import OnStep, Steps
from edge_sim.runs.summary import verdict
from edge_sim.runs.updateevents import core_events, journal, messages, timeline
from edge_sim.scenario import Invocation, Scenario, Update

CONNECT_S = 30.0
CONNECT_OVER_SSH_S = 120.0
"""A first Raspberry Pi takes its time for a Python that it has never run before."""
DEPLOY_S = 120.0
COMMAND_S = 120.0
_LOG_LINES = "20"
_LOG_LINE = 500
"""Characters of a line of a function's log that are in a report."""

_STEPS = 5
"""What every board's part begins with: made, checked, deployed to, read, probed. Invocations and updates follow."""
_CLAIMS = {
    "owners": "owners of the files",
    "identities": "functions with the rights of their users",
    "mounts": "volumes, devices and containers",
}


class BoardRun:
    """One board's part of a run."""

    def __init__(
        self,
        scenario: Scenario,
        spec: BoardSpec,
        cloud: CloudProcess,
        client: Aws,
        definitions: aws.Definitions,
        driver: Driver,
        on_step: OnStep,
    ) -> None:
        profile = spec.profile
        self.scenario = scenario
        self.spec = spec
        self.driver = driver
        self._board: Board | None = None
        self._stopped = threading.Event()
        self.profile = profile
        self.cloud = cloud
        self.aws = client
        self.definitions = definitions
        self.thing = thing_name(scenario, profile)
        self.places = scenario.definition.places
        self._steps = Steps(profile.name, _STEPS + len(scenario.invocations) + len(scenario.updates), on_step)
        self.report = BoardReport(
            profile=profile.name,
            driver=driver.name,
            architecture=profile.architecture,
            operating_system=profile.operating_system,
            core=profile.greengrass.version,
            user_names={user.uid: name for name, user in profile.users.items()},
            group_names={gid: name for name, gid in profile.groups.items()},
        )

    def run(self) -> BoardReport:
        """Carry out the board's part and return what was found. Raises EdgeSimError for what ends the whole run."""
        start = time.monotonic()
        with ExitStack() as stack:
            stack.callback(cgroups.sweep)  # what alone outlives an agent that is killed with its board
            self._steps.begin("making the board")
            try:
                board = stack.enter_context(self.driver.board(self.spec))
            except InvalidDefinitionError as error:  # what this board cannot have, another may
                self._problem("definition", "scenario", error.problem, hint=error.hint, place=error.place)
                return self._end()
            self._board = board
            self._introduce(board)
            agent = stack.enter_context(agent_running(board))
            connect_s = CONNECT_OVER_SSH_S if self._real else CONNECT_S
            agent.wait_for("connected", timeout_s=connect_s, alive=self._check)
            self._certify(board)
            thing_arn = aws.create_thing(self.aws, self.thing)
            if self._deploy(board, agent, thing_arn):
                self._look(board)
                if board.proves.everything:  # a process with other ids or another view would prove nothing
                    self._probe(board)
                    self._invoke(board)
            for update in self._possible_updates(board):
                self._update(board, agent, thing_arn, update)
        self.report.notes += board.left
        self.report.seconds = round(time.monotonic() - start, 2)
        return self._end()

    def _end(self) -> BoardReport:
        self._steps.end(verdict(self.report))
        return self.report

    @property
    def _real(self) -> bool:
        """Whether the board is itself, and no simulation of one."""
        return self.driver.name == "ssh"

    def stop(self) -> None:
        """End the board's part from another thread; ``run`` raises soon after."""
        self._stopped.set()
        if self._board is not None:
            self._board.close()

    def _check(self) -> None:
        if self._stopped.is_set():
            raise UnsupportedEnvironmentError(f"{self.profile.name}: the run was stopped")
        self.cloud.check()

    def _introduce(self, board: Board) -> None:
        self.report.machine = board.machine
        self.report.standing_in = board.standing_in
        self.report.notes += board.notes
        if self.scenario.packages.links == "copy":
            self.report.notes.append(LINKS_COPIED)
        for missing in board.proves.missing:
            self.report.not_proven.append(f"{_CLAIMS[missing.claim]}: {missing.reason}. {missing.help}")

    def _certify(self, board: Board) -> None:
        if self._real:
            self.report.certificate = real(self.profile)
            return
        self._steps.begin("checking how faithful the board is")
        try:
            self.report.certificate = certificate_for(board, self.profile)
        except UnsupportedEnvironmentError as error:
            self.report.not_proven.append(f"certificate: {error.brief}")

    def _alive(self, agent: AgentProcess) -> Callable[[], None]:
        def check() -> None:
            self._check()
            agent.check()

        return check

    def _deploy(self, board: Board, agent: AgentProcess, thing_arn: str) -> bool:
        self._steps.begin("deploying")
        core = self.scenario.definition.group.core
        assert core is not None  # noqa: S101 - a group without one is refused before
        group_id, deployment_id = aws.deploy(self.aws, self.thing, thing_arn, core.certificate_arn, self.definitions)
        status = aws.wait_for_deployment(
            self.aws, group_id, deployment_id, timeout_s=DEPLOY_S, alive=self._alive(agent)
        )
        failed = status["DeploymentStatus"] != "Success"
        advice = self.cloud.advice(deployment_id)
        self.report.deployment = DeploymentRow(
            id=deployment_id,
            group_id=group_id,
            status=status["DeploymentStatus"],
            error=status.get("ErrorMessage") if failed else None,
            cause=advice["cause"],
            hint=advice["hint"],
        )
        self._not_proven(advice["not_proven"])
        if failed:
            why = str(status.get("ErrorMessage") or "it failed without a reason")
            doubt = None if self._real else self._undecided(why)
            if doubt:
                self._not_proven([f"deployment: {doubt}"])
            elif board.proves.mounts:
                hint, log = advice["hint"], self._log(board, why)
                self._problem("definition", "deployment", why, hint=hint, log=log, about=words(why))
            else:
                self._not_proven([f"deployment: {why} (without mounts a board lacks its devices)"])
        return not failed

    def _undecided(self, why: str) -> str | None:
        group, simulated = self.scenario.definition.group, boardplan.facts(self.profile, boardplan.plan(self.spec))
        return undecided(group, self.profile.facts(), simulated, why)

    def _look(self, board: Board) -> None:
        self._steps.begin("reading the layout")
        self.report.layout, differences, not_proven = ask(board, "layout", read=read_layout, timeout_s=COMMAND_S)
        self._not_proven(not_proven)
        owners = {row.path: (row.resource, row.function) for row in self.report.layout}
        for where, what in (difference.split(": ", 1) for difference in differences):
            self._problem("access", where, what, about=owners.get(where, ()))

    def _probe(self, board: Board) -> None:
        self._steps.begin("probing who may open what")
        self.report.access = ask(board, "access", read=read_access, timeout_s=COMMAND_S)
        for row in self.report.access:
            kind: Kind = "disagreement" if row.agree is False else "access"
            if False in (row.agree, row.ok):  # None: nothing to probe; the row's reasons say why
                self._problem(kind, row.name, message(row), about=(row.resource, row.function))
        self.report.blast_radius = blast_radius(self.scenario.definition.group, self.profile.facts())

    def _invoke(self, board: Board) -> None:
        for invocation in self.scenario.invocations:
            self._steps.begin(f"invoking {invocation.function_id}")
            start = time.monotonic()
            called = (invocation.function_id, "--event", json.dumps(invocation.event))
            read = partial(FunctionRow.from_json, invocation.function_id)
            try:
                row = ask(board, "invoke", *called, read=read, timeout_s=COMMAND_S)
            except NotHereError as error:
                if not self._real:
                    raise
                self._not_proven([f"function {error.brief}"])
            else:
                self._judge(board, invocation, replace(row, seconds=round(time.monotonic() - start, 2)))

    def _judge(self, board: Board, invocation: Invocation, row: FunctionRow) -> None:
        expected = invocation.expect  # empty: whatever comes back, an object or not
        found = (differences(expected, row.result) if expected else []) if row.ok else [str(row.error)]
        self.report.functions.append(replace(row, ok=not found))
        self.report.notes += [note for note in row.notes if note not in self.report.notes]
        for number, difference in enumerate(found):
            log = () if number else self._log(board, invocation.function_id)
            self._problem("function", invocation.function_id, difference, hint=row.hint, log=log, about=(row.function,))

    def _log(self, board: Board, why: str) -> list[str]:
        """Return the last lines of the logs of the functions that ``why`` names."""
        logs = PurePosixPath(board.root) / Tree(self.profile.greengrass.root).user_logs.lstrip("/")
        named = [function for function in self.scenario.definition.group.functions if function.id in words(why)]
        files = [str(logs / log_name(function)) for function in named]
        lines = (
            line
            for file in files
            for line in board.exec(["tail", "-n", _LOG_LINES, file], COMMAND_S).stdout.splitlines()
        )
        return [line[:_LOG_LINE] for line in lines]

    def _update(self, board: Board, agent: AgentProcess, thing_arn: str, update: Update) -> None:
        self._steps.begin(f"updating the {title(update.software)} to {update.version}")
        before, heard = self._running(board, update.software), len(agent.events)
        where = (self.profile.operating_system, self.profile.architecture)
        if update.software == "core":
            platform = Platform(architecture=where[1], operating_system=where[0])
            build = core_build(update.version, platform, starts=update.starts)
        else:
            build = agent_build(update.version, starts=update.starts)
        with self.cloud.offering:
            self.cloud.load_build(update.software, *where, update.version, build)
            job_id, version = aws.create_update(self.aws, thing_arn, where[1], where[0], update.software)
        window_s = self.scenario.stable_window_s
        stable_s = STABLE_WINDOW_S if window_s is None else window_s
        execution = aws.wait_for_update(self.aws, job_id, self.thing, stable_s=stable_s, alive=self._alive(agent))
        agent.check()
        running = self._running(board, update.software)
        row = UpdateRow(
            job_id=job_id,
            job_status=aws.job_status(self.aws, job_id),
            before=before,
            to=version,
            status=execution["status"],
            running=running,
            software=update.software,
            details=execution.get("statusDetails", {}).get("detailsMap", {}),
            timeline=timeline(agent.events, job_id),
            stable_window_s=stable_s,
            core=core_events(agent.events[heard:], job_id),
            messages=messages(agent.events[heard:], job_id),
            journal=journal(agent.events[heard:], job_id),
            as_expected=execution["status"] == update.status and running == update.running,
        )
        self.report.updates.append(row)
        if not row.as_expected:
            self._problem(
                "update",
                row.name,
                f"ended {row.status} ({row.reason}) with {running} running; the scenario expects "
                f"{update.status} with {update.running}",
            )

    def _running(self, board: Board, software: Software) -> str:
        """Return the version that the software's link leads to, read on the board but not by the agent."""
        tree = Tree(self.profile.greengrass.root)
        link = PurePosixPath(board.root) / (tree.core if software == "core" else tree.ota_agent).lstrip("/")
        found = PurePosixPath(board.exec(["readlink", str(link)], COMMAND_S).stdout.strip()).name
        return found if software == "core" else found.removeprefix(OTA_AGENT.prefix) or AGENT_VERSION

    def _possible_updates(self, board: Board) -> Sequence[Update]:
        """Return the scenario's updates; none, and a line that says why, where they cannot be tried."""
        target = (self.profile.operating_system, self.profile.architecture)
        if self.scenario.updates and target not in UPDATE_TARGETS:
            self._not_proven([f"updates of the core: Greengrass V1 had none for {target[0]} on {target[1]}"])
            return ()
        if self.scenario.updates and self.driver.name == "local":
            free = shutil.disk_usage(Path(board.root).parent).free
            if free < FREE_BYTES_NEEDED:
                room = (
                    f"this machine has {free >> 20} MiB free there, and an update needs {FREE_BYTES_NEEDED >> 20} MiB"
                )
                self._not_proven([f"updates of the core: {room}. Name another place with TMPDIR"])
                return ()
        return self.scenario.updates

    def _not_proven(self, sentences: Sequence[str]) -> None:
        self.report.not_proven += [text for text in sentences if text not in self.report.not_proven]

    def _problem(
        self,
        kind: Kind,
        where: str,
        message: str,
        *,
        hint: str | None = None,
        log: Sequence[str] = (),
        about: Collection[str | None] = (),
        place: Position | None = None,
    ) -> None:
        """Note a problem; without a place, that of the first resource, else function, among the Ids in ``about``."""
        place = place or next((place for (_, id_), place in self.places.items() if id_ in about), None)
        self.report.problems.append(Problem(kind=kind, where=where, message=message, hint=hint, log=log, place=place))
