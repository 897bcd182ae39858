"""``edge-sim fleet``: a rollout over thousands of simulated cores."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from edge_sim.cli.addresses import named_broker, own_address
from edge_sim.cli.options import BROKER, BROKER_CAFILE, PathType, SecondsRange
from edge_sim.cli.output import Output, output_options, page_writers, say
from edge_sim.cli.progress import shown
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import FLEET_INSTALL, UnsupportedEnvironmentError, UsageError

if TYPE_CHECKING:
    from edge_sim.deviceprofile import DeviceProfile
    from edge_sim.fleet.rollout import FleetReport, Options
    from edge_sim.scenario import Scenario

_EMPTY: dict[str, object] = {"ok": False, "scenario": None, "cores": [], "differences": []}


@click.command("fleet", cls=ReportCommand, empty=_EMPTY)
@click.argument("scenario", type=PathType(path_type=Path), required=False)
@click.option("--cores", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Number of cores.")
@click.option(
    "--profile",
    "weights",
    multiple=True,
    metavar="NAME:WEIGHT",
    help="A profile and its weight in the fleet; may be repeated. Overrides the scenario.",
)
@click.option(
    "--control",
    type=click.IntRange(0, 100),
    default=0,
    show_default=True,
    metavar="N",
    help="Also run N real agents: processes, each with a folder as its board.",
)
@click.option(
    "--control-board",
    "control_boards",
    multiple=True,
    metavar="NAME",
    help="Also run a real agent in a container of this profile, one of the fleet's; may be repeated. Needs Docker, "
    "and QEMU for another architecture.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same cores.")
@BROKER
@BROKER_CAFILE
@click.option("--tls", is_flag=True, help="Serve MQTT over TLS; each core has its own certificate.")
@click.option("--state", type=PathType(path_type=Path), help="SQLite file that keeps the cloud's state.")
@click.option(
    "--rollout-minute",
    "minute_s",
    type=SecondsRange(0.1, 60.0),
    metavar="SECONDS",
    help="Length of a minute in the rollout rate. Overrides the scenario; default: 60.",
)
@click.option(
    "--limit",
    "limit_s",
    type=SecondsRange(1, 86400),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="End the run after this time.",
)
@click.option("--workers", type=click.IntRange(1, 1000), help="Number of processes to run the cores in; default: 1.")
@click.option(
    "--master", is_flag=True, help="Let the workers join from other machines, where they are started with --worker."
)
@click.option("--worker", "join", metavar="HOST", help="Run cores for the master at HOST; no other option is needed.")
@click.option("--bind", metavar="ADDRESS", help="With --master: this machine's address, for workers and their cores.")
@click.option("--port", type=click.IntRange(1, 65535), default=5557, show_default=True, help="The master's port.")
@click.option("--web-port", type=click.IntRange(1, 65535), help="Serve Locust's live page on this port of loopback.")
@output_options("text", "json", "html", "markdown")
def command(
    scenario: Path | None, weights: tuple[str, ...], join: str | None, port: int, output: Output, **more: Any
) -> None:
    """Roll an update out over simulated cores, as the key "fleet" of SCENARIO describes.

    Each core runs the agent's own update code behind its own MQTT session; its board is a model. At the end, what each
    core reports about its job is compared with the Jobs API; any difference ends with status 5.

    Example: edge-sim fleet examples/fleet --cores 500
    """
    if find_spec("locust") is None:
        raise UnsupportedEnvironmentError("a fleet needs the package locust", hint=FLEET_INSTALL)
    if join is not None:
        _refuse_beside_worker(("scenario", "weights", *more))
        _join(join, port)
        return
    if not more["master"] and _is_given("port"):
        raise UsageError("--port goes with --master and --worker")
    if scenario is None:
        raise UsageError("a fleet needs a SCENARIO", hint="Only a --worker needs none: its master sends it everything.")
    from dataclasses import replace

    from edge_sim.fleet import facts, rollout, text
    from edge_sim.fleet.page import page
    from edge_sim.scenario import load

    loaded = load(scenario)
    if loaded.fleet is not None and weights:
        loaded = replace(loaded, fleet=replace(loaded.fleet, weights=_weights(weights)))
    options = _options(loaded, port, **more)
    if options.tls and loaded.fleet and any(storm.kind != "lost sessions" for storm in loaded.fleet.storms):
        raise UsageError("--tls: the scenario's storms restart the broker or the cloud, which works only without --tls")
    with shown() as display:
        report: FleetReport = rollout.run(loaded, _profiles(loaded), options, display.say)
    output.write(
        {
            "text": lambda: text.as_text(report),
            "json": lambda: json.dumps(facts.as_json(report), indent=2) + "\n",
            **page_writers(lambda: page(report)),
        }
    )
    sys.exit(report.exit_status)


def _is_given(name: str) -> bool:
    """Tell whether the user has named this option."""
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT


def _refuse_beside_worker(names: Collection[str]) -> None:
    """Raise UsageError for an option of these that goes without effect with --worker."""
    for parameter in click.get_current_context().command.params:
        name = parameter.name or ""
        if name in names and _is_given(name):
            what = parameter.opts[0] if isinstance(parameter, click.Option) else name.upper()
            raise UsageError(
                f"{what} and --worker cannot be combined", hint="A worker gets everything but --port from its master."
            )


def _join(host: str, port: int) -> None:
    """Be a worker, until the master is done."""
    from edge_sim.fleet import crew

    say(f"running cores for the master at {host}, port {port}", err=True)
    trouble = crew.join(host, port, lambda text: say(text, err=True))
    if trouble:
        raise UnsupportedEnvironmentError(f"the worker process {trouble}")


def _options(
    scenario: Scenario,
    port: int,
    *,
    broker: str | None,
    broker_cafile: Path | None,
    minute_s: float | None,
    workers: int | None,
    master: bool,
    bind: str | None,
    web_port: int | None,
    **more: Any,
) -> Options:
    from edge_sim.fleet.crew import LOOPBACK, Shape
    from edge_sim.fleet.rollout import Options

    tls, boards = more["tls"], more["control_boards"]
    for option, has, against, others in (
        ("tls", tls, "master", master),
        ("tls", tls, "broker", broker),
        ("control-board", boards, "master", master),
    ):
        if has and others:
            raise UsageError(f"--{option} and --{against} cannot be combined")
    if bind is not None and not master:
        raise UsageError("--bind goes with --master")
    if bind is not None:
        own_address(bind, kind="not an IPv4 address", who="a worker")
    shape = Shape(workers=workers or int(master), remote=master, bind=bind or LOOPBACK, port=port, web_port=web_port)
    return Options(
        shape=shape,
        broker=named_broker(broker, broker_cafile),
        minute_s=minute_s or (scenario.fleet.minute_s if scenario.fleet else None) or 60.0,
        **more,
    )


def _profiles(scenario: Scenario) -> list[DeviceProfile]:
    from edge_sim.profiles import load_profiles

    fleet = scenario.fleet
    return list(load_profiles(tuple(fleet.weights) if fleet and fleet.weights else scenario.boards))


def _weights(texts: tuple[str, ...]) -> dict[str, int]:
    from edge_sim.fleetkeys import MAX_WEIGHT

    weights: dict[str, int] = {}
    for text in texts:
        name, _, weight = text.partition(":") if ":" in text else (text, "", "1")
        if not name or not weight.isdecimal() or not 1 <= int(weight) <= MAX_WEIGHT:
            raise UsageError(f"--profile {text}: not NAME:WEIGHT with a whole number from 1 to {MAX_WEIGHT}")
        weights[name] = int(weight)
    return weights
