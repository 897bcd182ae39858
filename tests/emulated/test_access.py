"""Computed access against the kernel's own answer on emulated 32-bit boards: the repository's own test, a sample of it.

pytest is not in the image; it and what it needs are plain Python and are bound in. The image holds the agent only, so
the conftest of that test's folder, whose boards are made with the host's parts, is left out: the test needs none of it.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.emulated.containers import image_of, in_image

pytestmark = pytest.mark.emulated
TESTS = Path(__file__).resolve().parents[1]
PYTEST = ("pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments")
TREES = 60
"""Of the thousand that are tried natively; each takes ten processes."""


@pytest.fixture(scope="module")
def plain_pytest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pytest, without anything that is compiled for this machine."""
    folder = tmp_path_factory.mktemp("pytest")
    for name in PYTEST:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        if found.submodule_search_locations is None:
            shutil.copy(found.origin, folder)
        else:
            shutil.copytree(Path(found.origin).parent, folder / name, ignore=shutil.ignore_patterns("*.so"))
    return folder


@pytest.mark.parametrize("architecture", ["armv7l", "armv6l"])
def test_computed_access_is_the_kernels(architecture: str, client: Any, plain_pytest: Path) -> None:
    image = image_of(client, architecture)
    options = (
        *("--volume", f"{TESTS}:/t/tests:ro", "--volume", f"{plain_pytest}:/pytest:ro", "--tmpfs", "/tmp:exec"),
        *("--env", "PYTHONPATH=/t:/pytest", "--env", f"EDGE_SIM_TREES={TREES}", "--workdir", "/t"),
    )
    test = "tests/root/test_access_against_the_kernel.py"
    pytest_run = ("python3", "-m", "pytest", "-c", "/dev/null", "--rootdir", "/t", "--noconftest", "-q", test)
    said = in_image(image, *pytest_run, options=options)
    assert f"access: {TREES * 10} trees × identities" in said
    assert "2 passed" in said, said
    print(f"{architecture}:{said[said.index(' ', said.index('access:')) :].splitlines()[0]}")
