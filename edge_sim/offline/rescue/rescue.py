"""A board's disk, or what AWS's exporter wrote, into a folder with a group, its packages and a scenario that runs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from edge_sim.arch import ARCHITECTURES
from edge_sim.definitions import reader, writer
from edge_sim.definitions.definition import Definition
from edge_sim.errors import EdgeSimError, InvalidDefinitionError
from edge_sim.greengrass.functions import DefaultConfig, Function, lambda_name
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.tree import BELOW
from edge_sim.offline.rescue.contents import Model, RescuedCode, RescueLog, code, models, safe
from edge_sim.offline.rescue.disk import Disk
from edge_sim.offline.rescue.settings import certificates, settings, write_directory
from edge_sim.profiles import list_profiles, load_profile
from edge_sim.scenario import SCENARIO

GROUP_FILE, SETTINGS_FILE, REPORT_FILE, EMPTY_FILE = "group.yaml", "config.json", "RESCUED.txt", "empty"
NOT_RESCUED = "not-rescued"
_PUBLIC = PurePosixPath(BELOW.public_models).name
NEVER = (
    "secret values, and the files of volumes",
    "private keys and the contents of certificates: both stay on the board",
    "the group role, the service role, and every policy",
    "things, certificates and shadows in the cloud; Lambda functions and their aliases; buckets",
    "names of definitions and their versions; deployments' history",
)
"""What no board's disk holds."""


