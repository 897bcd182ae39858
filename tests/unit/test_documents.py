"""YAML written by people: what cannot be read."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from edge_sim.documents import Place, read_text
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError, UsageError

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


def test_a_file_that_no_descriptor_is_left_for_is_the_machines_fault(tmp_path: Path) -> None:
    file = tmp_path / "core.json"
    file.write_text("{}")
    free = os.open(os.devnull, os.O_RDONLY)  # the lowest that is free
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(UnsupportedEnvironmentError, match="cannot be read: Too many open files"):
            read_text(file)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_text(tmp_path)
