"""The paths of V1's tree: with a root and without, and nowhere else than in their module."""

from __future__ import annotations

import re

from edge_sim.greengrass.tree import BELOW, Tree
from tests import sources

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
    spelled = {
        name: paths
        for name in sources.mentioning("ggc/|config/config")
        if name != "greengrass/tree.py" and (paths := [text for text in sources.strings(name) if PATH.search(text)])
    }
    assert spelled.keys() <= SAID, spelled
