"""Models and code of a group on a board: where each lies, copied from there, and models packed again.

A model's directory is the last part of its ArtifactArn. Where group.json has none (nobody published how it encodes
models), a directory is taken for a model only if there is one of each; that is a guess, and is reported as one.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from edge_sim.cloud.packages import Format, archive_format, packed
from edge_sim.errors import EdgeSimError
from edge_sim.facts import Node
from edge_sim.greengrass.functions import Function, is_system_function
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.resources import Resource
from edge_sim.offline.inputs import address
from edge_sim.offline.rescue.disk import Disk

STUB = '"""Stands in for code that was not on the board."""\n\n\ndef function_handler(event, context):\n    '
STUB += 'raise RuntimeError("the code of this function was not on the board")\n'
STUB_HANDLER, STUB_RUNTIME = "not_on_the_board.function_handler", "python3.7"


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model's package: ``file`` in the rescued folder, ``node`` its directory on the board."""

    resource: Resource
    file: str
    directory: str
    node: Node
    guessed: bool = False


@dataclass(frozen=True, kw_only=True)
class RescuedCode:
    """A function's code: ``folder`` in the rescued folder."""

    function: Function
    folder: str
    handler: str
    runtime: str


@dataclass
class RescueLog:
    """What could not be had, and what was guessed: sentences that grow while the rescue goes on."""

    lost: list[str]
    guessed: list[str]
    notes: list[str]


def models(disk: Disk, group: Group, folder: Path, log: RescueLog) -> list[Model]:
    """Pack every model of the group that lies on the board into ``folder``/models."""
    places = _model_places(disk, group, log)
    packages = []
    for resource, (directory, guessed) in places.items():
        name = group.artifacts[resource.id].file_name if resource.id in group.artifacts else ""
        form: Format = archive_format(name or address(resource) or "") or "tar.gz"
        file = f"models/{safe(resource.id)}.{form}"
        try:
            _pack(disk, directory, folder / file, form, log)
        except EdgeSimError as error:
            log.lost.append(f"model {resource.id}: {error.brief.replace(str(_copied(folder / file)), directory)}")
            continue
        node = disk.look(directory)
        if node is not None:
            packages.append(Model(resource=resource, file=file, directory=directory, node=node, guessed=guessed))
        if resource.owner and resource.owner.group_permission == "rw":
            log.notes.append(f"model {resource.id}: as found on the board, including what functions have written to it")
    return packages


def code(disk: Disk, group: Group, folder: Path, log: RescueLog) -> list[RescuedCode]:
    """Copy the code of every function of the user's; where there is none a stand-in says so when it is called."""
    codes = []
    for function in group.functions:
        if is_system_function(function.arn):
            continue
        target = f"functions/{safe(function.id)}"
        directory = f"{disk.tree.functions}/{function.arn.replace('/', '_')}"
        try:
            there = disk.look(directory)
            if there is None or there.type != "directory":
                raise EdgeSimError(f"{directory} is not on the board")
            log.notes += (
                f"function {function.id}: left out {entry}" for entry in disk.copy(directory, folder / target)
            )
            codes.append(_known(group, function, folder / target, target, log))
        except EdgeSimError as error:
            log.lost.append(f"code of function {function.id}: {error.brief}; replaced by a stub that fails when called")
            shutil.rmtree(folder / target, ignore_errors=True)
            (folder / target).mkdir(parents=True)
            (folder / target / "not_on_the_board.py").write_text(STUB, encoding="utf-8")
            codes.append(RescuedCode(function=function, folder=target, handler=STUB_HANDLER, runtime=STUB_RUNTIME))
    return codes


def safe(name: str) -> str:
    """Return a file's name for an Id: nothing that leads anywhere, and no two Ids alike."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda match: f"%{ord(match[0]):02x}", name)[:120] or "_"


def _known(group: Group, function: Function, folder: Path, target: str, log: RescueLog) -> RescuedCode:
    built = group.code.get(function.id)
    handler = function.executable or (built.handler if built else "")
    runtime = function.runtime_override or (built.runtime if built else "")
    if not runtime:
        runtime = "nodejs12.x" if any(folder.glob("*.js")) and not any(folder.glob("*.py")) else "python3.7"
        log.guessed.append(f"function {function.id}: runtime {runtime}, from the names of its files")
    if not handler:
        modules = sorted(path.stem for path in folder.glob("*.py"))
        handler = f"{modules[0] if modules else 'index'}.function_handler"
        log.guessed.append(f"function {function.id}: handler {handler}, from the names of its files")
    return RescuedCode(function=function, folder=target, handler=handler, runtime=runtime)


def _model_places(disk: Disk, group: Group, log: RescueLog) -> dict[Resource, tuple[str, bool]]:
    there = {name: f"{top}/{name}" for top in (disk.tree.models, disk.tree.public_models) for name in disk.names(top)}
    model_resources = [resource for resource in group.resources if resource.model]
    known = {r: group.artifacts[r.id].id for r in model_resources if r.id in group.artifacts}
    places = {r: (there.pop(name), False) for r, name in known.items() if name in there}
    missing = [r for r in model_resources if r not in places]
    if len(missing) == 1 and len(there) == 1 and missing[0] not in known:
        _, directory = there.popitem()
        log.guessed.append(f"model {missing[0].id}: {directory}, the only directory that is not another model's")
        places[missing.pop()] = directory, True
    log.lost += (f"model {r.id}: not on the board" for r in missing)
    log.lost += (
        f"{directory}: belongs to no model in group.json, so it was not packed" for directory in there.values()
    )
    return places


def _copied(file: Path) -> Path:
    """Return where a package's files are while it is packed."""
    return file.parent / f".{file.name}.files"


def _pack(disk: Disk, directory: str, file: Path, form: Format, log: RescueLog) -> None:
    copied = _copied(file)
    try:
        log.notes += (f"{directory}: left out {entry}" for entry in disk.copy(directory, copied))
        with packed(copied, form) as archive:
            shutil.copyfile(archive, file)
    finally:
        shutil.rmtree(copied, ignore_errors=True)
