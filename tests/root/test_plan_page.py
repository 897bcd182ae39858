"""The pages of plan and drift hold a board against what was there: owner, group and bits that differ are marked."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.small_group import TOP, edge, make_root, ml, write_group
from tests.unit.greengrass.build import function

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users' files")]


@pytest.mark.parametrize(("command", "status"), [("plan", 0), ("drift", 7)])
def test_bits_and_owners_that_differ_from_what_is_there_are_marked(tmp_path: Path, command: str, status: int) -> None:
    root, page = make_root(tmp_path / "root"), tmp_path / "page.html"
    group = write_group(tmp_path / "group", [ml("birds")], [function("reader", ("birds", None))])
    edge("apply", group, "--root", root)
    (model,) = (root / TOP.lstrip("/") / "mlmodel_public").iterdir()
    file = min(path for path in model.rglob("*") if path.is_file())
    file.chmod(0o666)
    os.chown(file, 1000, -1)
    edge(command, group, "--root", root, "--report", page, status=status)
    text = re.sub(r"\s+", " ", page.read_text("utf-8"))
    (row,) = (row for row in text.split("<tr ") if f'title="/{file.relative_to(root)}"' in row)
    assert re.search(r'class="sign">~</span>(<mark>)?-', row), row
    assert row.count("<mark>") >= 3, row
    assert "mode" in row
