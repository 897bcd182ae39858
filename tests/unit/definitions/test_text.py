"""JSON and YAML with places: what is read equals what the standard readers read, and every fault has its place."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_sim.definitions.jsontext import read_json
from edge_sim.definitions.tree import MAX_DEPTH, MAX_FAULTS, Array, TextFile, plain
from edge_sim.definitions.yamltext import read_yaml
from edge_sim.definitions.yamlwords import unquoted
from edge_sim.documents import Place
from edge_sim.errors import InvalidDefinitionError

FOUND = Path(__file__).parent / "found"
Reader = Callable[[TextFile], Any]
BOTH = pytest.mark.parametrize("read", [read_json, read_yaml])


def text(content: str) -> TextFile:
    return TextFile(path=Path("file"), text=content)


def fault(read: Reader, content: str) -> str:
    with pytest.raises(InvalidDefinitionError) as caught:
        read(text(content))
    assert "\n" not in caught.value.brief
    return caught.value.brief


def noted(read: Reader, content: str) -> list[tuple[str, str]]:
    file = text(content)
    read(file)
    return [(one.rule, str(file.position(one.at))) for one in file.faults]


def random_value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(8 if depth else 6)
    if kind == 6:
        return [random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return {random_text(rng): random_value(rng, depth - 1) for _ in range(rng.randrange(4))}
    scalars = [None, True, False, rng.randrange(-(10**6), 10**6), rng.random() * 1000, random_text(rng)]
    return scalars[kind]


def random_text(rng: random.Random) -> str:
    return "".join(rng.choice('ab:1"\\/ é\n\t#{}[],\u2028😀') for _ in range(rng.randrange(9)))


def test_json_is_read_as_the_standard_library_reads_it() -> None:
    rng = random.Random(20261123)
    for _ in range(400):
        value = random_value(rng, 5)
        content = json.dumps(value, indent=rng.choice([None, 1, "\t"]), ensure_ascii=rng.random() < 0.5)
        file = text(content)
        assert plain(read_json(file)) == value
        assert file.faults == []


def test_yaml_is_read_as_pyyaml_reads_it() -> None:
    rng = random.Random(20261124)
    for _ in range(200):
        value = random_value(rng, 5)
        content = yaml.safe_dump(value, allow_unicode=rng.random() < 0.5, default_flow_style=rng.choice([None, True]))
        assert plain(read_yaml(text(content))) == value, content


def test_a_million_brackets_are_too_deep_whatever_the_parser_bears() -> None:
    assert re.fullmatch(r"file:1:(65|1001): nested deeper than 64 levels", fault(read_yaml, "[" * 1_000_000))


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (read_json, '{\n  "a": [1,\n    {"bé": 2, "c": 3}]\n}'),
        (read_yaml, 'a:\n  - 1\n  - {"bé": 2, c: 3}\n'),
    ],
)
def test_keys_and_items_have_line_and_column(read: Reader, content: str) -> None:
    file = text(content)
    inner = read(file)["a"][1]
    for word, position in (("{", inner.position()), ("c", inner.position("c"))):
        line = content.split("\n")[position.line - 1]
        assert line[position.column - 1 :].lstrip('"').startswith(word)
    assert str(inner.position("c")).startswith("file:3:")


@BOTH
def test_a_doubled_key_is_told_with_both_lines_and_the_last_value_stays(read: Reader) -> None:
    file = text('{"a": 1,\n "b": {"a": 2},\n "a": 3}')
    assert plain(read(file)) == {"a": 3, "b": {"a": 2}}
    (found,) = file.faults
    assert (found.rule, str(file.position(found.at))) == ("duplicate-key", "file:3:2")
    assert "already set in line 1" in found.message


@pytest.mark.parametrize(
    ("read", "content", "rules"),
    [
        (read_json, '{"a": NaN, "b": -Infinity}', [("not-json", "file:1:7"), ("not-json", "file:1:17")]),
        (read_json, "[1e999, 123456789012345678901]", [("number-range", "file:1:2"), ("number-range", "file:1:9")]),
        (read_json, f"[{2**53}, {2**53 + 1}]", [("number-range", "file:1:20")]),
        (read_json, '["\\ud800", "\\ud83d\\ude00"]', [("surrogate", "file:1:2")]),
        (read_yaml, "a: .nan\nb: [-.inf]\n", [("not-json", "file:1:4"), ("not-json", "file:2:5")]),
        (
            read_yaml,
            "a: 0100\nb: '0100'\nc: 1_000\n",
            [("ambiguous-number", "file:1:4"), ("ambiguous-number", "file:3:4")],
        ),
        (read_yaml, f"a: {'9' * 5000}\n", [("number-range", "file:1:4")]),
    ],
)
def test_what_readers_do_not_agree_on_is_told_and_reading_goes_on(
    read: Reader, content: str, rules: list[tuple[str, str]]
) -> None:
    assert noted(read, content) == rules


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": [1,\n 2,]}', "file:2:4: not valid JSON: expected a value, found ']'"),
        ('{"a" 1}', "file:1:6: not valid JSON: expected ':', found '1'"),
        ("{a: 1}", "file:1:2: not valid JSON: expected a key in double quotes"),
        ('{"a": 1} x', "file:1:10: not valid JSON: there is text after the end"),
        ('{"a": tru}', "file:1:7: not valid JSON: expected a value, found 't'"),
        ('"a\tb"', "file:1:3: not valid JSON: Invalid control character"),
        ('{"a": "', "file:1:7: not valid JSON: Unterminated string"),
        ("[" * 1_000_000, "file:1:65: nested deeper than 64 levels"),
        ("[" + "1," * 400_000, "file:1:600003: more than 300000 values"),
    ],
)
def test_json_that_cannot_be_read_on(content: str, message: str) -> None:
    assert fault(read_json, content).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [1,\n", "file:2:1: not valid YAML"),
        ("a: {b", "file:1:6: not valid YAML"),
        ("# \u2028\u2028\na: [1,\n]]\n", "file:3:2: not valid YAML"),
        ("a: *b\n", "file:1:4: not valid YAML: the alias *b has no anchor before it"),
        ("a: &a [*a]\n", "file:1:8: not valid YAML: the alias *a has no anchor"),
        ("a: 1\n---\nb: 2\n", "file:2:1: a second document starts here"),
        ("? [a]\n: 1\n", "file:1:3: a key must be a single word"),
        ("a: !!set {b}\n", "file:1:4: a value of type !!set"),
        ("a: !!binary aGk=\n", "file:1:4: a value of type !!binary"),
        ("a: !<tag:x> 1\n", "file:1:4: the tag tag:x is not known here"),
        ("a: 1\nb: \x07\n", "file:2:4: not valid YAML: the character '\\x07' is not allowed"),
        ("<<: 1\n", "file:1:1: the merge key"),
        ("[" * 500, "file:1:65: nested deeper than 64 levels"),
        ("- " * 5_000, "file:1:129: nested deeper than 64 levels"),
        ("# nothing\n", "file:1:1: the file is empty"),
    ],
)
def test_yaml_that_cannot_be_read_on(content: str, message: str) -> None:
    assert fault(read_yaml, content).startswith(message)


@pytest.mark.parametrize(
    ("content", "place", "hint"),
    [
        ('// ours\n{"a": 1}', "file:1:1", "JSON has no comments"),
        ('{"a": 1 /* ours */}', "file:1:9", "JSON has no comments"),
        ('{"a": 1,\n # ours\n "b": 2}', "file:2:2", "JSON has no comments"),
        ('{"a": 1} // ours', "file:1:10", "JSON has no comments"),
        ('{"a": 1,\n}', "file:2:1", "Remove the comma before it"),
        ("[1, 2, ]", "file:1:8", "Remove the comma before it"),
        ("{'a': 1}", "file:1:2", "JSON uses double quotes only"),
        ("{\"a\": 'b'}", "file:1:7", "JSON uses double quotes only"),
        ('{"a": None}', "file:1:7", "JSON's words are null, true and false"),
        ('{"a": [1, False]}', "file:1:11", "JSON's words are null, true and false"),
        ("{“a”: 1}", "file:1:2", "Replace the typographic quotes"),
        ('{"a": Nonesuch}', "file:1:7", None),
        ("[]]", "file:1:3", None),
        ("{]", "file:1:2", None),
    ],
)
def test_a_usual_slip_in_json_has_a_hint(content: str, place: str, hint: str | None) -> None:
    with pytest.raises(InvalidDefinitionError) as caught:
        read_json(text(content))
    assert str(caught.value.place) == place
    assert (caught.value.hint or "").startswith(hint or "")
    assert bool(caught.value.hint) == bool(hint)


@pytest.mark.parametrize(
    ("content", "place", "hint"),
    [
        ("a:\n\tb: 1\n", "file:2:1", "Indent with spaces"),
        ('{\n\t"a": 1}\n', "file:2:1", "Indent with spaces"),
        ("a: @b\n", "file:1:4", "Quote a value that begins with this character"),
        ("a: b: c\n", "file:1:5", "Indent it like its neighbours"),
        ("a: [1\n", "file:2:1", None),
    ],
)
def test_a_usual_slip_in_yaml_has_a_hint_in_definitions_and_other_files(
    content: str, place: str, hint: str | None
) -> None:
    for read in (read_yaml, lambda file: Place.of(file.path, file.text)):
        with pytest.raises(InvalidDefinitionError) as caught:
            read(text(content))
        assert str(caught.value.place) == place
        assert (caught.value.hint or "").startswith(hint or "")
        assert bool(caught.value.hint) == bool(hint)


def test_depth_is_allowed_up_to_the_limit() -> None:
    content = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    for read in (read_json, read_yaml):
        assert isinstance(read(text(content)), Array)
        assert "nested deeper" in fault(read, f"[{content}]")


def test_aliases_and_merge_keys_are_taken_within_the_limits() -> None:
    content = "base: &base {a: 1, b: 2}\nmore:\n  <<: *base\n  b: 3\nsame: *base\n"
    assert plain(read_yaml(text(content)))["more"] == {"b": 3, "a": 1}
    assert plain(read_yaml(text("'<<': {a: 1}\n"))) == {"<<": {"a": 1}}
    laughs = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    assert "more than 300000 values" in fault(read_yaml, laughs)
    deep = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} {'[' * 30}*a{n - 1}{']' * 30}\n" for n in range(1, 5))
    assert "nested deeper" in fault(read_yaml, deep)


def test_a_file_of_faults_is_given_up() -> None:
    assert f"more than {MAX_FAULTS} faults" in fault(read_json, "[" + "NaN," * 2000 + "1]")


def test_short_tags_become_their_long_forms() -> None:
    content = "a: !Ref X\nb: !GetAtt A.B.C\nc: !Join ['/', [!Ref X]]\nd: !If [C, {e: 1}, !Ref 'AWS::NoValue']\n"
    assert plain(read_yaml(text(content))) == {
        "a": {"Ref": "X"},
        "b": {"Fn::GetAtt": ["A", "B.C"]},
        "c": {"Fn::Join": ["/", [{"Ref": "X"}]]},
        "d": {"Fn::If": ["C", {"e": 1}, {"Ref": "AWS::NoValue"}]},
    }


def test_unquoted_words_mean_what_pyyaml_says_or_are_told() -> None:
    rng = random.Random(20261125)
    for _ in range(5_000):
        word = "".join(rng.choice("0123456789.eE+-_:xob~naifNAIFtrue") for _ in range(rng.randint(1, 7)))
        value, told = unquoted(word)
        try:
            other = yaml.safe_load(word)
        except (yaml.YAMLError, ValueError):
            continue
        if told is None and not isinstance(other, dict | list):
            assert type(value) is type(other), word
            assert value == other or math.isclose(float(str(value)), float(str(other))), word
