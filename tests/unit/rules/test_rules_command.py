"""``edge-sim rules`` and the page made from it."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from edge_sim.cli.rules import command
from edge_sim.greengrass.rules import RULES
from edge_sim.validation.explain import markdown

PAGE = Path(__file__).parents[3] / "docs" / "rules.md"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_the_page_is_what_the_rules_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "edge-sim rules --format markdown > docs/rules.md"
    assert run("--format", "markdown") == markdown()


def test_the_list_has_every_rule() -> None:
    lines = run().splitlines()
    assert [line.split()[0] for line in lines] == [rule.id for rule in RULES]
    listed = json.loads(run("--format", "json"))
    assert [entry["id"] for entry in listed] == [rule.id for rule in RULES]
    assert all(entry["what"].endswith((".", ")")) and entry["source"] for entry in listed)


def test_one_rule_is_explained() -> None:
    text = run("model-no-container-permission")
    for part in (
        "AWS says: ",
        "Machine Learnin resource",
        "1.10 and newer",
        "gg-troubleshooting.md",
        "\nbad:\n",
        "\ngood:\n",
    ):
        assert part in text
    told = json.loads(run("owner-setting-version", "--format", "json"))
    assert (told["until"], told["examples"]["bad"]["ggc"], told["unsupported"]) == ("1.9", "1.9", True)


def test_every_rule_can_be_explained() -> None:
    for rule in RULES:
        assert rule.what in run(rule.id)


def test_each_part_of_a_rule_is_labelled_apart() -> None:
    assert "condition sourced, phase inferred, text sourced, error code ours" in run("memory-size")
    labels = json.loads(run("local-resource-no-container", "--format", "json"))["labels"]
    assert labels == {"condition": "sourced", "timing": "sourced", "text": "sourced", "code": "sourced"}
    for rule in RULES:
        assert (rule.labels.text == "ours") == (rule.aws_text is None), rule.id
        for label in ("ours", "inferred"):
            assert rule.labels.condition == label or not rule.source.startswith(label), rule.id
    with_codes = [rule.id for rule in RULES if rule.labels.code == "sourced"]
    assert {rule.id for rule in RULES if rule.phase == "create" and rule.aws_text} < {*with_codes}


def test_an_unknown_rule_is_a_usage_error_with_the_nearest_names() -> None:
    result = CliRunner().invoke(command, ["model-no-container-permision"])
    assert "there is no rule" in str(result.exception)
    assert "model-no-container-permission" in getattr(result.exception, "hint", "")


def test_phases_that_the_guide_or_the_api_has_otherwise_are_not_called_sourced() -> None:
    phases = {rule.id: rule.labels.timing for rule in RULES}
    for guide in ("isolation-mode", "memory-size", "access-sysfs", "system-function-execution"):
        assert phases[guide] == "inferred", guide
    for model in ("resource-identifier", "resource-id-unique", "resource-name-unique", "model-uri-disputed"):
        assert phases[model] != "sourced", model
    assert "phase ours" in run("resource-identifier")


def test_what_the_ml_tutorial_says_of_sys_is_named() -> None:
    assert "ml-console.md enables it without a container" in run("access-sysfs")
