"""A TCP relay on loopback, whose connections a test can cut and restore at one address."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Relay:
    """A TCP relay before a broker, so that a test can cut and restore the connection at one address.

    ``target``: the port of ``host``, of loopback too, that new connections are led to.
    """

    def __init__(self, target: int, host: str = "127.0.0.1") -> None:
        self.target, self._host = target, host
        self._open: list[socket.socket] = []
        self._frozen = threading.Event()
        self.port = 0
        self.start()

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
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not self._frozen.is_set():
                    sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
