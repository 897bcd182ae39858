"""``edge-sim ota status|build|create|watch``: software updates, from the build to every core's end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli.groups import Commands
from edge_sim.cli.options import FORMAT, GREENGRASS_ROOT, ROOT_HERE, PathType, to_file
from edge_sim.cli.output import confirm, say
from edge_sim.cli.report import ReportCommand, printed
from edge_sim.errors import UsageError
from edge_sim.jobs.update import SOFTWARE, Software

if TYPE_CHECKING:
    from edge_sim.agent.update.runner import Running
    from edge_sim.agent.update.status import BoardStatus, OpenUpdate
    from edge_sim.runs.updatejobs import JobProgress, JobsEndpoint

FAILED = 5
"""The exit status of a job that did not succeed on every core."""
_ENDPOINT = click.option(
    "--endpoint-url", metavar="URL", help="An IoT endpoint for boto3, instead of the running local cloud."
)
_AWS = click.option("--aws", is_flag=True, help="Use real AWS, with your own credentials and region.")


@click.group("ota", cls=Commands)
def command() -> None:
    """Software updates over MQTT: package a build, create a job, watch it, and inspect a board."""


@command.command(cls=ReportCommand)
@ROOT_HERE
@GREENGRASS_ROOT
@FORMAT
def status(root: Path, greengrass_root: str, fmt: str) -> None:
    """Show the versions of a board's core and OTA agent, and its update in progress. Nothing is changed.

    Example: edge-sim ota status --root /
    """
    from edge_sim.agent.update.status import status as look

    board = look(root, greengrass_root)
    if fmt == "json":
        click.echo(json.dumps(board.as_json(), indent=2))
        return
    core = board.core
    say(f"core      {core.current or 'none'}, {_running(core.running) if core.running else 'not running'}")
    say(f"installed {', '.join(core.installed) or 'none'}; last good: {core.last_good or 'none'}")
    say(f"agent     {_agent(board)}")
    say(f"update    {_update(board.update)}")
    for text in board.journal:
        say(f"note: {text}", err=True)


def _running(running: Running) -> str:
    return f"running {running.version} as process {running.pid}"


def _agent(board: BoardStatus) -> str:
    agent, trial = board.ota_agent, board.trial
    state = {True: "running", False: "not running", None: "not known"}[board.agent]
    if agent.running:
        state = _running(agent.running)
    text = f"{agent.current or 'the one that came with the board'}, {state}"
    if agent.installed:
        text += f"; installed {', '.join(agent.installed)}"
    if trial is None:
        return text
    if trial.failed:
        return f"{text}; {trial.failed}, which the cloud does not know yet"
    return f"{text}; {trial.new} has not proven itself yet (start {trial.starts})"


def _update(update: OpenUpdate | None) -> str:
    if update is None:
        return "none"
    text = f"{update.job}: {update.before or 'none'} → {update.to or 'unknown'}, {update.phase}"
    if update.unreported:
        text += f", ended {update.unreported}, which the cloud does not know yet"
    return f"{text} ({update.reason})" if update.reason else text


@command.command(cls=ReportCommand)
@click.argument("folder", required=False, type=PathType(path_type=Path, exists=True, file_okay=False))
@click.option("--version", metavar="VERSION", help="Version of the build; default: the folder's name.")
@click.option("--software", type=click.Choice(SOFTWARE), default="core", show_default=True)
@click.option(
    "--simulated", type=click.Choice(["good", "broken"]), help="Create a simulated build instead of packaging FOLDER."
)
@click.option(
    "--for", "pair", metavar="SYSTEM/ARCHITECTURE", help="With --simulated: the target system and architecture."
)
@to_file("Default: greengrass-SOFTWARE-VERSION.tar.gz")
@FORMAT
def build(
    folder: Path | None,
    version: str | None,
    software: Software,
    simulated: str | None,
    pair: str | None,
    output: Path | None,
    fmt: str,
) -> None:
    """Package FOLDER, which holds the content of packages/VERSION (greengrassd, bin/daemon and the rest), as a build.

    For an OTA agent FOLDER holds the content of ota/ota_agent_vVERSION: ggc-ota and the rest. A simulated OTA agent
    is edge-sim's own agent with that version number.

    \b
    Example: edge-sim ota build core/1.11.7
             edge-sim ota build --simulated broken --version 1.11.7
             edge-sim ota build --software ota_agent --simulated good --version 1.4.0
    """
    from edge_sim.digests import sha256
    from edge_sim.folders import write_file

    if (folder is None) == (simulated is None):
        raise UsageError("ota build needs either a FOLDER or --simulated good or broken")
    version = version or (folder.resolve().name.removeprefix("ota_agent_v") if folder else None)
    if version is None:
        raise UsageError("ota build --simulated needs --version VERSION")
    content = _simulated(software, version, simulated, pair) if folder is None else _packed(folder, software, version)
    output = output or Path(f"greengrass-{software}-{version}.tar.gz")
    write_file(output, content)
    with output.open("rb") as file:
        about = {"file": str(output), "version": version, "size": len(content), "sha256": sha256(file)}
    click.echo(json.dumps(about) if fmt == "json" else f"{output}: {software} {version}, {len(content):,} bytes")


def _simulated(software: Software, version: str, kind: str | None, pair: str | None) -> bytes:
    from edge_sim.emulation.agentbuild import agent_build
    from edge_sim.emulation.corebuild import core_build
    from edge_sim.emulation.platform import Platform

    system, architecture = _pair(pair) if pair else ("", "")
    if software == "ota_agent":
        return agent_build(version, starts=kind == "good")
    platform = Platform(architecture=architecture, operating_system=system) if pair else None
    return core_build(version, platform, starts=kind == "good")


def _packed(folder: Path, software: Software, version: str) -> bytes:
    from edge_sim.emulation.buildfolder import pack

    return pack(folder, software, version)


@command.command(cls=ReportCommand)
@click.option("--thing", "things", multiple=True, metavar="NAME", help="A core to update; may be repeated.")
@click.option("--group", "groups", multiple=True, metavar="NAME|ARN", help="A thing group to update; may be repeated.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="ARN",
    help="The ARN of a thing or thing group to update; may be repeated.",
)
@click.option(
    "--for",
    "pair",
    required=True,
    metavar="SYSTEM/ARCHITECTURE",
    help="The cores' system and architecture, such as raspbian/armv7l.",
)
@click.option("--software", type=click.Choice(SOFTWARE), default="core", show_default=True)
@click.option(
    "--version",
    metavar="VERSION",
    help="On the local cloud: an AWS release, as a simulated build; default: the newest.",
)
@click.option(
    "--build", "build_file", type=PathType(path_type=Path, exists=True, dir_okay=False), help="The build to install."
)
@click.option(
    "--url",
    metavar="URL",
    help="Where devices download the build from: an https:// URL, or s3://BUCKET/KEY with --role.",
)
@click.option("--role", metavar="ARN", help="The role used to presign S3 URLs.")
@click.option("--log-level", default="ERROR", show_default=True, help="UpdateAgentLogLevel.")
@_ENDPOINT
@_AWS
@click.option("--yes", is_flag=True, help="Do not ask before a job is created on real AWS.")
@FORMAT
def create(
    things: tuple[str, ...],
    groups: tuple[str, ...],
    targets: tuple[str, ...],
    pair: str,
    software: Software,
    version: str | None,
    build_file: Path | None,
    url: str | None,
    role: str | None,
    log_level: str,
    endpoint_url: str | None,
    aws: bool,
    yes: bool,
    fmt: str,
) -> None:
    """Create an update job: on the local cloud with V1's CreateSoftwareUpdateJob, elsewhere as a plain IoT job.

    On the local cloud, --build or a simulated --version is offered first; without either, the newest build is
    installed. A group's job updates the things that are in the group now. Elsewhere --build and --url are required:
    AWS closed CreateSoftwareUpdateJob with V1, but IoT Jobs remains. On real AWS you are asked first, unless --yes
    is given.

    \b
    Example: edge-sim ota create --thing core-1 --for raspbian/armv7l
             edge-sim ota create --group fleet --for raspbian/armv7l --version 1.10.4
             edge-sim ota create --aws --thing core-1 --for raspbian/armv7l --build core.tar.gz \\
                 --url s3://my-bucket/core.tar.gz --role arn:aws:iam::123456789012:role/signer
    """
    from edge_sim.runs import updatejobs

    system, architecture = _pair(pair)
    endpoint = _endpoint(endpoint_url, aws=aws)
    named = [*things, *groups, *targets]
    if not named:
        raise UsageError("ota create needs --thing NAME, --group NAME or --target ARN")
    if version is not None and (build_file is not None or endpoint.greengrass is None):
        raise UsageError("--version names a release that the local cloud simulates; --build FILE gives its content")
    plain = endpoint.greengrass is None or url is not None
    update = known = None
    if plain:
        update = updatejobs.update_document(
            build_file, url, role, software=software, system=system, architecture=architecture, log_level=log_level
        )
    elif build_file is not None:
        known = updatejobs.read_build(build_file, software)
    _confirm(endpoint, named, yes=yes)
    arns = [*updatejobs.thing_arns(endpoint, things), *updatejobs.group_arns(endpoint, groups), *targets]
    if update is not None:
        job, version = updatejobs.create_plain(endpoint, arns, update, role)
    else:
        if build_file is not None and known is not None:
            updatejobs.offer(endpoint, software, pair, known.version, build_file.read_bytes())
        elif version is not None:
            updatejobs.offer_release(endpoint, software, pair, version)
        job, version = updatejobs.create_software_update(endpoint, arns, software, pair, log_level, role)
    about = {"job": job, "software": software, "version": version, "targets": arns, "endpoint": endpoint.name}
    text = f"{job}: {software} {version} for {', '.join(named)}; edge-sim ota watch {job}"
    click.echo(json.dumps(about) if fmt == "json" else text)


def _confirm(endpoint: JobsEndpoint, targets: list[str], *, yes: bool) -> None:
    if not endpoint.real or yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"this creates a job on {endpoint.name}, and there is no terminal to confirm it", hint="Add --yes."
        )
    confirm(f"Create an update job for {', '.join(targets)} on {endpoint.name}?")


@command.command(cls=ReportCommand)
@click.argument("job")
@_ENDPOINT
@_AWS
@FORMAT
def watch(job: str, endpoint_url: str | None, aws: bool, fmt: str) -> None:
    """Show every core's progress through a job, live, until all have finished. JSON: one object per line.

    Status 5: the job did not succeed on every core.

    Example: edge-sim ota watch GreengrassUpdateJob_0e4b…
    """
    from edge_sim.runs import updatejobs

    ended = updatejobs.watch(_endpoint(endpoint_url, aws=aws), job, _line(fmt))
    printed()
    failed = [execution for execution in ended if execution.status != "SUCCEEDED"]
    if fmt == "text":
        say(f"{len(ended) - len(failed)} of {len(ended)} cores updated")
    sys.exit(FAILED if failed else 0)


def _line(fmt: str) -> Callable[[JobProgress], None]:
    if fmt == "json":
        return lambda execution: click.echo(json.dumps(execution.as_json()))

    def tell(execution: JobProgress) -> None:
        details = execution.details
        words = [details.get("phase", ""), details.get("progress", ""), details.get("reason", "")]
        more = "  ".join(word for word in words if word and word != execution.status)
        say(f"{time.strftime('%H:%M:%S')}  {execution.thing}  {execution.status}  {more}".rstrip())

    return tell


def _endpoint(url: str | None, *, aws: bool) -> JobsEndpoint:
    from edge_sim.cli import running_cloud
    from edge_sim.runs import updatejobs

    if aws and url:
        raise UsageError("--aws and --endpoint-url cannot be combined")
    return updatejobs.remote(url) if aws or url else updatejobs.local(running_cloud.note())


def _pair(text: str) -> tuple[str, str]:
    from edge_sim.arch import UPDATE_TARGETS

    system, _, architecture = text.partition("/")
    if (system, architecture) not in UPDATE_TARGETS:
        pairs = ", ".join(sorted(f"{o}/{a}" for o, a in UPDATE_TARGETS))
        raise UsageError(
            f"--for {text}: V1 had no core software for this system and architecture", hint=f"Use one of {pairs}."
        )
    return system, architecture
