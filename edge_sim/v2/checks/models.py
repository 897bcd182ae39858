"""Checks of models: V2 has no machine-learning resources, only artifacts of components.

Sources: COM is aws-greengrass-component-common, NUC aws-greengrass-nucleus at a28341c, LITE aws-greengrass-lite at
326e992; what was measured was LITE's own unpacker.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from edge_sim import s3
from edge_sim.errors import InvalidDefinitionError
from edge_sim.facts import below
from edge_sim.greengrass.process import effective_permission
from edge_sim.greengrass.resources import Resource
from edge_sim.greengrass.rules.rule import Fault
from edge_sim.v2.checks.check import MoveRule, check, of
from edge_sim.v2.designs import inside, placements, way
from edge_sim.v2.move import Move, PackageFacts

ARTIFACTS = "COM (Unarchive: NONE or ZIP), NUC ArtifactDownloaderFactory (s3://bucket/key)"
SHOWN = 5
"""How many paths a sentence names."""
MODES = "NUC Permissions and RunWithPathOwnershipHandler, LITE's table of modes"


def _at(resource: Resource, message: str, key: str = "", hint: str | None = None, *, unknown: bool = False) -> Fault:
    """Return a fault at a member of a model's data."""
    container = f"{resource.path}.ResourceDataContainer.{resource.data.kind.container_key}"
    path = f"{container}.{key}" if key else container
    return Fault(
        path=path, message=f"resource {resource.id}: {message}", resource=resource.id, hint=hint, unknown=unknown
    )


def _models(move: Move) -> Iterator[tuple[Resource, PackageFacts | None]]:
    """Yield the models that a function has, each with what is known of its package."""
    for resource in move.group.resources:
        if resource.model and move.users_of(resource):
            yield resource, move.models_known.get(resource.id)


def _address(resource: Resource) -> tuple[str, str]:
    """Return where a model comes from, and the member that says so."""
    data = resource.model
    if data is None:
        return "", ""
    key = next(name for name in data.kind.shape if name in ("S3Uri", "SageMakerJobArn"))
    return str(data.members()[key]), key


@check("model-missing", "error", condition="ours", timing="ours", phase="deploy", source=f"ours; {ARTIFACTS}")
def missing(move: Move) -> Iterator[Fault]:
    """The package of a model is available, so that it can be repacked as a zip."""
    for resource, package in _models(move):
        if package is None:
            address, key = _address(resource)
            hint = f"--source {address}=PATH; on the board it is unpacked below {move.old_tree.deployment}."
            yield _at(resource, "its package is not available here, so it was not repacked as a zip", key, hint)


@check("model-format", "warning", phase="deploy", source=ARTIFACTS)
def repacked(move: Move) -> Iterator[Fault]:
    """V2 unpacks zip files only: any other package must be repacked, or it is left packed."""
    for resource, package in _models(move):
        address, key = _address(resource)
        name = package.file_name if package else address
        if not name.lower().endswith(".zip"):
            yield _at(
                resource,
                f"{name.rpartition('/')[2]} is not a zip: V2 unpacks nothing else; upload the generated zip",
                key,
            )


@check(
    "model-unpackable",
    "error",
    phase="deploy",
    condition="ours",
    timing="ours",
    source="ours: the reader of packages; ZipFile and LITE turn links into plain files",
    hint="Repair the package: edge-sim check-archive PACKAGE lists all its faults.",
)
def unpackable(move: Move) -> Iterator[Fault]:
    """A model's package can be read, and contains nothing that a zip or V2 cannot hold: links, devices, odd names."""
    for resource, package in _models(move):
        if package and package.problem:
            yield _at(resource, f"it cannot be packed as a zip: {package.problem}")


@check(
    "model-links", "warning", condition="sourced", phase="deploy", source="NUC (ZipFile copies bytes), LITE measured"
)
def links(move: Move) -> Iterator[Fault]:
    """V2 turns links into plain files: our zip contains copies of their targets."""
    for resource, package in _models(move):
        if package and package.links:
            yield _at(resource, f"links were replaced by copies in the zip: {', '.join(package.links)}")


@check("model-case-twins", "note", condition="ours", timing="ours", source="ours: case-insensitive file systems")
def case_twins(move: Move) -> Iterator[Fault]:
    """Names in a package that differ only in case are the same file on a case-insensitive file system."""
    for resource, package in _models(move):
        first: dict[str, str] = {}
        for content in package.contents if package else ():
            other = first.setdefault(content.path.casefold(), content.path)
            if other != content.path:
                yield _at(resource, f"{other} and {content.path} are the same file on a case-insensitive file system")


