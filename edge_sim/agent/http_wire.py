"""The connection of an HTTP exchange: to an address that is looked at first, and never waited for without a limit."""

from __future__ import annotations

import errno
import io
import os
import queue
import select
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, NoReturn, TypeVar

from edge_sim.agent.destinations import objection
from edge_sim.agent.http_error import HttpError
from edge_sim.agent.patience import TICK_S, RequestWatch

if TYPE_CHECKING:  # under QEMU every module delays the agent's connection
    from edge_sim.agent.proxy import Proxy

_T = TypeVar("_T")
Place = tuple[socket.AddressFamily, tuple[str, int]]


class Wire(io.RawIOBase):
    """A connected socket, as http.client uses one, that keeps the limits while it waits for bytes."""

    def __init__(self, connected: socket.socket, watch: RequestWatch, timeout_s: float) -> None:
        self.socket = connected
        self._watch = watch
        self._timeout_s = timeout_s

    def sendall(self, data: bytes) -> None:
        self.socket.settimeout(self._timeout_s)
        self.socket.sendall(data)
        self._watch.begin_header()

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Stay open: http.client lets go of the socket before the body is read, and ``Client.open`` closes it."""

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Wait for bytes in short steps, with a look at the limits before each."""
        self.socket.settimeout(TICK_S)
        while True:
            self._watch.look()
            with suppress(TimeoutError):
                count = self.socket.recv_into(buffer)
                self._watch.received(count)
                return count


def connected(
    host: str, port: int, tls: ssl.SSLContext | None, watch: RequestWatch, *, loopback: bool, proxy: Proxy | None = None
) -> socket.socket:
    """Return a connection to ``host``, by TLS if ``tls`` is given.

    The address is looked at after the name was, so that no name leads to a forbidden one; behind a ``proxy``, which
    looks names up itself, only an address that stands in the URL. Raises HttpError for such an address, and what
    sockets and ``watch`` raise.
    """
    if proxy is None:
        plain = _first_that_answers(_allowed(host, _looked_up(host, port, watch), loopback=loopback), watch)
    else:
        with suppress(ValueError):
            ip_address(host)
            _allowed(host, [(socket.AF_UNSPEC, (host, port))], loopback=loopback)
        plain = _in_background(partial(proxy.connect, host, port), watch)
    if tls is None:
        return plain
    try:
        secured = tls.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    except BaseException:
        plain.close()
        raise
    try:
        _shake_hands(secured, watch)
    except BaseException:
        secured.close()
        raise
    return secured


def _looked_up(host: str, port: int, watch: RequestWatch) -> Sequence[Place]:
    """Return the addresses of ``host``; a resolver that does not answer is not waited for beyond the limits."""
    addresses = _in_background(partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM), watch)
    return [(family, place[:2]) for family, _, _, _, place in addresses]  # type: ignore[misc]


def _allowed(host: str, places: Sequence[Place], *, loopback: bool) -> Sequence[Place]:
    against = [objection(place[0], loopback=loopback) for _, place in places]
    allowed = [place for place, why in zip(places, against, strict=True) if why is None]
    if not allowed:
        raise HttpError(f"{host}: refused, because {places[0][1][0]} is {against[0]}")
    return allowed


def _in_background(work: Callable[[], _T], watch: RequestWatch) -> _T:
    """Return what ``work`` returns, or raise what it raises, with a look at the limits while it takes its time."""
    answer: queue.SimpleQueue[Callable[[], _T]] = queue.SimpleQueue()

    def run() -> None:
        try:
            result = work()
        except Exception as error:
            answer.put(partial(_raise, error))
        else:
            answer.put(lambda: result)

    threading.Thread(target=run, name="connect", daemon=True).start()
    results: list[Callable[[], _T]] = []

    def ready() -> bool:
        with suppress(queue.Empty):
            results.append(answer.get(timeout=TICK_S))
        return bool(results)

    _wait(ready, watch)
    return results[0]()


def _raise(error: Exception) -> NoReturn:
    raise error


def _first_that_answers(places: Sequence[Place], watch: RequestWatch) -> socket.socket:
    for place in places[:-1]:
        with suppress(OSError):
            return _connection(place, watch)
    return _connection(places[-1], watch)


def _connection(place: Place, watch: RequestWatch) -> socket.socket:
    family, address = place
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        watch.received(0)  # each address has its own time
        connection.setblocking(False)
        code = connection.connect_ex(address)
        if code == errno.EINPROGRESS:
            _wait(lambda: bool(select.select([], [connection], [], TICK_S)[1]), watch)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


def _shake_hands(secured: ssl.SSLSocket, watch: RequestWatch) -> None:
    def ready() -> bool:
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            select.select([secured], [], [], TICK_S)
            return False
        except ssl.SSLWantWriteError:
            select.select([], [secured], [], TICK_S)
            return False
        return True

    _wait(ready, watch)


def _wait(ready: Callable[[], bool], watch: RequestWatch) -> None:
    """Return once ``ready()``, which may take TICK_S, says so."""
    while not ready():
        watch.look()
