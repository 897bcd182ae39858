"""Keeps a board's core running for as long as the agent lives.

It looks at the core again and again and starts it when it does not run: at once after a good while, else with a
back-off that ends at one try in ten minutes and never gives up. While an update stops and starts the core itself it
holds the guard, and its roll-back has the guard bring a version up. AWS never said what watched V1's daemon; all of
this is ours.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from edge_sim.agent.config import STABLE_WINDOW_S
from edge_sim.agent.events import Emit, LogFile
from edge_sim.agent.update.releases import Releases
from edge_sim.agent.update.supervisor import Supervisor
from edge_sim.errors import EdgeSimError, UpdateError

LOOK_EVERY_S = 2.0
LONGEST_PAUSE_S = 600.0
STARTS_OF_ONE_VERSION = 3
"""How often a version is started before the next candidate has its turn."""
EVENTS_KEPT = 8


class Guard:
    """Watches the core of one board. ``candidates`` names the versions that may be run, the best one first."""

    def __init__(
        self,
        supervisor: Supervisor,
        releases: Releases,
        candidates: Callable[[], Sequence[str]],
        *,
        emit: Emit,
        log: LogFile,
        stable_s: float = STABLE_WINDOW_S,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._supervisor = supervisor
        self._releases = releases
        self._candidates = candidates
        self._emit = emit
        self._log = log
        self._stable_s = stable_s
        self._now = now
        self._sleep = sleep or supervisor.stopping.wait
        self._events: deque[str] = deque(maxlen=EVENTS_KEPT)
        self._hold = threading.RLock()
        self._first_look = threading.Event()
        self._starts = 0
        """Since the core last ran for a good while."""
        self._next_start = 0.0
        self._up_since: float | None = None
        self._missing = False
        self._chosen: str | None = None
        """The version that was started last: it stays, also where the link cannot be made to lead to it."""

    @property
    def events(self) -> str:
        """The last things that happened to the core since ``forget_events``, for the job's statusDetails."""
        return "; ".join(self._events)

    def forget_events(self) -> None:
        """Begin a new list of events: a job begins."""
        self._events.clear()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Leave the core to the caller while the block lasts; look after it at once when it is over."""
        with self._hold:
            self._up_since = self._chosen = None
            before = self._next_start
            try:
                yield
            finally:
                # Where nothing was tried on the caller's behalf, it was the caller who stopped the core.
                if self._supervisor.running() is not None or self._next_start == before:
                    self._starts, self._next_start = 0, 0.0
                self._look_safely()

    def bring_up(self, versions: Sequence[str], unhealthy: Callable[[str], str | None]) -> str:
        """Start ``versions``, the best one first, a few times each until one runs well, and return that one.

        ``unhealthy`` says what is wrong with one that was started. The pauses are those of the guard, which goes on
        with them where this gives up. Raises UpdateError with what was wrong the last time.
        """
        with self._hold:
            self._starts, trouble = 0, "no installed version can be started"
            for number in range(STARTS_OF_ONE_VERSION * len(versions)):
                if number:
                    self._sleep(max(0.0, self._next_start - self._now()))
                version = _turn(versions, number)
                wrong = self._start(version)
                if wrong is None:
                    wrong = unhealthy(version)
                    if wrong is None:
                        return version
                    self._note_down(version, wrong)
                trouble = f"{version}: {wrong}"
            raise UpdateError(trouble)

    def saw(self, version: str, trouble: str | None) -> None:
        """Note what an update that holds the core saw of ``version``: that it runs, or why it does not."""
        with self._hold:
            if trouble is None:
                self._chosen = version
                self._note_up(version, self._now())
            elif self._up_since is not None:
                self._note_down(version, trouble)
            else:
                self._tell("failed", version, error=trouble)

    def start(self) -> None:
        """Watch in a thread of its own from now on, and return when it has the core in hand."""
        in_hand = threading.Event()
        threading.Thread(target=self._watch, args=(in_hand,), name="guard", daemon=True).start()
        in_hand.wait()

    def wait(self) -> None:
        """Return when the first look is over: the core runs then, or the reason is known why it does not."""
        self._first_look.wait()

    def look(self) -> float:
        """Look once, start what should run and does not, and return the seconds until the next look."""
        with self._hold:
            versions = self._candidates()
            if not versions:
                self._tell_missing()
                return LOOK_EVERY_S
            self._missing = False
            now = self._now()
            version = self._chosen if self._chosen is not None and self._chosen in versions else versions[0]
            trouble = self._supervisor.trouble(version)
            if self._supervisor.stopping.is_set():
                return LOOK_EVERY_S
            if trouble is None:
                self._note_up(version, now)
                return LOOK_EVERY_S
            if self._up_since is not None:
                self._note_down(version, trouble)
            if now < self._next_start:
                return min(LOOK_EVERY_S, self._next_start - now)
            self._start(_turn(versions, self._starts))
            return LOOK_EVERY_S

    def _watch(self, in_hand: threading.Event) -> None:
        with self._hold:
            in_hand.set()
            wait = self._look_safely()
        self._first_look.set()
        while not self._supervisor.stopping.wait(wait):
            wait = self._look_safely()

    def _look_safely(self) -> float:
        """Look; whatever goes wrong, there is a next time."""
        try:
            return self.look()
        except Exception as error:  # a fault of ours as well: without a guard no core would be started again
            self._emit("error", task="guard", error=f"{type(error).__name__}: {error}")
            self._log.write("ERROR", "The core could not be supervised.", error=str(error))
            return LOOK_EVERY_S

    def _note_up(self, version: str, now: float) -> None:
        if self._up_since is None:
            self._up_since = now
            self._tell("running", version, chrooted=self._supervisor.chrooted)
        elif now - self._up_since >= self._stable_s:
            self._starts, self._next_start = 0, 0.0

    def _note_down(self, version: str, trouble: str) -> None:
        self._up_since = self._chosen = None
        self._tell("died", version, error=trouble)
        self._log.write("ERROR", "The core is no longer running.", version=version, error=trouble)

    def _start(self, version: str) -> str | None:
        """Start ``version``, and have the link lead to it when it runs; return why it does not."""
        self._starts += 1
        pause = min(LONGEST_PAUSE_S, 2.0 ** min(self._starts - 1, 16))
        self._up_since = None
        try:
            self._supervisor.stop()
            self._supervisor.start(version)
        except (EdgeSimError, OSError) as error:
            text = error.brief if isinstance(error, EdgeSimError) else str(error)
            if self._supervisor.stopping.is_set():
                return text
            self._next_start = self._now() + pause
            self._tell("failed", version, error=text, next_try_s=pause)
            self._log.write("ERROR", "The core did not start.", version=version, error=text, nextTryS=pause)
            return text
        self._next_start = self._now() + pause
        self._chosen = version
        self._repair_link(version)
        self._note_up(version, self._now())
        return None

    def _tell(self, status: str, version: str, **more: object) -> None:
        self._emit("core", status=status, version=version, **more)
        error = f" ({more['error']})" if "error" in more else ""
        pause = f", next try in {more['next_try_s']:g} s" if "next_try_s" in more else ""
        self._events.append(f"{version} {status}{error}{pause}")

    def _repair_link(self, version: str) -> None:
        if self._releases.current() == version:
            return
        try:
            self._releases.switch(version)
        except (EdgeSimError, OSError) as error:
            self._log.write("ERROR", "The core link cannot be repaired.", version=version, error=str(error))
            return
        self._log.write("ERROR", "The core link was broken and has been repaired.", version=version)

    def _tell_missing(self) -> None:
        if not self._missing:
            self._missing = True
            self._emit("core", status="missing")


def _turn(versions: Sequence[str], starts: int) -> str:
    """Return the version whose turn it is after ``starts`` starts."""
    return versions[starts // STARTS_OF_ONE_VERSION % len(versions)]
