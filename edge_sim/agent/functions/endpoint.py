"""The core's local HTTP endpoint on loopback, ``/2016-11-01/``: what functions and the Core SDK talk to.

    POST functions/<arn>               invoke; answers X-Amz-InvocationId
    GET  functions/<arn>               the result, once it is there; X-Amz-Function-Error says how the call went
    GET  functions/<arn>/work          a worker's next call, once there is one
    POST functions/<arn>/work          its result, or with X-Amz-Function-Error the handler's error
    PUT  functions/<arn>/initialized   whether its handler could be loaded
    GET, POST health/workers           V1's health check (1.11), without a token

Everything else needs the token of a worker in ``Authorization``. What V1 had and this core has not is answered with
501 and a sentence, never with a success. ``POST /edge-sim/functions/<id>`` is ours, for ``edge-sim agent invoke``.
The bodies of calls and results are never logged here.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import unquote

from edge_sim import strictjson
from edge_sim.agent.events import LogFile
from edge_sim.agent.functions.invocations import Invocation
from edge_sim.errors import UnsupportedEnvironmentError

MAX_BODY_BYTES = 6 * 1024 * 1024
"""The largest payload and result: AWS Lambda's own limit."""
MAX_PASSED_OVER_BYTES = 64 * 1024 * 1024
MAX_CONNECTIONS = 512
READ_LIMIT_S = 30.0
CLOSE_LIMIT_S = 5.0
_BASE = "/2016-11-01/"
_NOT_SIMULATED = {
    "credentialprovider": "credentials of the group's role are not simulated",
    "cloudwatch": "the local CloudWatch uploader is not simulated; what a function prints goes to its log file",
}


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """A request is answered with ``status`` and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass(frozen=True, kw_only=True)
class WorkerHealth:
    """What the health check says of one worker (health-check.md, "Worker health information")."""

    arn: str
    worker_id: str
    pid: int | None
    state: str

    @property
    def as_json(self) -> dict[str, str]:
        """The object as V1's example writes it: the process id is a string there, though its type is "int"."""
        return {
            "FuncArn": self.arn,
            "WorkerId": self.worker_id,
            "ProcessId": "" if self.pid is None else str(self.pid),
            "WorkerState": self.state,
        }


class CallHandler(Protocol):
    """What answers the calls. ``token`` is what the caller has shown; each method raises Refusal."""

    def invoke(self, token: str, arn: str, payload: bytes, client_context: str, kind: str) -> str: ...

    def result(self, token: str, invocation_id: str) -> Invocation: ...

    def take(self, token: str, arn: str) -> Invocation | None: ...

    def finish(self, token: str, arn: str, invocation_id: str, result: bytes, error: str) -> None: ...

    def too_large(self, token: str, arn: str, invocation_id: str, limit: int) -> None: ...

    def initialized(self, token: str, arn: str, reason: str | None) -> None: ...

    def health(self) -> list[WorkerHealth]: ...

    def call(self, token: str, function_id: str, payload: bytes) -> Mapping[str, object]: ...