@dataclass(frozen=True, kw_only=True)
class Rescued:
    """The outcome. ``lost`` cannot be recovered from the disk, ``guessed`` is said by nothing on it."""

    name: str
    functions: int
    models: int
    certificates: tuple[str, ...]
    lost: tuple[str, ...]
    guessed: tuple[str, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        return {**vars(self), "never": list(NEVER)}

    def lines(self) -> Iterator[str]:
        """Yield the report."""
        functions = f"{self.functions} function{'s' * (self.functions != 1)}"
        yield f"{self.name}: {functions}, {self.models} model{'s' * (self.models != 1)}"
        groups = (("Lost", self.lost), ("Guessed", self.guessed), ("Certificates and keys, by name", self.certificates))
        for title, entries in (*groups, ("Never on a board's disk", NEVER), ("Notes", self.notes)):
            if entries:
                yield from ("", title)
                yield from (f"  {entry}" for entry in entries)


def rescue(disk: Disk, folder: Path, profile: str | None) -> Rescued:
    """Write everything to an existing empty ``folder``. ``profile`` is the board of the scenario; None: a guess.

    Raises InvalidDefinitionError where the board has no group.json, or one that cannot be read at all.
    """
    log = RescueLog(lost=[*disk.lost], guessed=[], notes=[*disk.notes])
    disk = _located(disk, log)
    definition = _definition(disk, log)
    group = definition.group
    log.guessed += _by_analogy(group)
    (folder / "models").mkdir()
    (folder / "functions").mkdir()
    packages, coded = models(disk, group, folder, log), code(disk, group, folder, log)
    bundle = _owned(writer.canonical(definition), packages, log)
    _write(folder / GROUP_FILE, writer.bundle_text(bundle))
    config, omissions = settings(disk)
    log.notes += omissions
    if config is not None:
        _write(folder / SETTINGS_FILE, json.dumps(config, indent=2) + "\n")
    _write(folder / EMPTY_FILE, "")
    board = profile or _guessed_profile(disk, log)
    _write(folder / SCENARIO, scenario_text(group, board, packages, coded, _volumes(disk, group, log)))
    log.lost += (f"secret {r.id}: its value; the scenario says {NOT_RESCUED}" for r in group.resources if r.secret)
    names, unread = certificates(disk)
    log.lost += unread
    return _finish(folder, disk.name, group, packages, names, log)


def of_export(export: Path, folder: Path) -> Rescued:
    """Read what AWS's exporter (export_ggv1.sh) wrote: functions, subscriptions, code; it has nothing else."""
    log = RescueLog(lost=[], guessed=[], notes=[])
    files = [export / name for name in ("functions.json", "subscriptions.json") if (export / name).is_file()]
    if not files:
        raise InvalidDefinitionError(
            f"{export}: neither functions.json nor subscriptions.json: not an exporter's folder"
        )
    definition = reader.read(*files)
    log.notes += map(str, definition.notes)
    log.lost += (f"{what}: AWS's exporter leaves them out" for what in ("resources with their owner settings", "cores"))
    log.lost += (f"{what}: AWS's exporter leaves them out" for what in ("connectors", "loggers", "devices"))
    for name in ("models", "functions"):
        (folder / name).mkdir()
    disk = Disk(name=str(export), root=export.resolve(), greengrass_root="/greengrass")
    for function in definition.group.functions:
        name = lambda_name(function)
        target = f"functions/{safe(function.id)}"
        if "/" in name or disk.look(f"/lambda-code/{name}") is None:
            log.lost.append(f"code of function {function.id}: no lambda-code/{name} in the folder")
            continue
        log.notes += (
            f"function {function.id}: left out {entry}" for entry in disk.copy(f"/lambda-code/{name}", folder / target)
        )
    _write(folder / GROUP_FILE, writer.dump(definition))
    log.notes.append(f"{GROUP_FILE} has no core and no resources: add them to make a scenario")
    return _finish(folder, str(export), definition.group, [], [], log)


def scenario_text(
    group: Group,
    board: str,
    packages: Sequence[Model],
    coded: Sequence[RescuedCode],
    volumes: Sequence[Mapping[str, object]],
) -> str:
    """Return the scenario: the group, and what stands behind each of its addresses."""
    sources: list[dict[str, object]] = []
    for model in packages:
        data = model.resource.model
        members = data.members() if data else {}
        if "S3Uri" in members:
            sources.append({"s3": members["S3Uri"], "file": model.file})
        else:
            name = Path(model.file).name
            output = f"s3://{NOT_RESCUED}/{name.replace('%', '-')}"
            sources.append({"trainingJob": members.get("SageMakerJobArn"), "output": output, "file": model.file})
    sources += [{"secret": r.secret.arn, "value": NOT_RESCUED} for r in group.resources if r.secret]
    document: dict[str, object] = {
        "edgeSim": 1,
        "name": "rescued",
        "boards": [board],
        "group": GROUP_FILE,
        "sources": sources,
        "code": [
            {"function": code.function.arn, "folder": code.folder, "handler": code.handler, "runtime": code.runtime}
            for code in coded
        ],
        "files": [*volumes],
    }
    members = {key: value for key, value in document.items() if value not in ([], None)}
    return yaml.safe_dump(members, sort_keys=False, allow_unicode=True, width=10**6)


def _located(disk: Disk, log: RescueLog) -> Disk:
    """Return the disk with the directory that the core writes to, if config.json names one and a group lies in it."""
    elsewhere = write_directory(disk)
    if elsewhere is None:
        return disk
    moved, own = replace(disk, write_directory=elsewhere), disk.tree.group_file
    if moved.text(moved.tree.group_file) is not None:
        log.notes.append(f"config.json names {elsewhere} as writeDirectory, so the deployment was read from there")
        if disk.text(own) is not None:
            log.notes.append(f"{own}: also exists, but was not read, because the core writes elsewhere")
        return moved
    if disk.text(own) is not None:
        log.guessed.append(
            f"the group: config.json names {elsewhere} as writeDirectory, which has none; {own} was read"
        )
    return disk


def _definition(disk: Disk, log: RescueLog) -> Definition:
    path = disk.tree.group_file
    text = disk.text(path)
    if text is None:
        hint = f"A core keeps it at {path}; name another place with --greengrass-root."
        elsewhere = write_directory(disk)
        if elsewhere:
            hint = f"config.json names {elsewhere} as writeDirectory, but there is none below it either: "
            hint += "is its file system mounted, or in the tar file?"
        if disk.lost:
            hint = "Read it as root: with a root login, or allow the account passwordless sudo. " + hint
        raise InvalidDefinitionError(
            f"{disk.name}: {path} does not exist, so no group can be recovered", details="\n".join(disk.lost), hint=hint
        )
    with tempfile.TemporaryDirectory(prefix="edge-sim-group-") as place:
        file = Path(place) / "group.json"
        file.write_bytes(text)
        try:
            definition = reader.read(file)
        except EdgeSimError as error:
            problem = getattr(error, "problem", error.brief)
            raise InvalidDefinitionError(f"{disk.name}: {path}: {problem}", hint=error.hint) from error
    log.notes += (note.message for note in definition.notes)
    log.notes += (f"group.json, kept as it is: {finding.path}: {finding.message}" for finding in definition.findings)
    return definition


def _by_analogy(group: Group) -> Iterator[str]:
    """Yield a line for everything in a group.json whose encoding nobody published (``greengrass.groupfile``)."""
    why = "how group.json encodes it was never published [inferred]"
    for resource in group.resources:
        if resource.volume is None:
            members = " and its OwnerSetting" if resource.owner else ""
            yield f"{resource.label}: its kind{members} read by analogy with a volume: {why}"
    configs: list[tuple[str, DefaultConfig | Function]] = [("the group's default", group.default_config)]
    for name, config in (*configs, *((f"function {f.id}", f) for f in group.functions)):
        if config.isolation_mode or config.run_as.uid is not None or config.run_as.gid is not None:
            yield f"{name}: IsolationMode and RunAs read as the API names them: {why}"


def _owned(bundle: dict[str, Any], packages: Sequence[Model], log: RescueLog) -> dict[str, Any]:
    """Return the bundle with owner settings from the disk, where group.json has none and the disk shows an owner."""
    by_id = {model.resource.id: model for model in packages if _PUBLIC in model.directory and not model.resource.owner}
    for resource in (bundle.get("resources") or {}).get("Resources") or []:
        model = by_id.get(str(resource.get("Id")))
        if model:
            permission = "rw" if model.node.mode & 0o020 else "ro"
            setting = {"GroupOwner": str(model.node.gid), "GroupPermission": permission}
            next(iter(resource["ResourceDataContainer"].values()))["OwnerSetting"] = setting
            log.guessed.append(
                f"model {model.resource.id}: OwnerSetting {model.node.gid}:{permission}, from {model.directory}"
            )
    return bundle


def _volumes(disk: Disk, group: Group, log: RescueLog) -> list[dict[str, object]]:
    """Return stand-ins for the sources of volumes, so that the scenario can be deployed; their files stay there."""
    entries: list[dict[str, object]] = []
    seen: set[str] = set()
    for resource in group.resources:
        path = resource.source_path
        if not resource.volume or not path or path in seen or ".." in path.split("/"):
            continue
        seen.add(path)
        entries.append({"path": path, **({"copy": EMPTY_FILE} if disk.is_file(path) else {"directory": True})})
        log.notes.append(f"volume {resource.id}: {path} is empty in the scenario; its files stay on the board")
    return entries


def _guessed_profile(disk: Disk, log: RescueLog) -> str:
    """Return the profile that is most like the board: the same system, then the same architecture."""
    release = dict(
        line.split("=", 1)
        for line in (disk.text("/etc/os-release") or b"").decode(errors="replace").splitlines()
        if "=" in line
    )
    system, version = release.get("ID", "").strip('"'), release.get("VERSION_ID", "").strip('"')
    machine = int.from_bytes((disk.text("/bin/sh") or b"")[18:20], "little")

    def likeness(name: str) -> tuple[bool, bool, bool]:
        profile = load_profile(name)
        known = profile.os_release
        return (
            known.get("ID") == system,
            known.get("VERSION_ID", "").strip('"') == version,
            ARCHITECTURES[profile.architecture].elf_machine == machine,
        )

    best = max(list_profiles(), key=lambda name: (likeness(name), name == "raspberry-pi-3"))
    log.guessed.append(
        f"the board's profile: {best}, from /etc/os-release ({system or '?'} {version or '?'}) and /bin/sh"
    )
    return best


def _finish(
    folder: Path, name: str, group: Group, packages: Sequence[Model], names: Sequence[str], log: RescueLog
) -> Rescued:
    done = Rescued(
        name=name,
        functions=len(group.functions),
        models=len(packages),
        certificates=tuple(names),
        lost=tuple(log.lost),
        guessed=tuple(log.guessed),
        notes=tuple(log.notes),
    )
    _write(folder / REPORT_FILE, "\n".join(done.lines()) + "\n")
    return done


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
