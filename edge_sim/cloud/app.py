"""The HTTP side in one ASGI application: AWS's services, the device's downloads, the control API.

Three services share one port. ``iot`` and ``iot-jobs-data`` even share paths, so a request goes to the service its
SigV4 credential scope names; an unsigned one is a device's (the data plane) or Greengrass's. Without TLS the signature
itself is not verified: the port is a loopback one. With TLS a ``Door`` verifies it, and asks things for a certificate.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edge_sim.cloud import protocol
from edge_sim.cloud.control import ControlApi
from edge_sim.cloud.door import Door
from edge_sim.cloud.downloads import Downloads, error_answer
from edge_sim.cloud.hosts import is_local
from edge_sim.cloud.http_body import read_json
from edge_sim.cloud.protocol import ApiError, Service
from edge_sim.errors import MACHINE

_log = logging.getLogger(__name__)
_SCOPE = re.compile(r"Credential=[^/,\s]{1,128}/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request", re.ASCII)
_GREENGRASS = "greengrass"
_DATA_PLANE = "iot-jobs-data"


class App:
    """An ASGI application. ``services`` are keyed by the name in the credential scope."""

    def __init__(
        self,
        services: Mapping[str, Service],
        *,
        downloads: Downloads,
        control: ControlApi,
        region: str,
        door: Door | None = None,
    ) -> None:
        self._services = services
        self._downloads = downloads
        self._control = control
        self._region = region
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("latin-1")
        query = request.scope["query_string"].decode("latin-1")
        try:
            _refuse_web_page(request, self._door.names if self._door else frozenset())
            if "content-length" in request.headers and "transfer-encoding" in request.headers:
                raise ApiError("BadRequestException", "The request has two lengths.", 400)  # h11 lets it pass
            if path.startswith("/artifacts/"):
                return await self._downloads.answer(request, path, query)
            if path.startswith("/edge-sim/"):
                if self._door is not None:
                    self._door.refuse_strangers(request)
                return await self._control.answer(request)
            return await self._call(request, path, query)
        except ApiError as error:
            return error_answer(error)
        except sqlite3.OperationalError as error:
            return error_answer(ApiError("InternalFailure", f"edge-sim cannot write its state: {error}.", 507))
        except Exception as error:
            if isinstance(error, OSError) and error.errno in MACHINE:
                return error_answer(ApiError("InternalFailure", f"edge-sim cannot write: {error.strerror}.", 507))
            if isinstance(error, PermissionError):  # a source, or code, that this user may not read
                return error_answer(ApiError("InvalidRequest", f"{error.filename}: {error.strerror}", 400))
            _log.exception("%s %s failed", request.method, path)
            return error_answer(ApiError("InternalFailure", "The request failed because of an error in edge-sim.", 500))

    async def _call(self, request: Request, path: str, query: str) -> Response:
        service = self._service(request, path)
        try:
            body = await read_json(request)
        except ApiError as error:
            return _response(service.refusal(error))
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = protocol.Request(method=request.method, path=path, query=query, headers=headers, body=body)
        if self._door is not None:
            try:
                await run_in_threadpool(_refuse, self._door, request, service, call)
            except ApiError as error:
                return _response(service.refusal(error))
        return _response(await run_in_threadpool(service.answer, call))

    def _service(self, request: Request, path: str) -> Service:
        scope = _SCOPE.search(request.headers.get("authorization", ""))
        if scope is None:
            unsigned = _GREENGRASS if path.startswith(("/greengrass/", "/tags/")) else _DATA_PLANE
            return self._known(unsigned)
        region, name = scope.groups()
        if region != self._region:
            text = f"Credential should be scoped to a valid region: this cloud is in {self._region}, not in {region}."
            raise ApiError("InvalidSignatureException", text, 403)
        return self._known(name)

    def _known(self, name: str) -> Service:
        if name not in self._services:
            names = ", ".join(sorted(self._services))
            raise ApiError("UnknownOperationException", f"This server serves {names}, not {name}.", 404)
        return self._services[name]


def _refuse(door: Door, request: Request, service: Service, call: protocol.Request) -> None:
    """Raise ApiError unless a device calls for itself, or the call is signed."""
    if "authorization" in call.headers or service.model.service_name != _DATA_PLANE:
        return door.refuse_unsigned(call)
    operation, uri = service.find(call.method, call.path) or (None, {})
    name = operation.name if operation is not None else "none"
    return door.refuse_others(request, uri.get("thingName", ""), f"iotjobsdata:{name}")


def _refuse_web_page(request: Request, names: frozenset[str]) -> None:
    """Raise ApiError for what only a browser sends: no page that is open on this machine can drive the cloud.

    ``names`` are the host names that the cloud has besides its local ones.
    """
    if request.headers.get("origin") is not None:
        raise ApiError("AccessDeniedException", "edge-sim does not answer web pages.", 403)
    host = request.headers.get("host")
    if host is not None and not is_local(host) and host.lower().partition(":")[0] not in names:
        text = f"edge-sim does not answer for the host {host[:100]}: use its address, or localhost."
        raise ApiError("AccessDeniedException", text, 403)


def _response(answer: protocol.Response) -> Response:
    return Response(answer.body, answer.status, headers=dict(answer.headers))
