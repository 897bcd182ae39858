"""An HTTP server on loopback that answers each connection as a test says, also in ways that no library would."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable

SECRET = "X-Amz-Signature=c0ffee"
Answer = bytes | Callable[[bytes], bytes]


class Server:
    """Answers the n-th connection with the n-th script entry (the last one again and again), then hangs up.

    An answer that ends with ``<hang>`` is followed by silence, one with ``<drip>`` by a byte now and then.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.script: list[Answer] = []
        self.linger = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}/artifacts/model?{SECRET}"

    def close(self) -> None:
        self.linger.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                with self._tls.wrap_socket(connection, server_side=True) if self._tls else connection as wire:
                    self._answer(wire)
            except OSError:  # a client that does not trust us, or has gone
                continue

    def _answer(self, connection: socket.socket) -> None:
        request = b""
        while not _whole(request) and (data := connection.recv(65_536)):
            request += data
        answer = self.script[min(len(self.requests), len(self.script) - 1)]
        self.requests.append(request)
        data = answer(request) if callable(answer) else answer
        connection.sendall(data.removesuffix(b"<hang>"))
        if data.endswith(b"<hang>"):
            self.linger.wait(30)
        while data.endswith(b"<drip>") and not self.linger.wait(0.02):
            connection.sendall(b"x")


def _whole(request: bytes) -> bool:
    """Whether a request has come with its body: hanging up with some of it unread would break the connection."""
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


def ok(body: bytes, *, headers: str = "", length: int | None = None, status: str = "200 OK") -> bytes:
    length = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n".encode() + body