@check("model-dots", "error", source="LITE measured: every path that contains ../ is skipped", nuclei=("lite",))
def dots(move: Move) -> Iterator[Fault]:
    """Nucleus lite skips every file whose path contains ../, even in a folder named v1.. ."""
    for resource, package in _models(move):
        for content in package.contents if package else ():
            if "../" in content.path:
                yield _at(resource, f"nucleus lite leaves out {content.path}: rename the folder")


@check("model-source", "error", phase="deploy", source=ARTIFACTS)
def source(move: Move) -> Iterator[Fault]:
    """An artifact's address has the form s3://bucket/key, not http or a training job."""
    for resource, _ in _models(move):
        address, key = _address(resource)
        if s3.of_uri(address) is None and not move.bucket:
            hint = "Choose the bucket for the zip: --bucket NAME"
            yield _at(resource, f"{address} is not an artifact's address: choose where to store the zip", key, hint)


@check("model-owner", "warning", source=MODES)
def owner(move: Move) -> Iterator[Fault]:
    """The group that owns a model (OwnerSetting) is lost: files belong to the component's account."""
    for resource, _ in _models(move):
        setting = resource.owner
        if setting:
            hint = "The access table shows which functions gain or lose access; usermod -aG or runWith restores it."
            yield _at(resource, f"group {setting.group_owner} no longer owns its files", "OwnerSetting", hint)


@check("model-writable", "warning", condition="inferred", source=f"{MODES}: there is no write permission")
def writable(move: Move) -> Iterator[Fault]:
    """A model that functions write to is read-only in V2: its user can replace files, but not write to them."""
    for attachment in move.models:
        if effective_permission(attachment.resource, attachment.policy) == "rw":
            hint = f"Have it write to its working folder: {move.nucleus.work('COMPONENT')}"
            message = f"function {attachment.function.id}: it may write to {attachment.resource.id} in V1, not in V2"
            yield Fault(
                path=attachment.path,
                message=message,
                resource=attachment.resource.id,
                function=attachment.function.id,
                hint=hint,
            )


@check(
    "model-written", "warning", condition="inferred", source=f"{MODES}: there is no write permission; the run's report"
)
def written(move: Move) -> Iterator[Fault]:
    """Files of a model that a run saw a function write (migrate --run) cannot be written in place in V2."""
    for attachment in move.models:
        resource, function = attachment.resource, attachment.function
        paths = sorted(move.written.get((function.id, resource.id), ()))
        if paths:
            more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
            message = f"function {function.id}: a run saw it write to {resource.id}: {', '.join(paths[:SHOWN])}{more}"
            hint = f"Have it write these to its working folder: {move.nucleus.work('COMPONENT')}"
            yield Fault(path=attachment.path, message=message, resource=resource.id, function=function.id, hint=hint)


@check("model-root-only", "warning", condition="inferred", source=f"{MODES}; V1: access-ml-resources.md")
def root_only(move: Move) -> Iterator[Fault]:
    """A model without OwnerSetting was root's outside containers; now the component's user and group can read it."""
    for resource, _ in _models(move):
        if resource.owner is None:
            yield _at(resource, "only root could read it in V1; its component's user and group can read it in V2")


@check("model-listing", "warning", source=f"{MODES}: folders are 0755")
def listing(move: Move) -> Iterator[Fault]:
    """Every account on the board can list a model's folders."""
    for resource, _ in _models(move):
        yield _at(resource, "every account can list the names of its files")


@check("executable-bits", "warning", source="NUC Permissions (0440 by default), KYO's recipe (Execute NONE)")
def executable(move: Move) -> Iterator[Fault]:
    """Executable bits inside packages are lost: a program in a package cannot be started."""
    for resource, package in _models(move):
        if package and package.executables:
            yield _at(resource, f"no longer executable: {', '.join(package.executables[:5])}")
    for function in move.own_functions:
        code = move.code_known.get(function.id)
        if code and code.executables and "programs" in move.uses.get(function.id, ()):
            names = ", ".join(code.executables[:5])
            yield of(function, "", f"no longer executable, but its code starts programs: {names}")


@check("model-owners", "warning", source=f"{MODES}: a component has one owner")
def owners(move: Move) -> Iterator[Fault]:
    """A component has one owner: models of different groups in one function all belong to it."""
    for function in move.own_functions:
        groups = {r.owner.group if r.owner else "" for r in move.models_of(function)}
        if len(groups) > 1:
            named = ", ".join(sorted(group or "root only" for group in groups))
            yield of(function, "", f"its models belong to {named} in V1, but to one account in V2")