class Endpoint:
    """The server. ``port`` 0 takes a free one. Raises UnsupportedEnvironmentError when it is taken."""

    def __init__(self, core: CallHandler, port: int, log: LogFile) -> None:
        try:
            self._server = _Server(("127.0.0.1", port), _Request)
        except OSError as error:
            raise UnsupportedEnvironmentError(
                f"the local endpoint cannot listen on 127.0.0.1:{port}: {error.strerror}",
                hint="Choose another port with coreThing.ggDaemonPort in config.json.",
            ) from error
        self._server.core, self._server.log = core, log
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="endpoint", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Take no more requests, and end those that are being answered. Harmless the second time."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._server.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._thread.join(CLOSE_LIMIT_S)
        self._server.server_close()
        self._server.hang_up()

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._server.handle_request()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    core: CallHandler
    log: LogFile

    def __init__(self, *arguments: Any) -> None:
        self._open: dict[threading.Thread, socket.socket] = {}
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: object) -> None:
        if len(self._open) < MAX_CONNECTIONS:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: object) -> None:
        self._open[threading.current_thread()] = request
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self._open[threading.current_thread()]

    def hang_up(self) -> None:
        """Close every connection and wait for the threads that answer on them."""
        for thread, connection in list(self._open.items()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(CLOSE_LIMIT_S)

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that went away is no fault."""


class _Request(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "edge-sim", ""
    timeout = READ_LIMIT_S

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def _handle(self) -> None:
        try:
            self._route()
        except Refusal as refusal:
            self.server.log.write("WARN", "A local request was refused.", path=self.path, reason=refusal.sentence)
            self._answer(refusal.status, refusal.sentence.encode())

    def _route(self) -> None:
        if self.command == "POST" and self.path.startswith("/edge-sim/functions/"):
            return self._call(unquote(self.path.removeprefix("/edge-sim/functions/")))
        if not self.path.startswith(_BASE):
            raise Refusal(404, f"nothing is served at {self.path}")
        service, _, rest = self.path.removeprefix(_BASE).partition("/")
        if service in _NOT_SIMULATED:
            raise Refusal(501, _NOT_SIMULATED[service])
        if (service, rest) == ("health", "workers"):
            return self._health()
        arn, _, what = rest.partition("/")
        steps: dict[tuple[str, str], Callable[[str], None]] = {
            ("POST", ""): self._invoke,
            ("GET", ""): self._result,
            ("GET", "work"): self._work,
            ("POST", "work"): self._finish,
            ("PUT", "initialized"): self._initialized,
        }
        step = steps.get((self.command, what)) if service == "functions" else None
        if step is None:
            raise Refusal(404, f"nothing is served at {self.command} {self.path}")
        return step(arn)

    def _invoke(self, arn: str) -> None:
        kind = self.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        context = self.headers.get("X-Amz-Client-Context", "")
        number = self.server.core.invoke(self._token, arn, self._body(), context, kind)
        self._answer(202 if kind == "Event" else 200, headers={"X-Amz-InvocationId": number})

    def _result(self, arn: str) -> None:
        invocation = self.server.core.result(self._token, self._invocation_id)
        # The SDK wants the header even when it is empty.
        self._answer(200, invocation.result, {"X-Amz-Function-Error": invocation.error})

    def _work(self, arn: str) -> None:
        invocation = self.server.core.take(self._token, arn)
        if invocation is None:
            raise Refusal(410, "this worker must exit")
        headers = {"X-Amz-InvocationId": invocation.id, "X-Amz-Client-Context": invocation.client_context}
        self._answer(200, invocation.payload, headers)

    def _finish(self, arn: str) -> None:
        try:
            body = self._body()
        except Refusal:
            self.server.core.too_large(self._token, arn, self._invocation_id, MAX_BODY_BYTES)
            raise
        error = self.headers.get("X-Amz-Function-Error", "")
        self.server.core.finish(self._token, arn, self._invocation_id, body, error)
        self._answer(200)

    def _initialized(self, arn: str) -> None:
        report = self._json()
        reason = None if report.get("Success") is True else str(report.get("Response") or "no reason given")
        self.server.core.initialized(self._token, arn, reason)
        self._answer(200)

    def _health(self) -> None:
        """V1's health check: GET answers all workers, POST those of the functions that it names.

        The sentences of the two refusals are V1's.
        """
        workers = self.server.core.health()
        if self.command == "GET":
            return self._answer(200, json.dumps([worker.as_json for worker in workers]).encode())
        try:
            arns = self._json().get("FuncArns")
        except Refusal:
            arns = None
        if not isinstance(arns, list) or not arns or not all(isinstance(arn, str) for arn in arns):
            raise Refusal(400, "Invalid request")
        if len(arns) > len(workers):
            raise Refusal(400, "Request exceeds max number of workers")
        known = {worker.arn for worker in workers}
        answer = {
            "Workers": [worker.as_json for worker in workers if worker.arn in arns],
            "InvalidArns": [arn for arn in arns if arn not in known],
        }
        return self._answer(200, json.dumps(answer).encode())

    def _call(self, function_id: str) -> None:
        self._answer(200, json.dumps(self.server.core.call(self._token, function_id, self._body())).encode())

    @property
    def _token(self) -> str:
        return self.headers.get("Authorization", "")

    @property
    def _invocation_id(self) -> str:
        return self.headers.get("X-Amz-InvocationId", "")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if length.isdigit() and int(length) <= MAX_BODY_BYTES and "Transfer-Encoding" not in self.headers:
            return self.rfile.read(int(length))
        self.close_connection = True
        if length.isdigit():
            self._pass_over(min(int(length), MAX_PASSED_OVER_BYTES))
        raise Refusal(413, f"a request needs a Content-Length of at most {MAX_BODY_BYTES} bytes")

    def _pass_over(self, rest: int) -> None:
        """Read on without keeping anything: who is still sending does not hear the answer."""
        while rest > 0 and (read := self.rfile.read(min(rest, 1 << 16))):
            rest -= len(read)

    def _json(self) -> dict[str, object]:
        try:
            return strictjson.members(self._body())
        except ValueError as error:
            raise Refusal(400, f"the body cannot be read: {error}") from error

    def _answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
