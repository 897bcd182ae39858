"""``edge-sim nucleus``: run what a migration wrote on a stand-in for a Greengrass V2 core."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from edge_sim.cli.group_options import profile_option
from edge_sim.cli.options import FORMAT, PathType, driver_option, root_option
from edge_sim.cli.output import progress, say
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import UsageError

if TYPE_CHECKING:
    from edge_sim.offline.nucleus.session import SessionOutcome
FAILED = 4
_EMPTY: dict[str, object] = {"sent": [], "refused": [], "broken": [], "unheard": [], "logs": {}, "notes": []}


def _messages(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        if "=" not in text:
            raise click.BadParameter(f"{text}: expected TOPIC=TEXT")
    return value


@click.command("nucleus", cls=ReportCommand, empty=_EMPTY)
@click.argument("folder", type=PathType(path_type=Path, exists=True, file_okay=False))
@root_option("A board's root directory: / on the board itself.")
@profile_option(
    "Instead of --root: create a board of this profile, run board.sh and the components there, and remove it."
)
@driver_option(
    "With --profile. docker: a container of the board's own architecture; local: namespaces of this machine.",
    default="docker",
)
@click.option("--target", type=click.Choice(["classic", "lite"]), default="classic", show_default=True)
@click.option(
    "--architecture",
    type=click.Choice(["x86_64", "aarch64", "armv7l"]),
    help="With --root: the board's architecture, used to select manifests; default: this machine's.",
)
@click.option(
    "--send",
    "messages",
    multiple=True,
    callback=_messages,
    metavar="TOPIC=TEXT",
    help="Send this message as if from IoT Core; may be repeated.",
)
@click.option(
    "--send-local",
    "local",
    multiple=True,
    callback=_messages,
    metavar="TOPIC=TEXT",
    help="Send this message on a local topic; may be repeated.",
)
@click.option("--answers", default=0, metavar="NUMBER", help="Stop once components have sent this many messages.")
@click.option("--wait", "seconds", default=30.0, show_default=True, metavar="SECONDS", help="Maximum time to wait.")
@click.option(
    "--secrets",
    "group",
    type=PathType(path_type=Path, exists=True),
    metavar="SCENARIO",
    help="A scenario that holds the secrets' values.",
)
@click.option(
    "--packages",
    type=PathType(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Python packages for the components, such as awsiotsdk for the board's processor (pip install --target).",
)
@FORMAT
def command(
    folder: Path,
    root: Path | None,
    profile_name: str | None,
    driver: Literal["local", "docker"],
    target: str,
    architecture: str | None,
    messages: tuple[str, ...],
    local: tuple[str, ...],
    answers: int,
    seconds: float,
    group: Path | None,
    packages: Path | None,
    fmt: str,
) -> None:
    """Run the generic components of FOLDER, which `edge-sim migrate -o` wrote, on a simulated board or below a root.

    This is edge-sim's own stand-in for the nucleus: it reads recipes and the deployment like the nucleus, creates
    artifacts with its owners and modes, and serves the Greengrass IPC as accessControl allows. Imported Lambdas
    need AWS's launcher and are not run. Status 3: the nucleus would refuse the folder; 4: a component exited, a
    message was not received, or too few were sent.

    \b
    Example: edge-sim nucleus v2 --profile raspberry-pi-3 --send 'images/new={}' --answers 1
             edge-sim nucleus v2 --root board --target lite
    """
    from edge_sim.offline.nucleus.session import NucleusSession, hold

    if (root is None) == (profile_name is None):
        raise UsageError(
            "nucleus needs either --root DIR or --profile NAME",
            hint="Use --root with an existing board, or --profile to create one.",
        )
    session = NucleusSession(
        folder=folder,
        root=root or Path("/"),
        target=target,
        architecture=architecture or platform.machine(),
        messages=messages,
        local=local,
        answers=answers,
        seconds=seconds,
        secrets=_secrets(group),
        packages=packages,
    )
    if profile_name is None:
        outcome = hold(session)
    else:
        from edge_sim.offline.nucleus import boards
        from edge_sim.profiles import load_profile

        outcome = boards.hold(session, load_profile(profile_name), driver, progress)
    if fmt == "json":
        click.echo(json.dumps({key: value for key, value in outcome.as_json().items() if key != "enough"}, indent=2))
    else:
        _print(outcome)
    sys.exit(0 if outcome.well else FAILED)


def _secrets(group: Path | None) -> Mapping[str, str]:
    if group is None:
        return {}
    from edge_sim.scenario import read

    return {source.address: source.value or "" for source in read(group).sources if source.kind == "secret"}


def _print(outcome: SessionOutcome) -> None:
    for message in outcome.sent:
        say(f"{message['component']} → {message['to']} {message['topic']}: {message['payload']}")
    for word, entries in (("refused", outcome.refused), ("broken", outcome.broken), ("unheard", outcome.unheard)):
        for text in entries:
            say(f"{word}: {text}")
    for name, lines in outcome.logs.items() if not outcome.well else ():
        for line in lines:
            say(f"log of {name}: {line}")
    for note in outcome.notes:
        say(f"note: {note}", err=True)
