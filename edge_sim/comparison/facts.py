"""What a report says, as facts with names: one row for each access, path, update, rule and property.

Reads the JSON documents of ``run``, ``validate``, ``matrix``, ``access``, ``plan`` and ``drift``, also where they are
inside an HTML report. What is another at every run (ids, times, process numbers, places in files) is no fact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from edge_sim.documents import read_bytes
from edge_sim.errors import UsageError
from edge_sim.greengrass.access import RIGHTS
from edge_sim.jobs.update import title
from edge_sim.jsonobject import JsonObject
from edge_sim.strictjson import loads

Kind = Literal["deployment", "access", "path", "function", "update", "rule", "core version", "problem", "property"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which a comparison shows them."""
MAX_BYTES = 64 * 1024 * 1024
_DATA = re.compile(rb'<script type="application/json" id="edge-sim-data">(.*?)</script>', re.DOTALL)
_CHANGING = re.compile(r"\[pid = \d+\]|GreengrassUpdateJob_[0-9a-f-]+")
_HINT = "Pass reports that edge-sim wrote with --format json or --format html."


@dataclass(frozen=True, kw_only=True)
class Name:
    """What a fact is about. ``board`` is empty where it is about the definition alone."""

    kind: Kind
    board: str
    name: str


Fields = Mapping[str, str]
Facts = Mapping[Name, Fields]


@dataclass(frozen=True, kw_only=True)
class ReportFacts:
    """A report's facts; ``kinds`` are those it speaks of at all, ``boards`` those it knows."""

    file: str
    facts: Facts
    kinds: frozenset[Kind]
    boards: frozenset[str]


def read(file: Path) -> ReportFacts:
    """Return what a report says. Raises UsageError for a file that is none, or that holds no result."""
    data = read_bytes(file, MAX_BYTES)
    inside = _DATA.search(data)
    try:
        document = JsonObject(loads(inside[1] if inside else data, exact=False), "the report")
        _refuse_empty(file, document)
        readers = [reader for members, reader in _READERS if members <= {*document}]
        if not readers:
            raise UsageError(f"{file}: not a report of edge-sim", hint=_HINT)
        facts = {name: fields for reader in readers for name, fields in reader(document)}
    except ValueError as error:
        raise UsageError(f"{file}: not a report of edge-sim: {error}", hint=_HINT) from error
    kinds = frozenset(kind for reader in readers for kind in _KINDS_OF[reader])
    return ReportFacts(file=str(file), facts=facts, kinds=kinds, boards=frozenset(_boards(document)))


def _refuse_empty(file: Path, document: JsonObject) -> None:
    if "left_out" in document:
        raise UsageError(f"{file}: {document.text('left_out')}")
    if "error" in document:
        message = document.child("error").text("message")
        raise UsageError(f"{file}: this report holds no result: {message}", hint="Compare reports of finished runs.")


def _boards(document: JsonObject) -> Iterator[str]:
    for key in ("boards", "cells"):
        for entry in document.children(key, lambda row: row) if key in document else ():
            yield entry.text("target") if entry.get("target") else entry.text("profile")
    yield from document.texts("profiles") if "profiles" in document else ()


Rows = Iterator[tuple[Name, Fields]]


def _of_access(document: JsonObject) -> Rows:
    for board in document.children("boards", lambda row: row):
        yield from _access(board, board.text("target"))


def _of_run(document: JsonObject) -> Rows:
    for board in document.children("boards", lambda row: row):
        yield from _access(board, board.text("profile"))
        yield from _board(board, board.text("profile"))


def _access(board: JsonObject, name: str) -> Rows:
    for row in board.children("access", lambda row: row):
        what = row.text_or_none("resource") or row.text_or_none("path") or ""
        fields = {"expected": row.text("expected"), "as defined": _word(row.flag_or_none("ok"))}
        for right in RIGHTS:
            answer = row.child(right)
            probed = answer.flag_or_none("probed")
            fields[right] = _word(answer.flag_or_none("computed") if probed is None else probed)
            fields[f"{right} by"] = answer.text_or_none("by") or "nothing"
        yield Name(kind="access", board=name, name=f"{row.text('function')} × {what}"), fields


