"""What a group's GIDs and users reach beside what they are meant for. Pure: a group and one board's facts.

A function is put into the group that owns a model (``OwnerSetting``) or a local resource. On an OS image where that GID
means something else, the function reaches all that belongs to it, and the group's members reach the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from edge_sim.facts import HostFacts, below
from edge_sim.greengrass.access import View, grants
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.process import NOBODY, Identity, function_process, identity


@dataclass(frozen=True, kw_only=True)
class GidReach:
    """One GID that the group's functions run with, or own models with, on one board.

    The core's own group is left out unless it owns a model: it is every function's. ``names`` are what the board calls
    the GID, ``accounts`` who is in it there. ``models`` belong to it, ``functions`` are in it; ``also`` are the board's
    paths that they reach through it without having them attached.
    """

    gid: int
    names: tuple[str, ...]
    accounts: tuple[str, ...]
    models: tuple[str, ...]
    functions: tuple[str, ...]
    also: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BlastRadius:
    """Every GID that matters, and the functions that run as root."""

    groups: tuple[GidReach, ...]
    root_functions: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Return the two, and ``shared``: models that are owned by one GID together."""
        shared = [{"gid": reach.gid, "models": reach.models} for reach in self.groups if len(reach.models) > 1]
        return {**asdict(self), "shared": shared}


def blast_radius(group: Group, facts: HostFacts) -> BlastRadius:
    """Return what the GIDs of a group's functions and models mean on a board."""
    root = (function.id for function in group.functions if identity(group, function, facts).uid == 0)
    return BlastRadius(groups=tuple(_reaches(group, facts)), root_functions=tuple(root))


def _reaches(group: Group, facts: HostFacts) -> Iterator[GidReach]:
    owners = {
        resource.id: facts.gid(resource.owner.group_owner or "") for resource in group.resources if resource.owner
    }
    members = {function.id: identity(group, function, facts) for function in group.functions}
    lent = {gid for who in members.values() for gid in (who.gid, *who.groups)}
    lent.discard(facts.groups.get(facts.greengrass.group, -1))
    for gid in sorted(lent | {gid for gid in owners.values() if gid is not None}):
        names = tuple(name for name, known in facts.groups.items() if known == gid)
        accounts = tuple(sorted({*facts.members.get(gid, ()), *_primary(facts, gid)}))
        models = tuple(model for model, owner in owners.items() if owner == gid)
        functions = tuple(id_ for id_, who in members.items() if gid in (who.gid, *who.groups))
        also = tuple(_also(group, functions, facts, gid))
        yield GidReach(
            gid=gid,
            names=names,
            accounts=accounts,
            models=models,
            functions=functions,
            also=also,
            warnings=tuple(_warnings(gid, names, accounts, models, also)),
        )


def _primary(facts: HostFacts, gid: int) -> Iterator[str]:
    return (name for name, user in facts.users.items() if user.gid == gid and user.uid != 0)


def _also(group: Group, functions: tuple[str, ...], facts: HostFacts, gid: int) -> Iterator[str]:
    """Yield the board's paths that the group opens, and not everybody may, to a function without an attachment."""
    views = [(View(function_process(group, f, facts), facts.paths), f) for f in group.functions if f.id in functions]
    anybody, member = Identity(uid=NOBODY, gid=NOBODY), Identity(uid=NOBODY, gid=gid)
    for path, node in facts.paths.items():
        opens = any(grants(member, node, bit) and not grants(anybody, node, bit) for bit in (4, 2))
        if (
            node.type != "link"
            and opens
            and any(not view.hides(path) and not _attached(path, group, f) for view, f in views)
        ):
            yield path


def _attached(path: str, group: Group, function: Function) -> bool:
    sources = (resource.source_path for resource, _ in group.attached(function))
    return any(source is not None and below(path, source) for source in sources)


def _warnings(
    gid: int, names: tuple[str, ...], accounts: tuple[str, ...], models: tuple[str, ...], also: tuple[str, ...]
) -> Iterator[str]:
    called = f"GID {gid} ({', '.join(names)})" if names else f"GID {gid}, which has no name here,"
    if models and accounts:
        yield f"{called} lets {', '.join(accounts)} open {', '.join(models)}"
    if also:
        yield f"{called} opens {', '.join(also)} to its functions"
    if len(models) > 1:
        yield f"{called} owns {', '.join(models)}: a function attached to one must be attached to all"
