"""Definitions that others wrote: judged by every rule for every board, without a crash; every finding is known."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from edge_sim.definitions.reader import read
from edge_sim.greengrass.rules import by_id
from edge_sim.profiles import list_profiles, load_profile
from edge_sim.validation.annotations import github
from edge_sim.validation.formats import as_json
from edge_sim.validation.junit import to_junit
from edge_sim.validation.results import of_verdict
from edge_sim.validation.sarif import to_sarif
from edge_sim.validation.text import lines
from edge_sim.validation.verdict import judge

FOLDER = Path(__file__).parents[1] / "definitions" / "found"
FOUND = sorted(path for path in FOLDER.iterdir() if path.suffix != ".md")


def test_what_others_wrote_is_judged_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    boards = {name: load_profile(name).facts() for name in list_profiles()}
    severities: Counter[str] = Counter()
    for path in FOUND:
        definition = read(path)
        for on in ({}, boards):
            verdict = judge(definition, on)
            ids = {one.finding.id for one in verdict.findings}
            assert {id_ for id_ in ids if by_id(id_) is None} == set(), path
            assert all(one.position is not None and one.finding.source for one in verdict.findings), path
            assert len(list(lines(verdict))) > len(verdict.findings)
            assert len(list(github(of_verdict(verdict)))) == len(as_json(verdict)["findings"]) == len(verdict.findings)
            assert len(to_sarif(verdict)["runs"][0]["results"]) == len(verdict.findings) + len(verdict.ignored)
            assert to_junit(verdict).startswith("<?xml")
        severities.update(one.finding.severity for one in verdict.findings)
    with capsys.disabled():
        told = ", ".join(f"{count} {severity}s" for severity, count in sorted(severities.items()))
        print(f"\ndefinitions written by others: {len(FOUND)} judged for {len(boards)} boards: {told}")
