"""What every test relies on."""

from __future__ import annotations

import compileall
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import edge_sim

UNIT_TESTS = Path(__file__).parent / "unit"
PROCESS_EVENTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})

_without_processes: str | None = None
"""The test that runs now, where it is one that starts no processes."""


def pytest_configure(config: pytest.Config) -> None:
    """Let the programs under test be interrupted, and keep the first tier of tests free of processes.

    What a shell starts with ``&`` has SIGINT ignored, and so has all that it starts.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.addaudithook(_refuse_processes)
    # How long an example takes is the machine's load, not the code's.
    settings.register_profile("edge-sim", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("edge-sim")
    _compile(config)


def _compile(config: pytest.Config) -> None:
    """Compile edge_sim before the tests, and have no program that they start do it.

    Where files may not grow, Python leaves a module's bytecode cut off, and whoever imports it next ends with "marshal
    data too short" (``importlib._bootstrap_external._write_atomic`` does not look at how much was written).
    """
    worker = hasattr(config, "workerinput")
    if not worker:
        compileall.compile_dir(Path(edge_sim.__file__).parent, quiet=1)
    if worker or not config.getoption("numprocesses", None):  # workers keep the bytecode of their test modules
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def pytest_collection_finish() -> None:
    """Keep the collector off the thousands of tests: it looked at all of them again and again, and freed none."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    global _without_processes
    if item.path.is_relative_to(UNIT_TESTS) and item.get_closest_marker("process") is None:
        _without_processes = item.nodeid
    yield
    _without_processes = None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded as their ``summary``, also where they ran in another process."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for text in (value for name, value in report.user_properties if name == "summary"):
                terminalreporter.write_line(str(text))


def _refuse_processes(event: str, _arguments: tuple[object, ...]) -> None:
    if event in PROCESS_EVENTS and _without_processes is not None:
        raise AssertionError(f"{_without_processes} starts a process ({event}): mark it with pytest.mark.process")
