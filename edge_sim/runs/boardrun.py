"""One board's part of a run: up, agent connected, deployed, looked at, functions invoked, updated.

A step that shows the definition to be wrong ends the board's part; what differs from the scenario is collected.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from edge_sim.agent.config import STABLE_WINDOW_S
from edge_sim.agent.update.preflight import FREE_BYTES_NEEDED
from edge_sim.agent.update.software import OTA_AGENT
from edge_sim.agent.version import VERSION as AGENT_VERSION
from edge_sim.arch import UPDATE_TARGETS
from edge_sim.emulation import boardplan
from edge_sim.emulation.agentbuild import agent_build
from edge_sim.emulation.corebuild import core_build
from edge_sim.emulation.platform import Platform
from edge_sim.errors import InvalidDefinitionError, Position
from edge_sim.greengrass.blast import blast_radius
from edge_sim.greengrass.functions import log_name
from edge_sim.greengrass.loggers import FILES_ONLY, only_files
from edge_sim.greengrass.tree import Tree
from edge_sim.jobs.update import Software, title
from edge_sim.limits import LINKS_COPIED
from edge_sim.pages.access import message, remedies
from edge_sim.runs import aws
from edge_sim.runs.agentprocess import NotHereError, ask
from edge_sim.runs.answers import read_access, read_layout, undecided, words
from edge_sim.runs.expected import differences
from edge_sim.runs.liveboard import COMMAND_S, LiveBoard
from edge_sim.runs.results import BoardReport, Kind, Problem
from edge_sim.runs.rows import DeploymentRow, FunctionRow, UpdateRow
from edge_sim.runs.steps import OnStep, StepCounter
from edge_sim.runs.summary import verdict
from edge_sim.runs.updateevents import core_events, journal, messages, timeline
from edge_sim.scenario import ExpectedInvocation, ExpectedUpdate, Scenario

DEPLOY_QUIET_S = 120.0
"""How long a deployment may go without a sign of progress."""
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


def steps(scenario: Scenario, board: str, on_step: OnStep) -> StepCounter:
    """Return the steps of a board's part of a run."""
    return StepCounter(board, _STEPS + len(scenario.invocations) + len(scenario.updates), on_step)


