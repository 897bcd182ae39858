"""What ``edge-sim try`` runs: a scenario made of a group and its options."""

from __future__ import annotations

from pathlib import Path

from edge_sim.definitions import reader
from edge_sim.definitions.conditions import Choice
from edge_sim.offline import trial
from tests.unit.test_init import TEMPLATE


def test_a_trial_of_a_template_has_values_for_what_its_stack_knows_and_names_them(tmp_path: Path) -> None:
    file = tmp_path / "template.yaml"
    file.write_text(TEMPLATE)
    (tmp_path / "main.py").write_text("def handler(event, context): ...\n")
    choice = Choice(parameters={"Bucket": "mine"})
    sources = reader.sources([file], choice)
    definition = reader.definition(sources, choice)
    given = trial.parts(definition.group, [f"birds={tmp_path}"], [f"watch={tmp_path}"])
    with trial.scenario(sources, ["raspberry-pi-3"], given, choice) as scenario:
        assert not scenario.definition.errors
        (code,) = scenario.code
        assert code.function_arn == "arn:aws:lambda:us-east-1:123456789012:function:live:1"
        assert [source.address for source in scenario.sources] == ["s3://mine/birds.tar.gz"]
    notes = trial.assumptions(definition, given)
    assert [note for note in notes if "is used" in note] == [
        f"${{Ref:Live}} is not in the file, so {code.function_arn} is used",
        "the group has no core, so one with a made-up certificate is used",
    ]
