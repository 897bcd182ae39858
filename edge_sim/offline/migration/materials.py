"""A group's packages, read as a core reads them and laid in a folder of this program's, to be packed again.

A package that a core would refuse is not unpacked; its faults are reported, and the others are unpacked all the same.
"""

from __future__ import annotations

import re
import stat
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edge_sim import folders
from edge_sim.agent.archives import unpack
from edge_sim.agent.archives.check import check
from edge_sim.cloud.packages import packed
from edge_sim.errors import EdgeSimError, UsageError
from edge_sim.greengrass.functions import is_system_function
from edge_sim.limits import Limits
from edge_sim.offline.codetext import AS_MINE
from edge_sim.offline.inputs import Inputs, PackageSource, address
from edge_sim.offline.rescue.contents import STUB_HANDLER
from edge_sim.v2.move import CODE_PATTERNS, PackageFacts

_PATTERNS = {name: re.compile(pattern.encode(), re.MULTILINE) for name, pattern in CODE_PATTERNS.items()}


@dataclass(frozen=True, kw_only=True)
class Material:
    """One package. ``folder`` holds its files for as long as the context lives; None where it was refused."""

    package: PackageFacts
    folder: Path | None


@dataclass(frozen=True, kw_only=True)
class Materials:
    """What is at hand: models by resource Id, code by function Id, and what the code mentions."""

    models: Mapping[str, Material] = field(default_factory=dict)
    code: Mapping[str, Material] = field(default_factory=dict)
    uses: Mapping[str, frozenset[str]] = field(default_factory=dict)


@contextmanager
def materials(inputs: Inputs) -> Iterator[Materials]:
    """Unpack every package that was given; the folders live as long as the context.

    What stands in for code that a rescue did not find is no code.
    """
    with folders.while_in_use("edge-sim-migrate-") as (place, _), ExitStack() as stack:
        models, code = {}, {}
        for number, resource in enumerate(inputs.group.resources):
            source = inputs.packages.get(address(resource) or "")
            if source:
                models[resource.id] = _material(source, "model.tar.gz", inputs.limits, place / f"model{number}", stack)
        for number, function in enumerate(inputs.group.functions):
            source = inputs.packages.get(function.arn)
            if source and source.handler != STUB_HANDLER and not is_system_function(function.arn):
                code[function.id] = _material(source, "code.zip", inputs.limits, place / f"code{number}", stack)
        uses = {
            name: folders.mentioned(material.folder, _PATTERNS) for name, material in code.items() if material.folder
        }
        yield Materials(models=models, code=code, uses=uses)


def _material(source: PackageSource, default: str, limits: Limits, place: Path, stack: ExitStack) -> Material:
    name = source.file_name or (default if source.path.is_dir() else source.path.name)
    try:
        archive = source.path
        if archive.is_dir():
            archive = stack.enter_context(packed(archive, "zip" if name.endswith(".zip") else "tar.gz"))
        verdict = check(archive, limits=limits, file_name=_readable(name))
        links = tuple(_links(archive))
        package = PackageFacts(
            file_name=name,
            size=verdict.size,
            unpacked=verdict.unpacked_bytes,
            contents=verdict.contents,
            links=links,
            problem=verdict.faults[0].brief if verdict.faults else None,
        )
        if package.problem:
            return Material(package=package, folder=None)
        place.mkdir(mode=0o700)
        unpack(archive, place, file_name=_readable(name), limits=limits, modes=AS_MINE)
        return Material(package=package, folder=place)
    except UsageError:
        raise
    except EdgeSimError as error:
        return Material(package=PackageFacts(file_name=name, problem=error.brief), folder=None)


def _readable(name: str) -> str:
    """Return a package's name with the ending in lower case: S3 keys are written in any."""
    return name[:-4] + ".zip" if name.lower().endswith(".zip") else name


def _links(archive: Path) -> Iterator[str]:
    """Yield the links of an archive, as far as it can be read."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                for member in file.infolist():
                    if stat.S_ISLNK(member.external_attr >> 16) and member.file_size < 4096:
                        yield f"{member.filename} -> {file.read(member).decode('utf-8', 'replace')}"
            return
        with tarfile.open(archive) as tar:
            yield from (f"{m.name} -> {m.linkname}" for m in tar if m.issym() or m.islnk())
    except (OSError, tarfile.TarError, zipfile.BadZipFile, ValueError, EOFError, RuntimeError):
        return  # what is wrong with it is told by the reader of packages
