"""``edge-sim board exec``: a program on a board, with our outputs and, asked for, our input."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import IO, TYPE_CHECKING, BinaryIO

import click

from edge_sim.cli import completion
from edge_sim.errors import UsageError

if TYPE_CHECKING:
    from edge_sim.emulation.containers.program import ContainerProgram

_BLOCK = 1 << 16


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-i", "--interactive", is_flag=True, help="Pass standard input to the program.")
@click.argument("name", shell_complete=completion.boards)
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(name: str, interactive: bool, argv: tuple[str, ...]) -> None:
    """Run a program on a board as the board's root user, and exit with its status.

    \b
    Example: edge-sim board exec raspberry-pi-3 uname -m
             edge-sim board exec -i raspberry-pi-3 tar -xC /srv <data.tar
    """
    from edge_sim.emulation.containers import boards, engine
    from edge_sim.emulation.containers.program import started

    program_argv = argv[1:] if argv[0] == "--" else argv
    if not program_argv:
        raise UsageError("board exec needs a program to run", hint=f"edge-sim board exec {name} uname -m")
    # By the board's shell: it tells a program that is not there by status 127.
    by_shell = ["sh", "-c", 'exec "$@"', "sh", *program_argv]
    with engine.connected() as client:
        container = boards.find(client, name)
        umask = boards.umask_of(container)
        program = started(client, container.id, by_shell, umask=umask, interactive=interactive)
        copies = [
            threading.Thread(target=_copy, args=pair, daemon=True)
            for pair in ((program.stdout, sys.stdout.buffer), (program.stderr, sys.stderr.buffer))
        ]
        if interactive:
            threading.Thread(target=_hand_on, args=(program,), daemon=True).start()
        for copy in copies:
            copy.start()
        try:
            status = program.wait()
        except KeyboardInterrupt:
            program.terminate()
            raise
        for copy in copies:
            copy.join()
        program.close()
    sys.exit(status)


def _copy(stream: IO[str], to: BinaryIO) -> None:
    """Copy bytes as they are: a program may print what is no text."""
    while data := os.read(stream.fileno(), _BLOCK):
        to.write(data)
        to.flush()


def _hand_on(program: ContainerProgram) -> None:
    """Give the program our input; it may end before it has read all of it."""
    with contextlib.suppress(OSError):
        while data := os.read(0, _BLOCK):
            program.write(data)
        program.end_input()
