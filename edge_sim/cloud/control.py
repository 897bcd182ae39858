"""``/edge-sim/``: what a scenario gives the cloud that AWS had from elsewhere. Simulator-defined, JSON.

* ``PUT /edge-sim/sources``    a list of ``{"uri", "path" | "secret", "format"?}``: objects, models, secrets
* ``PUT /edge-sim/functions``  ``{arn: {"path", "handler", "runtime"}}``: the code behind function ARNs
* ``PUT /edge-sim/builds/{software}/{os}/{architecture}/{version}``  a build of the core software, the body is its file
* ``PUT /edge-sim/things/{group}``  a list of names: things, made where they are missing, in this group: a fleet at once
* ``GET /edge-sim/deployments/{id}``  ``{"cause", "hint", "not_proven"}``, which GetDeploymentStatus has no place for
* ``GET /edge-sim/health``

Paths are on this machine. A refusal is ``{"message", "hint"?}`` with status 400.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from edge_sim import strictjson
from edge_sim.cloud.greengrass.function_code import FunctionCodes
from edge_sim.cloud.greengrass.updates import Updates
from edge_sim.cloud.http_body import blocking_chunks, read_json
from edge_sim.cloud.protocol import ApiError
from edge_sim.cloud.shapes import dump
from edge_sim.errors import EdgeSimError, InvalidDefinitionError
from edge_sim.jobs.topics import is_thing_name

LoadSources = Callable[[Sequence[Mapping[str, object]]], None]


class ControlApi:
    """Answers requests below ``/edge-sim/``. ``health`` and ``advice`` return what the two GET show."""

    def __init__(
        self,
        *,
        load_sources: LoadSources,
        functions: FunctionCodes,
        updates: Updates,
        advice: Callable[[str], dict[str, object]],
        health: Callable[[], dict[str, object]],
        register_things: Callable[[str, Sequence[str]], None],
    ) -> None:
        self._load_sources = load_sources
        self._functions = functions
        self._updates = updates
        self._advice = advice
        self._health = health
        self._register_things = register_things

    async def answer(self, request: Request) -> Response:
        """Return the answer to one request; raises ApiError."""
        parts = tuple(request.url.path.removeprefix("/edge-sim/").split("/"))
        try:
            if (request.method, parts) == ("GET", ("health",)):
                return _json(await run_in_threadpool(self._health))
            if (request.method, parts[:-1]) == ("GET", ("deployments",)):
                return _json(await run_in_threadpool(self._advice, parts[-1]))
            if (request.method, parts) == ("PUT", ("sources",)):
                return await self._sources(request)
            if (request.method, parts) == ("PUT", ("functions",)):
                return await self._functions_put(request)
            if (request.method, parts[:-1]) == ("PUT", ("things",)):
                return await self._things(request, parts[-1])
            if request.method == "PUT" and parts[0] == "builds" and len(parts) == 5:
                return await self._build(request, parts)
        except EdgeSimError as error:
            return _json({"message": error.brief, **({"hint": error.hint} if error.hint else {})}, 400)
        text = f"edge-sim serves nothing at {request.method} {request.url.path}."
        raise ApiError("UnknownOperationException", text, 404)

    async def _sources(self, request: Request) -> Response:
        entries = _parsed(await read_json(request))
        if not isinstance(entries, list):
            raise InvalidDefinitionError("sources: must be a list")
        await run_in_threadpool(self._load_sources, entries)
        return _json({"loaded": len(entries)})

    async def _functions_put(self, request: Request) -> Response:
        entries = _parsed(await read_json(request))
        if not isinstance(entries, dict):
            raise InvalidDefinitionError("functions: must be an object, keyed by function ARN")
        await run_in_threadpool(self._functions.register, entries)
        return _json({"registered": len(entries)})

    async def _things(self, request: Request, group: str) -> Response:
        names = _parsed(await read_json(request))
        if not isinstance(names, list) or not all(isinstance(name, str) and is_thing_name(name) for name in names):
            raise InvalidDefinitionError("things: must be a list of names of things")
        await run_in_threadpool(self._register_things, group, names)
        return _json({"registered": len(names)})

    async def _build(self, request: Request, parts: Sequence[str]) -> Response:
        chunks = blocking_chunks(request, asyncio.get_running_loop())
        _, software, system, architecture, version = parts
        build = await run_in_threadpool(self._updates.register, software, system, architecture, version, chunks)
        return _json(asdict(build))


def _parsed(body: bytes) -> object:
    try:
        return strictjson.loads(body)
    except ValueError as error:
        raise InvalidDefinitionError(f"the request cannot be read: {error}") from error


def _json(value: Mapping[str, object], status: int = 200) -> Response:
    return Response(dump(value), status, media_type="application/json")
