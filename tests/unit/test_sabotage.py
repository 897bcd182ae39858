"""The deliberate mistakes of ``make sabotage`` can be made: their lines and the tests that notice them are there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.faults.sabotage import MISTAKES, PROJECT, Mistake


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_can_be_made_and_a_test_that_notices_it_is_there(mistake: Mistake) -> None:
    """Whoever moves its line, or renames the test, hears it at once, and not from the next run of them all."""
    text = (PROJECT / mistake.file).read_text("utf-8")
    assert text.count(mistake.line) == 1
    ast.parse(text.replace(mistake.line, mistake.wrong))
    place, _, word = mistake.test.partition(" -k ")
    file, _, name = place.partition("::")
    tree = ast.parse(Path(PROJECT, file).read_text("utf-8"))
    tests = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert [test for test in tests if name in ("", test) and word in test]
