"""The processes that run a fleet's cores, as this one sees them: started, listened to, ended."""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_sim import interrupts, strictjson
from edge_sim.fleet.lines import encode

END_S = 10.0


@dataclass(frozen=True)
class Heard:
    """A line that a process wrote; ``line`` None: it has ended, with this status."""

    process: str
    line: Any
    status: int | None = None


class Processes:
    """Python processes of ``edge_sim.fleet.program``, by name. What they write is in ``heard``, in order for each."""

    def __init__(self) -> None:
        self.heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._readers: list[threading.Thread] = []

    def start(self, name: str, setup: Mapping[str, object]) -> None:
        """Start a process that is what ``setup`` says."""
        with interrupts.hold():
            process = subprocess.Popen(
                [sys.executable, "-m", "edge_sim.fleet.program"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C reaches us alone
            )
            self._running[name] = process
            reader = threading.Thread(target=self._read, args=(name, process), name=f"fleet-{name}", daemon=True)
            self._readers.append(reader)
            reader.start()
        self.tell(name, setup)

    @property
    def names(self) -> list[str]:
        """Which of them run."""
        return [name for name, process in self._running.items() if process.poll() is None]

    def pid(self, name: str) -> int:
        """Return a process's id."""
        return self._running[name].pid

    def tell(self, name: str, line: Mapping[str, object]) -> None:
        """Write a line to a process; one that has ended says so itself."""
        pipe = self._running[name].stdin
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.write(encode(line))
                pipe.flush()

    def end(self) -> None:
        """End all of them: each ends when its standard input does."""
        for process in self._running.values():
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
        for process in self._running.values():
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for reader in self._readers:
            reader.join(END_S)

    def drained(self) -> Iterator[Heard]:
        """Yield what was heard and not taken yet."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self.heard.get_nowait()

    def _read(self, name: str, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        with process.stdout as pipe:
            for text in pipe:
                self.heard.put(Heard(name, strictjson.loads(text)))
        self.heard.put(Heard(name, None, process.wait()))


def in_words(status: int) -> str:
    """Return how a process ended."""
    if status >= 0:
        return f"ended with status {status}"
    return f"was killed by {signal.Signals(-status).name}"
