"""A run for a person in a terminal: layout tree, who may open what, what the functions said, how updates went."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from edge_sim.certificate import summary as certified
from edge_sim.greengrass.modes import symbolic
from edge_sim.greengrass.process import Identity
from edge_sim.greengrass.rows import AccessRow, LayoutRow
from edge_sim.printing import printable
from edge_sim.runs import details, summary
from edge_sim.runs.results import BoardReport, Problem, RunReport
from edge_sim.runs.rows import CoreEvent, DeploymentRow, FunctionRow, UpdateRow

Detail = Literal["summary", "usual", "verbose"]
"""Only what is wrong and a line a board; each board on a screen; or all that a report holds for people."""
_MAX_CHILDREN = 8
_NO_END = 100_000
"""Columns. Whoever reads or searches a file finds a sentence in one piece."""


def output() -> Console:
    """Return standard output: as wide as the terminal, or without an end to its lines in a file or a pipe.

    Whatever FORCE_COLOR says, colours are a terminal's.
    """
    terminal = sys.stdout.isatty()
    return Console(width=None if terminal else _NO_END, force_terminal=terminal)


def as_text(report: RunReport, detail: Detail = "usual") -> str:
    """Return the whole report as plain text."""
    console = Console(file=io.StringIO(), record=True, width=_NO_END)
    print_report(report, console, detail)
    return console.export_text(styles=False)


def print_report(report: RunReport, console: Console, detail: Detail = "usual") -> None:
    """Print a run: each board with what ``detail`` asks for, then every board in one line, and the verdict."""
    for board in report.boards:
        parts = [*_parts(board, detail)]
        if not parts:
            continue
        console.print()
        if console.width < _NO_END:
            console.rule(f"[bold]{escape(board.profile)}[/]", align="left")
        else:
            console.print(escape(board.profile))
        for part in parts:
            console.print(part)
    console.print()
    if report.boards:
        console.print(_summary(report.boards))
        console.print()
    console.print(_verdict(report))


def _summary(boards: Sequence[BoardReport]) -> Table:
    table = _table(*summary.COLUMNS)
    for board in boards:
        name, verdict, *rest = summary.row(board)
        table.add_row(name, Text(verdict, style=_STYLES[verdict]), *rest)
    return table


_STYLES = {"ok": "green", "not proven": "yellow", "failed": "red"}


def _about(board: BoardReport) -> Text:
    text = Text(f"{board.architecture} {board.operating_system}, core {board.core}, driver {board.driver}")
    if board.standing_in:
        text.append(f"  ({board.standing_in})", style="yellow")
    if board.certificate:
        text.append(f"\nCertificate  {certified(board.certificate)}", style="dim")
    return text


def _parts(board: BoardReport, detail: Detail) -> Iterator[RenderableType]:
    if detail != "summary":
        yield _about(board)
        yield from _rows(board, verbose=detail == "verbose")
    for title, lines, style in (
        ("Not proven here", map(printable, board.not_proven), "yellow"),
        ("Notes", map(printable, board.notes if detail != "summary" else ()), "dim"),
        ("Problems", map(_problem, board.problems), "red"),
    ):
        entries = [Text(f"  • {line}", style=style) for line in lines]
        if entries:
            yield _heading(title)
            yield Group(*entries)


def _rows(board: BoardReport, *, verbose: bool) -> Iterator[RenderableType]:
    if board.deployment:
        yield _deployment(board.deployment)
    if board.layout:
        yield _heading("Layout")
        yield _layout(board, most=len(board.layout) if verbose else _MAX_CHILDREN)
    if board.access:
        yield _heading("Who may open what   (computed from the definition · probed by a real process)")
        yield _access(board.access)
        if verbose:
            yield from details.access(board.access)
        elif any(None in (a.computed, a.probed) for row in board.access for a in (row.read, row.write)):
            yield Text("?  not probed: --verbose shows why", style="dim")
    if board.functions:
        yield _heading("Functions")
        for function in board.functions:
            yield _function(function, board)
            if verbose:
                yield from details.log(function)
    if board.updates:
        yield _heading("Updates")
        for update in board.updates:
            yield _update(update)
            if verbose:
                yield from details.exchange(update)


def _problem(problem: Problem) -> str:
    hint = [f"hint: {problem.hint}"] if problem.hint else []
    log = ["the last lines of its log:", *problem.log] if problem.log else []
    return "\n    ".join(map(printable, (f"{problem.where}: {problem.message}", *hint, *log)))


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _deployment(deployment: DeploymentRow) -> Text:
    text = Text("Deployment ")
    text.append(deployment.status, style="green" if deployment.status == "Success" else "red")
    if deployment.error:
        text.append(printable(f"  {deployment.error}"))
    return text


def _layout(board: BoardReport, most: int) -> Tree:
    """Draw the paths as one tree; a directory with more than ``most`` entries shows so many and counts the rest."""
    rows = {row.path: row for row in board.layout}
    children: dict[str, list[str]] = {}
    for path in rows:
        parent = _parent_in(path, rows)
        children.setdefault(parent, []).append(path)
    tree = Tree(Text("/", style="bold"), guide_style="dim")
    _grow(tree, "", children, rows, board, most)
    return tree


def _parent_in(path: str, rows: Mapping[str, LayoutRow]) -> str:
    parent = path.rsplit("/", 1)[0]
    while parent and parent not in rows:
        parent = parent.rsplit("/", 1)[0]
    return parent


def _grow(
    tree: Tree, at: str, children: Mapping[str, list[str]], rows: Mapping[str, LayoutRow], board: BoardReport, most: int
) -> None:
    below = children.get(at, [])
    for path in below[:most]:
        branch = tree.add(_line(rows[path], path[len(at) :].lstrip("/"), board))
        _grow(branch, path, children, rows, board, most)
    if len(below) > most:
        tree.add(Text(f"… and {len(below) - most} more", style="dim"))


def _line(row: LayoutRow, name: str, board: BoardReport) -> Text:
    node = row.node
    text = Text(symbolic(node), style="cyan")
    user, group = board.user_names.get(node.uid, node.uid), board.group_names.get(node.gid, node.gid)
    text.append(f" {user}:{group} ", style="dim")
    text.append(name)
    if node.target:
        text.append(f" → {node.target}", style="magenta")
    if row.resource:
        text.append(f"  [{row.resource}]", style="green")
    return text


def _access(rows: Sequence[AccessRow]) -> Table:
    table = _table("function", "resource", "expected", "computed", "probed", "")
    for row in rows:
        table.add_row(
            row.function,
            row.resource,
            row.expected,
            _letters(row.read.computed, row.write.computed),
            _letters(row.read.probed, row.write.probed),
            _judged(row),
        )
    return table


def _judged(row: AccessRow) -> Text:
    if row.agree is False:
        return Text("not as computed", style="red")
    if row.ok is None:
        return Text(f"not proven: {'; '.join(row.reasons)}", style="yellow")
    return Text("ok", style="green") if row.ok else Text("not as defined", style="red")


def _letters(read: bool | None, write: bool | None) -> str:
    if read is None and write is None:
        return "?"
    return "".join("?" if had is None else letter if had else "-" for had, letter in ((read, "r"), (write, "w")))


def _function(row: FunctionRow, board: BoardReport) -> Text:
    text = Text(f"{row.function}  ")
    text.append("ok" if row.ok else "failed", style="green" if row.ok else "red")
    text.append(f"  {row.isolation}, as {_who(row.identity, board)}", style="dim")
    text.append(f"\n  {row.error or json.dumps(row.result, ensure_ascii=False)}")
    return text


def _who(who: Identity, board: BoardReport) -> str:
    groups = [str(board.group_names.get(gid, gid)) for gid in (who.gid, *who.groups)]
    return f"{board.user_names.get(who.uid, who.uid)}:{'+'.join(groups)}"


def _update(row: UpdateRow) -> Group:
    head = Text(f"{row.name}  ")
    head.append(row.status, style="green" if row.status == "SUCCEEDED" else "red")
    if row.as_expected:
        head.append("  (as expected)", style="dim")
    head.append(f"  now running {row.running}")
    lines = [head]
    if row.reason:
        lines.append(Text(f"  reason: {row.reason}"))
    if row.timeline:
        lines.append(Text("  " + " → ".join(step.phase for step in row.timeline), style="dim"))
    events = [f"{_core_event(event)} at {event.seconds:g} s" for event in row.core]
    lines.append(
        Text(f"  stable window {row.stable_window_s:g} s; core: {'; '.join(events) or 'no event'}", style="dim")
    )
    return Group(*lines)


def _core_event(event: CoreEvent) -> str:
    error = f" ({printable(event.error)})" if event.error else ""
    pause = f", next try in {event.next_try_s:g} s" if event.next_try_s is not None else ""
    return f"{event.version or 'none'} {event.status}{error}{pause}"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _verdict(report: RunReport) -> Text:
    if report.ok:
        boards = _count(len(report.boards), "board")
        unchecked = sum(1 for board in report.boards for row in board.access if row.ok is None)
        rest = f", {_count(unchecked, 'claim')} not checked" if unchecked else ""
        return Text(f"ok: {boards}, everything checked is as the definition says{rest}", style="bold green")
    if report.exit_status == 6:
        return Text("incomplete: this machine could not prove everything (exit 6)", style="bold yellow")
    return Text(f"failed (exit {report.exit_status})", style="bold red")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
