"""Rows of reports: who may open what, and what lies where. Every format reads these; ``as_json`` is the contract.

The agent prints them as JSON on the board, and a run reads that back into the same values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from edge_sim.facts import Node, NodeType
from edge_sim.greengrass.access import RIGHTS, Right
from edge_sim.greengrass.remedy import By
from edge_sim.jsonobject import JsonObject

Expected = Literal["ro", "rw", "none"]
_EXPECTED: tuple[Expected, ...] = get_args(Expected)
_BY: tuple[By, ...] = get_args(By)
_TYPES: tuple[NodeType, ...] = get_args(NodeType)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a real process could do with a path, or a secret.

    ``errors`` holds the kernel's word for each refusal. ``enforced`` is False where the device is attached read-only
    and nothing here keeps the function from writing.
    """

    read: bool = False
    write: bool = False
    list: bool = False
    execute: bool = False
    errors: Mapping[str, str] = field(default_factory=dict)
    enforced: bool = True

    def grants(self, right: Right) -> bool:
        """Return the answer to one question."""
        return bool(getattr(self, right))


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One right of an access row.

    ``computed`` and ``probed`` are None where the question makes no sense or has no answer; ``by`` is what gives the
    right, ``fix`` the change that would reverse the answer.
    """

    computed: bool | None = None
    probed: bool | None = None
    by: By | None = None
    fix: str | None = None

    @classmethod
    def from_json(cls, answer: JsonObject) -> Answer:
        return cls(
            computed=answer.flag_or_none("computed"),
            probed=answer.flag_or_none("probed"),
            by=None if answer.get("by") is None else answer.word("by", _BY),
            fix=answer.text_or_none("fix"),
        )


@dataclass(frozen=True, kw_only=True)
class AccessRow:
    """What one function may do with one resource, or with one path.

    ``path`` is as the function names it, None for a secret; ``paths`` are so many of ``total`` in it that were asked
    about. ``agree``: the probe bears the computed answer out; ``ok``: the access is as the definition says; each None
    where that cannot be said. ``chain`` is the way to the first path, or to the first that is not as it should be.
    ``not_started`` is why the function does not start, so that it can open nothing; ``unknown`` is why the answers that
    are None are not known.
    """

    function: str
    resource: str | None
    type: str | None
    path: str | None
    paths: int
    total: int
    expected: Expected
    read: Answer
    write: Answer
    list: Answer
    execute: Answer
    agree: bool | None
    ok: bool | None
    reasons: tuple[str, ...]
    chain: tuple[str, ...]
    not_started: str | None
    unknown: str | None = None

    @property
    def answers(self) -> Mapping[Right, Answer]:
        return {"read": self.read, "write": self.write, "list": self.list, "execute": self.execute}

    @property
    def name(self) -> str:
        """What the row is about, for headings and problems."""
        return f"{self.function} × {self.resource or self.path}"

    def as_json(self) -> dict[str, object]:
        return {**vars(self), **{right: vars(answer) for right, answer in self.answers.items()}}

    @classmethod
    def from_json(cls, row: JsonObject) -> AccessRow:
        """Return the row that ``as_json`` was made from; raises ValueError for anything else."""
        answers = {right: Answer.from_json(row.child(right)) for right in RIGHTS}
        return cls(
            function=row.text("function"),
            resource=row.text_or_none("resource"),
            type=row.text_or_none("type"),
            path=row.text_or_none("path"),
            paths=row.number("paths"),
            total=row.number("total"),
            expected=row.word("expected", _EXPECTED),
            **answers,
            agree=row.flag_or_none("agree"),
            ok=row.flag_or_none("ok"),
            reasons=row.texts("reasons"),
            chain=row.texts("chain"),
            not_started=row.text_or_none("not_started"),
            unknown=row.text_or_none("unknown"),
        )


@dataclass(frozen=True, kw_only=True)
class LayoutRow:
    """One path on a board's disk, with the resource and function that the plan gives it to."""

    path: str
    node: Node
    resource: str | None = None
    function: str | None = None

    def as_json(self) -> dict[str, object]:
        """Return the row; ``mode`` is octal text, as ``chmod`` takes it."""
        return {"path": self.path, **node_json(self.node), "resource": self.resource, "function": self.function}

    @classmethod
    def from_json(cls, row: JsonObject) -> LayoutRow:
        """Return the row that ``as_json`` was made from; raises ValueError for anything else."""
        node = Node(
            type=row.word("type", _TYPES),
            uid=row.number("uid"),
            gid=row.number("gid"),
            mode=int(row.text("mode"), 8),
            target=row.text_or_none("target"),
        )
        resource, function = row.text_or_none("resource"), row.text_or_none("function")
        return cls(path=row.text("path"), node=node, resource=resource, function=function)


def node_json(node: Node) -> dict[str, object]:
    """Return a node as JSON; its mode is octal text."""
    return {"type": node.type, "uid": node.uid, "gid": node.gid, "mode": f"{node.mode:04o}", "target": node.target}
