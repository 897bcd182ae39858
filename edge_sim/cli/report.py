"""A command whose machine-readable output is a whole document even when the command could not do its work."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from edge_sim.cli.faults import fault
from edge_sim.cli.output import Output, page_writers
from edge_sim.errors import EdgeSimError, InvalidDefinitionError
from edge_sim.printing import printable

if TYPE_CHECKING:
    from edge_sim.pages.page import Page

_PRINTED = "edge_sim.document_printed"


def printed() -> None:
    """Say that this command's document has been written: an error from now on adds no second one."""
    click.get_current_context().meta[_PRINTED] = True


class ReportCommand(click.Command):
    """A command with ``--format``; ``empty`` is its JSON document with nothing in it, where that is an object.
    ``indent`` None keeps JSON in one line, for a command whose reader waits for a line.

    An error is written in the format that was asked for, and then raised on: what standard error and the exit status
    say of it stays the same.
    """

    def __init__(
        self, *args: Any, empty: Mapping[str, object] | None = None, indent: int | None = 2, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._empty = empty or {}
        self._indent = indent

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if extra.get("resilient_parsing"):  # a shell completes a line: nothing is printed
            return super().make_context(info_name, args, parent, **extra)
        with self._reporting(Output(fmt=_format(args) or "text")):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        output = Output(
            fmt=ctx.params.get("fmt") or "text",
            file=ctx.params.get("output_file"),
            reports=ctx.params.get("report_files") or (),
        )
        with self._reporting(output, ctx):
            return super().invoke(ctx)

    @contextlib.contextmanager
    def _reporting(self, output: Output, ctx: click.Context | None = None) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            failure = fault(error)
            if failure is not None and not (ctx and ctx.meta.get(_PRINTED)):
                for target in output.each():
                    with contextlib.suppress(OSError, EdgeSimError):  # it may be the output that cannot be written
                        target.write({target.fmt: partial(self._document, target.fmt, failure)}, terminal=_nothing)
            raise

    def _document(self, fmt: str, error: EdgeSimError) -> str:
        data = {**self._empty, **failed(error)}
        if fmt == "json":
            return json.dumps(data, indent=self._indent) + "\n"
        if fmt == "text":
            return error.explained() + "\n"
        if fmt == "junit":
            return _as_junit(f"edge-sim {self.name}", error)
        if fmt == "sarif":
            from edge_sim.validation.sarif import failure

            return json.dumps(failure(error.explained(), error.exit_status), indent=2) + "\n"
        if fmt == "github":
            from edge_sim.validation.annotations import github_error

            return github_error(error.explained()) + "\n"
        pages = page_writers(lambda: self._page(error, data))
        return pages[fmt]() if fmt in pages else ""

    def _page(self, error: EdgeSimError, data: Mapping[str, object]) -> Page:
        from edge_sim.pages.page import Issue, Issues, Page, Section

        place = error.place if isinstance(error, InvalidDefinitionError) else None
        message = error.problem if isinstance(error, InvalidDefinitionError) else error.brief
        issue = Issue(
            where=f"edge-sim {self.name}",
            message=message,
            remedies=[error.hint] if error.hint else [],
            place=str(place) if place else None,
            details=(error.details or "").splitlines(),
        )
        return Page(
            command=str(self.name),
            subject="",
            state="bad",
            verdict="No result: the command could not do its work",
            about={"exit status": str(error.exit_status)},
            boards=[],
            sections=[Section(title="What stopped it", blocks=[Issues(issues=[issue])])],
            data=data,
        )


def _nothing() -> None:
    """Leave the text of an error to standard error."""


def _format(args: Sequence[str]) -> str | None:
    """Return the value of --format among arguments that could not be read."""
    values = [
        after if text == "--format" else text.removeprefix("--format=")
        for text, after in pairwise((*args, ""))
        if text == "--format" or text.startswith("--format=")
    ]
    return values[-1] if values else None


def failed(error: EdgeSimError) -> dict[str, object]:
    """Return what every JSON document of a command that failed has: its exit status and the error."""
    return {"exit_status": error.exit_status, "error": _as_json(error)}


def _as_json(error: EdgeSimError) -> dict[str, object]:
    place = error.place if isinstance(error, InvalidDefinitionError) else None
    return {
        "message": error.problem if isinstance(error, InvalidDefinitionError) else error.brief,
        "details": error.details,
        "hint": error.hint,
        "file": str(place.file) if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
    }


def _as_junit(name: str, error: EdgeSimError) -> str:
    from edge_sim.validation.junitxml import Suite, TestCase, document

    case = TestCase(
        group="edge-sim",
        name=name,
        outcome="error",
        message=printable(error.brief),
        kind=f"status {error.exit_status}",
        text=error.explained(),
    )
    return document(name, [Suite(name=name, cases=[case])])
