"""What tests of several modules begin with."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    """An empty folder to unpack into."""
    folder = tmp_path / "destination"
    folder.mkdir()
    return folder
