"""What the tests of boards in containers share: the engine, whether a board can be run here, the command line."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from edge_sim.emulation import bases, engine
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.profiles import load_profile

EXAMPLE = "examples/no-container-ml"
LIMIT_S = 300


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    try:
        made = engine.connect()
    except UnsupportedEnvironmentError as error:
        pytest.skip(f"no board was run, of no architecture: {error.brief}; {error.hint}")
    with contextlib.closing(made):
        yield made


def ready(client: Any, *names: str) -> None:
    """Skip, and say which boards were not run, where a base or QEMU is missing."""
    for architecture in {load_profile(name).architecture for name in names}:
        if bases.cached(architecture) is None:
            pytest.skip(f"no board of {architecture} was run: it has no base; make base-images")
        try:
            engine.require(architecture, client)
        except UnsupportedEnvironmentError as error:
            pytest.skip(f"no board of {architecture} was run: {error.brief}; {error.hint}")


def edge_sim(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "edge_sim.cli.main", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done
