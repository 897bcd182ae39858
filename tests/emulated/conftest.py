"""Boards in containers: the engine, a limit for every step of a test, and a last word on which boards were run.

Status 6 when boards were not run and nothing else was wrong; 0 with EDGE_SIM_BOARDS=optional, for a machine that
cannot run them and a caller that says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from edge_sim.arch import ARCHITECTURES
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.containers import boards, engine, networks
from edge_sim.emulation.containers.board import DockerBoard
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.profiles import load_profile
from tests.emulated.containers import NOT_RUN, RUN, image_of, none_run

STEP_LIMIT_S = 1500
"""For a test or one of its fixtures; the longest is an image that stands on a registry's base."""


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    """A client of the Docker engine."""
    try:
        made = engine.connect()
    except UnsupportedEnvironmentError as error:
        none_run(error, list(ARCHITECTURES))
    with contextlib.closing(made):
        yield made


@pytest.fixture
def board_of(client: Any) -> Iterator[Callable[..., DockerBoard]]:
    """Make boards without an agent, on one network, that end with the test."""
    shared = f"test-{os.getpid()}"
    with (
        networks.temporary(client, boards.container_name(shared), boards.labels(lasting=False)) as network,
        contextlib.ExitStack() as stack,
    ):

        def make(name: str, **options: Any) -> DockerBoard:
            spec = BoardSpec(profile=load_profile(name), **options)
            image = image_of(client, spec.profile.architecture)
            board = DockerBoard(spec, engine=client, image=image, network=network.name, name=f"{shared}-{name}")
            return stack.enter_context(board)

        yield make


@pytest.fixture
def cloud() -> Iterator[dict[str, str]]:
    """``edge-sim cloud serve --bind docker``, and what it said."""
    argv = [sys.executable, "-m", "edge_sim.cli.main", "cloud", "serve", "--bind", "docker", "--format", "json"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    with _limited():
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    with _limited():
        yield


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if NOT_RUN and exitstatus == pytest.ExitCode.OK and os.environ.get("EDGE_SIM_BOARDS") != "optional":
        session.exitstatus = UnsupportedEnvironmentError.exit_status


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not RUN and not NOT_RUN:
        return
    terminalreporter.section("boards")
    for architecture in ARCHITECTURES:
        if architecture in NOT_RUN:
            terminalreporter.line(f"boards not run: {architecture}: {NOT_RUN[architecture]}")
        elif architecture in RUN:
            terminalreporter.line(f"boards run: {architecture}")


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def late(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"this step of the test took longer than {STEP_LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(STEP_LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
