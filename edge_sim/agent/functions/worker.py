"""One process of a function, and the thread that minds it.

The thread starts the process, writes what it says to the function's log, sees that it keeps its deadlines and its
memory, and at the end tells ``Staff``, which gives out the work. State words are those of V1's health check
(health-check.md); lines in runtime.log are V1's where a field capture has them.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from edge_sim.agent.events import LogFile
from edge_sim.agent.functions import launch, memory
from edge_sim.agent.functions.invocations import Invocation
from edge_sim.agent.functions.userlog import UserLog
from edge_sim.errors import EdgeSimError, UnsupportedEnvironmentError
from edge_sim.facts import HostFacts
from edge_sim.greengrass.functions import FunctionCode
from edge_sim.greengrass.process import FunctionProcess

START_LIMIT_S = 30.0
"""How long an on-demand process may take until it asks for work: V1's own limit for its post-start check."""
END_LIMIT_S = 10.0
MAX_LOG_BYTES = 64 * 1024
"""How much of the log of one call is handed back; the file keeps all of it."""
_LOOK_S = 0.25
"""How often deadlines and memory are looked at."""

State = Literal["Starting", "Waiting", "Working", "Terminated", "FailedInitialization"]


class Staff(Protocol):
    """Who gives out the work."""

    def overdue(self, worker: Worker) -> str | None:
        """Return why ``worker`` has to end now, or None."""

    def ended(self, worker: Worker, cause: str) -> None:
        """Take note that ``worker``'s process is gone."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where workers run. ``environment`` makes what the core adds to a worker's environment from its token."""

    root: Path
    facts: HostFacts
    log: LogFile
    environment: Callable[[str], dict[str, str]]


