"""An HTTP proxy that knows CONNECT alone, and remembers where it was asked to go."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def connect_proxy() -> Iterator[tuple[int, list[str]]]:
    """Yield the proxy's port and the targets so far."""
    targets: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, targets), daemon=True).start()
        yield listener.getsockname()[1], targets
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, targets: list[str]) -> None:
    with suppress(OSError):
        while True:
            near, _ = listener.accept()
            threading.Thread(target=_serve, args=(near, targets), daemon=True).start()


def _serve(near: socket.socket, targets: list[str]) -> None:
    with near, near.makefile("rb", buffering=0) as file:
        target = file.readline().split()[1].decode()
        while file.readline().strip():
            pass
        targets.append(target)
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(far, near), daemon=True)
            back.start()
            _pump(near, far)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
