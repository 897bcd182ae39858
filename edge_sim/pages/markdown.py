"""A page as Markdown for step summaries and comments of code hosts: worst first, and within their limits.

GitHub drops a step summary of more than 1 MiB whole, and refuses a comment of more than 65,536 characters; what is
written here fits both, and says what it leaves out. A stranger's words are text: they make no markup, no HTML, no
mention of anybody, and their lines can end no table or fence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from edge_sim.pages.page import (
    STATES,
    Block,
    BoardVerdict,
    Cell,
    Chart,
    Issue,
    Issues,
    Lines,
    Log,
    Page,
    PathTree,
    Picture,
    State,
    Table,
    Timeline,
)
from edge_sim.printing import printable

LIMIT = 65_000
"""Characters, and bytes."""
_ROOM = 900
"""Of which so many are kept for the words about what is left out."""
_MARKS: dict[State, str] = {"bad": "✗", "open": "?", "good": "✓", "plain": "·"}
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>()#~|$&!]")
_ALERTS = re.compile(r"@(?=\w)|\bGH-(?=\d)|(?<=\\#)(?=\d)")
"""What a code host makes a mention or a reference of, inside words too."""
_LEAD = re.compile(r"^(\d+)([.)])|^([-+=:])")


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What belongs together: ``head`` stands only with at least one of ``items``, which can be left out one by one."""

    head: Sequence[str]
    items: Iterable[str]
    what: str
    tail: Sequence[str] = ()


def render(page: Page, limit: int = LIMIT) -> str:
    """Return the Markdown, at most ``limit`` bytes of it."""
    text = _Text(limit=limit)
    text.add([f"## {_MARKS[page.state]} {words(page.verdict)}", "", _about(page), ""])
    for part in _parts(page):
        text.fill(part)
    return text.done()


def words(text: str) -> str:
    """Return a stranger's text as Markdown that shows it."""
    escaped = _SPECIAL.sub(r"\\\g<0>", printable(text))
    alone = _ALERTS.sub(lambda match: f"{match.group()}\u200b", escaped)
    return _LEAD.sub(r"\1\\\2\3" if alone[:1].isdigit() else r"\\\3", alone)


def code(text: str) -> str:
    """Return text as a code span, which a table can hold too."""
    plain = printable(text)
    longest = max((len(run) for run in re.findall(r"`+", plain)), default=0)
    fence = "`" * (longest + 1)
    space = " " if plain[:1] == "`" or plain[-1:] == "`" else ""
    return f"{fence}{space}{plain}{space}{fence}".replace("|", r"\|")


@dataclass(kw_only=True)
class _Text:
    """Lines so far, within a limit; ``left_out`` counts what did not fit, by what it is."""

    limit: int
    lines: list[str] = field(default_factory=list)
    size: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    def add(self, lines: Sequence[str]) -> bool:
        size = sum(len(line.encode("utf-8", "replace")) + 1 for line in lines)
        fits = self.size + size <= self.limit - _ROOM
        if fits:
            self.lines += lines
            self.size += size
        return fits

    def fill(self, part: _Part) -> None:
        items = [*part.items]
        if not items:
            return
        number = 0
        if self.add([*part.head, items[0]]):
            rest = (at for at in count(1) if at == len(items) or not self.add([items[at]]))
            number = next(rest)
            self.lines += [*part.tail, ""]  # a fence is closed whatever it takes: there is room for it
        if number < len(items):
            self.left_out[part.what] = self.left_out.get(part.what, 0) + len(items) - number

    def done(self) -> str:
        if self.left_out:
            what = ", ".join(f"{number} {noun}" for noun, number in [*self.left_out.items()][:12])
            self.lines.append(
                f"_Omitted here, to stay within {self.limit // 1000} KB: {what}. The HTML report has it all._"
            )
        return "\n".join(self.lines).rstrip() + "\n"


def _about(page: Page) -> str:
    facts = "".join(f" · {words(name)} {words(value)}" for name, value in page.about.items())
    return f"{code(f'edge-sim {page.command}')} **{words(page.subject) or 'edge-sim'}**{facts}"


