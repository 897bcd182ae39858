"""``edge-sim fleet``: a rollout over thousands of simulated cores."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli.options import BROKER, BROKER_CAFILE, PathType
from edge_sim.cli.output import Output, output_options
from edge_sim.cli.progress import shown
from edge_sim.cli.report import Report
from edge_sim.errors import FLEET_INSTALL, UnsupportedEnvironmentError, UsageError

if TYPE_CHECKING:
    from edge_sim.deviceprofile import DeviceProfile
    from edge_sim.fleet.rollout import FleetReport
    from edge_sim.scenario import Scenario

_EMPTY: dict[str, object] = {"ok": False, "scenario": None, "cores": [], "differences": []}


@click.command("fleet", cls=Report, empty=_EMPTY)
@click.argument("scenario", type=PathType(path_type=Path))
@click.option("--cores", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many cores.")
@click.option(
    "--profile",
    "weights",
    multiple=True,
    metavar="NAME:WEIGHT",
    help="Boards of the fleet, and how many parts of it they are; repeat it. Overrides the scenario.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same cores.")
@BROKER
@BROKER_CAFILE
@click.option("--state", type=PathType(path_type=Path), help="SQLite file that keeps the cloud's state.")
@click.option(
    "--rollout-minute",
    "minute_s",
    type=click.FloatRange(0.1, 60.0),
    metavar="SECONDS",
    help="How long a minute of the rate lasts. Overrides the scenario; default: 60.",
)
@click.option(
    "--limit",
    "limit_s",
    type=click.FloatRange(1, 86400),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="End the run after so long.",
)
@output_options("text", "json")
def command(
    scenario: Path,
    cores: int,
    weights: tuple[str, ...],
    seed: int,
    broker: str | None,
    broker_cafile: Path | None,
    state: Path | None,
    minute_s: float | None,
    limit_s: float,
    output: Output,
) -> None:
    """Roll an update out over simulated cores: SCENARIO's key "fleet" says which update, which boards and how.

    Each core runs the agent's own update code behind an MQTT session of its own; its board is a model. At the end
    what the cores say of their jobs is compared with the Jobs API, core by core: a difference ends with status 5.

    Example: edge-sim fleet examples/fleet --cores 500
    """
    if find_spec("locust") is None:
        raise UnsupportedEnvironmentError("a fleet needs the package locust", hint=FLEET_INSTALL)
    from dataclasses import replace

    from edge_sim.fleet import rollout, text
    from edge_sim.runs.cloudprocess import NamedBroker
    from edge_sim.scenario import load

    loaded = load(scenario)
    if loaded.fleet is not None and weights:
        loaded = replace(loaded, fleet=replace(loaded.fleet, weights=_weights(weights)))
    options = rollout.Options(
        cores=cores,
        seed=seed,
        broker=NamedBroker(url=broker, cafile=broker_cafile) if broker else None,
        state=state,
        minute_s=minute_s or (loaded.fleet.minute_s if loaded.fleet else None) or 60.0,
        limit_s=limit_s,
    )
    with shown() as display:
        report: FleetReport = rollout.run(loaded, _profiles(loaded), options, display.say)
    output.write(
        {"text": lambda: text.as_text(report), "json": lambda: json.dumps(text.as_json(report), indent=2) + "\n"}
    )
    sys.exit(report.exit_status)


def _profiles(scenario: Scenario) -> list[DeviceProfile]:
    from edge_sim.profiles import load_profiles

    fleet = scenario.fleet
    return list(load_profiles(tuple(fleet.weights) if fleet and fleet.weights else scenario.boards))


def _weights(texts: tuple[str, ...]) -> dict[str, int]:
    weights: dict[str, int] = {}
    for text in texts:
        name, _, weight = text.partition(":")
        if not name or not (weight or "1").isdecimal() or not int(weight or "1"):
            raise UsageError(f"--profile {text}: not NAME:WEIGHT with a whole number from 1")
        weights[name] = int(weight or "1")
    return weights
