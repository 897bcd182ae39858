"""The processes of a fleet and the cores that each of them runs: one alone, or a Locust master with its workers."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.fleet.account import CoreAccount
from edge_sim.fleet.lines import Line
from edge_sim.fleet.processes import Heard, Processes, in_words
from edge_sim.fleet.seats import Seats

LOOPBACK = "127.0.0.1"
PORT = 5557
"""Locust's own."""
ALONE, MASTER, CONTROL = "alone", "master", "control"
MASTER_S = 300.0
"""How long a worker waits for its master."""
CONNECT_S, RETRY_S = 10.0, 1.0
GREETING = b"\xff"
"""The first byte that ZeroMQ says on a connection (ZMTP, RFC 23)."""
_HINT = "Check HOST and --port, and that edge-sim fleet --master runs there."
READY_S = 120.0
"""A loaded machine takes a while to import Locust; a process that ends early is noticed at once."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """``workers`` processes, started here or (``remote``) joining from other machines; none: one process does all.

    ``bind``: where the master listens. ``web_port``: of Locust's page, on loopback; None without.
    """

    workers: int = 0
    remote: bool = False
    bind: str = LOOPBACK
    port: int = PORT
    web_port: int | None = None

    @property
    def head(self) -> str:
        """The process that starts Locust's users."""
        return MASTER if self.workers else ALONE


@dataclass
class Crew:
    """Hears what the processes say. ``seat`` makes the line that hands a core to a process.

    Real agents, the last of ``accounts``, are started elsewhere; ``hear`` takes their lines.
    """

    shape: Shape
    accounts: Sequence[CoreAccount]
    seat: Callable[[int], Mapping[str, object]]
    processes: Processes = field(default_factory=Processes)
    trouble: list[str] = field(default_factory=list)
    """What the fleet cannot go on after."""
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._simulated = sum(not account.real for account in self.accounts)
        self._seats = Seats(range(self._simulated), self._give)
        self._ready: set[str] = set()
        self._joined = 0
        self._begun = self._ending = False

    def start(self, say: Callable[[str], None]) -> None:
        """Start the processes, and wait for workers that others start. Raises UnsupportedEnvironmentError."""
        shape = self.shape
        port = shape.port if shape.remote else _free_port()
        setup = {"role": "master" if shape.workers else "local", "host": shape.bind, "port": port}
        self.processes.start(shape.head, {**setup, "web_port": shape.web_port})
        self._wait(lambda: shape.head in self._ready)
        if not shape.remote:
            for number in range(shape.workers):
                worker = {"role": "worker", "remote": False, "host": shape.bind, "port": port}
                self.processes.start(f"worker {number + 1}", worker)
        else:
            say(f"waiting for {shape.workers} workers: edge-sim fleet --worker {shape.bind} --port {port}")
        self._wait(lambda: self._joined >= shape.workers, limit_s=None if shape.remote else READY_S)

    def spawn(self, rate: float) -> None:
        """Have Locust start its users."""
        self._begun = True
        self.processes.tell(self.shape.head, {"do": "spawn", "count": self._simulated, "rate": rate})

    def settle(self) -> None:
        """Have the processes note that their cores are there to stay."""
        self._everywhere({"do": "settle"})

    def drop(self, down_s: float, spread_s: float) -> None:
        """Have every core lose its session, and come back after ``down_s``, spread over ``spread_s``."""
        self._everywhere({"do": "drop", "down_s": down_s, "spread_s": spread_s})

    def show(self, broker: str, cores: Mapping[str, str]) -> None:
        """Have the live page show which core is in which state, and where they are connected."""
        if self.shape.web_port is not None:
            self.processes.tell(self.shape.head, {"do": "show", "broker": broker, "cores": dict(cores)})

    def listen(self, limit_s: float) -> None:
        """Take what the processes have said; wait for it at most so long."""
        try:
            self._take(self.processes.heard.get(timeout=limit_s))
        except queue.Empty:
            return
        for heard in self.processes.drained():
            self._take(heard)

    def hear(self, line: Line) -> None:
        """Take a line of a real agent's; may be called from any thread."""
        self.processes.heard.put(Heard(CONTROL, list(line)))

    def end(self) -> None:
        """End the processes, and hear what they have said last."""
        self._ending = True
        self.processes.end()
        for heard in self.processes.drained():
            self._take(heard)

    def _wait(self, condition: Callable[[], bool], limit_s: float | None = READY_S) -> None:
        deadline = None if limit_s is None else time.monotonic() + limit_s
        while not condition():
            self.listen(0.2)
            if self.trouble:
                raise UnsupportedEnvironmentError(self.trouble[0])
            if deadline is not None and time.monotonic() > deadline:
                raise UnsupportedEnvironmentError(f"the fleet's processes did not start within {limit_s:g} s")

    def _take(self, heard: Heard) -> None:
        process, line = heard.process, heard.line
        if line is None:
            self._ended(process, in_words(heard.status or 0))
        elif isinstance(line, dict) and "from" in line:
            self._hear(f"the worker {line['from']}", line["line"])
        else:
            self._hear(process, line)

    def _hear(self, process: str, line: Any) -> None:
        if isinstance(line, list):
            self._core(*line)
            return
        what = line["say"]
        if what == "want":
            self._seats.want(process)
        elif what == "left":
            self.accounts[line["number"]].disk = line["disk"]
            self._seats.leave(line["number"])
        elif what == "ready":
            self._ready.add(process)
        elif what == "joined":
            self._joined += 1
        elif what == "stop":
            self.trouble.append("stopped on Locust's page")
        elif what == "missing" and self.shape.remote:
            self._ended(f"the worker {line['worker']}", "no longer responds")

    def _core(self, number: int, at: float, kind: str, members: Mapping[str, Any]) -> None:
        account = self.accounts[number]
        account.hear(at, kind, members)
        if kind == "trouble" and members["text"] not in self.trouble:
            self.trouble.append(members["text"])

    def _ended(self, process: str, how: str) -> None:
        """Take note of a process's end: where others are left they run its cores on, from what these have on disk."""
        if self._ending:
            return
        lost = self._seats.lost(process)
        for number in lost:
            self.accounts[number].hear(time.time(), "down", {"text": how, "final": False})
        others = [name for name in self.processes.names if name != MASTER]
        needed = process == self.shape.head or not self._begun
        if needed or not (others or self.shape.remote):
            self.trouble.append(self._without(process, how, len(lost)))
        else:
            self.notes.append(f"{process} {how}; its {len(lost):,} cores continue on other workers")

    def _without(self, process: str, how: str, cores: int) -> str:
        """Return why the fleet cannot go on without a process."""
        if process == ALONE:
            return f"the process of all {self._simulated:,} cores {how}"
        if process == MASTER:
            return f"the workers' master {how}"
        if not self._begun:
            return f"{process} {how} before the cores were connected"
        return f"{process} {how}, and no other is left to continue with its {cores:,} cores"

    def _give(self, process: str, number: int) -> None:
        self._tell(process, self.seat(number))

    def _everywhere(self, line: Mapping[str, object]) -> None:
        for process in dict.fromkeys(self._seats.runs.values()):
            self._tell(process, line)

    def _tell(self, process: str, line: Mapping[str, object]) -> None:
        if process.startswith("the worker "):
            to = process.removeprefix("the worker ")
            self.processes.tell(MASTER, {"do": "pass on", "to": to, "line": line})
        else:
            self.processes.tell(process, line)


