"""The local cloud as a child process, and the control calls that only a simulator has."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from edge_sim import interrupts
from edge_sim.errors import EdgeSimError, InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.folders import while_in_use
from edge_sim.process import ending_with

TLS = ("--tls", "--port", "0", "--mqtt-port", "0")
"""Options of a cloud that asks for certificates, on free ports."""
_READY_S = 120.0
"""An emulated processor takes over a minute to import boto3 and moto; a cloud that ends early is noticed at once."""
_ENDING_S = 10.0
"""How long a cloud that answers no more may take to end, and to tell why."""
_STOP_S = 45.0
"""More than the cloud allows its own parts to end, one after the other: killed before, it leaves its files behind."""
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Past any proxy, which would look for the cloud on its own loopback."""


@dataclass(frozen=True, kw_only=True)
class NamedBroker:
    """A broker that runs already, and the CA certificates that it is checked with; None: the system's."""

    url: str
    cafile: Path | None = None


class CloudProcess:
    """``edge-sim cloud serve`` in a process of its own: killing it must end a run, not hang it.

    ``bind`` is the address it listens on, None for loopback; ``more`` are further options of the command.
    """

    def __init__(self, *, broker: NamedBroker | None = None, bind: str | None = None, more: Sequence[str] = ()) -> None:
        self._argv = [sys.executable, "-m", "edge_sim.cli.main", "cloud", "serve", "--for-a-run", "--format", "json"]
        self._argv += ["--broker", broker.url] if broker else []
        self._argv += ["--broker-cafile", str(broker.cafile)] if broker and broker.cafile else []
        self._argv += ["--bind", bind] if bind else []
        self._argv += more
        self._opener = _DIRECTLY
        self.place = Path()
        """A folder of this user's alone that goes with the cloud, once it is up."""
        self._process: subprocess.Popen[bytes] | None = None
        self._stack = contextlib.ExitStack()
        self.about: dict[str, object] = {}
        self.offering = threading.Lock()
        """Held from ``load_build`` until the job is made that takes the newest build: boards may run at once."""

    def __enter__(self) -> CloudProcess:
        with contextlib.ExitStack() as stack:
            with interrupts.hold():
                # Its files lie in a folder of ours, so that nothing is left of a cloud that was killed; and where both
                # of us are, the next run sweeps it.
                self.place, self._lock = stack.enter_context(while_in_use("edge-sim-run-"))
                stack.callback(self._stop)
                self._process = self._spawn()
            self.about = self._ready_line()
            if self.cafile:
                context = ssl.create_default_context(cafile=str(self.cafile))
                self._opener = urllib.request.build_opener(
                    urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
                )
            self._stack = stack.pop_all()
        return self

    def restart(self, down_s: float) -> None:
        """Kill the cloud; after ``down_s`` seconds start it at its address again, with what its ``--state`` has."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        time.sleep(down_s)
        port = str(urlsplit(self.http).port)
        with interrupts.hold():
            self._process = self._spawn("--port", port)
        self.about = self._ready_line()

    def _spawn(self, *more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._argv, *more],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(self.place)},
            pass_fds=(self._lock,),
            start_new_session=True,  # Ctrl-C reaches us alone; we stop it in order
            preexec_fn=ending_with(os.getpid(), signal.SIGTERM),  # where the run dies without cleaning up
        )

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _stop(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
        try:
            # One that is still starting hears it only when it has.
            self._process.communicate(timeout=_STOP_S if self.about else _READY_S + _STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    @property
    def http(self) -> str:
        return str(self.about["http"])

    @property
    def mqtt(self) -> str:
        return str(self.about["mqtt"])

    @property
    def region(self) -> str:
        return str(self.about["region"])

    @property
    def cafile(self) -> Path | None:
        """The CA certificate of a cloud with TLS."""
        return Path(str(self.about["cafile"])) if self.about["cafile"] else None

    @property
    def secret(self) -> str:
        """The key that signs calls of the API."""
        return self.exports["AWS_SECRET_ACCESS_KEY"]

    @property
    def exports(self) -> dict[str, str]:
        """The environment with which AWS's own clients use this cloud."""
        exports = self.about["exports"]
        assert isinstance(exports, dict)  # noqa: S101 - our own program's
        return {str(name): str(value) for name, value in exports.items()}

    def check(self) -> None:
        """Raise UnsupportedEnvironmentError when the cloud has ended, with its own last words."""
        if self._process is None or self._process.poll() is not None:
            raise UnsupportedEnvironmentError("the local cloud stopped during the run", details=self._last_words())

    def explain(self) -> None:
        """As ``check``, after a call that failed: a cloud that is going down answers no more before it has ended."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDING_S)
        self.check()

    def load_sources(self, sources: Sequence[Mapping[str, object]]) -> None:
        """Make the scenario's models and secrets available where ``S3Uri`` and the like point to."""
        self._control("PUT", "/edge-sim/sources", list(sources))

    def load_functions(self, functions: Mapping[str, Mapping[str, object]]) -> None:
        """Register function code by ARN; AWS Lambda is not resolved (simulator-defined)."""
        self._control("PUT", "/edge-sim/functions", functions)

    def register_things(self, group: str, names: Sequence[str]) -> None:
        """Make things and the group that they are in."""
        self._control("PUT", f"/edge-sim/things/{quote(group, safe='')}", list(names))

    def load_build(
        self, software: str, operating_system: str, architecture: str, version: str, package: bytes
    ) -> dict[str, Any]:
        """Make a core build the newest one for its platform; return its ``url``, ``sha256`` and ``size``."""
        path = "/".join(quote(part, safe="") for part in (software, operating_system, architecture, version))
        build: dict[str, Any] = json.loads(self._control("PUT", f"/edge-sim/builds/{path}", package))
        return build

    def advice(self, deployment_id: str) -> dict[str, Any]:
        """Return ``cause``, ``hint`` and ``not_proven`` of a deployment: what GetDeploymentStatus has no place for."""
        document: dict[str, object] = json.loads(self._control("GET", f"/edge-sim/deployments/{deployment_id}", None))
        return document

    def _control(self, method: str, path: str, body: object) -> bytes:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        form = "application/gzip" if isinstance(body, bytes) else "application/json"
        headers = {"Content-Type": form}
        if self.cafile:
            headers["Authorization"] = f"Bearer {self.secret}"
        request = urllib.request.Request(self.http + path, data=data, method=method, headers=headers)
        try:
            with self._opener.open(request, timeout=60) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            message = _body(error.read())
            text = str(message.get("message") or f"{path}: HTTP {error.code}")
            if error.code == HTTPStatus.INSUFFICIENT_STORAGE:
                raise UnsupportedEnvironmentError(
                    text, hint="Set TMPDIR to choose where a run creates its files."
                ) from error
            kind = InvalidDefinitionError if error.code < HTTPStatus.INTERNAL_SERVER_ERROR else EdgeSimError
            raise kind(text, hint=message.get("hint")) from error
        except OSError as error:
            self.explain()
            raise UnsupportedEnvironmentError(f"the local cloud at {self.http} does not answer: {error}") from error

    def _ready_line(self) -> dict[str, object]:
        assert self._process is not None  # noqa: S101 - set by __enter__
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            readable, _, _ = select.select([self._process.stdout], [], [], 0.2)
            if readable:
                line = self._process.stdout.readline()
                about: dict[str, object] = json.loads(line or b'{"error": "it said nothing"}')
                if "error" in about:  # standard error says it in words
                    break
                return about
        self._process.terminate()
        raise UnsupportedEnvironmentError("the local cloud did not start", details=self._last_words())

    def _last_words(self) -> str | None:
        if self._process is None or self._process.stderr is None:
            return None
        try:
            text = self._process.communicate(timeout=_ENDING_S)[1].decode(errors="replace").strip()
        except (subprocess.TimeoutExpired, ValueError):
            return None
        return text[-2000:] or None


def _body(text: bytes) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        return {"message": text[:500].decode(errors="replace")}
    return body if isinstance(body, dict) else {}
