"""The client of the core's local HTTP endpoint: how a function gets its work, and asks for other functions' work.

    POST functions/<arn>          post_work            GET  functions/<arn>          get_work_result
    GET  functions/<arn>/work     get_work             POST functions/<arn>/work     post_work_result, post_handler_err
    PUT  functions/<arn>/initialized                   put_initialization_result

The port is GG_DAEMON_PORT, 8000 without it. Every failure is an IPCException. A call waits as long as the core holds
it open: for work as long as the worker lives, for a result as long as the other function may take. When the core goes
away the connection ends, and with it the wait.
"""

from __future__ import annotations

import http.client
import json
import os
from typing import IO, NamedTuple, Union

_BASE = "/2016-11-01/functions/"
_DEFAULT_PORT = 8000
_ROUTER = ":function:GGRouter"

Payload = Union[bytes, str, IO[bytes], IO[str]]  # noqa: UP007 - Python 3.7


class WorkItem(NamedTuple):
    """One call of a function: ``client_context`` is base64 of JSON, or ""."""

    invocation_id: str
    payload: bytes
    client_context: str = ""


class WorkResult(NamedTuple):
    """The outcome of a call: ``func_err`` is "", "Handled" or "Unhandled"."""

    payload: bytes
    func_err: str


class IPCException(Exception):  # noqa: N818 - the SDK's name
    """The endpoint refused a request, or could not be reached."""


class IPCClient:
    """Calls to the core's endpoint on this machine, with this worker's token."""

    def __init__(self, endpoint: str = "localhost", port: int | None = None) -> None:
        # A board's root may lack /etc/hosts, and the core listens on IPv4 only.
        self.endpoint = "127.0.0.1" if endpoint == "localhost" else endpoint
        self.port = int(port or os.environ.get("GG_DAEMON_PORT") or _DEFAULT_PORT)
        self.auth_token = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")

    def post_work(
        self,
        function_arn: str,
        input_bytes: Payload,
        client_context: bytes | str,
        invocation_type: str = "RequestResponse",
    ) -> str:
        """Ask for a function to be called; return the invocation's id."""
        context = client_context.decode() if isinstance(client_context, bytes) else client_context
        headers = {"X-Amz-Client-Context": context or "", "X-Amz-Invocation-Type": invocation_type}
        response, _ = self._call("POST", function_arn, input_bytes, headers)
        return response.getheader("X-Amz-InvocationId") or ""

    def get_work_result(self, function_arn: str, invocation_id: str) -> WorkResult:
        """Wait for the outcome of a call. The router has no results."""
        if _ROUTER in function_arn:
            return WorkResult(payload=b"", func_err="")
        response, body = self._call("GET", function_arn, None, {"X-Amz-InvocationId": invocation_id})
        return WorkResult(payload=body, func_err=response.getheader("X-Amz-Function-Error") or "")

    def get_work(self, function_arn: str) -> WorkItem:
        """Wait for the next call of this worker's own function."""
        response, body = self._call("GET", function_arn + "/work", None, {})
        return WorkItem(
            invocation_id=response.getheader("X-Amz-InvocationId") or "",
            payload=body,
            client_context=response.getheader("X-Amz-Client-Context") or "",
        )

    def post_work_result(self, function_arn: str, work_item: WorkItem) -> None:
        """Hand back a result: ``work_item.payload`` for ``work_item.invocation_id``."""
        headers = {"X-Amz-InvocationId": work_item.invocation_id}
        self._call("POST", function_arn + "/work", work_item.payload, headers)

    def post_handler_err(self, function_arn: str, invocation_id: str, handler_err: str) -> None:
        """Say that the handler raised, and what."""
        headers = {"X-Amz-InvocationId": invocation_id, "X-Amz-Function-Error": "Handled"}
        self._call("POST", function_arn + "/work", json.dumps({"errorMessage": handler_err}), headers)

    def put_initialization_result(self, function_arn: str, success: bool, response: str = "") -> None:
        """Say whether the handler could be loaded."""
        body = json.dumps({"Success": success, "Response": response})
        self._call("PUT", function_arn + "/initialized", body, {})

    def _call(
        self, method: str, path: str, payload: Payload | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(self.endpoint, self.port)
        try:
            whole = dict(headers, Authorization=self.auth_token)  # without a token: TypeError, as V1's client has it
            connection.request(method, _BASE + path, body=_bytes(payload), headers=whole)  # type: ignore[arg-type]
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise IPCException(f"the core does not answer at {self.endpoint}:{self.port}: {error!r}") from error
        finally:
            connection.close()
        if response.status >= 300:
            raise IPCException(f"HTTP {response.status} {response.reason}: {body.decode(errors='replace')}")
        return response, body


def _bytes(payload: Payload | None) -> bytes | None:
    """Return a payload as bytes; the SDK allows text and open files as well."""
    if payload is None or isinstance(payload, bytes):
        return payload
    read = payload if isinstance(payload, str) else payload.read()
    return read.encode() if isinstance(read, str) else read
