"""A mosquitto process as the broker of a run: on a free port, for one address, ending with whoever started it.

Its configuration is in memory and its log in a file without a name: mosquitto runs as a user of its own, which cannot
read below a private TMPDIR.
"""

from __future__ import annotations

import base64
import hashlib
import os
import pwd
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from typing import IO, Any

from edge_sim.cloud.brokers.packets import MAX_CONNECTIONS
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.process import ending_with

START_TRIES = 3
CONNECT_LIMIT_S = 5.0
MAX_LOG_BYTES = 16 * 1024
MAX_QUEUED_BYTES = 8 * 1024 * 1024
"""What is kept for a client that reads slower than others publish, or is away; what is more is not delivered to it."""
_ITERATIONS = 101
"""mosquitto_passwd's own; the password is random, so that more would only cost time at each connection."""

# Without max_keepalive: mosquitto 2.0.21 (Debian 13) hangs up at once on clients whose keep-alive is near it (its issue
# 3226), and 1,200 s is what AWS's SDKs ask for. The front holds clients to AWS's maximum.
_CONFIG = """\
# Written by edge-sim for one run.
listener {port} {host}
{login}
max_qos 1
message_size_limit {max_payload}
max_inflight_messages 100
max_queued_messages 1000
max_queued_bytes {max_queued_bytes}
max_connections {connections}
persistence false
max_topic_alias 0
set_tcp_nodelay true
persistent_client_expiration 1h
log_dest stderr
log_type error
log_type warning
# Only read when started as root: changing the user would clear the parent-death signal, so Popen did it before.
user root
"""


class Mosquitto:
    """A mosquitto process on a free port of ``host``. It never outlives the thread that made it.

    ``login`` is the one user and password that it takes, None for clients without; ``connections`` is how many at once.
    Raises UnsupportedEnvironmentError, with what mosquitto said last, when it does not start.
    """

    def __init__(
        self,
        program: str,
        host: str,
        *,
        max_payload: int,
        start_limit_s: float,
        stop_limit_s: float,
        login: tuple[str, str] | None = None,
        connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._login = login
        self._connections = connections
        self._program, self._host, self._max_payload = program, host, max_payload
        self._start_limit_s, self._stop_limit_s = start_limit_s, stop_limit_s
        with tempfile.TemporaryFile() as log:
            self.port, self._process = self._launch(log)

    def alive(self) -> bool:
        """Tell whether it still serves."""
        return self._process.poll() is None

    def wait(self) -> str:
        """Return, when it has ended, why."""
        status = self._process.wait()
        return f"killed by signal {-status}" if status < 0 else f"exit status {status}"

    def stop(self) -> None:
        """End it; killed when it does not end by itself."""
        self._end(self._process)

    def restart(self, down_s: float) -> None:
        """Kill it, and start it again at its port after ``down_s`` seconds: whatever it has not delivered is lost."""
        self._process.kill()
        self._process.wait()
        time.sleep(down_s)
        with tempfile.TemporaryFile() as log:
            self._process = self._spawn(self.port, log)
            if not self._answers(self.port, self._process):
                raise self._failure("does not start again", log)

    def _launch(self, log: IO[bytes]) -> tuple[int, subprocess.Popen[bytes]]:
        for _ in range(START_TRIES):  # another program may take the free port between our look and mosquitto's bind
            port = _free_port(self._host)
            process = self._spawn(port, log)
            if self._answers(port, process):
                return port, process
            ended = process.poll() is not None
            self._end(process)
            if not ended:
                raise self._failure(f"does not answer within {self._start_limit_s:g} s", log)
        raise self._failure("does not start", log)

    def _failure(self, what: str, log: IO[bytes]) -> UnsupportedEnvironmentError:
        log.seek(0)
        text = log.read(MAX_LOG_BYTES).decode(errors="replace").strip()
        last = text.rpartition("\n")[2] or "it printed nothing"
        return UnsupportedEnvironmentError(
            f"{self._program} {what}: {last}",
            details=text if text != last else None,
            hint="Repair it, remove it from PATH to use the embedded broker, or name a running broker: --broker "
            "mqtt://HOST:PORT",
        )

    def _spawn(self, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        with ExitStack() as stack:
            login, passed = "allow_anonymous true", []
            if self._login is not None:
                passwords = stack.enter_context(_in_memory("passwords", _password_line(*self._login)))
                passed.append(passwords.fileno())
                login = f"allow_anonymous false\npassword_file /proc/self/fd/{passwords.fileno()}"
            text = _CONFIG.format(
                port=port,
                host=self._host,
                login=login,
                max_payload=self._max_payload,
                max_queued_bytes=MAX_QUEUED_BYTES,
                connections=self._connections,
            )
            config = stack.enter_context(_in_memory("mosquitto.conf", text))
            try:
                return subprocess.Popen(
                    [self._program, "-c", "/proc/self/fd/0"],
                    stdin=config,
                    stdout=log,
                    stderr=log,
                    pass_fds=passed,
                    preexec_fn=ending_with(os.getpid(), signal.SIGKILL),
                    start_new_session=True,  # Ctrl-C is ours to handle; we then stop it
                    **_account(),
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise self._failure(f"cannot be started ({error})", log) from error

    def _answers(self, port: int, process: subprocess.Popen[bytes]) -> bool:
        until = time.monotonic() + self._start_limit_s
        while process.poll() is None and time.monotonic() < until:
            if _connects(self._host, port):
                # A stranger on our port would answer as well; then mosquitto has ended or is about to.
                return process.poll() is None
            time.sleep(0.02)
        return False

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(self._stop_limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(self._stop_limit_s)


def _in_memory(name: str, text: str) -> IO[bytes]:
    """Return a file that only this process and its children can open."""
    file = os.fdopen(os.memfd_create(name), "wb")
    file.write(text.encode())
    file.flush()
    return file


def _password_line(user: str, password: str) -> str:
    """Return a line of a password file, as mosquitto_passwd writes it (PBKDF2 with SHA-512)."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    shown = "$".join(base64.b64encode(part).decode() for part in (salt, digest))
    return f"{user}:$7${_ITERATIONS}${shown}\n"


def _account() -> dict[str, Any]:
    """Return Popen's arguments that make mosquitto run as its own user when we are root."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("mosquitto")
    except KeyError:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port


def _connects(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=CONNECT_LIMIT_S):
            return True
    except OSError:
        return False