def _parts(page: Page) -> Iterator[_Part]:
    boards = sorted(page.boards, key=lambda board: STATES.index(board.state))
    yield _Part(head=["| board | verdict | first problem |", "|---|---|---|"], items=map(_board, boards), what="boards")
    for section in page.sections:
        head = ["", f"### {words(section.title)}", ""]
        for block in section.blocks:
            for part in _block(block):
                yield _Part(head=[*head, *part.head], items=part.items, what=part.what, tail=part.tail)
                head = []
            if left := getattr(block, "left_out", None):
                yield _Part(head=[], items=[f"_{words(left)}_"], what="words about what is left out")


def _board(board: BoardVerdict) -> str:
    first = next(iter(board.issues), None)
    todo = f"{words(first.where)}: {words(_short(first.message))}" if first else ""
    if first and first.remedies:
        todo += f" → {words(first.remedies[0])}"
    return f"| **{words(board.name)}** | {_MARKS[board.state]} {words(board.verdict)} | {todo} |"


def _block(block: Block) -> Iterator[_Part]:
    if isinstance(block, Issues):
        ordered = sorted(block.issues, key=lambda issue: STATES.index(issue.state))
        yield _Part(head=[], items=map(_issue, ordered), what="issues")
    elif isinstance(block, Table):
        columns = " | ".join(map(words, block.columns))
        head = [f"| {columns} |", "|---" * len(block.columns) + "|"]
        rows = sorted(block.rows, key=lambda row: min(STATES.index(cell.state) for cell in row))
        yield _Part(head=head, items=(f"| {' | '.join(map(_cell, row))} |" for row in rows), what="rows of tables")
    elif isinstance(block, Timeline):
        head = [f"**{words(block.caption)}**: {_MARKS[block.state]} {words(block.verdict)}", ""]
        moments = (f"- {moment.seconds:.2f} s {words(moment.text)}" + _more(moment.detail) for moment in block.moments)
        yield _Part(head=head, items=moments, what="moments of updates")
    elif isinstance(block, Lines):
        yield _Part(head=[], items=(f"- {words(line)}" for line in block.lines), what="notes")
    elif isinstance(block, Picture):
        shown = (
            f"- {_MARKS[tie.state]} {words(f'{tie.function} → {tie.resource}: {tie.how}')}" for tie in block.reaches
        )
        yield _Part(head=[f"**{words(block.caption)}**", ""], items=shown, what="lines of pictures")
    elif isinstance(block, Chart):
        parts = [(name, values) for name, values in block.series if any(values)]
        ends = (f"- {words(name)}: {values[-1]:,} at the end, at most {max(values):,}" for name, values in parts)
        yield _Part(head=[f"**{words(block.caption)}**", ""], items=ends, what="lines of charts")
    elif isinstance(block, PathTree):
        caption = f"**{words(block.caption)}** {words(block.compared or '')}".rstrip()
        yield _fenced(caption, (_branch_line(block, at) for at in range(len(block.branches))), "paths")
    elif isinstance(block, Log):
        yield _fenced(f"**{words(block.caption)}**", block.lines, "lines of logs")


def _fenced(caption: str, lines: Iterable[str], what: str) -> _Part:
    shown = [printable(line) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return _Part(head=[caption, "", f"{fence}text"], items=shown, what=what, tail=[fence])


def _branch_line(tree: PathTree, at: int) -> str:
    branch = tree.branches[at]
    mode = "".join(text for text, _ in branch.mode.parts) if branch.mode else "?" * 10
    line = f"{branch.mark or ' '} {mode} {branch.user[0]}:{branch.group[0]} {'  ' * branch.depth}{branch.name}"
    line += f" → {branch.target}" if branch.target is not None else ""
    line += f"  [{branch.whose}]" if branch.whose else ""
    return line + (f"  ({', '.join(branch.changes)})" if branch.changes else "")


def _issue(issue: Issue) -> str:
    on = f" ({', '.join(map(words, issue.boards))})" if issue.boards else ""
    lines = [f"- {_MARKS[issue.state]} **{words(issue.where)}**{on}: {words(issue.message)}"]
    lines += [f"  - → {words(remedy)}" for remedy in issue.remedies]
    lines += [f"  - {code(issue.place)}"] if issue.place else []
    lines += [f"  - {code(line)}" for line in [*issue.log][-5:] if line.strip()]
    return "\n".join(lines)


def _cell(cell: Cell) -> str:
    detail = f" — {words(_short(cell.detail))}" if cell.detail else ""
    return (code(cell.text) if cell.code and cell.text else words(cell.text)) + detail


def _more(detail: str | None) -> str:
    return f": {words(_short(detail))}" if detail else ""


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
