"""Artifacts laid out below a board's root as a nucleus does: unpacked, with the component's owner and its modes.

Sources: as ``v2.tree``; how names that lead up, links and folders are taken: NUC (ZipFile), LITE measured.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_sim.agent.rooted import inside
from edge_sim.errors import MACHINE, InvalidDefinitionError
from edge_sim.offline.nucleus.recipes import ComponentArtifact, NucleusComponent
from edge_sim.v2.nucleus import MODES, Nucleus

_FOLDER = 0o755


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose a component's files are; None leaves owners alone, where this process may not give files away."""

    uid: int
    gid: int


def lay(
    root: Path, nucleus: Nucleus, component: NucleusComponent, source: Path, worker: Owner | None, owner: Owner | None
) -> list[str]:
    """Lay a component's artifacts out, and return notes on what a nucleus leaves out.

    ``source`` is the folder that its artifacts come from; its working folder is ``worker``'s, they are ``owner``'s.
    Raises InvalidDefinitionError where a nucleus fails the deployment.
    """
    notes: list[str] = []
    work = ensure_directory(root, nucleus.work(component.name))
    _own(work, worker, 0o700)
    for artifact in component.artifacts:
        file = source / artifact.file
        if not file.is_file():
            raise InvalidDefinitionError(f"component {component.name}: {artifact.file}: not among its artifacts")
        directory = ensure_directory(root, f"{nucleus.root}/packages/artifacts/{component.name}/{component.version}")
        shutil.copyfile(file, directory / artifact.file)
        _own(directory / artifact.file, owner, _mode(artifact))
        if artifact.unpacked:
            ensure_directory(root, f"{nucleus.root}/packages/artifacts-unarchived/{component.name}/{component.version}")
            top = inside(root, nucleus.unpacked(component.name, component.version, artifact.file))
            notes += _unpack(nucleus, component, file, top, artifact, owner)
    return notes


def _unpack(
    nucleus: Nucleus,
    component: NucleusComponent,
    file: Path,
    top: Path,
    artifact: ComponentArtifact,
    owner: Owner | None,
) -> Iterator[str]:
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir()
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                name = entry.filename
                leads_up = name.startswith("/") or ".." in name.split("/")
                if leads_up and nucleus.lambdas:
                    raise InvalidDefinitionError(
                        f"component {component.name}: {name} leads out of its folder: the deployment fails"
                    )
                if leads_up or ("../" in name and not nucleus.lambdas):
                    yield f"component {component.name}: {name}: left out by nucleus lite"
                    continue
                target = top / name
                if name.endswith("/"):
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as content, target.open("wb") as sink:  # a link's text becomes a file's
                    shutil.copyfileobj(content, sink)
    except (zipfile.BadZipFile, OSError) as error:
        if isinstance(error, OSError) and error.errno in MACHINE:
            raise
        raise InvalidDefinitionError(f"component {component.name}: {file.name}: {error}") from error
    for path in sorted([top, *top.rglob("*")], reverse=True):
        _own(path, owner, _FOLDER if path.is_dir() else _mode(artifact))


def _mode(artifact: ComponentArtifact) -> int:
    return MODES[artifact.read, artifact.execute]


def ensure_directory(root: Path, path: str) -> Path:
    """Return a directory of the board, made with its parents where it is missing."""
    place = inside(root, path)
    for parent in (*reversed(place.parents), place):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(_FOLDER)
    return place


def _own(path: Path, owner: Owner | None, mode: int) -> None:
    path.chmod(mode if owner or mode & 0o200 else mode | 0o200)
    if owner:
        os.chown(path, owner.uid, owner.gid)
