"""``edge-sim doctor``: what this machine can do, or how faithful a simulated board is."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from edge_sim.certificate import VERDICTS, CertificateRow, summary
from edge_sim.cli import completion
from edge_sim.cli.group_options import profile_option
from edge_sim.cli.options import FORMAT, driver_option, root_option
from edge_sim.cli.output import say
from edge_sim.cli.progress import shown
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import UnsupportedEnvironmentError, UsageError

if TYPE_CHECKING:
    from edge_sim.emulation.hostchecks import HostCheck
    from edge_sim.greengrass.requirements import Requirement

_WIDTH = 80


@click.command("doctor", cls=ReportCommand)
@driver_option("The driver to check; with --profile, the driver that creates the board.")
@profile_option("Create a board of this profile, and show how faithful it is.")
@click.option(
    "--board",
    metavar="NAME",
    shell_complete=completion.boards,
    help="Show how faithful a running board is (edge-sim board ls).",
)
@root_option("Show which requirements of a V1 core the board below DIR meets; / for this machine.")
@FORMAT
def command(
    driver: Literal["local", "docker"], profile_name: str | None, board: str | None, root: Path | None, fmt: str
) -> None:
    """Check this machine, show how faithful a board is (--profile, --board), or what a board lacks (--root).

    Status 6: the requested driver cannot work here.

    \b
    Example: edge-sim doctor --driver docker
             edge-sim doctor --driver docker --profile raspberry-pi-3
             edge-sim doctor --root /
    """
    if root and (profile_name or board):
        raise UsageError("--root already names a board, so it cannot be combined with --profile or --board")
    if root:
        _requirements(root, fmt)
        return
    if profile_name is not None or board is not None:
        _certificate(driver, profile_name, board, fmt)
        return
    from edge_sim.emulation.hostchecks import host_checks, missing

    checks = host_checks()
    lacking = missing(checks, driver)
    if fmt == "json":
        document = {"driver": driver, "ok": not lacking, "checks": [check.as_json() for check in checks]}
        click.echo(json.dumps(document, indent=2))
    else:
        say(*table(checks))
        names = ", ".join(check.check for check in lacking)
        click.echo(f"\n--driver {driver} " + (f"does not work here: {names}" if lacking else "works here"))
    sys.exit(UnsupportedEnvironmentError.exit_status if lacking else 0)


def table(checks: Sequence[HostCheck]) -> Iterator[str]:
    """Yield the lines of the host's table, at most 80 columns wide."""
    name, status = max(len(check.check) for check in checks) + 2, len("different") + 2
    yield f"{'check':<{name}}{'status':<{status}}found"
    for check in checks:
        head = f"{check.check:<{name}}{check.status:<{status}}"
        yield from _wrapped(check.actual, head, name + status)
        if check.status != "ok":
            needed = "recommended" if check.needed_for == "optional" else f"needed for {check.needed_for}"
            yield from _wrapped(needed, " " * (name + status), name + status)
        if check.fix:
            yield from _wrapped(f"fix: {check.fix}", " " * (name + status), name + status)


def certificate_table(rows: Sequence[CertificateRow]) -> Iterator[str]:
    """Yield the lines of a certificate, the verdicts one after the other, at most 80 columns wide."""
    name = max(len(row.fact) for row in rows) + 2
    for verdict in VERDICTS:
        group = [row for row in rows if row.verdict == verdict]
        if group:
            yield verdict
        for row in group:
            text = row.actual if row.actual == row.claimed else f"{row.actual} instead of {row.claimed}"
            reason = f"  ({row.reason})" if row.reason not in ("", text) else ""
            yield from _wrapped(text + reason, f"  {row.fact:<{name}}", name + 2)


def _requirements(root: Path, fmt: str) -> None:
    from edge_sim.agent.probe import probe
    from edge_sim.greengrass.requirements import requirements

    needs = requirements(probe(root))
    if fmt == "json":
        click.echo(json.dumps({"root": str(root), "requirements": [need.as_json for need in needs]}, indent=2))
    else:
        say(*requirements_table(needs))


def _certificate(driver: Literal["local", "docker"], profile_name: str | None, board: str | None, fmt: str) -> None:
    from edge_sim.emulation import doctor
    from edge_sim.greengrass.requirements import requirements
    from edge_sim.profiles import load_profile

    profile = load_profile(profile_name) if profile_name is not None else None
    notes: tuple[str, ...] | None = None
    if board is not None:
        profile, rows = doctor.running_certificate(board, profile)
    else:
        assert profile is not None  # noqa: S101 - the caller asks only with one of the two
        with shown() as display:
            display.say(f"{profile.name}: creating a board to examine")
            rows, notes = doctor.certificate(driver, profile, display.say)
    needs = requirements(profile.facts())
    if fmt == "json":
        document = {
            "profile": profile.name,
            "board": board,
            "summary": summary(rows),
            "certificate": [row.as_json() for row in rows],
            "requirements": [need.as_json for need in needs],
            "notes": notes,  # null: only the command that made the board has heard them
        }
        click.echo(json.dumps(document, indent=2))
        return
    say(*certificate_table(rows), "", *_wrapped(summary(rows), "", 2))
    for note in notes or ():
        say(*_wrapped(note, "• ", 2))
    say("")
    say(*requirements_table(needs))


def requirements_table(needs: Sequence[Requirement]) -> Iterator[str]:
    """Yield what a V1 core needs of such a board: a line for each requirement, with the reason where it is unmet."""
    yield "What a V1 core needs from such a board"
    name = max(len(need.fact) for need in needs) + 2
    for need in needs:
        head = f"  {need.fact:<{name}}{need.state:<9}"
        text = need.has if need.state == "met" else f"{need.has}; needed: {need.needs}; otherwise {need.consequence}"
        yield from _wrapped(text, head, name + 11)
        if need.aws_text and need.state == "unmet":
            yield from _wrapped(f"AWS: {need.aws_text}", " " * (name + 11), name + 11)


def _wrapped(text: str, head: str, indent: int) -> list[str]:
    """Return a row as lines: wrapped on a terminal, one line in a file or a pipe."""
    if not sys.stdout.isatty():
        return [f"{head}{text}".rstrip()]
    return textwrap.wrap(
        text, _WIDTH, initial_indent=head, subsequent_indent=" " * indent, drop_whitespace=True, break_on_hyphens=False
    )
