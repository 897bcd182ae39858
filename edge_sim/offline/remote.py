"""A board looked at over ssh: what the snapshot script lists there, which needs a shell and changes nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation.ssh.address import parse
from edge_sim.emulation.ssh.board import Visit
from edge_sim.emulation.ssh.connection import Connection
from edge_sim.emulation.ssh.text import ending
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.process import effective_permission
from edge_sim.offline import listing
from edge_sim.offline.inputs import Inputs
from edge_sim.offline.listing import Listing
from edge_sim.offline.target import Target, with_files
from edge_sim.scenario import Scenario

_DAY_S = 86_400
_SHOWN = 80
"""Characters that are shown of an answer that is no listing."""


def look(connection: Connection, greengrass_root: str = "/greengrass", paths: Sequence[str] = ()) -> Listing:
    """Return what lies on the board at and below a Greengrass root, and at ``paths``.

    As root where the user can become root without a password. Raises UnsupportedEnvironmentError for an answer that is
    none of the script's.
    """
    argv = ["sh", "-c", listing.script(), "sh", greengrass_root, *paths]
    done = connection.run(argv)
    name = str(connection.address)
    try:
        return listing.parse_text(Path(connection.address.name), done.stdout)
    except InvalidDefinitionError as error:
        why = error.problem
        if not done.stdout.startswith(listing.HEAD):
            answer = done.stdout.strip().partition("\n")[0][:_SHOWN]
            why = (
                f"it printed nothing (status {done.returncode})" if not answer else f'its answer begins with "{answer}"'
            )
        raise UnsupportedEnvironmentError(
            f"{name}: the board cannot be listed: {why}",
            details=ending(done.stderr),
            hint="The account's login shell must be a POSIX shell that prints nothing itself.",
        ) from error


def target(board: str, group: Group, greengrass_root: str) -> Target:
    """Return the board at an ``ssh://`` address as a target, looked at where ``group`` has to do with it."""
    with Connection(parse(board)) as connection:
        return seen_target(connection, group, greengrass_root)[1]


def seen_target(connection: Connection, group: Group, greengrass_root: str) -> tuple[Listing, Target]:
    """Return what a board lists where ``group`` has to do with it, and the board as a target."""
    connection.become_root()
    seen = look(connection, greengrass_root, sources(group))
    return seen, replace(listing.of_listing(seen, group), name=str(connection.address))


def sources(group: Group) -> list[str]:
    """Return the paths of the board that a group's local resources refer to."""
    return sorted({resource.source_path for resource in group.resources if resource.source_path})


def interest(scenario: Scenario) -> list[str]:
    """Return the paths of the board that a run has to do with beside its Greengrass root."""
    return sorted({*sources(scenario.definition.group), *(file.path for file in scenario.files)})


def target_of(seen: Listing, profile: DeviceProfile, inputs: Inputs, name: str) -> Target:
    """Return a board that was looked at as a run's target, with the scenario's files where it has nothing."""
    board_target = listing.of_listing(seen, inputs.group)
    facts = replace(board_target.facts, greengrass=profile.greengrass)
    return with_files(replace(board_target, name=name, facts=facts), profile, inputs.scenario.files)


def visit(seen: Listing, scenario: Scenario) -> Visit:
    """Return what a run must know of a board that was looked at."""
    group = scenario.definition.group
    written = {
        resource.source_path
        for function in group.functions
        for resource, policy in group.attached(function)
        if resource.source_path and effective_permission(resource, policy) == "rw"
    }
    return Visit(
        machine=seen.architecture or "unknown",
        free_kib=free_kib(seen),
        writable=sorted(written),
    )


def free_kib(seen: Listing) -> int | None:
    """Return the room on a board that was looked at, None where it did not say."""
    free = seen.system.get("free", "")
    return int(free) if free.isdigit() else None


def clock_note(seen: Listing) -> str | None:
    """Return a sentence about a board whose clock is more than a day from this machine's, None for others."""
    text = seen.system.get("clock", "")
    if not text.isdigit() or abs(int(text) - time.time()) < _DAY_S:
        return None
    date = time.strftime("%Y-%m-%d", time.gmtime(min(int(text), 2**33)))
    return f"the board's clock says {date}: its logs carry that date, and a broker's certificate is not yet valid"
