"""A server in a thread of its own: HTTP, MQTT over TLS and the embedded broker are run by it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

import pytest

from edge_sim.cloud.loopthread import LoopThread
from edge_sim.errors import UnsupportedEnvironmentError

LIMIT_S = 20.0


async def idle(ready: Callable[[], None], stopping: asyncio.Event) -> None:
    ready()
    await stopping.wait()


def test_work_is_done_in_the_servers_thread_until_it_is_stopped() -> None:
    server = LoopThread("the test's server", idle)
    server.start(LIMIT_S)
    threads: list[threading.Thread] = []

    def work() -> None:
        threads.append(threading.current_thread())
        server.call(
            lambda: threads.append(threading.main_thread()), LIMIT_S
        )  # in its own thread: it would wait for itself

    server.call(work, LIMIT_S)
    (thread,) = threads
    assert thread.name == "the test's server"
    assert server.alive()
    server.stop(LIMIT_S)
    server.stop(LIMIT_S)
    server.wait()
    assert (server.alive(), thread.is_alive(), server.error) == (False, False, None)
    server.call(work, LIMIT_S)
    assert len(threads) == 1


def test_a_server_that_cannot_start_says_why(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(ready: Callable[[], None], stopping: asyncio.Event) -> None:
        raise OSError("no such address")

    server = LoopThread("the test's server", broken)
    with pytest.raises(UnsupportedEnvironmentError, match="the test's server did not start: no such address"):
        server.start(LIMIT_S)
    assert not server.alive()
    assert not caplog.records, "who starts it reports it"


def test_a_server_that_ends_by_itself_is_logged_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    async def short_lived(ready: Callable[[], None], stopping: asyncio.Event) -> None:
        ready()
        await asyncio.sleep(0)
        raise OSError("no descriptor left")

    server = LoopThread("the test's server", short_lived)
    with contextlib.suppress(UnsupportedEnvironmentError):  # it may have ended before start looked
        server.start(LIMIT_S)
    server.wait()
    assert str(server.error) == "no descriptor left"
    assert "the test's server has ended" in caplog.text


def test_a_server_that_never_gets_ready_is_given_up() -> None:
    running = threading.Event()

    async def stuck(ready: Callable[[], None], stopping: asyncio.Event) -> None:
        running.set()
        await stopping.wait()

    server = LoopThread("the test's server", stuck)
    with pytest.raises(UnsupportedEnvironmentError, match=r"the test's server did not start within 0\.01 s"):
        server.start(0.01)
    assert running.wait(LIMIT_S)
    server.stop(LIMIT_S)
    server.wait()
