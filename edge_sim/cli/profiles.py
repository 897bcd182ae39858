"""``edge-sim profiles list|show|capture``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import click

from edge_sim.cli import completion
from edge_sim.cli.groups import Commands
from edge_sim.cli.options import FORMAT
from edge_sim.cli.output import say
from edge_sim.cli.profiles_capture import capture
from edge_sim.cli.report import ReportCommand, failed, printed
from edge_sim.deviceprofile import DeviceProfile
from edge_sim.errors import EdgeSimError, InvalidDefinitionError
from edge_sim.printing import printable
from edge_sim.profiles import list_profiles, load_profile, profile_path


@click.group("profiles", cls=Commands)
def command() -> None:
    """List, show or capture device profiles."""


command.add_command(capture)


@command.command("list", cls=ReportCommand)
@FORMAT
def list_(fmt: str) -> None:
    """List the device profiles; fails if any of them cannot be used. Example: edge-sim profiles list"""
    profiles, faults = [], []
    for name in list_profiles():
        try:
            profiles.append(load_profile(name))
        except EdgeSimError as error:
            faults.append(printable(error.brief))
    fault = InvalidDefinitionError("some device profiles cannot be used", details="\n".join(faults)) if faults else None
    summaries = [_summary(profile) for profile in profiles]
    if fmt == "text":
        _print(profiles)
    else:
        click.echo(json.dumps({"profiles": summaries, **failed(fault)} if fault else summaries, indent=2))
        printed()
    if fault:
        raise fault


@command.command(cls=ReportCommand)
@click.argument("name", shell_complete=completion.profiles)
@FORMAT
def show(name: str, fmt: str) -> None:
    """Show one profile; NAME is a known profile or a path to a YAML file."""
    profile = load_profile(name)
    if fmt == "json":
        click.echo(json.dumps(asdict(profile), indent=2, default=_plain))
    else:
        click.echo(profile_path(name).read_text(encoding="utf-8"), nl=False)


def _print(profiles: Sequence[DeviceProfile]) -> None:
    width = max((len(p.name) for p in profiles), default=0)
    for profile in profiles:
        pair = f"{profile.architecture}/{profile.operating_system}"
        say(f"{profile.name:<{width}}  {pair:<20}  {profile.description}")


def _summary(profile: DeviceProfile) -> dict[str, str]:
    return {
        "name": profile.name,
        "architecture": profile.architecture,
        "operating_system": profile.operating_system,
        "description": profile.description,
    }


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else str(value)