class BoardRun:
    """One board's part of a run: every step of the scenario in order, or one step after the other as its caller likes.

    The steps need a ``live`` board that is up; what they find is in ``report``.
    """

    def __init__(self, scenario: Scenario, live: LiveBoard, definitions: aws.Definitions) -> None:
        profile = live.spec.profile
        self.scenario = scenario
        self.live = live
        self.definitions = definitions
        self.profile = profile
        self.report = BoardReport(
            profile=profile.name,
            places=scenario.definition.places,
            driver=live.driver.name,
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
            try:
                stack.enter_context(self.live)
            except InvalidDefinitionError as error:  # what this board cannot have, another may
                self._problem("definition", "scenario", error.problem, hint=error.hint, place=error.place)
                return self._end()
            self.introduce()
            if self.deploy():
                self.look()
                if self.live.board.proves.everything:  # a process with other ids or another view would prove nothing
                    self.probe()
                    for invocation in self.scenario.invocations:
                        self.invoke(invocation)
            obstacle = self.obstacle_to_updates() if self.scenario.updates else None
            self._not_proven([obstacle] if obstacle else [])
            for update in () if obstacle else self.scenario.updates:
                self.update(update)
        self.report.notes += self.live.board.left
        self.report.seconds = round(time.monotonic() - start, 2)
        return self._end()

    def _end(self) -> BoardReport:
        self.live.steps.end(verdict(self.report))
        return self.report

    def stop(self) -> None:
        """End the board's part from another thread; ``run`` raises soon after."""
        self.live.stop()

    def introduce(self) -> None:
        """Note what the board is, and what it cannot prove."""
        board = self.live.board
        self.report.machine = board.machine
        self.report.standing_in = board.standing_in
        self.report.notes += board.notes
        if self.scenario.packages.links == "copy":
            self.report.notes.append(LINKS_COPIED)
        if only_files(self.scenario.definition.sections.get("loggers")):
            self.report.notes.append(FILES_ONLY)
        for missing in board.proves.missing:
            self.report.not_proven.append(f"{_CLAIMS[missing.claim]}: {missing.reason}. {missing.help}")
        self.report.certificate = self.live.certificate
        if self.live.not_certified:
            self.report.not_proven.append(f"certificate: {self.live.not_certified}")

    def deploy(self) -> bool:
        """Deploy the group and say whether the core took it."""
        live = self.live
        live.steps.begin("deploying")
        core = self.scenario.definition.group.core
        assert core is not None  # noqa: S101 - a group without one is refused before
        group_id, deployment_id = aws.deploy(
            live.aws, live.thing, live.thing_arn, core.certificate_arn, self.definitions
        )
        status = aws.wait_for_deployment(live.aws, group_id, deployment_id, quiet_s=DEPLOY_QUIET_S, alive=live.alive)
        failed = status["DeploymentStatus"] != "Success"
        advice = live.cloud.advice(deployment_id)
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
            why = str(status.get("ErrorMessage") or "it failed without giving a reason")
            doubt = None if live.real else self._undecided(why)
            if doubt:
                self._not_proven([f"deployment: {doubt}"])
            elif advice["cause"] == "environment":
                self._not_proven([f"deployment: {why}" + (f". {advice['hint']}" if advice["hint"] else "")])
            elif live.board.proves.mounts:
                hint, log = advice["hint"], self._log(why)
                self._problem("definition", "deployment", why, hint=hint, log=log, about=words(why))
            else:
                self._not_proven([f"deployment: {why} (without mounts a board lacks its devices)"])
        return not failed

    def _undecided(self, why: str) -> str | None:
        group, simulated = self.scenario.definition.group, boardplan.facts(self.profile, boardplan.plan(self.live.spec))
        return undecided(group, self.profile.facts(), simulated, why)

    def look(self) -> None:
        """Read what lies on the board, and compare it with the plan."""
        self.live.steps.begin("reading the layout")
        self.report.layout, differences, not_proven = ask(
            self.live.board, "layout", read=read_layout, timeout_s=self.live.command_s
        )
        self._not_proven(not_proven)
        owners = {row.path: (row.resource, row.function) for row in self.report.layout}
        for where, what in (difference.split(": ", 1) for difference in differences):
            self._problem("access", where, what, about=owners.get(where, ()))

    def probe(self) -> None:
        """Try with a real process of each function what it may open."""
        self.live.steps.begin("probing who may open what")
        self.report.access = ask(self.live.board, "access", read=read_access, timeout_s=self.live.command_s)
        for row in self.report.access:
            kind: Kind = "disagreement" if row.agree is False else "access"
            if False in (row.agree, row.ok):  # None: nothing to probe; the row's reasons say why
                about = (row.resource, row.function)
                self._problem(kind, row.name, message(row), hint=". ".join(remedies(row)) or None, about=about)
        self.report.blast_radius = blast_radius(self.scenario.definition.group, self.profile.facts())

    def invoke(self, invocation: ExpectedInvocation) -> None:
        """Call a function and compare its result."""
        self.live.steps.begin(f"invoking {invocation.function_id}")
        start = time.monotonic()
        called = (invocation.function_id, "--event", json.dumps(invocation.event))
        read = partial(FunctionRow.from_json, invocation.function_id)
        try:
            row = ask(self.live.board, "invoke", *called, read=read, timeout_s=self.live.command_s)
        except NotHereError as error:
            if not self.live.real:
                raise
            self._not_proven([f"function {error.brief}"])
        else:
            self._judge(invocation, replace(row, seconds=round(time.monotonic() - start, 2)))

    def _judge(self, invocation: ExpectedInvocation, row: FunctionRow) -> None:
        expected = invocation.expect  # empty: whatever comes back, an object or not
        error = str(row.error).removeprefix(f"{row.function}: ")
        problems = (differences(expected, row.result) if expected else []) if row.ok else [error]
        self.report.functions.append(replace(row, ok=not problems))
        self.report.notes += [note for note in row.notes if note not in self.report.notes]
        refused = any(cell.function == row.function and cell.ok is False for cell in self.report.access)
        hint = row.hint or ("Its access is not as defined: correct that first." if refused else None)
        for number, difference in enumerate(problems):
            log = () if number else self._log(invocation.function_id)
            self._problem("function", invocation.function_id, difference, hint=hint, log=log, about=(row.function,))

    def _log(self, why: str) -> list[str]:
        """Return the last lines of the logs of the functions that ``why`` names."""
        board = self.live.board
        logs = PurePosixPath(board.root) / Tree(self.profile.greengrass.root).user_logs.lstrip("/")
        named = [function for function in self.scenario.definition.group.functions if function.id in words(why)]
        files = [str(logs / log_name(function)) for function in named]
        lines = (
            line
            for file in files
            for line in board.exec(["tail", "-n", _LOG_LINES, file], COMMAND_S).stdout.splitlines()
        )
        return [line[:_LOG_LINE] for line in lines]

    def update(self, update: ExpectedUpdate) -> None:
        """Offer a build to the board and follow its job to the end."""
        live, agent = self.live, self.live.agent
        live.steps.begin(f"updating the {title(update.software)} to {update.version}")
        before, heard = self.running(update.software), len(agent.events)
        where = (self.profile.operating_system, self.profile.architecture)
        if update.software == "core":
            platform = Platform(architecture=where[1], operating_system=where[0])
            build = core_build(update.version, platform, starts=update.starts)
        else:
            build = agent_build(update.version, starts=update.starts)
        with live.cloud.offering:
            live.cloud.load_build(update.software, *where, update.version, build)
            job_id, version = aws.create_update(live.aws, live.thing_arn, where[1], where[0], update.software)
        window_s = self.scenario.stable_window_s
        stable_s = STABLE_WINDOW_S if window_s is None else window_s
        execution = aws.wait_for_update(live.aws, job_id, live.thing, stable_s=stable_s, alive=live.alive)
        agent.check()
        running = self.running(update.software)
        row = UpdateRow(
            job_id=job_id,
            job_status=aws.job_status(live.aws, job_id),
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
                f"ended {row.status} ({row.reason}) with {running} running; expected: "
                f"{update.status} with {update.running}",
                hint="The update's timeline shows every phase and message. Correct the build, or what is expected of "
                "it.",
                place=update.place,
            )

    def running(self, software: Software) -> str:
        """Return the version that the software's link leads to, read on the board but not by the agent."""
        board, tree = self.live.board, Tree(self.profile.greengrass.root)
        link = PurePosixPath(board.root) / (tree.core if software == "core" else tree.ota_agent).lstrip("/")
        version = PurePosixPath(board.exec(["readlink", str(link)], COMMAND_S).stdout.strip()).name
        return version if software == "core" else version.removeprefix(OTA_AGENT.prefix) or AGENT_VERSION

    def obstacle_to_updates(self) -> str | None:
        """Return why no update can be tried on this board, None where one can."""
        target = (self.profile.operating_system, self.profile.architecture)
        if target not in UPDATE_TARGETS:
            return f"updates of the core: Greengrass V1 had none for {target[0]} on {target[1]}"
        if self.live.driver.name == "local":
            free = shutil.disk_usage(Path(self.live.board.root).parent).free
            if free < FREE_BYTES_NEEDED:
                room = (
                    f"this machine has {free >> 20} MiB free there, but an update needs {FREE_BYTES_NEEDED >> 20} MiB"
                )
                return f"updates of the core: {room}. Name another place with TMPDIR"
        return None

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
        place = place or next((place for (_, id_), place in self.report.places.items() if id_ in about), None)
        self.report.problems.append(Problem(kind=kind, where=where, message=message, hint=hint, log=log, place=place))