class Worker:
    """A process of ``process.function``. ``current`` is the call it is busy with, ``deadline`` when it must end."""

    def __init__(self, process: FunctionProcess, code: FunctionCode, site: Site, log: UserLog, staff: Staff) -> None:
        self.id = str(uuid.uuid4())
        self.token = secrets.token_urlsafe(32)
        self.process = process
        self.state: State = "Starting"
        self.current: Invocation | None = None
        self.deadline: float | None = None if process.function.pinned else time.monotonic() + START_LIMIT_S
        self.pid: int | None = None
        self.forbidden = False
        """This machine or account cannot make such a process."""
        self.reason: str | None = None
        """Why its handler could not be loaded, in the worker's own words."""
        self.notes: list[str] = []
        """What differs from a real core's worker."""
        self.call_notes: list[str] = []
        """The outcomes of what the current call asked for."""
        self._code, self._site, self._log, self._staff = code, site, log, staff
        self._child: subprocess.Popen[bytes] | None = None
        self._killed: str | None = None
        self._intended = False
        self._refusal: str | None = None
        self._reader: int | None = None
        self._reading = threading.Lock()
        self._output = bytearray()
        self._thread = threading.Thread(target=self._mind, name=f"worker {process.function.id}", daemon=True)

    @property
    def arn(self) -> str:
        """The function's ARN."""
        return self.process.function.arn

    def start(self) -> None:
        """Have the process started; returns at once."""
        self._thread.start()

    def kill(self, why: str, *, intended: bool = False) -> None:
        """End the process and all that it started in its process group; ``why`` becomes its cause of death.

        ``intended``: nothing is wrong, it is not needed any more.
        """
        self._killed = self._killed or why
        self._intended = self._intended or intended
        child = self._child
        if child is not None and child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)

    def join(self, limit_s: float) -> None:
        """Wait until the thread has reported the end."""
        self._thread.join(limit_s)

    def output(self) -> str:
        """Return what the process has said since the last time this was asked."""
        self._read()
        with self._reading:
            text, self._output = bytes(self._output), bytearray()
        return text.decode(errors="replace")

    def _mind(self) -> None:
        try:
            cause = self._live()
        except (EdgeSimError, OSError) as error:
            cause = f"could not be started: {error.brief if isinstance(error, EdgeSimError) else error}"
            self.forbidden = self.forbidden or isinstance(error, UnsupportedEnvironmentError)
        self._staff.ended(self, cause)

    def _live(self) -> str:
        """Start the process and stay with it to its end; return why it ended."""
        self._log.open()
        argv, notes = launch.command(self.process, self._code, self._site.root, self._site.facts)
        limit = self._limit()
        self.notes += [*notes, limit.note] if limit else notes
        added, runtime = self._site.environment(self.token), launch.runtime_directory(self._site.facts)
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        try:
            with launch.specification(self.process, self._site.root, added, runtime) as spec:
                try:
                    child = launch.start({**spec, "argv": argv, "cgroup": limit and limit.procs}, writer)
                finally:
                    os.close(writer)
                with self._reading:
                    self._reader = reader
                return self._stay(child, limit)
        finally:
            with self._reading:
                self._reader = None
                os.close(reader)
            if limit:
                limit.close()

    def _limit(self) -> memory.MemoryLimit | None:
        size = self.process.function.memory_size_kb
        contained = self.process.isolation == "GreengrassContainer"
        return memory.limit(size, self.id) if contained and size else None

    def _stay(self, child: subprocess.Popen[bytes], limit: memory.MemoryLimit | None) -> str:
        self._child, self.pid = child, child.pid
        if self._killed:  # before there was anything to kill
            self.kill(self._killed)
        self._site.log.write("INFO", "Created worker.", functionArn=self.arn, workerId=self.id, pid=child.pid)
        assert child.stdout is not None  # noqa: S101 - it was asked for
        try:
            with child.stdout as messages:
                os.set_blocking(messages.fileno(), False)
                peak = self._watch(child, messages.fileno(), limit)
        finally:
            if child.poll() is None:
                self.kill("the core lost track of it")
                child.wait(END_LIMIT_S)
        return self._refusal or self._death(child.returncode, peak)

    def _watch(self, child: subprocess.Popen[bytes], messages: int, limit: memory.MemoryLimit | None) -> int | None:
        """Stay until the process has ended; return the KB it used when that was too much."""
        assert self._reader is not None  # noqa: S101 - set just before
        poll, peak = select.poll(), None
        sources: dict[int, Callable[[], bool]] = {self._reader: self._read, messages: lambda: self._listen(messages)}
        for descriptor in sources:
            poll.register(descriptor, select.POLLIN)
        while child.poll() is None:
            for descriptor, _ in poll.poll(_LOOK_S * 1000):
                if not sources[descriptor]():
                    poll.unregister(descriptor)  # nobody can say anything there any more
            peak = peak or (limit.exceeded(child.pid) if limit else None)
            overdue = "it used more than its MemorySize" if peak else self._staff.overdue(self)
            if overdue:
                self.kill(overdue)
        for take_in in sources.values():
            take_in()
        return peak or (limit.exceeded(child.pid) if limit else None)

    def _read(self) -> bool:
        """Write to the log what the process has said by now; return False when nothing can come any more."""
        with self._reading:
            while self._reader is not None:
                text = _now_in(self._reader)
                if not text:
                    return text is None
                with contextlib.suppress(OSError):  # a full disk must not end a function
                    self._log.write(text)
                self._output = (self._output + text)[-MAX_LOG_BYTES:]
        return False

    def _listen(self, messages: int) -> bool:
        """Take in what the sandbox says, one JSON object a line, each in one write; return False at its end."""
        while text := _now_in(messages):
            for line in text.splitlines():
                message: dict[str, Any] = json.loads(line)
                self.notes += message.get("notes", [])
                if "sandbox" in message:
                    self.forbidden = bool(message.get("forbidden"))
                    self._refusal = f"could not be started: {message['sandbox']}"
        return text is None

    def _death(self, status: int, peak: int | None) -> str:
        """Report the end in runtime.log, in V1's words, and in a sentence."""
        members = {"workerId": self.id, "funcArn": self.arn}
        size = self.process.function.memory_size_kb
        if peak is not None:
            text = "Worker consumed all allocated memory! Memory Usage (KB)."
            self._site.log.write("WARN", text, **members, memSize=size, memUsed=peak)
        number = -status if status < 0 else status - 128
        if not self._intended and (status < 0 or number in list(signal.Signals)):
            state = f"signal: {'killed' if number == signal.SIGKILL else signal.Signals(number).name}"
            self._site.log.write("ERROR", "Worker is ungracefully killed.", **members, state=state)
        if peak is not None:
            return f"it used {peak} KB, but its MemorySize is {size} KB; the process was killed"
        if self._killed:
            return f"{self._killed}; the process was killed"
        if status < 0 or number in list(signal.Signals):
            return f"the process was killed by {signal.Signals(number).name} before it answered"
        return f"the process ended with status {status} before it answered"


def _now_in(descriptor: int) -> bytes | None:
    """Return what a pipe holds: None for nothing now, nothing for its end."""
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return None
