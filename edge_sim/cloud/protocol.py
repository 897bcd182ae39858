"""The server side of AWS's rest-json protocol, for any service that botocore has a model of.

Request → route (method and path of the model) → parameters → handler → answer, errors included. Every name, place, type
and status comes from botocore's ``service-2.json``; nothing is copied by hand. The status of a success is the model's
``responseCode`` (200 for Greengrass's creates; moto answers 201 there). SigV4 signatures are not verified: whoever can
reach the loopback port may call.
"""

from __future__ import annotations

import logging
import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from botocore.loaders import Loader
from botocore.model import ServiceModel

from edge_sim import strictjson
from edge_sim.cloud.shapes import Reader, Shape, body_name, dump, to_json

_log = logging.getLogger(__name__)

MAX_BODY = 1024 * 1024
Details = Mapping[str, Any] | Sequence[Mapping[str, str]]


class ApiError(Exception):
    """A refusal that the client sees.

    ``code`` becomes ``x-amzn-ErrorType``; an all-digit code stands for the answers in which AWS sent no type and
    clients show the status. ``status`` gives way to the model's where the model knows the code. ``details``: a sequence
    becomes ``ErrorDetails``, a mapping is merged into the body.
    """

    def __init__(self, code: str, message: str, status: int = 400, details: Details | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.details = details


Handler = Callable[[dict[str, Any]], dict[str, Any]]
"""Parameters → result, both with the model's names."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request. ``path`` and ``query`` are as they came, still percent-encoded; names of headers lower-case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes


@cache
def load_model(name: str) -> Any:
    """Return botocore's ``ServiceModel`` of a service.

    Its own: a session would look into the user's settings first, for other models and for a profile.
    """
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    return ServiceModel(loader.load_service_model(name, "service-2"), service_name=name)


class Service:
    """One AWS service: its model and the handlers of the operations that are implemented here."""

    def __init__(
        self,
        model_name: str,
        handlers: Mapping[str, Handler] | None = None,
        *,
        lenient: frozenset[str] = frozenset(),
    ) -> None:
        self.model = load_model(model_name)
        self.handlers = dict(handlers or {})
        self._lenient = lenient
        self._routes = [_route(self.model.operation_model(name)) for name in self.model.operation_names]
        self._bad_request = next(
            code for code in ("BadRequestException", "InvalidRequestException") if code in self.model.shape_names
        )
        unknown = self.handlers.keys() - set(self.model.operation_names)
        if unknown:
            raise ValueError(f"{model_name} has no operation {', '.join(sorted(unknown))}")

    def find(self, method: str, path: str) -> tuple[Any, dict[str, str]] | None:
        """Return the operation a method and path mean, and the path's parameters; None when there is none."""
        try:
            parts = [unquote_to_bytes(part).decode() for part in path.split("/")[1:]]
        except UnicodeDecodeError:
            return None
        routes = [(route, route.match(method, parts)) for route in self._routes]
        matches = [(route, uri) for route, uri in routes if uri is not None]
        if not matches:
            return None
        route, uri = min(matches, key=lambda match: len(match[1]))  # a literal segment beats a parameter
        return route.operation, uri

    def answer(self, request: Request) -> Response:
        """Return the answer to a request; never raises."""
        try:
            return self._call(request)
        except ApiError as error:
            return self.refusal(error)
        except sqlite3.OperationalError as error:
            _log.error("%s %s: %s", request.method, request.path, error)
            return self._failure(f"edge-sim cannot write its state: {error}.")
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return self._failure("The request failed because of an error in edge-sim.")

    def _failure(self, message: str) -> Response:
        modelled = "InternalServerErrorException" in self.model.shape_names
        code = "InternalServerErrorException" if modelled else "InternalFailureException"
        return self.refusal(ApiError(code, message, 500))

    def _call(self, request: Request) -> Response:
        route = self.find(request.method, request.path)
        if route is None:
            text = f"{self.model.service_id} has no operation for {request.method} {request.path}."
            raise ApiError("UnknownOperationException", text, 404)
        operation, uri = route
        handler = self.handlers.get(operation.name)
        if handler is None:
            raise ApiError("NotImplemented", f"edge-sim does not implement {operation.name} yet.", 501)
        params = self.parameters(operation, request, uri)
        return self.success(operation, handler(params))

    def parameters(self, operation: Any, request: Request, uri: Mapping[str, str]) -> dict[str, Any]:
        """Return an operation's parameters; raises ApiError with everything that is wrong with the request."""
        shape = operation.input_shape
        if shape is None:
            return {}
        reader = Reader(self._lenient)
        params = self._body(reader, shape, request)
        query = parse_qsl(request.query, keep_blank_values=True)
        for name, member in shape.members.items():
            texts = _texts(name, member, uri, query, request.headers)
            if texts and member.type_name == "list":
                params[name] = [reader.text(member.member, text, name) for text in texts]
            elif texts:
                params[name] = reader.text(member, texts[0], name)
        reader.required(shape, params, "")
        if reader.problems:
            count = f"{len(reader.problems)} validation error{'s' if len(reader.problems) > 1 else ''} detected"
            raise ApiError(self._bad_request, f"{count}: {'; '.join(reader.problems)}")
        return params

    def _body(self, reader: Reader, shape: Shape, request: Request) -> dict[str, Any]:
        """Return the parameters of the body; required members are looked at when all places have been read."""
        if len(request.body) > MAX_BODY:
            raise too_large()
        try:
            value = strictjson.loads(request.body) if request.body.strip() else {}
        except ValueError as error:
            raise ApiError(self._bad_request, f"Invalid request body: {error}.") from error
        payload = shape.serialization.get("payload")
        if payload:
            return {payload: reader.value(shape.members[payload], value, payload)}
        if not isinstance(value, dict):
            raise ApiError(self._bad_request, "Invalid request body: it is not an object.")
        names = {
            body_name(name, member): name
            for name, member in shape.members.items()
            if "location" not in member.serialization
        }
        for key in value.keys() - names.keys():
            reader.complain(key, value[key], f"Member must be one of: {', '.join(sorted(names)) or 'none'}")
        return {
            names[key]: reader.value(shape.members[names[key]], item, key)
            for key, item in value.items()
            if key in names and item is not None
        }

    def success(self, operation: Any, result: Mapping[str, Any]) -> Response:
        """Return a result as an answer: members in headers and body as the model places them."""
        status = int(operation.http.get("responseCode", 200))
        headers, body = _headers(), b"{}"
        shape = operation.output_shape
        if shape is not None:
            for name, member in shape.members.items():
                if member.serialization.get("location") == "header" and result.get(name) is not None:
                    headers[member.serialization["name"]] = str(result[name])
            body = dump(to_json(shape, result))
        return Response(status=status, headers=headers, body=b"" if status == 204 else body)

    def refusal(self, error: ApiError) -> Response:
        """Return an error as a rest-json answer."""
        known = error.code in self.model.shape_names
        shape = self.model.shape_for(error.code if known else self._bad_request)
        status = shape.metadata.get("error", {}).get("httpStatusCode", error.status) if known else error.status
        message = "Message" if "Message" in shape.members else "message"
        body: dict[str, Any] = {message: error.message}
        if isinstance(error.details, Mapping):
            body.update(error.details)
        elif error.details:
            body["ErrorDetails"] = list(error.details)
        headers = _headers()
        if not error.code.isdigit():
            headers["x-amzn-ErrorType"] = error.code
        return Response(status=status, headers=headers, body=dump(body))


def too_large() -> ApiError:
    """Return the refusal of a body beyond MAX_BODY."""
    return ApiError("RequestEntityTooLargeException", f"The body is larger than {MAX_BODY} bytes.", 413)


def _headers() -> dict[str, str]:
    return {"Content-Type": "application/json", "x-amzn-RequestId": str(uuid.uuid4())}


@dataclass(frozen=True, kw_only=True)
class _Route:
    operation: Any
    method: str
    parts: tuple[str, ...]

    def match(self, method: str, parts: Sequence[str]) -> dict[str, str] | None:
        """Return the path's parameters, or None. ``{name+}`` takes the rest of the path."""
        greedy = bool(self.parts) and self.parts[-1].endswith("+}")
        if method != self.method or (len(parts) < len(self.parts) if greedy else len(parts) != len(self.parts)):
            return None
        if greedy:
            parts = [*parts[: len(self.parts) - 1], "/".join(parts[len(self.parts) - 1 :])]
        uri: dict[str, str] = {}
        for mine, theirs in zip(self.parts, parts, strict=True):
            if mine.startswith("{"):
                uri[mine.strip("{+}")] = theirs
            elif mine != theirs:
                return None
        return None if "" in uri.values() else uri


def _route(operation: Any) -> _Route:
    path = operation.http["requestUri"].partition("?")[0]
    return _Route(operation=operation, method=operation.http["method"], parts=tuple(path.split("/")[1:]))


def _texts(
    name: str,
    shape: Shape,
    uri: Mapping[str, str],
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
) -> list[str]:
    """Return what a request says about a member that is not in the body."""
    key = body_name(name, shape)
    location = shape.serialization.get("location")
    if location == "uri":
        return [uri[key]] if key in uri else []
    if location == "querystring":
        return [value for word, value in query if word == key]
    if location == "header":
        return [headers[key.lower()]] if key.lower() in headers else []
    return []
