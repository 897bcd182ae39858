"""How a call that has ended is told: a function may post anything as its result or its error."""

from __future__ import annotations

import json

import pytest

from edge_sim.agent.functions.invocations import Invocation, InvocationOutcome, outcome
from edge_sim.greengrass import parse
from edge_sim.greengrass.group import Group

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f:1"


def group(encoding: str = "json") -> Group:
    function = {"Id": "f", "FunctionArn": ARN, "FunctionConfiguration": {"EncodingType": encoding}}
    read, faults = parse.group({"functions": {"Functions": [function]}})
    assert not faults["functions"]
    return read


def ended(result: bytes, *, failed: bool = False, encoding: str = "json") -> InvocationOutcome:
    invocation = Invocation(function_id="f", payload=b"{}", notes=("earlier",))
    invocation.end(result, "Handled" if failed else "")
    of = group(encoding)
    return outcome(of, of.functions[0], invocation)


@pytest.mark.parametrize(
    ("result", "value"), [(b"", None), (b'{"ns": 1700000000123456789}', {"ns": 1700000000123456789})]
)
def test_a_result_is_json(result: bytes, value: object) -> None:
    assert (ended(result).result, ended(result).notes) == (value, ("earlier",))


@pytest.mark.parametrize("result", [b'{"mean": NaN}', b"{", b"[" * 100_000, b'"\\ud800"', b'{"a": 1, "a": 2}'])
def test_a_result_that_is_no_json_is_shown_as_text_with_a_note(result: bytes) -> None:
    told = ended(result)
    assert (told.ok, told.result) == (True, result.decode())
    assert told.notes[0] == "earlier"
    assert told.notes[1].startswith("function f: its result is shown as text: ")
    json.dumps(told.result, allow_nan=False)


def test_a_binary_functions_result_is_its_text_or_base64() -> None:
    assert ended(b"NaN", encoding="binary").result == "NaN"
    assert ended(b"\xff", encoding="binary").result == "/w=="


@pytest.mark.parametrize(
    ("posted", "error"),
    [
        (b'{"errorMessage": "no model"}', "f: no model"),
        (b"no model", "f: no model"),
        (b'{"error": 1}', 'f: {"error": 1}'),
        (b"[1]", "f: [1]"),
    ],
)
def test_an_error_is_what_the_runtime_posts_whatever_its_form(posted: bytes, error: str) -> None:
    assert (ended(posted, failed=True).ok, ended(posted, failed=True).error) == (False, error)
