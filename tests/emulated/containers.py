"""What the tests of boards in containers share: which boards run here and why others do not, the command line."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

import pytest

from edge_sim.emulation.containers import bases, engine, images
from edge_sim.errors import EdgeSimError, UnsupportedEnvironmentError
from edge_sim.profiles import load_profile

EXAMPLE = "examples/no-container-ml"
LIMIT_S = 900
"""For one command: an illegal instruction under QEMU can hang instead of ending. The longest, four boards through the
whole example, takes a minute on a quiet machine, and took more than five on one with eight times its work."""
RUN: dict[str, str] = {}
"""The architectures whose boards were run, with their image."""
NOT_RUN: dict[str, str] = {}
"""The architectures whose boards could not be run, with the reason."""


def image_of(client: Any, architecture: str) -> str:
    """Return the image for boards of ``architecture``; skip, and remember why, where this machine cannot run them."""
    if architecture not in RUN and architecture not in NOT_RUN:
        try:
            engine.require(architecture, client)
            RUN[architecture] = _image(client, architecture)
        except UnsupportedEnvironmentError as error:
            NOT_RUN[architecture] = _sentence(error)
    if architecture in NOT_RUN:
        pytest.skip(f"no board of {architecture} was run: {NOT_RUN[architecture]}")
    return RUN[architecture]


def ready(client: Any, *profiles: str) -> None:
    """Skip where a board of one of the profiles cannot be run."""
    for name in profiles:
        image_of(client, load_profile(name).architecture)


def those_ready(client: Any, profiles: Iterable[str]) -> list[str]:
    """Return the profiles whose boards can be run; skip where that is none."""
    found = []
    for name in profiles:
        with contextlib.suppress(pytest.skip.Exception):
            ready(client, name)
            found.append(name)
    return found or pytest.skip("no board was run")


def none_run(error: EdgeSimError, architectures: list[str]) -> None:
    """Remember that no engine answers, and skip."""
    NOT_RUN.update(dict.fromkeys(architectures, _sentence(error)))
    pytest.skip(f"no board was run, of no architecture: {_sentence(error)}")


def edge_sim(*arguments: str, check: bool = True, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, with ``given`` as its input."""
    argv = [sys.executable, "-m", "edge_sim.cli.main", *arguments]
    done = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done


def in_image(image: str, *argv: str, options: tuple[str, ...] = (), check: bool = True) -> str:
    """Run a program in a new container and return its output; the container is removed whatever happens."""
    name = f"edge-sim-test-{os.getpid()}-{time.monotonic_ns()}"
    command = ["docker", "run", "--rm", "--name", name, "--network", "none", "--read-only", *options, image, *argv]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout + ("" if check else done.stderr)


def _image(client: Any, architecture: str) -> str:
    base = bases.cached(architecture)
    if base is None:
        return images.build(architecture, None, print, client)
    _try(client, images.import_base(base, client, print))
    try:
        return images.build(architecture, None, print, client)
    except UnsupportedEnvironmentError as error:  # on a base of ours, which starts, that is a fault and no lack
        raise AssertionError(f"{error.brief}\n{error.details}") from error


def _try(client: Any, base: str) -> None:
    """Start a container with nothing of ours in it; raise UnsupportedEnvironmentError where that does not work."""
    try:
        container = client.containers.create(base, ["true"], network_mode="none")
        try:
            container.start()
            status = container.wait(timeout=LIMIT_S)["StatusCode"]
        finally:
            container.remove(force=True)
    except engine.failures() as error:
        raise UnsupportedEnvironmentError(f"the engine starts no container of {base}: {error}") from error
    if status:
        raise UnsupportedEnvironmentError(f"`true` in a container of {base} ends with status {status}")


def _sentence(error: EdgeSimError) -> str:
    return "; ".join(filter(None, (error.brief, error.hint)))
