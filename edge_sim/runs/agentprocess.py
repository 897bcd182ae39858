"""The agent on a board, seen from outside: its event lines, and the commands run beside it.

The agent is a program, never an import: the same lines come from a container or a real board.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from edge_sim.emulation.board import Board, Process
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.jsonobject import JsonObject

_T = TypeVar("_T")
_STOP_S = 8.0
_ENDING_S = 1.0
"""How long after its last connection a dying agent may still be there."""


class NotHereError(UnsupportedEnvironmentError):
    """The agent says that the board cannot do what it was asked."""


class AgentProcess:
    """A running ``edge-sim agent run``; ``events`` are its lines so far, in order.

    ``steps`` is how many of them report a step of a deployment or an update, which go on and come to an end.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._errors: list[str] = []
        self.events: list[dict[str, Any]] = []
        self.steps = 0
        assert process.stdout is not None  # noqa: S101 - Board.start_agent pipes both
        assert process.stderr is not None  # noqa: S101
        self._threads = [
            threading.Thread(target=self._read_events, args=(process.stdout,), daemon=True),
            threading.Thread(target=self._read_errors, args=(process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def check(self) -> None:
        """Take in what the agent has said; raise UnsupportedEnvironmentError when it has ended."""
        self._drain()
        if self._process.poll() is not None:
            for thread in self._threads:
                thread.join(timeout=1)
            self._drain()
            raise UnsupportedEnvironmentError(
                f"the agent exited during the run (status {self._process.returncode})",
                details="\n".join(self._errors[-10:]) or None,
            )

    def explain(self) -> None:
        """Raise UnsupportedEnvironmentError when the agent has ended: the cause of what failed beside it."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_ENDING_S)
        self.check()

    def wait_for(self, event: str, *, timeout_s: float, alive: Callable[[], None]) -> dict[str, Any]:
        """Wait until the agent has said ``event`` and return that line."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            match = next((e for e in self.events if e.get("event") == event), None)
            if match:
                return match
            self.check()
            alive()
            self._take(0.1)
        reasons = (e["reason"] for e in reversed(self.events) if e.get("event") == "disconnected")
        raise UnsupportedEnvironmentError(
            f"the agent did not report {event!r} within {timeout_s:g} s", details=next(reasons, None)
        )

    def stop(self) -> None:
        """Ask the agent to end, and make it end."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(timeout=1)

    def _drain(self) -> None:
        while self._take(0):
            pass

    def _take(self, wait_s: float) -> bool:
        try:
            line = self._lines.get(timeout=wait_s) if wait_s else self._lines.get_nowait()
        except queue.Empty:
            return False
        self.events.append({**line, "at": time.monotonic()})
        self.steps += line.get("event") in ("deployment", "update")
        return True

    def _read_events(self, stream: Iterable[str]) -> None:
        for line in stream:
            try:
                value = json.loads(line)
            except ValueError:
                value = {"event": "output", "text": line.rstrip()}
            if isinstance(value, dict):
                self._lines.put(value)

    def _read_errors(self, stream: Iterable[str]) -> None:
        for line in stream:
            self._errors.append(line.rstrip())


@contextmanager
def agent_running(board: Board) -> Iterator[AgentProcess]:
    """Have the agent of a board run for the length of a with block."""
    agent = AgentProcess(board.start_agent())
    try:
        yield agent
    except UnsupportedEnvironmentError:
        agent.explain()
        raise
    finally:
        agent.stop()


def ask(board: Board, verb: str, *options: str, read: Callable[[JsonObject], _T], timeout_s: float) -> _T:
    """Run one of the agent's commands that print JSON (layout, access, invoke) and return what ``read`` makes of it.

    ``read`` raises ValueError for an answer that is not of that command. Raises NotHereError where the command says
    that this board cannot do it, UnsupportedEnvironmentError where it gives no answer.
    """
    argv = [*board.agent_command, verb, *options, "--root", str(board.root), "--config", board.agent_config]
    result = board.exec(argv, timeout_s)
    try:
        return read(JsonObject.parse(result.stdout))
    except ValueError as error:
        errors = result.stderr.strip()
        if result.returncode == NotHereError.exit_status and errors.startswith("error: "):
            raise NotHereError(errors.splitlines()[0].removeprefix("error: ")) from error
        details = "\n".join(filter(None, [result.stdout and str(error), result.stderr.strip()[-2000:]]))
        raise UnsupportedEnvironmentError(
            f"agent {verb} ended with status {result.returncode} and without a response", details=details or None
        ) from error
