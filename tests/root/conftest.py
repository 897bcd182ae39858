"""The board on which tests run functions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.root.functions_board import Board, board


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Board]:
    """A board below a directory that its unprivileged users may pass through."""
    for parent in (tmp_path, *list(tmp_path.parents)[:3]):
        if parent.stat().st_uid == os.geteuid() and "pytest" in parent.name:
            parent.chmod(0o755)
    (tmp_path / "root").mkdir()
    with board(tmp_path / "root") as made:
        yield made
