"""Where a command's result goes, and in which formats: standard output or a file, and reports beside it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_sim.cli.options import PathType
from edge_sim.errors import REPORT_INSTALL, UnsupportedEnvironmentError, UsageError
from edge_sim.folders import check_file, write_file
from edge_sim.printing import printable

if TYPE_CHECKING:
    from edge_sim.pages.page import Page

SUFFIXES: Mapping[str, str] = {
    ".html": "html",
    ".md": "markdown",
    ".json": "json",
    ".xml": "junit",
    ".sarif": "sarif",
    ".txt": "text",
}
"""What the name of a --report FILE says about its format."""
Writers = Mapping[str, Callable[[], str]]
"""For each format of a command what makes the document; only those that are asked for are called."""
_DECLINED = 130
"""The status of an interruption: nobody has to act."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """The format for standard output, or for ``file``; and files of other formats, named by their suffix."""

    fmt: str
    file: Path | None = None
    reports: tuple[Path, ...] = ()

    def write(self, writers: Writers, terminal: Callable[[], None] | None = None) -> None:
        """Write everything that was asked for; ``terminal`` shows the text where it is for standard output."""
        for report in self.reports:
            write_file(report, writers[SUFFIXES[report.suffix]]())
        if self.file:
            write_file(self.file, writers[self.fmt]())
        elif self.fmt == "text" and terminal:
            terminal()
        else:
            click.echo(writers[self.fmt](), nl=False)

    def each(self) -> Iterator[Output]:
        """Yield the outputs one by one: one that cannot be written keeps no other from it."""
        yield Output(fmt=self.fmt, file=self.file)
        yield from (
            Output(fmt=SUFFIXES[report.suffix], file=report) for report in self.reports if report.suffix in SUFFIXES
        )

    @property
    def only_text(self) -> bool:
        """Whether nothing was asked for that programs read."""
        return {output.fmt for output in self.each()} == {"text"}

    def check(self, formats: tuple[str, ...]) -> None:
        """Raise UsageError, or UnsupportedEnvironmentError without Jinja2, for what could not be written at the end."""
        for report in self.reports:
            if SUFFIXES.get(report.suffix) not in formats:
                known = [suffix for suffix, fmt in SUFFIXES.items() if fmt in formats]
                raise UsageError(f"--report {report}: the name must end in one of {', '.join(known)}")
        for file in (*self.reports, *([self.file] if self.file else [])):
            check_file(file)
        written = {self.fmt, *(SUFFIXES[report.suffix] for report in self.reports)}
        if "html" in written and find_spec("jinja2") is None:
            raise UnsupportedEnvironmentError("an HTML report needs the package Jinja2", hint=REPORT_INSTALL)


def output_options(*formats: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command ``--format``, ``-o`` and ``--report``, as one ``output``."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @click.option("--format", "fmt", type=click.Choice(formats), default="text", show_default=True)
        @click.option(
            "-o",
            "--output",
            "output_file",
            type=PathType(path_type=Path),
            metavar="FILE",
            help="Write to this file instead of standard output.",
        )
        @click.option(
            "--report",
            "report_files",
            multiple=True,
            type=PathType(path_type=Path),
            metavar="FILE",
            help=f"Also write a report to FILE; may be repeated. Its suffix selects the format: {_suffixes(formats)}.",
        )
        @functools.wraps(command)
        def with_output(
            *args: Any, fmt: str, output_file: Path | None, report_files: tuple[Path, ...], **others: Any
        ) -> None:
            output = Output(fmt=fmt, file=output_file, reports=report_files)
            output.check(formats)
            command(*args, output=output, **others)

        return with_output

    return decorate


def page_writers(page: Callable[[], Page]) -> Writers:
    """Return what makes the formats that are readings of a page."""

    def html() -> str:
        from edge_sim.pages.html import render

        return render(page())

    def markdown() -> str:
        from edge_sim.pages.markdown import render

        return render(page())

    return {"html": html, "markdown": markdown}


def say(*lines: str, err: bool = False) -> None:
    """Print lines of text: each stays one, whatever a path or a name in it holds."""
    click.echo("\n".join(map(printable, lines)), err=err)


def confirm(question: str) -> None:
    """Ask on the terminal; anything but a yes ends the command as an interruption does."""
    if not click.confirm(question, err=True):
        say("Nothing was changed.", err=True)
        raise click.exceptions.Exit(_DECLINED)


def progress(text: str) -> None:
    """Say on standard error what is being done."""
    say(f"… {text}", err=True)


def print_notes(notes: Sequence[str], label: str = "note") -> None:
    """Print notes beside a text, on standard error."""
    for note in notes:
        say(f"{label}: {note}", err=True)


def _suffixes(formats: tuple[str, ...]) -> str:
    return ", ".join(suffix for suffix, fmt in SUFFIXES.items() if fmt in formats)
