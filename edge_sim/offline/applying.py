"""Applies a group to a board's directory: the deployer, with packages from this machine instead of a cloud's store."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sim.agent.deployer import deploy
from edge_sim.agent.download import DownloadError
from edge_sim.agent.host import Host, LinuxHost
from edge_sim.errors import InvalidDefinitionError
from edge_sim.greengrass import groupfile
from edge_sim.greengrass.changes import Line, compare
from edge_sim.offline.packages import Packed
from edge_sim.offline.planning import refuse
from edge_sim.offline.target import Target


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What was done. ``lines`` are the plan's, against the board as it was.

    ``changed`` is False when there was nothing to do.
    """

    changed: bool
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def apply(
    packed: Packed,
    root: Path,
    target: Target,
    *,
    host: Host | None = None,
    passed: Callable[[str], None] = lambda _: None,
) -> Applied:
    """Lay the group out on the board below ``root``, whose facts ``target`` holds: all of it, or nothing.

    Raises what ``deploy`` raises, and InvalidDefinitionError where a package was not given. ``host`` and ``passed``
    are for tests.
    """
    if packed.unknown:
        one = packed.unknown[0]
        raise InvalidDefinitionError(f"{one}: its package is not given", hint=f"--source {one.address}=PATH")
    refuse(packed.group, target.facts)
    result = deploy(
        document(packed),
        root,
        target.facts,
        host or LinuxHost(root.resolve()),
        _Local(packed),
        owners_required=True,
        passed=passed,
    )
    lines = compare(result.entries, target.disk, target.ours)
    return Applied(changed=result.changed, lines=lines, notes=result.not_proven)


def document(packed: Packed) -> dict[str, Any]:
    """Return the deployment document of a group whose packages lie on this machine. Its URLs are our own."""
    arns = [function.arn for function in packed.group.functions]
    region = arns[0].split(":")[3] if arns and arns[0].count(":") > 3 else ""
    artifacts = {
        arn: {"Url": f"edge-sim:{arn}", "Sha256": archive.sha256, "Size": archive.size}
        for arn, archive in packed.archives.items()
    }
    return {"Group": groupfile.encode(packed.group, region=region), "Artifacts": artifacts}


class _Local:
    """Fetches a package from this machine, as ``packages.Fetch`` asks for."""

    def __init__(self, packed: Packed) -> None:
        self._paths: Mapping[str, Path] = {f"edge-sim:{arn}": one.path for arn, one in packed.archives.items()}

    def __call__(self, url: str, destination: Path, *, sha256: str, size: int) -> None:
        try:
            shutil.copyfile(self._paths[url], destination)
        except OSError as error:
            raise DownloadError(f"{self._paths[url]}: cannot be read: {error.strerror}") from error