def join(host: str, port: int, say: Callable[[str], None]) -> str:
    """Run cores for the master at ``host`` until it is done; return how the process ended, empty when it ended well.

    Raises UnsupportedEnvironmentError when no master answers for ``MASTER_S``: workers may be started before theirs.
    """
    await_master(host, port, say)
    processes = Processes()
    processes.start("worker", {"role": "worker", "remote": True, "host": host, "port": port})
    try:
        while True:
            heard = processes.heard.get()
            if heard.line is None:
                return in_words(heard.status or 0) if heard.status else ""
    finally:
        processes.end()


def await_master(host: str, port: int, say: Callable[[str], None]) -> None:
    """Return when a master greets at ``host``; ``say`` hears why it is still waited for. As ``join`` raises."""
    deadline = time.monotonic() + MASTER_S
    shown = ""
    while True:
        try:
            _greet(host, port)
            return
        except (OSError, UnicodeError) as error:  # the latter for what can be no host's name
            text = f"no master at {host}, port {port}: {getattr(error, 'strerror', None) or error}"
        if time.monotonic() >= deadline:
            raise UnsupportedEnvironmentError(text, hint=_HINT)
        if text != shown:
            say(f"{text}; trying again for {MASTER_S:g} s")
            shown = text
        time.sleep(RETRY_S)


def _greet(host: str, port: int) -> None:
    """Return when a ZeroMQ socket, as Locust's master has, greets at this address, as each does unasked.

    Raises OSError when nothing listens there or it hangs up, UnsupportedEnvironmentError when it is something else.
    """
    with socket.create_connection((host, port), timeout=CONNECT_S) as connection:
        try:
            greeting = connection.recv(1)
        except TimeoutError:
            greeting = b"?"
    if not greeting:
        raise ConnectionResetError("the connection was closed at once")
    if greeting != GREETING:
        text = f"no master at {host}, port {port}: another service listens there"
        raise UnsupportedEnvironmentError(text, hint=_HINT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
