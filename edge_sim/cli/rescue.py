"""``edge-sim rescue``: a group, its models and its code back from a board's disk."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.cli.group_options import BOARD, profile_option
from edge_sim.cli.options import A_ROOT, FORMAT, GREENGRASS_ROOT, PathType
from edge_sim.cli.output import say
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import UsageError

if TYPE_CHECKING:
    from edge_sim.offline.rescue.disk import Disk

_EMPTY: dict[str, object] = {
    "name": None,
    "functions": 0,
    "models": 0,
    "certificates": [],
    "lost": [],
    "guessed": [],
    "notes": [],
    "never": [],
}


@click.command("rescue", cls=ReportCommand, empty=_EMPTY)
@A_ROOT
@click.option(
    "--tar",
    "tar_file",
    type=PathType(path_type=Path, exists=True, dir_okay=False, pipe_okay=True),
    metavar="FILE",
    help="A tar file of a board, or of its Greengrass directory with paths from /.",
)
@BOARD
@click.option(
    "--export",
    type=PathType(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="The folder that AWS's exporter (export_ggv1.sh) wrote.",
)
@click.option(
    "-o", "--output", required=True, type=PathType(path_type=Path), metavar="FOLDER", help="Write to this folder."
)
@profile_option("The scenario's board; default: the most similar profile.")
@GREENGRASS_ROOT
@FORMAT
def command(
    root: Path | None,
    tar_file: Path | None,
    remote_board: str | None,
    export: Path | None,
    output: Path,
    profile_name: str | None,
    greengrass_root: str,
    fmt: str,
) -> None:
    """Recover a group from a board's disk: definition, models, code, settings, and a scenario that can be run.

    Nothing is written to the board, and links that lead out of it are not followed. Private keys, passwords and
    PINs are not copied; the report lists what cannot be recovered, and what was guessed. Only the owner can read
    FOLDER. Over ssh, the board needs only sh and tar; files that only root can read need a root login, or
    passwordless sudo.

    \b
    Example: edge-sim rescue --root / -o rescued && edge-sim run rescued
             edge-sim rescue --board ssh://pi@raspberrypi.local -o rescued
    """
    if sum(source is not None for source in (root, tar_file, remote_board, export)) != 1:
        raise UsageError("rescue needs exactly one of --root, --tar, --board and --export")
    from edge_sim.offline.migration.folder import whole_folder
    from edge_sim.offline.rescue.rescue import of_export, rescue
    from edge_sim.profiles import load_profile

    if profile_name:
        load_profile(profile_name)
    with whole_folder(output) as folder:
        if export:
            result = of_export(export, folder)
        else:
            with _opened(root, tar_file, remote_board, greengrass_root) as board:
                result = rescue(board, folder, profile_name)
    if fmt == "json":
        click.echo(json.dumps(result.as_json(), indent=2))
    else:
        say(*result.lines())


def _opened(
    root: Path | None, tar_file: Path | None, remote_board: str | None, greengrass_root: str
) -> AbstractContextManager[Disk]:
    from edge_sim.offline.rescue import board, disk, tar

    if root:
        return disk.of_root(root, greengrass_root)
    if remote_board:
        return board.of_board(remote_board, greengrass_root)
    return tar.of_tar(Path(str(tar_file)), greengrass_root)
