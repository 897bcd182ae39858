"""Applies a group to a board's directory: the deployer, with packages from this machine instead of a cloud's store."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sim.agent.deployment.deployer import deploy
from edge_sim.agent.host import Host, LinuxHost
from edge_sim.agent.http_error import HttpError
from edge_sim.errors import MACHINE, InvalidDefinitionError
from edge_sim.greengrass import rules
from edge_sim.greengrass.changes import Line, compare
from edge_sim.greengrass.group import Group
from edge_sim.offline.content import fixed_packages
from edge_sim.offline.packages import PackedGroup
from edge_sim.offline.plan import adopt, group_json, refuse, rewritten_files, warnings
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
    packed: PackedGroup,
    root: Path,
    target: Target,
    *,
    host: Host | None = None,
) -> Applied:
    """Lay the group out on the board below ``root``, whose facts ``target`` holds: all of it, or nothing.

    Raises what ``deploy`` raises, and InvalidDefinitionError where a package was not given. ``host`` is for tests.
    """
    refuse(packed, target.facts)
    cautions = warnings(packed.definition, rules.check(packed.group, target.facts, mentions=packed.definition.mentions))
    packed, notes = adopt(packed, target)
    if packed.unknown:
        owner = packed.unknown[0]
        raise InvalidDefinitionError(
            f"{owner}: its package is not available here", hint=f"--source {owner.address}=PATH"
        )
    rewritten = set(rewritten_files(packed, target))
    result = deploy(
        packed.group,
        document(packed),
        root,
        target.facts,
        host or LinuxHost(root.resolve()),
        _Local(packed),
        limits=packed.limits,
        owners_required=True,
        renewed=_directories(rewritten, packed, target),
    )
    lines = compare(result.entries, target.disk, target.ours, rewritten)
    return Applied(
        changed=result.changed, lines=lines, notes=(*cautions, *notes, *_secrets(packed.group), *result.not_proven)
    )


def _directories(files: Collection[str], packed: PackedGroup, target: Target) -> frozenset[str]:
    """Return the packages in which a file does not hold its bytes any more."""
    tops = (directory for directory, _ in fixed_packages(packed, target))
    return frozenset(top for top in tops if any(path.startswith(f"{top}/") for path in files))


def document(packed: PackedGroup) -> dict[str, Any]:
    """Return the deployment document of a group whose packages lie on this machine. Its URLs are our own."""
    group = packed.group
    artifacts = {artifact.arn: (artifact.sha256, artifact.size) for artifact in group.artifacts.values()}
    artifacts |= {artifact.artifact_arn: (artifact.sha256, artifact.size) for artifact in group.code.values()}
    entries = {arn: {"Url": arn, "Sha256": digest, "Size": size} for arn, (digest, size) in artifacts.items()}
    return {"Group": group_json(group), "Artifacts": entries}


def _secrets(group: Group) -> list[str]:
    names = [resource.id for resource in group.resources if resource.secret]
    why = "only a deployment brings secret values; the board keeps those it has"
    return [f"secrets {', '.join(names)}: {why}"] if names else []


class _Local:
    """Fetches a package from this machine, as ``packages.Fetch`` asks for."""

    def __init__(self, packed: PackedGroup) -> None:
        self._archives = packed.archives

    def __call__(self, url: str, destination: Path, *, sha256: str, size: int) -> None:
        archive = self._archives.get(url)
        if archive is None:
            raise HttpError(
                "the last deployment has been modified and must be unpacked again, but its package is not available "
                "here",
                hint="Pass it with --source URI=PATH.",
            )
        try:
            source = archive.path.open("rb")
        except OSError as error:
            if error.errno in MACHINE:
                raise
            raise HttpError(f"{archive.path}: cannot be read: {error.strerror}") from error
        with source, destination.open("wb") as copy:
            shutil.copyfileobj(source, copy)
