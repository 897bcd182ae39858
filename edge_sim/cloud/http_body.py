"""Bodies from the network, within limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

from starlette.requests import ClientDisconnect, Request

from edge_sim.cloud.protocol import MAX_BODY, ApiError, too_large

BODY_LIMIT_S = 30.0
CHUNK_LIMIT_S = 30.0
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")


async def read_json(request: Request) -> bytes:
    """Return a body of at most MAX_BODY bytes that came in time; raises ApiError.

    The three content types that a web page may send to another site without asking are refused.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAX_BODY:
        raise too_large()
    try:
        body = await asyncio.wait_for(_collect(request), BODY_LIMIT_S)
    except asyncio.TimeoutError as error:
        text = f"The body did not arrive within {BODY_LIMIT_S:g} s."
        raise ApiError("RequestTimeoutException", text, 408) from error
    if body and request.headers.get("content-type", "").partition(";")[0].strip().lower() in _FORMS:
        raise ApiError("UnsupportedMediaTypeException", "Send the body as application/json.", 415)
    return body


async def _collect(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise too_large()
    except ClientDisconnect as error:
        raise ApiError("RequestTimeoutException", "The client closed the connection.", 408) from error
    return bytes(body)


def blocking_chunks(request: Request, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """Yield a body's chunks to a worker thread while ``loop`` receives them.

    Raises ApiError when the client goes away or falls silent for CHUNK_LIMIT_S.
    """
    stream = request.stream()
    while True:
        received = asyncio.run_coroutine_threadsafe(_next(stream), loop)
        try:
            chunk = received.result(CHUNK_LIMIT_S)
        except StopAsyncIteration:
            return
        except (ClientDisconnect, TimeoutError, asyncio.TimeoutError) as error:
            received.cancel()
            raise ApiError("RequestTimeoutException", "The body did not arrive in time.", 408) from error
        if chunk is None:
            return
        yield chunk


def _next(stream: Any) -> Coroutine[Any, Any, bytes | None]:
    async def first_chunk() -> bytes | None:
        async for chunk in stream:
            return bytes(chunk)
        return None

    return first_chunk()
