"""What lies on a V2 board after the deployment: every path of models and working folders, with owner and mode.

Sources: NUC (``Permissions``, ``NucleusPaths``, ``RunWithPathOwnershipHandler``), LITE (its table of modes, measured
with its own unpacker). An artifact's Permission decides the files' mode, the component's account owns them; folders
are 0755 whatever it says. Accounts that the board does not list get ids that nobody has there, as an installer chooses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from edge_sim.facts import HostFacts, Node
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.plan import Content
from edge_sim.v2.components import Component, components
from edge_sim.v2.designs import Placement, inside, placements
from edge_sim.v2.move import Move
from edge_sim.v2.nucleus import LAST_SYSTEM_ID, MODES


@dataclass(frozen=True, kw_only=True)
class Ids:
    """Whose something is on the new board. ``known``: the board lists the account."""

    uid: int
    gid: int
    known: bool = True


def ids(move: Move, function: Function | None = None) -> Ids:
    """Return the account of a function's component; without one the default account of components."""
    facts = move.to or HostFacts(architecture="", operating_system="", whole=frozenset())
    default = _account(facts, move.nucleus.user, move.nucleus.group)
    run_as = move.group.default_config.run_as
    uid = default.uid if run_as.uid is None else run_as.uid
    gid = default.gid if run_as.gid is None else run_as.gid
    if function is None or not move.nucleus.lambdas:
        return Ids(uid=uid, gid=gid, known=default.known or run_as.uid is not None)
    own = function.run_as
    if own.uid is None and own.gid is None:
        return Ids(uid=uid, gid=gid, known=default.known or run_as.uid is not None)
    user = uid if own.uid is None else own.uid
    primary = next((account.gid for account in facts.users.values() if account.uid == user), gid)
    return Ids(uid=user, gid=primary if own.gid is None else own.gid)


def tree(move: Move) -> dict[str, Node]:
    """Return the nodes of models and working folders, with all their parents, on top of the board's own."""
    nodes = dict(move.to.paths) if move.to else {}
    owner = _owner(move)
    for top in PurePosixPath(move.nucleus.root).parents:
        nodes.setdefault(str(top), _directory(0, 0))
    for name in ("", "/work", "/packages", "/packages/artifacts-unarchived"):
        nodes[f"{move.nucleus.root}{name}"] = _directory(owner.uid, owner.gid)
    placed = placements(move)
    for component in components(move):
        nodes |= _working_folder(move, component)
        for path, node in _unpacked(move, component, placed, owner):
            nodes[path] = node
    return nodes


def unpacked(placement: Placement, contents: tuple[Content, ...]) -> tuple[tuple[str, str], ...]:
    """Return what a function sees of a model and where it lies on the board: the folder first, then what is in it."""
    inner = ["", *(f"/{content.path}" for content in contents)]
    return tuple((placement.seen + path, placement.path + path) for path in inner)


def _working_folder(move: Move, component: Component) -> dict[str, Node]:
    who = ids(move, component.function)
    work = move.nucleus.work(component.name)
    return {work: Node(type="directory", uid=who.uid, gid=who.gid, mode=0o700)}


def _unpacked(
    move: Move, component: Component, placed: tuple[Placement, ...], owner: Ids
) -> Iterator[tuple[str, Node]]:
    """Yield the unpacked folders and files of the models in a component."""
    own_models = [p for p in placed if p.component == component.name]
    if not own_models:
        return
    who, group = component_owner(move, component)
    base = f"{move.nucleus.root}/packages/artifacts-unarchived/{component.name}"
    yield base, _directory(owner.uid, owner.gid)
    yield f"{base}/{own_models[0].version}", _directory(owner.uid, owner.gid)
    mode = file_mode(component, own_models[0].archive)
    for place in own_models:
        yield place.top, _directory(who, group)
        model = place.resource.model
        steps = inside(model).split("/") if model else []
        for count in range(1, len(steps) + 1):
            yield f"{place.top}/{'/'.join(steps[:count])}", _directory(who, group)
        package = move.models_known.get(place.resource.id)
        for content in package.contents if package else ():
            for parent in list(PurePosixPath(content.path).parents)[:-1]:
                yield f"{place.path}/{parent}", _directory(who, group)
            node = _directory(who, group) if content.type == "directory" else None
            yield f"{place.path}/{content.path}", node or Node(type="file", uid=who, gid=group, mode=mode)


def component_owner(move: Move, component: Component) -> tuple[int, int]:
    """Return the user and group that own a component's files; of a model that its users agree on."""
    if component.function:
        who = ids(move, component.function)
    else:
        users = {ids(move, f) for f in move.own_functions if component.resource in move.models_of(f)}
        who = users.pop() if len(users) == 1 else ids(move)
    return who.uid, who.gid if move.nucleus.lambdas else _owner(move).gid


def file_mode(component: Component, archive: str) -> int:
    """Return the mode of the files of one of a component's archives."""
    manifests = (component.recipe or {}).get("Manifests")
    for manifest in manifests if isinstance(manifests, list) else []:
        for artifact in manifest["Artifacts"]:
            if artifact["Uri"].endswith(f"/{archive}"):
                return MODES[artifact["Permission"]["Read"], artifact["Permission"]["Execute"]]
    return MODES["OWNER", "NONE"]


def _owner(move: Move) -> Ids:
    """Return whose a nucleus's own folders are."""
    if move.nucleus.owner == "root":
        return Ids(uid=0, gid=0)
    facts = move.to or HostFacts(architecture="", operating_system="", whole=frozenset())
    taken = _account(facts, move.nucleus.user, move.nucleus.group)
    return _account(facts, move.nucleus.owner, move.nucleus.owner, above=(taken.uid, taken.gid))


def _account(facts: HostFacts, user: str, group: str, above: tuple[int, ...] = ()) -> Ids:
    known_user, gid = facts.users.get(user), facts.groups.get(group)
    used = {user.uid for user in facts.users.values()} | {user.gid for user in facts.users.values()}
    used |= {*facts.groups.values(), *above}
    free = next(number for number in range(LAST_SYSTEM_ID, 0, -1) if number not in used)
    return Ids(
        uid=known_user.uid if known_user else free,
        gid=gid if gid is not None else free,
        known=known_user is not None and gid is not None,
    )


def _directory(uid: int, gid: int) -> Node:
    return Node(type="directory", uid=uid, gid=gid, mode=0o755)
