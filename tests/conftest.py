"""What every test relies on."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

UNIT_TESTS = Path(__file__).parent / "unit"
PROCESS_EVENTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})

_without_processes: str | None = None
"""The test that runs now, where it is one that starts no processes."""


def pytest_configure() -> None:
    """Let the programs under test be interrupted, and keep the first tier of tests free of processes.

    What a shell starts with ``&`` has SIGINT ignored, and so has all that it starts.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.addaudithook(_refuse_processes)


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
