"""Every rule finds fault with its own bad example and with nothing else in it, and has nothing against its good one."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from edge_sim.definitions.definition import Definition
from edge_sim.definitions.reader import read
from edge_sim.errors import InvalidDefinitionError, Position
from edge_sim.greengrass.rules import RULES
from edge_sim.greengrass.rules.rule import Rule
from edge_sim.greengrass.rules.settings import RuleSettings, quotas
from edge_sim.validation.examples import Example, Pair, examples, facts
from edge_sim.validation.verdict import Verdict, judge, unreadable
from edge_sim.versions import parse_version

BESIDE = {"core-missing", "connector-not-judged"}
"""Said of every example that has functions: the rest of the group is left out."""


def pair(rule: Rule) -> Pair:
    return examples()[rule.id]


def written(example: Example, folder: Path) -> Path:
    path = folder / ("example.json" if example.text.startswith("{") else "example.yaml")
    path.write_text(example.text, encoding="utf-8")
    return path


def verdict(example: Example, folder: Path) -> tuple[Verdict, Definition | None]:
    """The example as a user's file: read by the reader, judged with what it says it takes."""
    path = written(example, folder)
    try:
        definition = read(path)
    except InvalidDefinitionError as error:
        return unreadable(Position(file=path), error.problem, error.hint), None
    definition = replace(definition, mentions=example.mentions)
    boards = {} if example.board is None else {"board": facts(example.board)}
    settings = RuleSettings(quotas=quotas(example.limits), gid_only=example.gid_only)
    version = parse_version(example.ggc) if example.ggc else None
    return judge(definition, boards, version=version, settings=settings), definition


def test_every_rule_has_a_bad_and_a_good_example(capsys: pytest.CaptureFixture[str]) -> None:
    ids = [rule.id for rule in RULES]
    assert sorted(examples()) == sorted(ids)
    assert len(set(ids)) == len(ids)
    with capsys.disabled():
        boards = sum(rule.board for rule in RULES)
        print(f"\nrules: {len(ids)} ({boards} need a board), each with a minimal bad and a minimal good definition")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_bad_example_breaks_this_rule_alone(rule: Rule, tmp_path: Path) -> None:
    found = [one.finding for one in verdict(pair(rule).bad, tmp_path)[0].findings]
    assert {f.id for f in found} - (BESIDE - {rule.id}) == {rule.id}
    assert {(f.severity, f.phase) for f in found if f.id == rule.id} == {(rule.severity, rule.phase)}
    assert all(f.source for f in found)
    told = " ".join(f.aws_text or "" for f in found)
    assert set(re.findall(r"<[^<>]+>", told)) <= {"<rootfs>", "<target>"}, "AWS's text has its values filled in"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_good_example_breaks_none(rule: Rule, tmp_path: Path) -> None:
    found = [one.finding for one in verdict(pair(rule).good, tmp_path)[0].findings]
    assert [(f.id, f.message) for f in found if f.id not in BESIDE - {rule.id}] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_findings_point_at_the_fault(rule: Rule, tmp_path: Path) -> None:
    """The path leads to something that is there; only a missing member may be the step that is not."""
    judged, definition = verdict(pair(rule).bad, tmp_path)
    for one in judged.findings:
        assert one.position is not None
        assert one.position.file == written(pair(rule).bad, tmp_path)
        if definition is not None and one.finding.id not in ("core-missing", "unknown-key"):
            known = definition.indexed(one.finding.path)
            rest = one.finding.path.removeprefix(known)
            assert re.fullmatch(r"(\.\w+)?", rest), f"{one.finding.path} leads only to {known}"
