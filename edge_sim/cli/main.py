"""The ``edge-sim`` command: finds the subcommand, and turns every deliberate error into text and an exit status.

Subcommands are loaded when used, so that ``edge-sim --help`` costs little more than importing click (nor is pathlib,
which costs a tenth of that); their one-line help therefore stands here.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import keyword
import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import click

from edge_sim import __version__, cli, interrupts
from edge_sim.cli.groups import Commands
from edge_sim.cli.topics import EXIT_STATUS_HELP

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_COMMANDS = {
    "access": "Show which function may open what, why, and what would change it.",
    "agent": "Run the agent on a board: deployments, functions, updates.",
    "apply": "Apply a group's plan to a board's root directory, completely or not at all.",
    "board": "Manage boards in containers, and the agent on real boards.",
    "check-archive": "Check whether a model package would be unpacked, and why not.",
    "cloud": "Serve the local cloud: Greengrass V1 API, IoT Jobs over MQTT, artifact URLs.",
    "compare": "Show what differs between two reports.",
    "doctor": "Check this machine, and show how faithful a simulated board is.",
    "drift": "Show where a board differs from its group's plan.",
    "fleet": "Roll an update out over thousands of simulated cores.",
    "help": "Explain exit statuses, environment variables and files.",
    "import": "Convert any form of a definition to one canonical YAML file.",
    "init": "Write a first scenario for a group.",
    "matrix": "Check one definition against many boards and core versions.",
    "migrate": "Show what changes for a group on Greengrass V2, and write the V2 files.",
    "nucleus": "Run the output of a migration on a stand-in for a Greengrass V2 core.",
    "ota": "Build, create and watch software updates, and show a board's versions.",
    "plan": "Show what a deployment would create on a board, path by path.",
    "profiles": "List, show or capture device profiles.",
    "rescue": "Recover a group, its models and its code from a board's disk.",
    "rules": "List the rules, or explain one: what V1 refused or warned about.",
    "run": "Deploy a scenario to boards, run its functions and updates, and report.",
    "schema": "Print the JSON schema of a scenario, profile, group or list of updates.",
    "snapshot-script": "Print the script that lists a real board's files, for drift.",
    "try": "Test whether a group's functions can open their models; needs no scenario.",
    "validate": "Show what V1 would have refused in a definition, with file and line.",
}

_READER_GONE = 128 + signal.SIGPIPE
"""The status that a shell gives a program that SIGPIPE ended."""


class LazyGroup(Commands):
    """A group whose commands live in ``edge_sim.cli.<name>``, with ``_`` for ``-``, and are imported when called."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with _no_bug():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        importlib.import_module("edge_sim.cli.faults")  # for main: a command may leave no descriptor to read it with
        with _no_bug():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands that are here: a board has two of them."""
        with os.scandir(cli.__path__[0]) as entries:
            files = {entry.name for entry in entries}
        return sorted(name for name in _COMMANDS if f"{_module(name)}.py" in files)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"edge_sim.cli.{_module(cmd_name)}")
        command = module.command
        assert isinstance(command, click.Command)  # noqa: S101 - our own modules
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands without loading any of them, and what each command has."""
        from click.shell_completion import CompletionItem

        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        items = [CompletionItem(name, help=_COMMANDS[name]) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name]) for name in self.list_commands(ctx)])


def _module(command: str) -> str:
    return f"{command}_" if keyword.iskeyword(command) else command.replace("-", "_")


@click.group(
    cls=LazyGroup,
    epilog=EXIT_STATUS_HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="edge-sim")
def edge_sim() -> None:
    """Simulate AWS IoT Greengrass V1 cores: resource definitions, No-container ML layouts, OTA updates.

    Example: edge-sim run examples/no-container-ml --profile raspberry-pi-3
    """


def main() -> None:
    """Run the command line and exit with the documented status."""
    interrupts.answer_once()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a locale without "→" must not end a run in a traceback
            stream.reconfigure(errors="backslashreplace")
    try:
        status = edge_sim.main(standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted; everything that was started has been stopped.", err=True)
        status = 130
    except click.ClickException as error:
        from edge_sim.printing import printable

        context = error.ctx if isinstance(error, click.UsageError) else None
        click.UsageError(printable(error.format_message()), context).show()
        status = error.exit_code
    except Exception as error:
        from edge_sim.cli.faults import fault

        failure = fault(error)
        if failure is None:
            raise
        if isinstance(error, OSError):
            _discard_output()
        click.echo(failure.explained(), err=True)
        status = failure.exit_status
    gc.freeze()  # the interpreter's last collections would look at every module once more, and free nothing
    sys.exit(status if isinstance(status, int) else 0)


@contextlib.contextmanager
def _no_bug() -> Iterator[None]:
    """Tell ends apart: a reader that went away (click and rich make status 1), an interruption, a bug."""
    try:
        yield
    except Exception as error:
        if isinstance(
            error.__cause__, KeyboardInterrupt | SystemExit
        ):  # Python 3.11's RuntimeError from a class's body
            raise error.__cause__ from None
        if isinstance(error, EOFError):  # click would call it an interruption
            raise RuntimeError(f"EOFError: {error}") from error
        if not isinstance(error, BrokenPipeError):
            raise
        _end_unread(error)
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        _end_unread(end)


def _end_unread(error: BaseException) -> NoReturn:
    _discard_output()
    raise click.exceptions.Exit(_READER_GONE) from error


def _discard_output() -> None:
    """Have what is still to be written go nowhere: the interpreter's last flush must not fail again."""
    if sys.stdout is not None:
        number = sys.stdout.fileno()
        os.close(number)  # first: there may be no other left
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)


if __name__ == "__main__":
    main()
