"""The main job: what goes in through the API comes out as a layout, running functions and finished updates.

One board after another. Each board's steps: up, agent connected, deployed, looked at, functions invoked, updated. A
step that shows the definition to be wrong ends the board's part; what differs from the scenario is collected, so that
one run tells everything.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from edge_sim.emulation.corebuild import core_build
from edge_sim.emulation.local import LocalBoard
from edge_sim.emulation.scenario import Code, Invocation, Scenario, Source, Update, differences
from edge_sim.errors import InvalidDefinitionError
from edge_sim.greengrass import parse, rules
from edge_sim.greengrass.group import Group
from edge_sim.profiles import DeviceProfile
from edge_sim.runs import aws
from edge_sim.runs.agentprocess import AgentProcess, agent_running, ask
from edge_sim.runs.aws import Aws
from edge_sim.runs.cloudprocess import CloudProcess
from edge_sim.runs.results import BoardReport, Problem, RunReport

Progress = Callable[[str], None]

CONNECT_S = 30.0
DEPLOY_S = 120.0
UPDATE_S = 180.0
COMMAND_S = 120.0

_CLAIMS = {
    "owners": "owners of the files",
    "identities": "functions with the rights of their users",
    "mounts": "volumes, devices and containers",
}


def run(
    scenario: Scenario,
    profiles: Sequence[DeviceProfile],
    *,
    broker: str | None,
    keep: Path | None,
    progress: Progress,
) -> RunReport:
    """Run ``scenario`` on a local board of each profile.

    ``keep`` is a directory in which the boards' roots stay behind. Raises EdgeSimError for what ends the whole run: a
    definition that cannot be read, a cloud that does not start or dies.
    """
    check_definition(scenario)
    report = RunReport(scenario=scenario.name)
    progress("starting the local cloud")
    with CloudProcess(broker=broker) as cloud:
        report.parts = {
            key: str(cloud.about[key]) for key in ("http", "mqtt", "region", "account") if key in cloud.about
        }
        client = Aws(cloud.http, cloud.region, cloud.check)
        progress("putting models, secrets and code where the definition points")
        cloud.load_sources([_source(source) for source in scenario.sources])
        cloud.load_functions({code.function_arn: _code(code) for code in scenario.code})
        progress("creating the definitions with boto3")
        definitions = aws.create_definitions(client, scenario.name, scenario.resources, scenario.functions)
        for profile in profiles:
            board = _BoardRun(scenario, profile, cloud, client, definitions, progress)
            report.boards.append(board.run(keep))
    return report


def check_definition(scenario: Scenario) -> None:
    """Raise InvalidDefinitionError with everything that is wrong with the definitions themselves."""
    resources, faults = parse.resource_definition(scenario.resources)
    default, functions, more = parse.function_definition(scenario.functions)
    cores, core_faults = parse.core_definition(scenario.core)
    group = Group(core=cores[0] if cores else None, resources=resources, functions=functions, default_config=default)
    found = [f for f in (*faults, *more, *core_faults, *rules.check(group)) if f.severity == "error"]
    if found:
        first = found[0]
        others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise InvalidDefinitionError(
            f"{scenario.file}: {first.message}{others}",
            details="\n".join(f"{f.id}: {f.message}  [{f.source}]" for f in found[1:]) or None,
            hint=first.hint,
        )


class _BoardRun:
    """One board's part of a run."""

    def __init__(
        self,
        scenario: Scenario,
        profile: DeviceProfile,
        cloud: CloudProcess,
        client: Aws,
        definitions: aws.Definitions,
        progress: Progress,
    ) -> None:
        self.scenario = scenario
        self.profile = profile
        self.cloud = cloud
        self.aws = client
        self.definitions = definitions
        self.thing = f"{scenario.name}-{profile.name}"
        self.progress: Progress = lambda text: progress(f"{profile.name}: {text}")
        self.report = BoardReport(
            profile=profile.name,
            architecture=profile.architecture,
            operating_system=profile.operating_system,
            core=profile.greengrass.version,
            user_names={user.uid: name for name, user in profile.users.items()},
            group_names={gid: name for name, gid in profile.groups.items()},
        )

    def run(self, keep: Path | None) -> BoardReport:
        with ExitStack() as stack:
            self.progress("making the board")
            directory = keep / self.profile.name if keep else None
            board = stack.enter_context(
                LocalBoard(
                    self.profile,
                    directory,
                    keep=directory is not None,
                    files=self.scenario.files,
                    lines=self.scenario.devices,
                    core=self.profile.greengrass.version,
                )
            )
            self._introduce(board)
            config = stack.enter_context(_agent_config(self.thing, self.cloud.mqtt, self.profile))
            agent = stack.enter_context(agent_running(board, config))
            agent.wait_for("connected", timeout_s=CONNECT_S, alive=self.cloud.check)
            thing_arn = aws.create_thing(self.aws, self.thing)
            if self._deploy(board, agent, thing_arn):
                self._look(board)
                if board.proves.everything:  # a process with other ids or another view would prove nothing
                    self._probe(board)
                    self._invoke(board)
            for update in self.scenario.updates:
                self._update(board, agent, thing_arn, update)
        return self.report

    def _introduce(self, board: LocalBoard) -> None:
        self.report.standing_in = board.standing_in
        self.report.notes += board.notes
        for missing in board.proves.missing:
            self.report.not_proven.append(f"{_CLAIMS[missing.claim]}: {missing.reason}. {missing.help}")

    def _alive(self, agent: AgentProcess) -> Callable[[], None]:
        def check() -> None:
            self.cloud.check()
            agent.check()

        return check

    def _deploy(self, board: LocalBoard, agent: AgentProcess, thing_arn: str) -> bool:
        self.progress("deploying")
        core = self.scenario.core["Cores"][0]
        group_id, deployment_id = aws.deploy(self.aws, self.thing, thing_arn, core["CertificateArn"], self.definitions)
        status = aws.wait_for_deployment(
            self.aws, group_id, deployment_id, timeout_s=DEPLOY_S, alive=self._alive(agent)
        )
        failed = status["DeploymentStatus"] != "Success"
        self.report.deployment = {
            "id": deployment_id,
            "group_id": group_id,
            "status": status["DeploymentStatus"],
            "error": status.get("ErrorMessage") if failed else None,
        }
        if failed:
            # Without mounts a board lacks its devices, so a refusal says nothing about the definition.
            kind = "definition" if board.proves.mounts else "environment"
            self._problem(kind, "deployment", str(status.get("ErrorMessage") or "it failed without a reason"))
        return not failed

    def _look(self, board: LocalBoard) -> None:
        self.progress("reading the layout")
        layout = ask(board, "layout", timeout_s=COMMAND_S)
        self.report.layout = layout["layout"]
        self.report.not_proven += layout["not_proven"]
        for difference in layout.get("differences", []):
            self._problem("access", *difference.split(": ", 1))

    def _probe(self, board: LocalBoard) -> None:
        self.progress("probing who may open what")
        answer = ask(board, "access", timeout_s=COMMAND_S)
        self.report.access = answer["access"]
        for row in self.report.access:
            if row["ok"] is None:  # nothing to probe; the row's reasons say why
                continue
            if not row["ok"] or not row["agree"]:
                self._problem("access", f"{row['function']} × {row['resource']}", _access_message(row))

    def _invoke(self, board: LocalBoard) -> None:
        for invocation in self.scenario.invocations:
            self.progress(f"invoking {invocation.function_id}")
            row = ask(
                board,
                "invoke",
                invocation.function_id,
                "--event",
                json.dumps(invocation.event),
                timeout_s=COMMAND_S,
            )
            self._judge(invocation, {"function": invocation.function_id, **row})

    def _judge(self, invocation: Invocation, row: dict[str, Any]) -> None:
        found = differences(invocation.expect, row.get("result")) if row["ok"] else [str(row.get("error"))]
        self.report.functions.append({**row, "ok": not found})
        self.report.notes += [note for note in row.get("notes", []) if note not in self.report.notes]
        for difference in found:
            self._problem("function", invocation.function_id, difference)

    def _update(self, board: LocalBoard, agent: AgentProcess, thing_arn: str, update: Update) -> None:
        self.progress(f"updating the core to {update.version}")
        before = self._running(board)
        where = (self.profile.operating_system, self.profile.architecture)
        self.cloud.load_build(update.software, *where, update.version, core_build(update.version, starts=update.starts))
        job_id, version = aws.create_update(self.aws, thing_arn, where[1], where[0])
        execution = aws.wait_for_update(self.aws, job_id, self.thing, timeout_s=UPDATE_S, alive=self._alive(agent))
        agent.check()
        running = self._running(board)
        details = execution.get("statusDetails", {}).get("detailsMap", {})
        ends_as_said = execution["status"] == update.status and running == update.running
        self.report.updates.append(
            {
                "job_id": job_id,
                "job_status": aws.job_status(self.aws, job_id),
                "from": before,
                "to": version,
                "status": execution["status"],
                "reason": details.get("reason"),
                "running": running,
                "details": details,
                "timeline": _timeline(agent.events, job_id),
                "as_expected": ends_as_said,
                "ok": ends_as_said,
            }
        )
        if not ends_as_said:
            self._problem(
                "update",
                f"{before} → {version}",
                f"ended {execution['status']} ({details.get('reason')}) with {running} running; the scenario expects "
                f"{update.status} with {update.running}",
            )

    def _running(self, board: LocalBoard) -> str:
        """Return the version that the core link leads to, read from outside the board."""
        link = Path(board.root) / self.profile.greengrass.root.lstrip("/") / "ggc" / "core"
        return link.readlink().name

    def _problem(self, kind: Any, where: str, message: str) -> None:
        self.report.problems.append(Problem(kind=kind, where=where, message=message))


