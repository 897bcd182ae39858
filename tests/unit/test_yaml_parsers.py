"""With libyaml and without, a YAML file has the same values, places and faults, and the same is said of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sim.definitions.tree import Array, Object, TextFile
from edge_sim.definitions.yamltext import read_yaml
from edge_sim.documents import Place
from edge_sim.errors import InvalidDefinitionError
from edge_sim.profiles import profile_folder
from edge_sim.yamlparsers import libyaml_reads

ROOT = Path(__file__).parents[2]
FOUND = Path(__file__).parent / "definitions" / "found"
FILES = sorted([*profile_folder().glob("*.yaml"), *ROOT.glob("examples/**/*.yaml"), *FOUND.glob("*.yaml")])
needs_libyaml = pytest.mark.skipif(not yaml.__with_libyaml__, reason="this PyYAML was built without libyaml")
WHOLE = (
    *("a: b\n", "- x\n", "k: |\n   t\n", "{a: 1, b: [2,3]}\n", "'q''q'\n", '"d\\n\\x41"\n', "? k\n: v\n", "!!str 1\n"),
    *(
        "&a b\n",
        "*a\n",
        "a: >-\n  f\n\n  g\n",
        "# c\n",
        "---\n",
        "...\n",
        "%YAML 1.1\n---\n",
        "a:\n  - b\n  -\n    c: d\n",
    ),
    *("a: !Sub b\n", "a: &x {<<: *x}\n", "a:\n", "b:\r\n  - c\r\n", "{a, b: }\n", "[a: b, c]\n", '{"a":b}\n'),
)
PIECES = (
    *"\t \n\r:-?,[]{}#&*!|>'\"%@`\\~=<.0aé\x07\x7f\x85\u2028\u2029\ufeff\xa0\U0001f600",
    *("  ", "---", "...", "- ", ": ", "\\u1234", "\\ud800", "\\U00110000", "\\x4", "!!", "!<a>", "!a!b ", "|2", ">+"),
    *("%TAG ! x\n", "<<: ", "\n  ", " #", '""', "!Ref a"),
)
ODD = {
    "a tab between words": "a: b\t- c\n- \td\n",
    "a tab before a comment": "a: b\t# c\n",
    "a tab after a block's sign": "a: |\t\n  b\n",
    "a comment in a block's sign": "a: >#c\n  b\n",
    "a tag that ends in a comma": "[!Ref a, !b, c]\n",
    "a tag alone": "a: !\n",
    "a question mark in a flow": "[a? , b]\n",
    "a byte order mark inside": "a: b\n\ufeff",
    "a line separator": "a: b\u2028c\n",
    "no value in a flow": "{a: , b: 1}\n",
    "no value at the end": "a: 1\n? # c\n",
    "an unknown directive": "%YML 11\n---\na: b\n",
    "half of a surrogate pair": 'a: "\\ud800"\n',
    "beyond Unicode": 'a: "\\U00110000"\n',
    "a fault of ours before one of YAML's": "a: *b\nc: [\n",
    "faults, then one of YAML's": "a: 1\na: 2\nb: .inf\nc: [\n",
}


def of_a_definition(text: str) -> object:
    file = TextFile(path=Path("file"), text=text)
    try:
        return shown(read_yaml(file)), [(fault.rule, fault.message, fault.at) for fault in file.faults]
    except InvalidDefinitionError as error:
        return error.brief


def of_a_scenario(text: str) -> object:
    try:
        place = Place.of(Path("file"), text)
        return shown(place.node), place.value()
    except InvalidDefinitionError as error:
        return error.brief


def shown(value: Any) -> object:
    """A value with the places in it."""
    if isinstance(value, yaml.Node):
        return value.tag, value.start_mark.line, value.start_mark.column, shown(value.value)
    if isinstance(value, Object):
        return value.at, [(key, value.marks[key], shown(item)) for key, item in value.items()]
    if isinstance(value, Array):
        return value.at, [(mark, shown(item)) for mark, item in zip(value.marks, value, strict=True)]
    return [shown(item) for item in value] if isinstance(value, tuple | list) else value


@contextmanager
def without_libyaml() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "__with_libyaml__", False)
        assert not libyaml_reads("a: b")
        yield


def check(text: str) -> None:
    with_it = of_a_definition(text), of_a_scenario(text)
    with without_libyaml():
        assert (of_a_definition(text), of_a_scenario(text)) == with_it


@needs_libyaml
@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_an_odd_text_says_the_same_with_and_without_libyaml(text: str) -> None:
    check(text)


@needs_libyaml
@given(st.lists(st.sampled_from(WHOLE) | st.sampled_from(PIECES), max_size=8).map("".join))
@settings(max_examples=500)
def test_any_text_says_the_same_with_and_without_libyaml(text: str) -> None:
    check(text)


@needs_libyaml
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_file_with_a_slip_of_the_pen_says_the_same_with_and_without_libyaml(path: Path) -> None:
    whole = path.read_text()
    check(whole)
    text, rng = whole[: whole.rfind("\n", 0, 700)], random.Random(path.stem)
    for _ in range(10):
        at = rng.randrange(len(text))
        check(text[:at] + rng.choice(PIECES) + text[at + rng.randrange(2) :])


@needs_libyaml
def test_profiles_are_left_to_the_faster_parser() -> None:
    assert [path.name for path in profile_folder().glob("*.yaml") if not libyaml_reads(path.read_text())] == []


def test_an_escape_that_is_no_character_is_named_with_its_place() -> None:
    for text in (ODD["half of a surrogate pair"], ODD["beyond Unicode"]):
        sentence = "file:1:4: not valid YAML: found an escape that is not a Unicode character"
        assert (of_a_definition(text), of_a_scenario(text)) == (sentence, sentence)
