"""Where a rule is silenced: ``# edge-sim: ignore RULE reason`` in YAML, the list ``x-edge-sim-ignore`` in any form.

A comment behind something is about what starts in that line; one in a line of its own is about what starts next. Above
everything else it is about the group as a whole (``$``).
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Mapping

from edge_sim.definitions.definition import Ignored
from edge_sim.definitions.forms import IGNORE_LIST
from edge_sim.definitions.tree import Array, Object, TextFile, member_path, walk
from edge_sim.definitions.yamltext import scalar_spans
from edge_sim.errors import Position

_COMMENT = re.compile(r"(?:(?<=\s)|(?<=^))#\s*edge-sim:\s*ignore\b[ \t]*([\w.:-]*)[ \t]*([^\r\n]*)", re.MULTILINE)

_CONTENT = re.compile(r"^[ \t]*(?!---)[^\s#%]", re.MULTILINE)


def listed_ignores(top: Object) -> Iterator[Ignored]:
    """Yield the entries of a file's ignore list. Raises InvalidDefinitionError for one that is not whole."""
    entries = top.get(IGNORE_LIST)
    if entries is None:
        return
    if not isinstance(entries, Array):
        top.file.fail(top.marks[IGNORE_LIST], f"{IGNORE_LIST} must be a list of rule, path, reason")
    for index, entry in enumerate(entries):
        members = entry if isinstance(entry, Object) else {}
        rule, path, reason = (str(members.get(key) or "") for key in ("rule", "path", "reason"))
        if not rule or not reason or not path.startswith("$"):
            top.file.fail(entries.marks[index], f"an entry of {IGNORE_LIST} needs a rule, a path (from $) and a reason")
        yield Ignored(rule=rule, path=path, reason=reason, position=entries.position(index))


def comments(file: TextFile, sections: Mapping[str, Object], marks: Mapping[str, Position]) -> Iterator[Ignored]:
    """Yield what a YAML file's comments silence; ``marks`` are the places of what is beside the sections.

    Raises InvalidDefinitionError for a comment without rule or reason.
    """
    matches = list(_COMMENT.finditer(file.text))
    if not matches:
        return
    spans = list(scalar_spans(file))
    content = _CONTENT.search(file.text)
    start = content.end() if content else len(file.text)
    places = sorted({*_places(file, sections), *_marked(file, marks)})
    for match in matches:
        inside = bisect.bisect_right(spans, (match.start(), len(file.text))) - 1
        if inside >= 0 and match.start() < spans[inside][1]:
            continue
        position = file.position(match.start())
        if not match[1] or not match[2].strip():
            file.fail(match.start(), "an ignore comment is '# edge-sim: ignore RULE reason', but the reason is missing")
        yield Ignored(
            rule=match[1], path=_target(file, match, places, start), reason=match[2].strip(), position=position
        )


def _places(file: TextFile, sections: Mapping[str, Object]) -> Iterator[tuple[int, int, str]]:
    """Yield line, depth and path of every member that stands in this file."""
    for section in sections.values():
        for path, holder in walk(section):
            if holder.file is file:
                keys: list[str | int] = list(holder) if isinstance(holder, Object) else list(range(len(holder)))
                for key in keys:
                    yield _place(member_path(path, key), holder.position(key))  # type: ignore[arg-type]


def _marked(file: TextFile, marks: Mapping[str, Position]) -> Iterator[tuple[int, int, str]]:
    return (_place(path, position) for path, position in marks.items() if position.file == file.path)


def _place(path: str, position: Position) -> tuple[int, int, str]:
    return position.line, len(re.findall(r"[.\[]", path)), path


def _target(file: TextFile, match: re.Match[str], places: list[tuple[int, int, str]], content: int) -> str:
    """Return the path that a comment is about; ``content`` is where the file's first word is."""
    line_start = file.text.rfind("\n", 0, match.start()) + 1
    line = file.position(match.start()).line
    behind = bool(file.text[line_start : match.start()].strip())
    if not behind and line_start < content:
        return "$"
    index = bisect.bisect_left(places, (line if behind else line + 1, 0, ""))
    if index == len(places) or (behind and places[index][0] != line):
        return "$"
    return places[index][2]
