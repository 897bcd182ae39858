"""A TCP relay on loopback, whose connections a test can cut and restore at one address."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from edge_sim.cloud.brokers.packets import Length


class Relay:
    """A TCP relay before a broker, so that a test can cut and restore the connection at one address.

    ``target``: the port of ``host``, of loopback too, that new connections are led to. ``alter`` takes each packet that
    the broker sends, and returns what the client gets in its place, empty for nothing.
    """

    def __init__(self, target: int, host: str = "127.0.0.1", *, alter: Callable[[bytes], bytes] | None = None) -> None:
        self.target, self._host, self._alter = target, host, alter
        self._open: list[socket.socket] = []
        self._frozen = threading.Event()
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def freeze(self, *, frozen: bool = True) -> None:
        """Swallow what comes from now on, with every connection open: a half-open one, as after a pulled cable."""
        (self._frozen.set if frozen else self._frozen.clear)()

    def cut(self) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((self._host, self.target))
                self._open += [near, far]
                answers = map(self._alter, _packets(far)) if self._alter else _pieces(far)
                for pieces, sink in ((_pieces(near), far), (answers, near)):
                    threading.Thread(target=self._pump, args=(pieces, sink), daemon=True).start()

    def _pump(self, pieces: Iterator[bytes], sink: socket.socket) -> None:
        with suppress(OSError):
            for data in pieces:
                if not self._frozen.is_set():
                    sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


def _pieces(source: socket.socket) -> Iterator[bytes]:
    while data := source.recv(65536):
        yield data


def _packets(source: socket.socket) -> Iterator[bytes]:
    with source.makefile("rb") as file:
        while head := file.read(1):
            length = Length()
            while length.open:
                head += file.read(1)
                length.add(head[-1])
            yield head + file.read(length.value)