def _board(board: JsonObject, name: str) -> Rows:
    deployment = board.child("deployment")
    status = deployment.text_or_none("status") or "none"
    ended = {"status": status, "error": _steady(deployment.text_or_none("error"))}
    yield Name(kind="deployment", board=name, name=board.text("core")), ended
    for row in board.children("layout", lambda row: row):
        yield Name(kind="path", board=name, name=row.text("path")), _node(row)
    for row in board.children("functions", lambda row: row):
        fields = {"as expected": _word(row.flag("ok")), "error": _steady(row.text_or_none("error"))}
        fields["isolation"] = row.text("isolation")
        yield Name(kind="function", board=name, name=row.text("function")), fields
    for row in board.children("updates", lambda row: row):
        fields = {"status": row.text("status"), "runs afterwards": row.text("running")}
        fields |= {"as expected": _word(row.flag("as_expected")), "reason": _steady(row.text_or_none("reason"))}
        software = title(row.text_or_none("software") or "core")  # which an older report does not say
        yield Name(kind="update", board=name, name=f"{software} {row.text('from')} → {row.text('to')}"), fields
    for row in board.children("certificate", lambda row: row):
        fields = {"verdict": row.text("verdict"), "found": row.text("found")}
        yield Name(kind="property", board=name, name=row.text("fact")), fields
    for row in board.children("problems", lambda row: row):
        what = f"{row.text('kind')}: {row.text('where')}: {_steady(row.text('message'))}"
        yield Name(kind="problem", board=name, name=what), {"problem": "yes"}
    for text in board.texts("not_proven"):
        yield Name(kind="problem", board=name, name=f"not proven: {text}"), {"problem": "not proven"}


def _of_verdict(document: JsonObject) -> Rows:
    for row in document.children("findings", lambda row: row):
        for board in row.texts("profiles") or ("",):
            about = row.text_or_none("resource") or row.text_or_none("function") or row.text("path")
            name = f"{row.text('id')}: {about}: {row.text('message')}"
            yield Name(kind="rule", board=board, name=name), {"severity": row.text("severity")}


def _of_matrix(document: JsonObject) -> Rows:
    for row in document.children("cells", lambda row: row):
        cause = row.child("cause") if row.get("cause") is not None else None
        real = row.child("real") if row.get("real") is not None else None
        fields = {
            "status": row.text("status"),
            "cause": f"{cause.text('id')}: {cause.text('message')}" if cause else "none",
        }
        fields["on a simulated board"] = real.text("status") if real else "not run"
        yield Name(kind="core version", board=row.text("profile"), name=row.text("ggc")), fields


def _of_plan(document: JsonObject) -> Rows:
    for row in document.children("entries", lambda row: row):
        change = row.child("change").text_or_none("kind") if row.get("change") is not None else None
        fields = {**_node(row), "change": change or "none", "rule": row.text_or_none("rule") or "none"}
        yield Name(kind="path", board="", name=row.text("path")), fields


def _of_drift(document: JsonObject) -> Rows:
    for row in document.children("differences", lambda row: row):
        fields = {"difference": row.text("kind"), "in": ", ".join(row.texts("words"))}
        node = row.child("found") if row.get("found") is not None else None
        yield Name(kind="path", board="", name=row.text("path")), {**fields, **(_node(node) if node else {})}


def _node(row: JsonObject) -> dict[str, str]:
    fields = {"type": row.text("type"), "uid": str(row.number("uid")), "gid": str(row.number("gid"))}
    if fields["type"] != "link":
        fields["mode"] = row.text("mode")
    return {**fields, "target": row.text_or_none("target") or "none"}


def _word(flag: bool | None) -> str:
    return "unknown" if flag is None else "yes" if flag else "no"


def _steady(text: str | None) -> str:
    return _CHANGING.sub("…", text) if text else "none"


_Reader = Callable[[JsonObject], Rows]
_READERS: tuple[tuple[set[str], _Reader], ...] = (
    ({"boards", "scenario"}, _of_run),
    ({"boards", "unknown"}, _of_access),
    ({"findings", "profiles"}, _of_verdict),
    ({"cells"}, _of_matrix),
    ({"entries", "uses"}, _of_plan),
    ({"differences", "target"}, _of_drift),
)
"""The members by which each document is known."""
_KINDS_OF: Mapping[_Reader, tuple[Kind, ...]] = {
    _of_access: ("access",),
    _of_run: ("deployment", "access", "path", "function", "update", "problem", "property"),
    _of_verdict: ("rule",),
    _of_matrix: ("core version",),
    _of_plan: ("path",),
    _of_drift: ("path",),
}
