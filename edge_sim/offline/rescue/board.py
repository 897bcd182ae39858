"""A board rescued over ssh: what tar prints there, laid out by the reader of tar files. Only sh and tar are needed.

Nothing is written to the board. Private keys and certificates do not leave it: their names alone are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from edge_sim import folders
from edge_sim.emulation.ssh.address import parse
from edge_sim.emulation.ssh.connection import Connection
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.greengrass.tree import BELOW
from edge_sim.offline.rescue.disk import Disk
from edge_sim.offline.rescue.settings import write_directory
from edge_sim.offline.rescue.tar import Laid, lay, lay_name

SEND_S = 3600.0
"""For everything that one tar brings: some gigabytes of models on a slow line."""
_MOST_LINES = 20
_SEND = """cd / || exit 1
top=$1 links=$2
shift 2
set -f
for path do
    shift
    at=$top
    IFS=/
    for part in $path; do
        at=$at/$part
        [ ! -h "$at" ] || [ "$links" = h ] || break
    done
    unset IFS
    if [ -e "$at" ] || [ -h "$at" ]; then set -- "$@" ".$at"; fi
done
[ $# -eq 0 ] || exec tar -c${links}f - "$@"
"""
"""Prints a tar of paths below a directory: the first link on the way to one stands for it, or with ``h`` is followed.

What is not there is left out; where nothing is, nothing is printed.
"""
_NAMES = """for path in "$1"/* "$1"/.[!.]*; do
    if [ -e "$path" ] || [ -h "$path" ]; then printf '%s\\n' "${path##*/}"; fi
done
"""
_SYSTEM = ("etc/os-release", "bin/sh")


@contextmanager
def of_board(address: str, greengrass_root: str) -> Iterator[Disk]:
    """Yield the board at an ``ssh://`` address, read as root where the account may become root without a password.

    Raises UnsupportedEnvironmentError where it cannot be reached or has no tar, InvalidDefinitionError where what it
    sends is no tar.
    """
    with Connection(parse(address)) as connection, folders.while_in_use("edge-sim-rescue-") as (place, _):
        name = str(connection.address)
        root = connection.become_root()
        laid = Laid(name=name, place=place)
        disk = Disk(name=name, root=place, greengrass_root=greengrass_root, nodes=laid.nodes)
        complaints = [
            *_bring(connection, laid, "", _SYSTEM, links="h"),
            *_bring(connection, laid, greengrass_root, (BELOW.config, BELOW.deployment)),
        ]
        _lay_names(connection, laid, disk.tree.certificates)
        elsewhere = write_directory(disk)
        if elsewhere:
            complaints += _bring(connection, laid, elsewhere, ("deployment",))
        lost = [f"on the board: {line}" for line in complaints[:_MOST_LINES]]
        if not root:
            lost.insert(0, "files that only root can read: the account is not root and has no passwordless sudo")
        yield replace(disk, notes=tuple(laid.notes), lost=tuple(lost), ask=lambda path: _is_file(connection, path))


def _bring(connection: Connection, laid: Laid, top: str, paths: tuple[str, ...], *, links: str = "") -> Iterator[str]:
    """Lay what lies at ``paths`` below ``top`` on the board, and yield what its tar complained of."""
    argv = ["sh", "-c", _SEND, "sh", top, links, *paths]
    with connection.output(argv, timeout=SEND_S) as output:
        nothing = not output.file.peek(1)
        try:
            if not nothing:
                lay(laid, output.file)
        except InvalidDefinitionError as error:
            hint = (
                "The account's login shell must be a POSIX shell that prints nothing itself, and tar must be installed."
            )
            raise InvalidDefinitionError(error.problem, hint=hint) from error
    lines = [line for line in output.errors.splitlines() if line.strip()]
    if nothing and output.status:
        raise UnsupportedEnvironmentError(
            f"{laid.name}: the board cannot be read: {lines[-1] if lines else f'status {output.status}'}",
            hint="It needs sh and tar. Nothing was written there.",
        )
    yield from lines


def _lay_names(connection: Connection, laid: Laid, folder: str) -> None:
    """Lay an empty file for each certificate and key."""
    for name in connection.run(["sh", "-c", _NAMES, "sh", folder]).stdout.splitlines():
        if "/" not in name and name not in (".", ".."):
            lay_name(laid, f"{folder}/{name}")


def _is_file(connection: Connection, path: str) -> bool:
    return "\0" not in path and connection.run(["sh", "-c", '[ -f "$1" ]', "sh", path]).returncode == 0
