"""YAML written by people: libyaml's parser, which is fast, gives the same values and places as PyYAML's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_sim import documents
from edge_sim.documents import Place
from edge_sim.errors import InvalidDefinitionError
from edge_sim.profiles import profile_folder

ROOT = Path(__file__).parents[2]
FILES = sorted([*profile_folder().glob("*.yaml"), *ROOT.glob("examples/**/*.yaml")])
CANNOT_BE_READ = {
    "anchors": "a: &x 1\nb: *x\n",
    "depth": "[" * 65,
    "depth beyond libyaml's limit": "[" * 1_200,
    "tab": "a:\n\t- 1\n",
    "bracket": "a: [1, 2\nb: 3\n",
    "two documents": "a: 1\n---\nb: 2\n",
    "nothing": "# only a comment\n",
    "zero bytes' neighbour": "a: \x07\n",
}


def read(text: str) -> object:
    """Every value with its place, or what is said of the text."""
    try:
        return shown(Place.of(Path("file"), text).node)
    except InvalidDefinitionError as error:
        return error.brief


def shown(node: Any) -> object:
    if isinstance(node, tuple | list):
        return [shown(inner) for inner in node]
    if isinstance(node, yaml.Node):
        return node.tag, node.start_mark.line, node.start_mark.column, shown(node.value)
    return node


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="this PyYAML was built without libyaml")
def test_either_parser_gives_the_same_values_places_and_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(FILES) > 15
    texts = [*(path.read_text() for path in FILES), *CANNOT_BE_READ.values()]
    _of_libyaml, of_pyyaml = documents._loaders()
    with_both = [read(text) for text in texts]
    monkeypatch.setattr(documents, "_loaders", lambda: (of_pyyaml,))
    assert [read(text) for text in texts] == with_both


@pytest.mark.parametrize("text", CANNOT_BE_READ.values(), ids=CANNOT_BE_READ)
def test_what_cannot_be_read_is_one_sentence_with_a_place(text: str) -> None:
    sentence = read(text)
    assert isinstance(sentence, str)
    assert sentence.startswith("file:")
    assert "\n" not in sentence