@check("model-nested", "error", condition="inferred", phase="deploy", source="one folder for each artifact; ours")
def nested(move: Move) -> Iterator[Fault]:
    """The DestinationPaths of a function's models are neither equal nor nested."""
    for function in move.own_functions:
        for first, second in combinations(move.models_of(function), 2):
            place, other = _destination(first), _destination(second)
            if place and other and (below(f"/{place}", f"/{other}") or below(f"/{other}", f"/{place}")):
                yield of(function, "", f"models {first.id} and {second.id} are equal or nested: /{place} and /{other}")


@check("model-destination", "error", condition="ours", timing="ours", source="ours: a zip's folder")
def destination(move: Move) -> Iterator[Fault]:
    """A model's DestinationPath is a folder name that a zip can contain."""
    for resource, _ in _models(move):
        if _destination(resource) is None:
            yield _at(resource, f"{resource.destination_path!r} is not a folder name", "DestinationPath")


@check("model-prefix", "warning", condition="inferred", source="access-ml-resources.md; designs A and B are ours")
def prefix(move: Move) -> Iterator[Fault]:
    """A generic component has no mounts: its code finds a model with AWS_GG_RESOURCE_PREFIX, set by our recipe."""
    for function in move.own_functions:
        chosen = way(move, function)
        if chosen not in ("A", "B"):
            continue
        where = next(placement for placement in placements(move) if placement.function.id == function.id)
        uses = move.uses.get(function.id)
        if uses is None:
            yield of(
                function, "", "it is unknown whether its code opens models by AWS_GG_RESOURCE_PREFIX", unknown=True
            )
        elif "prefix" in uses:
            yield of(function, "", f"its recipe sets AWS_GG_RESOURCE_PREFIX to {where.top} (way {chosen})")
        else:
            hint = "Have it open os.environ['AWS_GG_RESOURCE_PREFIX'] + path, which works in V1 too."
            yield of(function, "", f"its code does not use AWS_GG_RESOURCE_PREFIX: the model is at {where.path}", hint)


@check("model-versioned-path", "note", condition="inferred", source="NUC (artifacts-unarchived/NAME/VERSION); ours")
def versioned(move: Move) -> Iterator[Fault]:
    """A volume that mounts a model's component has its version in the path: a new model changes the function too."""
    for placement in placements(move):
        if placement.way == "C":
            yield of(
                placement.function,
                "",
                f"its volume for {placement.resource.id} is {placement.path}, with the version in it",
            )


@check(
    "model-in-place", "note", source="NUC: an archive is unpacked again only when the size differs", nuclei=("classic",)
)
def in_place(move: Move) -> Iterator[Fault]:
    """A model changed in place stays changed: classic unpacks again only files that are missing or differ in size."""
    for attachment in move.models:
        if effective_permission(attachment.resource, attachment.policy) == "rw":
            name, model = attachment.function.id, attachment.resource.id
            message = f"function {name}: if it replaces a file of {model} by one of the same size, the change stays"
            yield Fault(
                path=attachment.path, message=message, resource=attachment.resource.id, function=attachment.function.id
            )


@check("model-zip64", "warning", condition="inferred", source="not tested with either nucleus", phase="deploy")
def zip64(move: Move) -> Iterator[Fault]:
    """A zip with 4 GiB or 65535 entries needs zip64; whether V2 can read it is not known."""
    for resource, package in _models(move):
        if package and (package.unpacked >= 2**32 - 1 or len(package.contents) >= 2**16 - 1):
            yield _at(resource, "its zip is a zip64, which is untested with V2")


@check("tar-advice", "note", source="greengrass-agent-context-pack; COM, LITE and the recipe schema refuse it")
def tar_advice(move: Move) -> Iterator[Fault]:
    """AWS's agent pack says Unarchive: TAR, which both nuclei and AWS's own schema refuse."""
    for resource, package in _models(move):
        name = package.file_name if package else _address(resource)[0]
        if name.endswith((".tar.gz", ".tgz")):
            yield _at(resource, "do not write Unarchive: TAR, although AWS's agent pack says so: no nucleus accepts it")


def _destination(resource: Resource) -> str | None:
    try:
        return inside(resource.model) if resource.model else None
    except InvalidDefinitionError:
        return None


CHECKS: tuple[MoveRule, ...] = (
    *(missing, repacked, unpackable, links, case_twins, dots, source, owner, writable, written, root_only, listing),
    *(executable, owners, nested, destination, prefix, versioned, in_place, zip64, tar_advice),
)
