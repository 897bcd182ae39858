"""YAML written by people: what cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_sim.documents import Place
from edge_sim.errors import InvalidDefinitionError

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


@pytest.mark.parametrize("text", CANNOT_BE_READ.values(), ids=CANNOT_BE_READ)
def test_what_cannot_be_read_is_one_sentence_with_a_place(text: str) -> None:
    with pytest.raises(InvalidDefinitionError) as refused:
        Place.of(Path("file"), text)
    sentence = refused.value.brief
    assert sentence.startswith("file:")
    assert "\n" not in sentence
