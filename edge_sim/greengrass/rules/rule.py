"""A rule: what V1 refused or warned of, with everything one can say about it, and the function that looks for it.

``@rule`` and ``@board_rule`` make a ``Rule`` of a generator of faults; its docstring is the rule in one sentence. A
rule knows nothing of the others. ``aws_text`` is AWS's message with ``<names>`` where it has values; a fault brings
the values, so that the text stands in one place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge_sim.facts import HostFacts
from edge_sim.greengrass.rules.case import Case
from edge_sim.report import Finding, Phase, Severity

_NAME = re.compile(r"<([^<>]+)>")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One place at which a rule is broken. ``values`` fill the names in the rule's ``aws_text``.

    ``unknown``: whether it is broken there is not known, for want of knowledge of the board.
    """

    path: str
    message: str
    resource: str | None = None
    function: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    aws_text: str | None = None
    """AWS's text as it is, where the rule's template does not fit."""
    hint: str | None = None
    unknown: bool = False


Label = Literal["sourced", "inferred", "ours"]
"""``sourced``: a page, the service's model or a captured message says so. ``inferred``: the sources fit together only
so, or a sibling case is documented. ``ours``: AWS is silent, and the project had to decide."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """How well each part of a rule is known: what is wrong, when V1 said so, in which words, with which error code.

    ``code`` is None where there is none: only the cloud's answers and a deployment's ErrorMessage have one.
    """

    condition: Label
    timing: Label
    text: Label
    code: Label | None = None


Check = Callable[[Case], Iterator[Fault]]
BoardCheck = Callable[[Case, HostFacts], Iterator[Fault]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One entry of the catalogue.

    ``since`` and ``until`` are the core's release lines (``1.10``) that the rule holds for, both included.
    ``aws_code`` is the error code that V1 was seen to answer with. ``board``: it needs a board's facts.
    ``unsupported``: AWS says that this board or version does not have the feature at all. ``on_core``: the core
    refused it, not the cloud, though the definition says enough. ``while_reading``: the reader of definitions finds
    it, ``check`` never does.
    """

    id: str
    what: str
    severity: Severity
    phase: Phase
    source: str
    labels: Labels
    aws_text: str | None = None
    aws_code: str | None = None
    hint: str | None = None
    since: str | None = None
    until: str | None = None
    board: bool = False
    unsupported: bool = False
    on_core: bool = False
    while_reading: bool = False
    check: Check

    def holds(self, case: Case) -> bool:
        """Return whether the rule says anything about this core version, with what is known of the board."""
        if self.board and case.facts is None:
            return False
        line = case.version[:2]
        return (self.since is None or line >= _line(self.since)) and (self.until is None or line <= _line(self.until))

    def findings(self, case: Case) -> Iterator[Finding]:
        """Yield a finding for each place of ``case`` at which the rule is broken."""
        if self.holds(case):
            yield from (self._finding(fault) for fault in self.check(case))

    def _finding(self, fault: Fault) -> Finding:
        return Finding(
            id=self.id,
            severity="unknown" if fault.unknown else self.severity,
            phase=self.phase,
            path=fault.path,
            message=fault.message,
            aws_text=None if fault.unknown else self._aws_text(fault),
            resource=fault.resource,
            function=fault.function,
            source=self.source,
            hint=fault.hint or self.hint,
        )

    def _aws_text(self, fault: Fault) -> str | None:
        return fault.aws_text or (fill(self.aws_text, fault.values) if self.aws_text else None)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return AWS's text with its names replaced; a name without a value stays."""
    return _NAME.sub(lambda match: values.get(match[1], match[0]), template)


def rule(
    id_: str,
    *,
    condition: Label,
    timing: Label,
    source: str,
    severity: Severity = "error",
    phase: Phase = "deploy",
    text: Label | None = None,
    aws_text: str | None = None,
    aws_code: str | None = None,
    hint: str | None = None,
    since: str | None = None,
    until: str | None = None,
    unsupported: bool = False,
    on_core: bool = False,
) -> Callable[[Check], Rule]:
    """Make a rule of a function that looks at the definition alone."""

    def decorate(check: Check) -> Rule:
        return Rule(
            id=id_,
            what=_sentence(check.__doc__),
            severity=severity,
            phase=phase,
            source=source,
            labels=Labels(
                condition=condition,
                timing=timing,
                text=text or _text(aws_text),
                code=None if on_core else _code(severity, phase, aws_text, aws_code),
            ),
            aws_text=aws_text,
            aws_code=aws_code,
            hint=hint,
            since=since,
            until=until,
            unsupported=unsupported,
            on_core=on_core,
            check=check,
        )

    return decorate


def board_rule(
    id_: str,
    *,
    condition: Label,
    timing: Label,
    source: str,
    severity: Severity = "error",
    phase: Phase = "deploy",
    aws_text: str | None = None,
    hint: str | None = None,
    unsupported: bool = False,
) -> Callable[[BoardCheck], Rule]:
    """Make a rule of a function that looks at the definition and a board."""

    def decorate(check: BoardCheck) -> Rule:
        def on_the_board(case: Case) -> Iterator[Fault]:
            if case.facts is not None:
                yield from check(case, case.facts)

        return Rule(
            id=id_,
            what=_sentence(check.__doc__),
            severity=severity,
            phase=phase,
            source=source,
            labels=Labels(condition=condition, timing=timing, text=_text(aws_text)),
            aws_text=aws_text,
            hint=hint,
            board=True,
            unsupported=unsupported,
            check=on_the_board,
        )

    return decorate


def reading_rule(
    id_: str,
    what: str,
    *,
    condition: Label,
    timing: Label,
    source: str,
    severity: Severity = "error",
    phase: Phase = "create",
    aws_text: str | None = None,
    hint: str | None = None,
) -> Rule:
    """Return the entry for what the reader of definitions finds."""
    return Rule(
        id=id_,
        what=what,
        severity=severity,
        phase=phase,
        source=source,
        labels=Labels(
            condition=condition,
            timing=timing,
            text=_text(aws_text),
            code=_code(severity, phase, aws_text, None),
        ),
        aws_text=aws_text,
        hint=hint,
        while_reading=True,
        check=lambda _: iter(()),
    )


def _text(aws_text: str | None) -> Label:
    return "sourced" if aws_text else "ours"


def _code(severity: Severity, phase: Phase, aws_text: str | None, aws_code: str | None) -> Label | None:
    """What is refused in the cloud has a code: the bare status 400 with AWS's texts at create, else mostly our own."""
    if aws_code or (phase == "create" and aws_text):
        return "sourced"
    return "ours" if severity == "error" and phase != "run" else None


def _sentence(doc: str | None) -> str:
    return " ".join((doc or "").split())


def _line(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
