"""A program in a container as its driver sees it: the few members of ``Popen`` that a run uses.

The engine sends both outputs over one connection, in frames; a thread copies them into two pipes. The connection is
read through the buffer that read the answer's header: what came right behind the header would be lost otherwise.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from edge_sim.errors import UnsupportedEnvironmentError

_HEADER = struct.Struct(">BxxxL")
_STDERR = 2
_UMASK = 'umask "$1"; shift; exec "$@"'
STATUS_LIMIT_S = 10.0


class ContainerProgram:
    """A running program. ``status`` returns its exit status or None while it runs, ``send`` sends it a signal."""

    def __init__(
        self, connection: Any, *, argv: list[str], status: Callable[[], int | None], send: Callable[[int], None]
    ) -> None:
        self.args = argv
        self.returncode: int | None = None
        self._connection = connection
        self._status = status
        self._send = send
        self._closing = threading.Lock()
        self._closed = False
        out, write_out = os.pipe()
        err, write_err = os.pipe()
        self.stdout: IO[str] = os.fdopen(out, encoding="utf-8", errors="replace")
        self.stderr: IO[str] = os.fdopen(err, encoding="utf-8", errors="replace")
        self._thread = threading.Thread(target=self._copy, args=(write_out, write_err), daemon=True)
        self._thread.start()

    def poll(self) -> int | None:
        """Return the exit status once the program has ended, else None."""
        if self.returncode is None and not self._thread.is_alive():
            self.returncode = self._final_status()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raises subprocess.TimeoutExpired."""
        self._thread.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return status

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def write(self, data: bytes) -> None:
        """Give a program that was started interactive some input; raises OSError when it takes no more."""
        self._connection._sock.sendall(data)

    def end_input(self) -> None:
        self._connection._sock.shutdown(socket.SHUT_WR)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return all of both outputs; raises subprocess.TimeoutExpired, after which only ``close`` makes sense."""
        texts: dict[str, str] = {}

        def read(name: str, stream: IO[str]) -> None:
            with contextlib.suppress(ValueError):  # closed after a time-out
                texts[name] = stream.read()

        readers = [
            threading.Thread(target=read, args=("out", self.stdout), daemon=True),
            threading.Thread(target=read, args=("err", self.stderr), daemon=True),
        ]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join()
        return texts["out"], texts["err"]

    def close(self) -> None:
        """Let go of the connection; the pipes end then. Safe to call again, and from another thread."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            with contextlib.suppress(OSError):
                self._connection._sock.shutdown(socket.SHUT_RDWR)
            self._thread.join(STATUS_LIMIT_S)
            with contextlib.suppress(OSError):
                self._connection._response.close()

    def _final_status(self) -> int:
        """The connection may end an instant before the engine knows the status."""
        deadline = time.monotonic() + STATUS_LIMIT_S
        while time.monotonic() < deadline:
            status = self._status()
            if status is not None:
                return status
            time.sleep(0.02)
        return -1

    def _copy(self, out: int, err: int) -> None:
        reader = buffered(self._connection)
        try:
            while header := reader.read(_HEADER.size):
                if len(header) < _HEADER.size:
                    return
                kind, size = _HEADER.unpack(header)
                _write_all(err if kind == _STDERR else out, reader.read(size))
        except (OSError, ValueError):  # the connection was closed, or nobody reads any more
            return
        finally:
            os.close(out)
            os.close(err)


def started(
    engine: Any,
    container: str,
    argv: Sequence[str],
    *,
    umask: int,
    env: Mapping[str, str] | None = None,
    cwd: str = "/",
    interactive: bool = False,
) -> ContainerProgram:
    """Start a program in a running container as its root. Raises UnsupportedEnvironmentError.

    Without ``interactive`` its input is empty.
    """
    import docker

    api = engine.api
    # The engine starts programs with umask 0022, whatever the container's first process has.
    whole = list(argv) if umask == 0o022 else ["sh", "-c", _UMASK, "sh", f"{umask:04o}", *argv]
    try:
        number: str = api.exec_create(
            container, whole, environment=dict(env or {}), workdir=cwd, user="0:0", stdin=interactive
        )["Id"]
        connection = api.exec_start(number, socket=True)
    except docker.errors.APIError as error:
        raise UnsupportedEnvironmentError(f"{argv[0]}: the board is not running: {error.explanation}") from error
    api._disable_socket_timeout(connection)

    def status() -> int | None:
        about = api.exec_inspect(number)
        return None if about["Running"] else int(about["ExitCode"] or 0)

    def send(signal_number: int) -> None:
        pid = api.exec_inspect(number).get("Pid")
        with contextlib.suppress(OSError):  # not ours to signal without root: then the board's end is its end
            if pid:
                os.kill(pid, signal_number)

    return ContainerProgram(connection, argv=list(argv), status=status, send=send)


def buffered(connection: Any) -> Any:
    """Return the reader behind a connection of the docker SDK, with what it has read already."""
    return connection._response.raw._fp.fp


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def completed(program: ContainerProgram, timeout: float) -> subprocess.CompletedProcess[str]:
    """Wait for the end of ``program`` and return its status and output; it is closed then.

    Raises UnsupportedEnvironmentError when it takes longer than ``timeout`` seconds; it is killed then.
    """
    try:
        out, err = program.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        program.kill()
        raise UnsupportedEnvironmentError(f"{program.args[0]} timed out after {timeout:g} s on the board") from error
    finally:
        program.close()
    return subprocess.CompletedProcess(program.args, program.returncode or 0, out, err)
