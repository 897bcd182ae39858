"""A definition judged: alone, or for one or more boards; every finding with its place, silenced ones apart.

What the reader found comes first, then the rules: once for each board, equal findings put together. A rule says
nothing about what could not be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

from edge_sim.definitions.definition import Definition, Ignored, in_order
from edge_sim.errors import Position
from edge_sim.facts import HostFacts
from edge_sim.greengrass import prefix, rules
from edge_sim.greengrass.rules.settings import DEFAULT, RuleSettings
from edge_sim.report import SEVERITIES, Finding
from edge_sim.validation.unread import Unread
from edge_sim.versions import Version

_WHOLE = ("bundle", "greengo", "group.json", "scenario")
"""Forms that hold a whole group: what is not in them is nowhere else."""
NO_FAULTS: Mapping[str, Finding] = MappingProxyType({})
_RULES_HINT = "See: edge-sim rules"
MIGRATION = "v2-"
"""What the ids of the checks of a migration begin with: those are judged by ``edge-sim migrate`` alone."""
Look = Callable[[Definition, HostFacts | None], Iterable[Finding]]
"""Says what some rules say about a definition on one board, or about the definition alone."""


@dataclass(frozen=True, kw_only=True)
class LocatedFinding:
    """A finding and where it is. ``boards`` are those it holds for; none: it is about the definition alone."""

    finding: Finding
    position: Position | None
    boards: tuple[str, ...] = ()
    ignored: Ignored | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is to be said about a definition. ``findings`` count, ``ignored`` are silenced by the definition."""

    form: str
    boards: tuple[str, ...]
    findings: tuple[LocatedFinding, ...]
    ignored: tuple[LocatedFinding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.errors

    @cached_property
    def errors(self) -> tuple[LocatedFinding, ...]:
        return tuple(result for result in self.findings if result.finding.severity == "error")

    @cached_property
    def unknowns(self) -> tuple[LocatedFinding, ...]:
        """What the boards' facts do not decide."""
        return tuple(result for result in self.findings if result.finding.severity == "unknown")


def judge(
    definition: Definition,
    boards: Mapping[str, HostFacts],
    *,
    version: Version | None = None,
    settings: RuleSettings = DEFAULT,
    faults: Mapping[str, Finding] = NO_FAULTS,
) -> Verdict:
    """Judge a definition for every board, or without one when there is none.

    ``version`` is the core's, in place of the boards' own. ``faults``: what keeps a scenario from being on a board.
    """

    def look(variant: Definition, facts: HostFacts | None) -> list[Finding]:
        return rules.check(
            variant.group,
            facts,
            version=version,
            settings=settings,
            others=others(variant),
            partial=variant.form not in _WHOLE and "resources" not in variant.sections,
            mentions=variant.mentions,
        )

    verdict = judged(definition, boards, look, faults=faults)
    return replace(verdict, notes=(*verdict.notes, *_unread_code(definition)))


def _unread_code(definition: Definition) -> Iterator[str]:
    """Yield what was not looked at for want of the functions' code: only a scenario has it here."""
    group = definition.group
    unread = [f.id for f in group.functions if f.id not in definition.mentions and prefix.model_paths(group, f)]
    if unread:
        yield (
            f"the code of {', '.join(unread)} was not checked for {prefix.VARIABLE}, with which it opens its models; "
            "a scenario (edge-sim.yaml) that names the code's folder adds this check, and so do plan and access with "
            "--source"
        )


def judged(
    definition: Definition,
    boards: Mapping[str, HostFacts],
    look: Look,
    *,
    faults: Mapping[str, Finding] = NO_FAULTS,
    migration: bool = False,
) -> Verdict:
    """Return the verdict on a definition, with what ``look`` says of it on every board and in every variant.

    ``migration``: it is the checks of a migration that look, so that only ignores of theirs can be unused.
    """
    results = [*_results(definition, boards, look, faults)]
    if definition.variants:
        variants = {words: [*_results(variant, boards, look, faults)] for words, variant in definition.variants.items()}
        results = [*_conditional(results, variants)]
    findings = [result for result in results if result.ignored is None]
    silenced = [result for result in results if result.ignored is not None]
    findings += _unused(definition, silenced, migration=migration)
    return Verdict(
        form=definition.form,
        boards=tuple(boards),
        findings=tuple(sorted(findings, key=_order)),
        ignored=tuple(sorted(silenced, key=_order)),
        notes=tuple(map(str, definition.notes)),
    )


def others(definition: Definition) -> dict[str, object]:
    """Return the lists of a group's definitions as the API has them, by name: ``Subscriptions``."""
    return {key: value for section in definition.sections.values() for key, value in section.items()}


def _results(
    definition: Definition, boards: Mapping[str, HostFacts], look: Look, faults: Mapping[str, Finding]
) -> Iterator[LocatedFinding]:
    """Yield what the reader found and what the rules say, without the variants of a template."""
    boards_by_finding: dict[Finding, tuple[str, ...]] = dict.fromkeys(definition.findings, ())
    boards_by_finding |= {finding: (name,) for name, finding in faults.items()}
    unread = Unread(definition)
    readings = [reading for version in (definition, *definition.alternatives) for reading in unread.readings(version)]
    for name, facts in boards.items() or [("", None)]:
        for finding in _common([look(reading, facts) for reading in readings]):
            if not unread.covers(finding):
                boards_by_finding[finding] = (*boards_by_finding.get(finding, ()), *([name] if name else ()))
    for finding, on in boards_by_finding.items():
        position, ignored = definition.locate(finding.path), definition.ignore_for(finding)
        yield LocatedFinding(finding=finding, position=position, boards=on, ignored=ignored)


def _common(views: Sequence[Iterable[Finding]]) -> Iterator[Finding]:
    """Yield the findings that all views have."""
    first, *more = map(list, views)
    return (finding for finding in first if all(finding in view for view in more))


def _conditional(
    results: Sequence[LocatedFinding], variants: Mapping[str, Sequence[LocatedFinding]]
) -> Iterator[LocatedFinding]:
    """Yield the findings of all variants once; one that some of them do not have names the conditions it needs."""
    keys = {words: {_same(result) for result in others} for words, others in variants.items()}
    for result in results:
        conditions = [words for words in variants if _same(result) not in keys[words]]
        yield _where(result, [words.replace(" false", " true") for words in conditions])
    seen = {_same(result) for result in results}
    for words, others in variants.items():
        for result in others:
            if _same(result) not in seen:
                seen.add(_same(result))
                yield _where(result, [words])


def _same(result: LocatedFinding) -> tuple[object, ...]:
    """Return what makes two findings of different variants one; paths count the items of a list."""
    message = re.sub(r"\[\d+\]", "[]", result.finding.message)
    return result.finding.id, result.position, message, result.boards, result.finding.severity


def _where(result: LocatedFinding, conditions: Sequence[str]) -> LocatedFinding:
    if not conditions:
        return result
    message = f"{result.finding.message} (where {' and '.join(conditions)})"
    return replace(result, finding=replace(result.finding, message=message))


def unreadable(position: Position, message: str, hint: str | None) -> Verdict:
    """Return the verdict on a file that could not be read at all."""
    finding = _ours("unreadable", path="$", message=message, hint=hint)
    return Verdict(form="unreadable", boards=(), findings=(LocatedFinding(finding=finding, position=position),))


def _unused(definition: Definition, silenced: Sequence[LocatedFinding], *, migration: bool) -> Iterator[LocatedFinding]:
    entries = {result.ignored for result in silenced}
    for entry in definition.ignored:
        if entry not in entries and entry.rule.startswith(MIGRATION) == migration:
            known = rules.by_id(entry.rule) is not None
            message = f"the ignore of {entry.rule!r} suppresses nothing" + ("" if known else ": there is no such rule")
            finding = _ours("ignore-unused", path=entry.path, message=message, hint=None if known else _RULES_HINT)
            yield LocatedFinding(finding=finding, position=entry.position)


def _ours(rule_id: str, *, path: str, message: str, hint: str | None) -> Finding:
    rule = rules.by_id(rule_id)
    assert rule is not None  # noqa: S101 - in the catalogue
    return Finding(
        id=rule.id,
        severity=rule.severity,
        phase=rule.phase,
        path=path,
        message=message,
        source=rule.source,
        hint=hint or rule.hint,
    )


def _order(result: LocatedFinding) -> tuple[str, int, int, int, str]:
    return (*in_order(result.position), SEVERITIES.index(result.finding.severity), result.finding.id)
