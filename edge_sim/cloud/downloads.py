"""``/artifacts/``: what a device gets and puts with presigned URLs.

``GET /artifacts/<sha256>/<thing>`` a file, with Range, ETag (the digest) and Content-Length · ``GET
/artifacts/s3/<thing>/<bucket>/<key>`` an object of the built-in S3, in the same way · ``GET
/artifacts/deployments/<id>/document`` a deployment · ``GET …/<id>/secrets/<n>`` one of its secrets, until it has
ended · ``PUT …/<id>/status`` the core's report.
Whatever has no good signature gets S3's 403, before anything else is said. With TLS the client's certificate has to
be that of the thing besides, so that a URL that became known is of no use to another one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote, unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from edge_sim import strictjson
from edge_sim.cloud.artifacts import ArtifactStore, StoredFile, UrlSigner
from edge_sim.cloud.door import Door
from edge_sim.cloud.greengrass.deployments import Deployments
from edge_sim.cloud.http_body import read_json
from edge_sim.cloud.protocol import ApiError
from edge_sim.cloud.shapes import dump

_DEPLOYMENT = re.compile(r"/artifacts/deployments/([0-9a-f-]{36})/(document|status)")
_SECRET = re.compile(r"/artifacts/deployments/([0-9a-f-]{36})/secrets/([0-9]{1,4})", re.ASCII)
_FILE = re.compile(r"/artifacts/([0-9a-f]{64})/([a-zA-Z0-9:_-]{1,128})")
_OBJECT = re.compile(r"/artifacts/s3/([a-zA-Z0-9:_-]{1,128})/([^/]+)/(.+)")
_ACTIONS = {
    "document": "greengrass:GetDeployment",
    "secrets": "greengrass:GetDeploymentArtifacts",
    "status": "greengrass:UpdateCoreDeploymentStatus",
}
"""What a policy has to allow (V1 developer guide, "device-auth"); that secrets count as artifacts is ours."""
_RANGE = re.compile(r"bytes=(\d*-\d*)", re.ASCII)


class Downloads:
    """Answers requests below ``/artifacts/``. ``object_``: bucket and key → a copy of an S3 object, None for none."""

    def __init__(
        self,
        artifacts: ArtifactStore,
        signer: UrlSigner,
        deployments: Deployments,
        object_: Callable[[str, str], StoredFile | None],
        door: Door | None = None,
    ) -> None:
        self._artifacts = artifacts
        self._signer = signer
        self._deployments = deployments
        self._object = object_
        self._door = door

    async def answer(self, request: Request, path: str, query: str) -> Response:
        """Return the answer to one request; ``path`` and ``query`` are as they came."""
        denied = self._signer.check(method=request.method, host=request.headers.get("host", ""), path=path, query=query)
        if denied is not None:
            return Response(denied.xml, 403, media_type="application/xml")
        if self._door is not None:
            await run_in_threadpool(self._refuse_others, self._door, request, path)
        if match := _DEPLOYMENT.fullmatch(path):
            return await self._deployment(request, match[1], match[2])
        if match := _SECRET.fullmatch(path):
            secret = await run_in_threadpool(self._deployments.secret, match[1], int(match[2]))
            headers = {"Cache-Control": "no-store"}
            return Response(dump(secret), media_type="application/json", headers=headers) if secret else _no_such_key()
        if match := _OBJECT.fullmatch(path):
            copy = await run_in_threadpool(self._object, unquote(match[2]), unquote(match[3]))
            return self._file(request, copy.sha256 if copy else "")
        match = _FILE.fullmatch(path)
        return self._file(request, match[1] if match else "")

    def _refuse_others(self, door: Door, request: Request, path: str) -> None:
        """Raise ApiError unless the client is the thing that a path is meant for."""
        if match := _DEPLOYMENT.fullmatch(path) or _SECRET.fullmatch(path):
            what = match[2] if match[2] in _ACTIONS else "secrets"
            arn, thing = door.deployment(match[1]) or ("", "")
            resource = f"{arn}/cores/{quote(door.rules.thing_arn(thing), safe='')}" if what == "status" else arn
            door.refuse_others(request, thing, _ACTIONS[what], resource)
        elif match := _OBJECT.fullmatch(path):
            door.refuse_others(request, match[1])
        else:
            match = _FILE.fullmatch(path)
            door.refuse_others(request, match[2] if match else "")

    async def _deployment(self, request: Request, deployment_id: str, what: str) -> Response:
        if what == "status":
            body = await read_json(request)
            await run_in_threadpool(self._report, deployment_id, body)
            return Response(b"{}", media_type="application/json")
        document = await run_in_threadpool(self._deployments.document, deployment_id)
        if document is None:
            return _no_such_key()
        return Response(json.dumps(document).encode(), media_type="application/json")

    def _report(self, deployment_id: str, body: bytes) -> None:
        try:
            value = strictjson.loads(body)
        except ValueError as error:
            raise ApiError("BadRequestException", f"Invalid request body: {error}.") from error
        if not isinstance(value, Mapping):
            raise ApiError("BadRequestException", "Invalid request body: it is not an object.")
        self._deployments.report(deployment_id, value)

    def _file(self, request: Request, sha256: str) -> Response:
        path = self._artifacts.path(sha256)
        if path is None:
            return _no_such_key()
        byte_range = request.headers.get("range")
        if byte_range is not None and not _RANGE.fullmatch(byte_range):
            _without_range(request)  # S3 sends the whole object then
        etag = f'"{sha256}"'
        if request.headers.get("if-match", etag) not in (etag, "*"):
            return _error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        headers = {"ETag": etag}
        return FileResponse(path, headers=headers, media_type="application/octet-stream")


def _without_range(request: Request) -> None:
    request.scope["headers"] = [(k, v) for k, v in request.scope["headers"] if k.lower() != b"range"]


def _no_such_key() -> Response:
    return _error(404, "NoSuchKey", "The specified key does not exist.")


def _error(status: int, code: str, message: str) -> Response:
    """Return an error as S3 says it."""
    inner = f"<Code>{code}</Code><Message>{message}</Message>"
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'
    return Response(xml.encode(), status, media_type="application/xml")


def error_answer(error: ApiError) -> Response:
    """Return a refusal of the routes that are not AWS's."""
    body = {"code": error.code, "message": error.message}
    return Response(dump(body), error.status, media_type="application/json")
