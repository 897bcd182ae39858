"""What never leaves in a report: canaries planted where secrets are, and what looks like one."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest

from edge_sim.redaction import HIDDEN, Redaction, redact, texts
from edge_sim.runs.results import Problem
from edge_sim.scenario import load, redaction
from edge_sim.strictjson import MAX_FREE_DEPTH
from tests.reports import failed_board, run_report, with_texts

EXAMPLE = Path("examples/no-container-ml")
BODY = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"] * 3)
KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("GET https://b.s3/k?X-Amz-Signature=abc&b=1 failed", f"GET https://b.s3/k?{HIDDEN} failed"),
        ("mqtt://user:pass@host:1883", f"mqtt://{HIDDEN}@host:1883"),
        ("X-Amz-Security-Token=abc/def", f"X-Amz-Security-Token={HIDDEN}"),
        ("with AKIAIOSFODNN7EXAMPLE", f"with {HIDDEN}"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", f"aws_secret_access_key = {HIDDEN}"),
        ("password: hunter2, user: x", f"password: {HIDDEN}, user: x"),
        (f"before\n{KEY}\nafter", f"before\n{HIDDEN}\nafter"),
        (f"{BODY}\n-----END PRIVATE KEY-----\nafter", f"{HIDDEN}\nafter"),
        ("resource meter-token of type secret", "resource meter-token of type secret"),
        ("arn:aws:secretsmanager:us-east-1:1:secret:x", "arn:aws:secretsmanager:us-east-1:1:secret:x"),
        ("https://example.com/page", "https://example.com/page"),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_redacted(text: str, left: str) -> None:
    assert redact(text) == left


def test_a_key_that_is_cut_off_in_a_json_line_leaves_the_line_whole() -> None:
    line = json.dumps({"log": KEY[:150], "next": "here"})
    assert json.loads(redact(line)) == {"log": HIDDEN, "next": "here"}


def test_a_key_in_the_lines_of_a_log_is_found() -> None:
    lines = ("start", *KEY.split("\n"), "[end]")
    assert Redaction(()).value(lines) == ("start", HIDDEN, "[end]")


@pytest.mark.parametrize("secret", ["correct horse battery", 'quote " and \\ slash', "ümlaut-and-more", "short-1"])
def test_a_known_secret_is_found_however_it_is_written(secret: str) -> None:
    known = Redaction([secret])
    forms = [secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="")]
    if len(secret) > 12:
        forms.append(base64.b64encode(secret.encode()).decode())
    for form in forms:
        assert known.text(f"a {form} b").rstrip("=") in (f"a {HIDDEN} b", f"a {HIDDEN}= b", f"a {HIDDEN}== b")


def test_a_short_value_hides_words_of_its_own_only() -> None:
    known = Redaction(["hall", "on"])
    assert known.text("hall in hallway, on") == f"{HIDDEN} in hallway, on"


def test_what_the_definition_itself_says_is_no_secret() -> None:
    assert (
        Redaction(["/models/wine", "other-value"], ["/models/wine"]).text("/models/wine other-value")
        == f"/models/wine {HIDDEN}"
    )


def test_members_of_a_secret_that_is_json_are_secrets() -> None:
    text = '{"user": "someone", "keys": ["abcdef"]}'
    assert [*texts(text)] == [text, "someone", "abcdef"]


CANARIES = {"secret": "canary-in-a-secret", "staged": "canary-in-a-stage", "variable": "canary-in-a-variable"}


@pytest.fixture
def planted(tmp_path: Path) -> Redaction:
    """The example's redaction, with a canary in each place that holds a secret."""
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder)
    scenario, functions = folder / "edge-sim.yaml", folder / "functions.json"
    value = "    value: not-a-real-token\n"
    text = scenario.read_text("utf-8")
    assert value in text
    stages = f"    stages: {{AWSPREVIOUS: {CANARIES['staged']}}}\n"
    scenario.write_text(text.replace(value, f"    value: {CANARIES['secret']}\n{stages}"), "utf-8")
    text = functions.read_text("utf-8")
    assert '"hall-2"' in text
    functions.write_text(text.replace('"hall-2"', json.dumps(CANARIES["variable"])), "utf-8")
    return redaction(load(folder))


def test_planted_canaries_are_found_in_no_text_of_a_report(planted: Redaction) -> None:
    canaries = " ".join(CANARIES.values())
    loud = with_texts(run_report(failed_board()), lambda text: f"{text} {canaries} {json.dumps(CANARIES)}")
    loud.boards[0].functions[0] = with_texts(loud.boards[0].functions[0], lambda text: f"{text} {canaries}")
    quiet = planted.value(loud)
    told = json.dumps(quiet.as_json()) + repr(quiet)
    assert HIDDEN in told
    assert "canary" not in told


def test_a_report_keeps_its_types_and_what_is_no_secret(planted: Redaction) -> None:
    report = run_report(failed_board())
    assert planted.value(report) == report
    assert isinstance(planted.value(report).boards[0].problems[0], Problem)


@pytest.mark.parametrize("depth", [900, 100_000])
def test_a_secret_may_be_json_of_any_depth(depth: int) -> None:
    text = "[" * depth + "]" * depth
    assert [*texts(text)] == [text]
    assert [*texts("[" * 900 + '"inner"' + "]" * 900)][1:] == ["inner"]


def test_what_a_function_returns_may_be_as_deep_as_its_reader_allows() -> None:
    deep: object = "a secret"
    for _ in range(MAX_FREE_DEPTH):
        deep = [deep]
    assert HIDDEN in json.dumps(Redaction(["a secret"]).value(deep))