def _access_message(row: dict[str, Any]) -> str:
    reasons = "; ".join(row["reasons"])
    if not row["agree"]:
        return f"computed and probed access differ, a fault of edge-sim, please report it: {reasons}"
    return f"the definition says {row['expected']}: {reasons}"


def _source(source: Source) -> dict[str, Any]:
    """Return a source as the cloud's control API takes it."""
    if source.kind == "secret":
        return {"uri": source.address, "secret": {"SecretString": source.value}}
    form = "zip" if str(source.object_uri).endswith(".zip") else "tar.gz"
    return {"uri": source.address, "path": str(source.path), "format": form}


def _code(code: Code) -> dict[str, str]:
    return {"path": str(code.folder), "handler": code.handler, "runtime": code.runtime}


def _timeline(events: Sequence[dict[str, Any]], job_id: str) -> list[dict[str, Any]]:
    """Return the phases an update went through, with seconds since its first event."""
    steps = [e for e in events if e.get("event") == "update" and e.get("job") == job_id]
    start = steps[0]["at"] if steps else 0.0
    return [{"phase": e.get("phase"), "detail": e.get("detail"), "seconds": round(e["at"] - start, 2)} for e in steps]


@contextmanager
def _agent_config(thing: str, broker: str, profile: DeviceProfile) -> Iterator[str]:
    """Write the agent's configuration to a temporary file and yield its path."""
    config = {
        "thing": thing,
        "broker": broker,
        "architecture": profile.architecture,
        "operatingSystem": profile.operating_system,
        "greengrassRoot": profile.greengrass.root,
    }
    with tempfile.TemporaryDirectory(prefix="edge-sim-agent-") as directory:
        path = Path(directory) / "agent.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        yield str(path)
