"""``edge-sim nucleus``: run what a migration wrote on a stand-in for a Greengrass V2 core."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli.options import FORMAT, ROOT, PathType
from edge_sim.cli.output import say
from edge_sim.cli.report import Report

if TYPE_CHECKING:
    from edge_sim.offline.nucleus.core import Core
FAILED = 4
_EMPTY: dict[str, object] = {"sent": [], "refused": [], "broken": [], "unheard": [], "notes": []}


def _messages(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        if "=" not in text:
            raise click.BadParameter(f"{text}: expected TOPIC=TEXT")
    return value


@click.command("nucleus", cls=Report, empty=_EMPTY)
@click.argument("folder", type=PathType(path_type=Path, exists=True, file_okay=False))
@ROOT
@click.option("--target", type=click.Choice(["classic", "lite"]), default="classic", show_default=True)
@click.option(
    "--architecture",
    type=click.Choice(["x86_64", "aarch64", "armv7l"]),
    default="x86_64",
    show_default=True,
    help="The board's architecture, used to select manifests; programs run on this machine's.",
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
@FORMAT
def command(
    folder: Path,
    root: Path,
    target: str,
    architecture: str,
    messages: tuple[str, ...],
    local: tuple[str, ...],
    answers: int,
    seconds: float,
    group: Path | None,
    fmt: str,
) -> None:
    """Run the generic components of FOLDER, which `edge-sim migrate -o` wrote, below a board's root directory.

    This is edge-sim's own stand-in for the nucleus: it reads recipes and the deployment like the nucleus, creates
    artifacts with its owners and modes, and serves the Greengrass IPC as accessControl allows. Imported Lambdas
    need AWS's launcher and are not run. Status 3: the nucleus would refuse the folder; 4: a component exited, a
    message was not received, or too few were sent.

    \b
    Example: edge-sim nucleus v2 --root board --send 'images/new={}' --answers 1
    """
    from edge_sim.offline.nucleus.core import read_folder, running
    from edge_sim.v2.nucleus import BY_NAME, NUCLEI

    nucleus = BY_NAME[next(name for name in NUCLEI if name == target)]
    plan = read_folder(folder, nucleus, architecture)
    with running(plan, folder, root, nucleus, secrets=_secrets(group)) as core:
        unheard = [*_send(core, messages, seconds, cloud=True), *_send(core, local, seconds, cloud=False)]
        enough = core.hub.wait(lambda hub: len(hub.sent) >= answers or bool(core.broken()), seconds)
        result = _as_json(core, unheard)
    if fmt == "json":
        click.echo(json.dumps(result, indent=2))
    else:
        _print(result)
    sys.exit(FAILED if unheard or not enough or result["broken"] else 0)


def _secrets(group: Path | None) -> Mapping[str, str]:
    if group is None:
        return {}
    from edge_sim.scenario import read

    return {source.address: source.value or "" for source in read(group).sources if source.kind == "secret"}


def _send(core: Core, messages: tuple[str, ...], seconds: float, *, cloud: bool) -> list[str]:
    """Send messages once somebody hears their topics, and return the topics of those that nobody heard."""
    unheard = []
    for text in messages:
        topic, _, payload = text.partition("=")
        heard = core.hub.wait(
            lambda hub, topic=topic: hub.subscribed(topic, cloud=cloud) or bool(core.broken()),  # type: ignore[misc]
            seconds,
        )
        if not heard or not core.hub.subscribed(topic, cloud=cloud):
            unheard.append(topic)
            continue
        core.hub.deliver(topic, payload.encode(), cloud=cloud)
    return unheard


def _as_json(core: Core, unheard: list[str]) -> dict[str, object]:
    return {
        "sent": [
            {
                "component": one.component,
                "to": "IoT Core" if one.cloud else "local",
                "topic": one.topic,
                "payload": one.payload.decode(errors="replace"),
            }
            for one in core.hub.sent
        ],
        "refused": core.hub.refused,
        "broken": core.broken(),
        "unheard": unheard,
        "notes": core.notes,
    }


def _print(result: Mapping[str, object]) -> None:
    sent = result["sent"]
    for one in sent if isinstance(sent, list) else ():
        say(f"{one['component']} → {one['to']} {one['topic']}: {one['payload']}")
    for key in ("refused", "broken", "unheard"):
        entries = result[key]
        for text in entries if isinstance(entries, list) else ():
            say(f"{key}: {text}")
    notes = result["notes"]
    for note in notes if isinstance(notes, list) else ():
        say(f"note: {note}", err=True)
