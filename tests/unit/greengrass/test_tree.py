"""The paths of V1's tree: with a root and without, and nowhere else than in their module."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import edge_sim
from edge_sim.greengrass import tree
from edge_sim.greengrass.tree import BELOW, Tree

PATH = re.compile(r"(^|/)(ggc/(core|packages|deployment|runtime|var|\.deploying)|config/config\.json)")
SAID = {"agent/functions/deployed.py", "cli/check_archive.py", "emulation/corebuild.py"}
"""A hint for people, a sample's directory, and the shell text of the simulated core."""


def test_every_path_is_below_the_root_or_relative_to_it() -> None:
    names = [name for name, value in vars(Tree).items() if isinstance(value, property)]
    assert len(names) > 20
    for name in names:
        relative = getattr(BELOW, name)
        assert not relative.startswith("/")
        assert getattr(Tree("/mnt/gg"), name) == f"/mnt/gg/{relative}"


def test_no_other_module_spells_a_path_of_the_tree() -> None:
    source = Path(edge_sim.__file__).parent
    spelled = {
        str(file.relative_to(source)): texts
        for file in source.rglob("*.py")
        if file != Path(tree.__file__) and (texts := [text for text in constants(file) if PATH.search(text)])
    }
    assert spelled.keys() <= SAID, spelled


def constants(file: Path) -> Iterator[str]:
    """Every text in a module but its docstrings."""
    found = ast.parse(file.read_text())
    told = {id(node.value) for node in ast.walk(found) if isinstance(node, ast.Expr)}
    for node in ast.walk(found):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value
