"""Code of Lambda functions, by the ARN that a function definition names.

Simulator-defined: AWS asked Lambda for the code when it built a deployment; here a scenario says which folder stands
for a function's published version. The folder is packed (zip, as Lambda's packages are) when it is registered, which is
what publishing a version did: later changes in the folder need registering again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_sim.arns import SOMEWHERE, pattern
from edge_sim.cloud.artifacts import CHUNK, ArtifactStore
from edge_sim.cloud.packages import packed
from edge_sim.cloud.store import Store
from edge_sim.errors import InvalidDefinitionError

_ARN = re.compile(pattern("lambda", "function:[a-zA-Z0-9_-]{1,64}(:[a-zA-Z0-9_-]{1,128})?", SOMEWHERE))


@dataclass(frozen=True, kw_only=True)
class PublishedCode:
    """A function's package in the artifact store."""

    sha256: str
    size: int
    handler: str
    runtime: str


class FunctionCodes:
    """The registry of function code."""

    def __init__(self, store: Store, artifacts: ArtifactStore) -> None:
        self._store = store
        self._artifacts = artifacts

    def register(self, functions: Mapping[str, object]) -> None:
        """Take in ``{arn: {"path", "handler", "runtime"}}``; raises InvalidDefinitionError naming the function."""
        for arn, entry in functions.items():
            _check(arn, entry)
        for arn, entry in functions.items():
            if isinstance(entry, Mapping):
                path = Path(str(entry["path"]))
                code = self._pack(path, str(entry["handler"]), str(entry["runtime"]))
                self._store.put("function-code", arn, asdict(code))

    def get(self, arn: str) -> PublishedCode | None:
        """Return what is registered for an ARN, or None."""
        document = self._store.get("function-code", arn)
        return PublishedCode(**document) if document else None

    def _pack(self, path: Path, handler: str, runtime: str) -> PublishedCode:
        if path.is_dir():
            with packed(path, "zip") as archive:
                file = self._artifacts.write(_chunks(archive))
        else:
            file = self._artifacts.write(_chunks(path))
        return PublishedCode(sha256=file.sha256, size=file.size, handler=handler, runtime=runtime)


def _check(arn: str, entry: object) -> None:
    if not _ARN.fullmatch(arn):
        raise InvalidDefinitionError(f"function {arn!r}: not the ARN of a function version or alias")
    if not isinstance(entry, Mapping):
        raise InvalidDefinitionError(f"function {arn}: must be an object with path, handler and runtime")
    for key in ("path", "handler", "runtime"):
        if not isinstance(entry.get(key), str) or not entry[key]:
            raise InvalidDefinitionError(f"function {arn}: {key} is missing or not a string")
    path = Path(entry["path"])
    if not path.is_dir() and not (path.is_file() and path.suffix == ".zip"):
        raise InvalidDefinitionError(f"function {arn}: {path} is neither a folder nor a zip file")


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
