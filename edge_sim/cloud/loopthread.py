"""A server on an asyncio event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import sys
import threading
from collections.abc import Callable, Collection, Coroutine

from edge_sim.errors import UnsupportedEnvironmentError

_log = logging.getLogger(__name__)
_TURNS = 10
"""Of the loop, until a connection is there that was just accepted, and closed: what reads it hears of that first."""

Serve = Callable[[Callable[[], None], asyncio.Event], Coroutine[None, None, None]]
"""A server: it calls its first argument when it is ready, and ends soon after the event is set."""


async def close(server: asyncio.Server, connections: Collection[asyncio.StreamWriter]) -> None:
    """Close a server and its connections before the loop ends: Python 3.13 complains of those that outlive it.

    Before 3.13 only those in ``connections`` can be reached, not those still in their TLS handshake.
    """
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())  # asyncio forgets to close what it accepts while the server is closed
    for _ in range(_TURNS):
        await asyncio.sleep(0)
        if sys.version_info >= (3, 13):
            server.abort_clients()
        for writer in connections:
            writer.transport.abort()
    server.close()


class LoopThread:
    """Runs ``serve`` until it ends or is stopped; ``name`` is what messages call it."""

    def __init__(self, name: str, serve: Serve) -> None:
        self._name = name
        self._serve = serve
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._ready, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.error: Exception | None = None
        """What the server ended with."""

    def start(self, limit_s: float) -> None:
        """Return when the server is ready; raises UnsupportedEnvironmentError when it cannot start, or not in time."""
        self._thread.start()
        if not self._ready.wait(limit_s):
            raise UnsupportedEnvironmentError(f"{self._name} did not start within {limit_s:g} s")
        if self.error is not None:
            raise UnsupportedEnvironmentError(f"{self._name} did not start: {self.error}") from self.error

    def alive(self) -> bool:
        return not self._ended.is_set()

    def wait(self) -> None:
        """Return when the server has ended."""
        self._ended.wait()

    def call(self, work: Callable[[], None], limit_s: float) -> None:
        """Call ``work`` in the server's thread and return when it is done; does nothing while no server runs."""

        async def do() -> None:
            work()

        if self._loop is None or not self.alive() or threading.current_thread() is self._thread:
            return
        try:
            asyncio.run_coroutine_threadsafe(do(), self._loop).result(limit_s)
        except RuntimeError:
            _log.debug("%s has already stopped", self._name)
        except concurrent.futures.TimeoutError:
            _log.error("%s does not respond within %g s", self._name, limit_s)

    def stop(self, limit_s: float) -> None:
        """Let the server finish, for at most ``limit_s`` seconds. Harmless the second time."""
        if self._loop is not None and self._stopping is not None:
            try:
                self._loop.call_soon_threadsafe(self._stopping.set)
            except RuntimeError:
                _log.debug("%s has already stopped", self._name)
            self._thread.join(limit_s)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception as error:
            if self._ready.is_set():  # otherwise start raises it
                _log.exception("%s has ended", self._name)
            self.error = error
        finally:
            self._ended.set()
            self._ready.set()

    async def _main(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await self._serve(self._ready.set, self._stopping)
