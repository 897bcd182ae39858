"""May this process read or write that path? Computed from the plan and the facts, never by trying.

The kernel's rule, component by component: every directory on the way must grant search, the last component what
is asked; the owner's bits decide for the owner, else the group's for members, else the others'. Root passes.
In a container only what is mounted is reached through its mount, and a read-only mount refuses writing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from edge_sim.facts import MAX_LINKS, Node, link_target
from edge_sim.greengrass.process import FunctionProcess, Identity, Mount

_READ, _WRITE, _SEARCH = 4, 2, 1


@dataclass(frozen=True, kw_only=True)
class Access:
    """An answer with its reasons: for a directory, reading means listing and writing means creating entries."""

    read: bool
    write: bool
    reasons: tuple[str, ...] = ()


def computed(process: FunctionProcess, nodes: Mapping[str, Node], path: str) -> Access:
    """Return whether ``process`` may read and write ``path``, as the process itself would name it.

    ``nodes`` holds what is on the board by board path, with parents and link targets; a path that is missing from
    it does not exist.
    """
    mount = _mount_of(process.mounts, path)
    if mount is None and any(_below(path, masked) for masked in process.masked):
        return Access(read=False, write=False, reasons=(f"{path}: hidden from containers",))
    identity = process.identity
    if mount is None:
        return _walk(identity, nodes, path, start="/", links=0)
    blocked = _blocked(identity, nodes, _parents(mount.destination), missing_is_open=True)
    if blocked:
        return Access(read=False, write=False, reasons=(blocked,))
    board_path = mount.source + path[len(mount.destination) :]
    answer = _walk(identity, nodes, board_path, start=mount.source, links=0)
    if mount.read_only and answer.write:
        return Access(read=answer.read, write=False, reasons=(*answer.reasons, "mounted read-only"))
    return answer


def _mount_of(mounts: tuple[Mount, ...], path: str) -> Mount | None:
    hits = [m for m in mounts if _below(path, m.destination)]
    return max(hits, key=lambda m: len(m.destination), default=None)


def _below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def _parents(path: str) -> Iterator[str]:
    return (str(p) for p in reversed(PurePosixPath(path).parents))


def _walk(identity: Identity, nodes: Mapping[str, Node], path: str, *, start: str, links: int) -> Access:
    """Check search on every directory from ``start`` down, follow links, then judge the last component."""
    for parent in (p for p in _parents(path) if _below(p, start)):
        node = nodes.get(parent)
        if node is not None and node.type == "link":
            return _follow(identity, nodes, node, parent, path[len(parent) :], links)
        blocked = _blocked(identity, nodes, (parent,))
        if blocked:
            return Access(read=False, write=False, reasons=(blocked,))
    node = nodes.get(path)
    if node is None:
        return Access(read=False, write=False, reasons=(f"{path}: does not exist",))
    if node.type == "link":
        return _follow(identity, nodes, node, path, "", links)
    need_write = _WRITE | _SEARCH if node.type == "directory" else _WRITE
    need_read = _READ
    return Access(
        read=_granted(identity, node, need_read),
        write=_granted(identity, node, need_write),
        reasons=(_describe(identity, node, path),),
    )


def _follow(identity: Identity, nodes: Mapping[str, Node], link: Node, at: str, rest: str, links: int) -> Access:
    if links >= MAX_LINKS:
        return Access(read=False, write=False, reasons=(f"{at}: too many levels of symbolic links",))
    target = link_target(at, link.target or "")
    answer = _walk(identity, nodes, target + rest, start="/", links=links + 1)
    return Access(read=answer.read, write=answer.write, reasons=(f"{at} -> {link.target}", *answer.reasons))


def _blocked(
    identity: Identity,
    nodes: Mapping[str, Node],
    directories: Iterator[str] | tuple[str, ...],
    *,
    missing_is_open: bool = False,
) -> str | None:
    """Return why one of the directories cannot be passed, or None. A mount point's missing parents are made 0755."""
    for path in directories:
        node = nodes.get(path)
        if node is None:
            if missing_is_open:
                continue
            return f"{path}: does not exist"
        if node.type != "directory" and node.type != "link":
            return f"{path}: not a directory"
        if node.type == "directory" and not _granted(identity, node, _SEARCH):
            return f"no search permission: {_describe(identity, node, path)}"
    return None


def _granted(identity: Identity, node: Node, need: int) -> bool:
    if identity.uid == 0:
        return True
    return (node.mode >> _shift(identity, node)) & need == need


def _shift(identity: Identity, node: Node) -> int:
    if identity.uid == node.uid:
        return 6
    return 3 if node.gid == identity.gid or node.gid in identity.groups else 0


def _describe(identity: Identity, node: Node, path: str) -> str:
    who = "root" if identity.uid == 0 else {6: "owner", 3: "group", 0: "others"}[_shift(identity, node)]
    return f"{path} is {node.mode:04o} {node.uid}:{node.gid}; the process counts as {who}"
