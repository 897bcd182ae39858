"""Every rule finds fault with its own bad example and with nothing else in it, and has nothing against its good one."""

from __future__ import annotations

import re

import pytest
import yaml

from edge_sim.greengrass.rules import RULES
from edge_sim.greengrass.rules.rule import Rule
from edge_sim.validation.examples import Pair, examples

BESIDE = {"core-missing"}
"""Said of every example that has functions: the rest of the group is left out."""


def pair(rule: Rule) -> Pair:
    return examples()[rule.id]


def test_every_rule_has_a_bad_and_a_good_example(capsys: pytest.CaptureFixture[str]) -> None:
    ids = [rule.id for rule in RULES]
    assert sorted(examples()) == sorted(ids)
    assert len(set(ids)) == len(ids)
    with capsys.disabled():
        boards = sum(rule.board for rule in RULES)
        print(f"\nrules: {len(ids)} ({boards} need a board), each with a minimal bad and a minimal good definition")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_bad_example_breaks_this_rule_alone(rule: Rule) -> None:
    found = pair(rule).bad.findings()
    assert {f.id for f in found} - (BESIDE - {rule.id}) == {rule.id}
    assert {(f.severity, f.phase) for f in found if f.id == rule.id} == {(rule.severity, rule.phase)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_findings_point_into_the_definition(rule: Rule) -> None:
    document = yaml.safe_load(pair(rule).bad.text)
    for finding in pair(rule).bad.findings():
        steps = [int(s) if s.isdigit() else s for s in re.findall(r"\w+", finding.path)]
        value, missing = document, 0
        for step in steps:
            try:
                value = value[step]
            except (KeyError, IndexError):
                missing += 1
                break
        assert not missing or step == steps[-1], f"{finding.path}: only what is missing may be the last step"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_good_example_breaks_none(rule: Rule) -> None:
    found = pair(rule).good.findings()
    assert [(f.id, f.message) for f in found if f.id not in BESIDE - {rule.id}] == []
