"""Reports for tests of what is made of them: one board by hand, with a stranger's words in every text of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, TypeVar, cast

from edge_sim.certificate import CertificateRow
from edge_sim.errors import Position
from edge_sim.facts import Node
from edge_sim.greengrass.blast import BlastRadius, GidReach
from edge_sim.greengrass.process import Identity
from edge_sim.greengrass.rows import AccessRow, Answer, LayoutRow
from edge_sim.runs.results import BoardReport, Problem, RunReport
from edge_sim.runs.rows import DeploymentRow, FunctionRow, UpdateRow, UpdateStep

_T = TypeVar("_T")
PAYLOADS = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' onfocus='alert(1)' autofocus='",
    "</title><svg/onload=alert(1)>",
    "</style><script>alert(1)</script>",
    "</text></svg><iframe srcdoc='<script>alert(1)</script>'>",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}",
    "&lt;b&gt;&#60;i&#62;",
    "`|a|b|`\n## heading\n<details open>",
    "[click](javascript:alert(1)) ![x](https://example.com/x.png)",
    "::error file=x::y%0A\r\n::set-output name=a::b",
    "right\u202etfel \u2066 \x00\x1b[31m\x07 \ud800 \u2028\u2029",
    "@everyone #1 https://example.com/",
    "a" * 400,
)
"""What names, logs and messages may hold to break out of text, attributes, script, SVG, Markdown or commands."""


def failed_board(name: str = "raspberry-pi-3", **changes: Any) -> BoardReport:
    """A board with one of everything: a bad row, a good one, an open one; a failed function with a log; two updates."""
    yes, no = (
        Answer(computed=True, probed=True, by="attachment"),
        Answer(computed=False, probed=False, fix="chmod g+r /m"),
    )
    values: dict[str, Any] = {
        "profile": name,
        "architecture": "armv7l",
        "operating_system": "raspbian",
        "core": "1.10.0",
        "certificate": [
            CertificateRow(
                fact="libc", claimed="musl", actual="glibc", verdict="not faithful", reason="glibc instead of musl"
            ),
            CertificateRow(fact="umask", claimed="0022", actual="0022", verdict="true"),
        ],
        "deployment": DeploymentRow(id="d", group_id="g", status="Success"),
        "layout": [
            LayoutRow(path="/m", node=Node(type="directory", uid=0, gid=100, mode=0o550), resource="model"),
            LayoutRow(path="/m/weights", node=Node(type="file", uid=0, gid=100, mode=0o440), resource="model"),
            LayoutRow(path="/w", node=Node(type="link", uid=0, gid=0, mode=0o777, target="/m"), function="reader"),
        ],
        "access": [
            access_row("reader", "model", "ro", no, no, ok=False, reasons=("/m is 0550 0:100; other bits",)),
            access_row("writer", "model", "ro", yes, no, ok=True),
            access_row("writer", "other", "none", replace(yes, by="shared gid"), no, ok=None, unknown="no listing"),
        ],
        "blast_radius": BlastRadius(
            groups=(
                GidReach(
                    gid=100,
                    names=("users",),
                    accounts=(),
                    models=("model",),
                    functions=("reader",),
                    also=(),
                    warnings=(),
                ),
            ),
            root_functions=(),
        ),
        "functions": [
            FunctionRow(
                function="reader",
                ok=False,
                result=None,
                error="PermissionError",
                log="opening\nfailed",
                notes=(),
                isolation="NoContainer",
                identity=Identity(uid=110, gid=996, groups=(100,)),
                seconds=0.25,
            )
        ],
        "updates": [
            UpdateRow(
                job_id="j",
                job_status="COMPLETED",
                before="1.10.0",
                to="1.11.6",
                status="FAILED",
                running="1.10.0",
                details={"reason": "ACTIVATE: died"},
                timeline=(
                    UpdateStep(phase="STAGE", detail=None, seconds=0.0),
                    UpdateStep(phase="FAILED", detail="died", seconds=2.0),
                ),
                as_expected=False,
            )
        ],
        "not_proven": ["owners of the files: no subordinate ids"],
        "notes": ["a note"],
        "problems": [
            Problem(kind="access", where="reader × model", message="expected ro", place=RESOURCES),
            Problem(
                kind="function", where="reader", message="PermissionError", hint="attach it", log=["opening", "failed"]
            ),
            Problem(kind="update", where="core 1.10.0 → 1.11.6", message="ended FAILED"),
        ],
        "user_names": {110: "ggc_user"},
        "group_names": {996: "ggc_group", 100: "users"},
        "places": {("resource", "model"): RESOURCES},
        "seconds": 12.5,
    }
    return BoardReport(**{**values, **changes})


RESOURCES = Position(file=Path("resources.json"), line=3, column=5)


def access_row(function: str, resource: str, expected: Any, read: Answer, write: Answer, **changes: Any) -> AccessRow:
    """A row about one resource; what is not told is as in a good one."""
    values: dict[str, Any] = {
        "type": "ML_Model.S3_Object", "path": "/m", "paths": 1, "total": 1, "agree": True, "ok": True, "reasons": (),
        "chain": ("search: / is 0755 0:0",), "not_started": None, "list": Answer(), "execute": Answer(),
    }  # fmt: skip
    row = {"function": function, "resource": resource, "expected": expected, "read": read, "write": write}
    return AccessRow(**{**values, **row, **changes})


def run_report(*boards: BoardReport) -> RunReport:
    return RunReport(
        scenario="scenario",
        parts={"broker": "mosquitto", "region": "us-east-1"},
        boards=list(boards),
    )


def with_texts(value: _T, change: Callable[[str], str], keep: frozenset[str] = frozenset()) -> _T:
    """Return a report with every text changed, but for the words in ``keep`` and those of a closed set."""

    def walk(one: Any) -> Any:
        if isinstance(one, str):
            return one if one in _CLOSED or one in keep else change(one)
        if isinstance(one, Mapping):
            return {walk(key): walk(item) for key, item in one.items()}
        if isinstance(one, list | tuple):
            return type(one)(map(walk, one))
        if is_dataclass(one) and not isinstance(one, type) and not isinstance(one, Position):
            return replace(one, **{field.name: walk(getattr(one, field.name)) for field in fields(one) if field.init})
        return one

    return cast(_T, walk(value))


_CLOSED = frozenset(
    re.findall(
        r"\S+",
        "ro rw none attachment owner root directory file link char block fifo socket true emulated disagreement "
        "definition access function update resource ok",
    )
) | {"shared gid", "world bits", "not faithful"}


class Elements(HTMLParser):
    """What a parser that is not ours finds in a page: elements, attributes, text, and what scripts hold."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.values: dict[str, list[str]] = {}
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._in = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            self.values.setdefault(name, []).append(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_comment(self, data: str) -> None:
        self.tags.add("!--")

    def handle_data(self, data: str) -> None:
        (self.scripts if self._in == "script" else self.words).append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)
