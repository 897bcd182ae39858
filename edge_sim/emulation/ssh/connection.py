"""The door to a board: one connection of the user's own OpenSSH client, which every command on the board shares.

Configuration, keys, agent, jump hosts and known hosts are the user's; nothing here weakens how a host's key is checked.
The control socket lies in a private folder and goes with the connection.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, cast

from edge_sim.emulation.ssh.address import Address
from edge_sim.emulation.ssh.gather import gather
from edge_sim.emulation.ssh.text import LAYOUT, complaints, harmless
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.folders import while_in_use
from edge_sim.printing import printable

CONNECT_S = 120.0
"""For all of it, with a password that somebody types."""
COMMAND_S = 120.0
SSH_FAILED = 255
"""ssh's own status, which a program on the board may have as well."""
MAX_OUTPUT = 64 * 1024 * 1024
"""Bytes that a command on a board may say."""
MAX_LINE = 64 * 1024
"""Bytes of a line that are read as one."""
_LETTING_GO_S = 5.0
"""For a program on the board to end once nobody reads what it prints."""
_SOCKET_BYTES = 80
"""A socket's path has at most 107 bytes, of which ssh needs some for a name of its own at first."""
_SAFE = (
    # What a user's configuration may ask for, and a board must not get from us.
    *("-a", "-x", "-T", "-o", "PermitLocalCommand=no", "-o", "RemoteCommand=none", "-o", "ControlPersist=no"),
)
_ALIVE = ("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", "-o", "ConnectTimeout=20")
"""A pulled cable is noticed after a quarter of a minute."""
_NEVER_ANEW = ("-o", "ControlMaster=no", "-o", "ProxyCommand=exit 255")
"""A command whose connection is lost must fail, where ssh would make another one."""
_REASONS = (
    ("HOST IDENTIFICATION HAS CHANGED", "its host key is not the one that you know"),
    ("Host key verification failed", "its host key is unknown and was not confirmed"),
    ("Permission denied", "it accepts none of your keys"),
    ("Could not resolve", "the host name is unknown"),
    ("Connection refused", "nothing listens there"),
    ("timed out", "it does not answer"),
    ("No route to host", "it cannot be reached"),
)


class LostConnectionError(UnsupportedEnvironmentError):
    """The connection to a board is gone."""


