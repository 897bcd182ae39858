"""``edge-sim drift --image``: an image is looked at without being started, and nothing of it stays at the engine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.small_group import TOP, answer, edge, group_of, make_root

pytestmark = [pytest.mark.emulated, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users' files")]


@pytest.fixture
def image(client: Any, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A board with a deployment, one mode of it crooked, as a group and an image."""
    root = make_root(tmp_path / "root")
    group = group_of(tmp_path / "group", "m1")
    edge("apply", group, "--root", root)
    (root / TOP[1:] / "lambda").chmod(0o700)
    board = tmp_path / "board.tar"
    subprocess.run(["tar", "-C", root, "-cf", board, "."], check=True, timeout=60)
    name = f"edge-sim-drift-test-{os.getpid()}"
    client.api.import_image(src=str(board), repository=name, tag="latest")
    try:
        yield group, f"{name}:latest"
    finally:
        client.images.remove(f"{name}:latest", force=True)


def test_an_image_is_compared_and_left_alone(client: Any, image: tuple[Path, str]) -> None:
    group, name = image
    before = {one.id for one in client.containers.list(all=True)}
    found = answer("drift", group, "--image", name, status=7)
    assert [(one["path"], one["words"]) for one in found["differences"]] == [(f"{TOP}/lambda", ["mode 0700 → 0755"])]
    assert found["not_compared"] == []
    ours = [one for one in client.containers.list(all=True) if one.id not in before and name in str(one.image.tags)]
    assert ours == []


def test_an_image_that_is_not_there(client: Any, tmp_path: Path) -> None:
    error = edge("drift", group_of(tmp_path / "g", "m1"), "--image", "edge-sim-no-such-image", status=2).exception
    assert "no such image" in str(error)