class Connection:
    """A connection to the board at ``address``; a context manager. ``root`` is how a command there becomes root's."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.root: tuple[str, ...] = ()
        self._stack = contextlib.ExitStack()
        self._master: subprocess.Popen[bytes] | None = None
        self._socket = Path()

    def __enter__(self) -> Connection:
        if shutil.which("ssh") is None:
            raise UnsupportedEnvironmentError("ssh is not installed here", hint="apt-get install openssh-client")
        with contextlib.ExitStack() as stack:
            place, _ = stack.enter_context(while_in_use("edge-sim-ssh-"))
            self._socket = place / "control"
            if len(bytes(self._socket)) > _SOCKET_BYTES:
                raise UsageError(f"{place.parent}: too long for ssh's socket", hint="Choose a shorter TMPDIR: /tmp")
            stack.callback(self._end)
            self._connect(place / "errors")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def check(self) -> None:
        """Raise LostConnectionError when the connection is gone."""
        if self._master is None or self._master.poll() is not None:
            raise LostConnectionError(
                f"the connection to {self.address} is lost",
                hint=f"When it is back: edge-sim board restore {self.address}",
            )

    def become_root(self) -> bool:
        """Have what follows run as root's, if the account is root's or may become root without a password."""
        if self.run(["id", "-u"]).stdout.strip() == "0":
            return True
        if self.run(["sudo", "-n", "true"]).returncode == 0:
            self.root = ("sudo", "-n")
            return True
        return False

    def require_root(self) -> None:
        """Become root as ``become_root`` does; raise UnsupportedEnvironmentError for an account that cannot."""
        if not self.become_root():
            raise UnsupportedEnvironmentError(
                f"{self.address}: the account is neither root nor allowed passwordless sudo",
                hint="Log in as root, or allow it passwordless sudo (sudo -n). Nothing was changed.",
            )

    def run(
        self, argv: Sequence[str], *, stdin: IO[bytes] | None = None, timeout: float = COMMAND_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on the board to its end and return its status and output, made harmless.

        ``stdin`` becomes its input. Raises UnsupportedEnvironmentError when it takes longer than ``timeout`` seconds or
        says too much, LostConnectionError.
        """
        self.check()
        process = self._spawn(argv, stdin or subprocess.DEVNULL)
        with process:
            try:
                outputs = gather(process, timeout, MAX_OUTPUT)
                self._check_size(argv, outputs)
                status = process.wait(timeout)
            except subprocess.TimeoutExpired as error:
                raise UnsupportedEnvironmentError(
                    f"{self.address}: {argv[0]} timed out after {timeout:g} s on the board"
                ) from error
            finally:
                _kill(process)
        if status == SSH_FAILED:
            self.check()
        out = harmless(outputs["stdout"].decode(errors="replace"))
        return subprocess.CompletedProcess(list(argv), status, out, complaints(outputs["stderr"]))

    @contextlib.contextmanager
    def output(self, argv: Sequence[str], *, timeout: float) -> Iterator[ProgramOutput]:
        """Yield what a program on the board prints, to be read as it comes; it ends with the block.

        Nothing of it is to be trusted: its reader bounds how much it takes. Raises UnsupportedEnvironmentError when all
        of it takes longer than ``timeout`` seconds, LostConnectionError.
        """
        self.check()
        process = self._spawn(argv, subprocess.DEVNULL)
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._end()  # its pipes are the master's too
            _kill(process)

        errors: dict[str, bytes] = {}
        reader = threading.Thread(target=_read, args=(process, "stderr", errors), daemon=True)
        timer = threading.Timer(timeout, stop)
        timer.daemon = True
        with process:
            reader.start()
            timer.start()
            output = ProgramOutput(file=cast(io.BufferedReader, process.stdout))
            try:
                yield output
                if len(output.file.read(MAX_OUTPUT + 1)) > MAX_OUTPUT:  # what follows the end of a tar
                    raise UnsupportedEnvironmentError(f"{self.address}: {argv[0]} does not end on the board")
                output.status = process.wait()
            except Exception:
                self._say_why(argv, timeout, late)
                raise
            finally:
                timer.cancel()
                _kill(process)
                output.file.close()  # ssh's master holds both pipes until it is rid of what nobody has read
                reader.join(_LETTING_GO_S)
                if reader.is_alive():
                    self._end()
                    reader.join()
        self._say_why(argv, timeout, late)
        self._check_size(argv, errors)
        output.errors = complaints(errors["stderr"])

    def _check_size(self, argv: Sequence[str], outputs: Mapping[str, bytes]) -> None:
        if sum(map(len, outputs.values())) > MAX_OUTPUT:
            raise UnsupportedEnvironmentError(f"{self.address}: {argv[0]} printed more than {MAX_OUTPUT >> 20} MiB")

    def _say_why(self, argv: Sequence[str], timeout: float, late: threading.Event) -> None:
        """Raise for what ended a program on the board before its time."""
        if late.is_set():
            raise UnsupportedEnvironmentError(f"{self.address}: {argv[0]} timed out after {timeout:g} s on the board")
        self.check()

    def start(self, argv: Sequence[str]) -> RemoteProgram:
        """Start a program on the board. It must end when its input does, which is when ``terminate`` is called."""
        self.check()
        return RemoteProgram(self._spawn(argv, subprocess.PIPE), self.check)

    def forward(self, port: int) -> None:
        """Have the board's loopback ``port`` lead to this machine's, for as long as the connection lasts.

        Raises UnsupportedEnvironmentError where the board does not allow it, or something listens there already.
        """
        where = f"127.0.0.1:{port}:127.0.0.1:{port}"
        done = self._control("-O", "forward", "-R", where)
        if done.returncode:
            self.check()
            raise UnsupportedEnvironmentError(
                f"{self.address}: cannot forward the board's port {port} to this machine",
                details=printable(done.stderr.decode(errors="replace"), LAYOUT).strip() or None,
                hint="The board's ssh server must allow it (AllowTcpForwarding yes), and the port must be free.",
            )

    def _connect(self, errors: Path) -> None:
        with errors.open("wb") as file:
            self._master = subprocess.Popen(
                ["ssh", *_SAFE, *_ALIVE, "-o", "ClearAllForwardings=yes", "-M", "-N", *self._destination()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
                # On our terminal, where it may ask; Ctrl-C there is ours: what it ends is put back through it.
                preexec_fn=_ignore_interrupts,
            )
        deadline = time.monotonic() + CONNECT_S
        while not self._socket.exists():
            if self._master.poll() is not None or time.monotonic() > deadline:
                raise _refused(self.address, errors.read_text(encoding="utf-8", errors="replace"))
            time.sleep(0.02)

    def _spawn(self, argv: Sequence[str], stdin: IO[bytes] | int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["ssh", *_SAFE, *_NEVER_ANEW, *self._destination(), shlex.join([*self.root, *argv])],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def _control(self, *options: str) -> subprocess.CompletedProcess[bytes]:
        argv = ["ssh", *_NEVER_ANEW, *options, *self._destination()]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_S, check=False)

    def _destination(self) -> list[str]:
        port = ["-p", str(self.address.port)] if self.address.port else []
        user = ["-l", self.address.user] if self.address.user else []
        return ["-S", str(self._socket), *port, *user, "--", self.address.host]

    def _end(self) -> None:
        if self._master is None:
            return
        self._master.terminate()
        try:
            self._master.wait(5)
        except subprocess.TimeoutExpired:
            self._master.kill()
            self._master.wait()


@dataclass
class ProgramOutput:
    """What a program on a board prints; ``status`` and ``errors`` are set once the block has ended."""

    file: io.BufferedReader
    status: int = 0
    errors: str = ""


class RemoteProgram:
    """A running program on a board, as a run sees it: a part of ``Popen``. ``check`` is its connection's."""

    def __init__(self, process: subprocess.Popen[bytes], check: Callable[[], None]) -> None:
        self._process = process
        self._check = check
        assert process.stdout is not None  # noqa: S101 - both were asked for
        assert process.stderr is not None  # noqa: S101
        self.stdout = _lines(process.stdout)
        self.stderr = _lines(process.stderr)

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def poll(self) -> int | None:
        """Return the exit status once it has ended, else None. Raises LostConnectionError where that is why."""
        status = self._process.poll()
        if status == SSH_FAILED:
            self._check()
        return status

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout)

    def terminate(self) -> None:
        """End its input."""
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def kill(self) -> None:
        """Let go of it; what still runs on the board is ended when the board is put back."""
        _kill(self._process)


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """Yield a program's lines, made harmless; one that is too long is cut, and after too much nothing is heard."""
    heard = 0
    with stream:
        while heard < MAX_OUTPUT and (line := stream.readline(MAX_LINE)):
            heard += len(line)
            yield harmless(line.decode(errors="replace"))


def _read(process: subprocess.Popen[bytes], name: str, outputs: dict[str, bytes]) -> None:
    stream: IO[bytes] = getattr(process, name)
    outputs[name] = stream.read(MAX_OUTPUT + 1)
    if len(outputs[name]) > MAX_OUTPUT:
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command of ours with all that it started: each has a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _refused(address: Address, errors: str) -> UnsupportedEnvironmentError:
    errors = printable(errors, LAYOUT).strip()
    why = next((why for sign, why in _REASONS if sign in errors), "ssh cannot connect")
    return UnsupportedEnvironmentError(
        f"{address}: {why}",
        details=errors[-2000:] or None,
        hint=f"Nothing was changed on the board. This must work first: ssh {_by_hand(address)} true",
    )


def _by_hand(address: Address) -> str:
    port = ("-p", str(address.port)) if address.port else ()
    return shlex.join((*port, f"{address.user or ''}@{address.host}".lstrip("@")))
