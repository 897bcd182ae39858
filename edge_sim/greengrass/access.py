"""May this process read, write, list or execute that path? Computed from the plan and the facts, never by trying.

The kernel's rule (path_resolution(7)), component by component: every directory on the way must grant search, the last
component what is asked; the owner's bits decide for the owner, else the group's for members, else the others', or an
ACL (acl(5)). Root passes, but to execute a file somebody must be allowed to. Links are followed as the kernel does, and
in a directory that everybody may write to and that is sticky only where the link is one's own or the directory's
owner's, where the board has ``fs.protected_symlinks`` set. In a container the way leads through its mounts.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from edge_sim.facts import MAX_LINKS, HostFacts, Node, below, resolve, resolved
from edge_sim.greengrass.process import (
    STANDARD_DEVICES,
    FunctionProcess,
    Identity,
    Mount,
    kernels_own,
    mounting_order,
)

Right = Literal["read", "write", "list", "execute"]
RIGHTS: tuple[Right, ...] = ("read", "write", "list", "execute")
Class = Literal["root", "owner", "acl", "group", "others"]
"""Whose permission bits a process uses."""
_DECIDES: Mapping[Class, str] = {
    "root": "the process is root",
    "owner": "the process uses the owner permission bits",
    "acl": "its ACL decides",
    "group": "the process uses the group permission bits",
    "others": "the process uses the other permission bits",
}
WHOLLY_KNOWN = HostFacts(architecture="", operating_system="")
"""A board whose nodes are all that it has."""
_READ, _WRITE, _SEARCH = 4, 2, 1
_ROOT_DIRECTORY = Node(type="directory", uid=0, gid=0, mode=0o755)
_STANDARD_DEVICE = Node(type="char", uid=0, gid=0, mode=0o666)
_DEVICES = frozenset(f"/dev/{name}" for name in STANDARD_DEVICES)
_OPEN_FILES = frozenset({"/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr"})


@dataclass(frozen=True, kw_only=True)
class Access:
    """An answer with its reasons.

    Of a directory, reading is listing, writing is making entries, and executing is entering. ``reasons`` say what
    decided, ``chain`` every component on the way. ``at`` is where the way ended (the board's path), ``node`` what is
    there; ``needs`` are the permission bits it did not grant on the way, 0 when it led to its end. ``doubt`` is why
    there is no answer: the way led to what the board's facts leave open, or into what a container has from the kernel.
    """

    read: bool = False
    write: bool = False
    list: bool = False
    execute: bool = False
    reasons: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    at: str = "/"
    node: Node | None = None
    needs: int = 0
    doubt: str | None = None

    def grants(self, right: Right) -> bool:
        """Return the answer to one question."""
        return bool(getattr(self, right))


def compute_access(
    process: FunctionProcess, nodes: Mapping[str, Node], path: str, facts: HostFacts = WHOLLY_KNOWN
) -> Access:
    """Return what ``process`` may do with ``path``, as the process itself would name it.

    ``nodes`` holds what is on the board by board path, with parents and link targets. A path that is missing from it
    does not exist, unless ``facts`` leave that open.
    """
    return View(process, nodes, facts).access(path)


class View:
    """What a process sees: the board, and in a container its mounts over it. Each question is answered once."""

    def __init__(
        self,
        process: FunctionProcess,
        nodes: Mapping[str, Node],
        facts: HostFacts = WHOLLY_KNOWN,
        shared: dict[object, Access] | None = None,
        undecided: Mapping[str, str] | None = None,
    ) -> None:
        """``shared`` keeps what views of one board have in common: answers about paths that no mount touches.

        ``undecided`` are directories of the board whose contents are not known, each with the reason.
        """
        self.process, self.nodes, self.facts = process, nodes, facts
        self._undecided = undecided or {}
        self._shared = {} if shared is None else shared
        self._kind = process.isolation, process.masked, process.function.access_sysfs, process.protected_links
        self._contained = process.isolation == "GreengrassContainer"
        self.sysfs = bool(process.function.access_sysfs)
        self._mounts: dict[str, Mount] = {}
        self._above: set[str] = set()
        for mount in sorted(process.mounts, key=lambda mount: mounting_order(mount.destination)):
            point = self.point(mount.destination)
            self._mounts[point] = mount
            self._above.update(_upwards(point))
        self._answers: dict[tuple[Identity, str], Access] = {}

    def access(self, path: str, identity: Identity | None = None) -> Access:
        """Return what the process may do with ``path``, as it would name it; or one like it of another ``identity``."""
        question = identity or self.process.identity, path
        if question not in self._answers:
            result = self._walk(*question)
            self._answers[question] = result if identity or not self.process.doubts else self._doubted(result, path)
        return self._answers[question]

    def _walk(self, identity: Identity, path: str) -> Access:
        key = self._kind, identity, path
        mounted = self._top(path) != ""
        access = None if mounted else self._shared.get(key)
        if access is None or (access.node is None and access.at in self._above):
            access = _Walk(identity, self).to(path)
            if not mounted and below(path, access.at):  # it led through no link and no mount
                self._shared[key] = access
        return access

    def _doubted(self, access: Access, path: str) -> Access:
        """Return an answer as unknown where a group that the process may be in would change it."""
        who, node = self.process.identity, access.node
        if node is None:
            return access
        member = self.access(path, replace(who, groups=(*who.groups, node.gid)))
        if all(member.grants(right) == access.grants(right) for right in RIGHTS):
            return access
        doubt = f"{access.at} is open to group {node.gid}, and the function may be in it: {self.process.doubts[0]}"
        return replace(access, doubt=doubt, reasons=(*access.reasons, doubt))

    def point(self, destination: str) -> str:
        """Return where a mount lies: the links that are seen lead there, but those of a board's /dev are not."""
        return destination if below(destination, "/dev") else resolved(self.look, destination)

    def mount(self, path: str) -> Mount | None:
        """Return the mount that ``path``, which leads through no link, lies in."""
        return self._mounts.get(self._top(path))

    def _top(self, path: str) -> str:
        """Return the mount point that ``path`` lies at or below, "" when there is none."""
        while path not in self._mounts:
            if path in ("/", ""):
                return ""
            path = path.rpartition("/")[0] or "/"
        return path

    def board(self, path: str) -> str:
        """Return the board's path of what the process sees at ``path``, which leads through no link."""
        top = self._top(path)
        if not top:
            return path
        source = resolve(self.nodes, self._mounts[top].source).rstrip("/")  # a link may lead to /
        return source + path[len(top.rstrip("/")) :] or "/"

    def doubt(self, path: str) -> str | None:
        """Return why nobody knows whether something is at ``path``, where nothing is seen; None where that is known."""
        if self.kernels(path):
            return f"{path}: the kernel provides it in the container; --probe shows it"
        if self.hides(path):
            return None
        place = self.board(path)
        return next((why for top, why in self._undecided.items() if below(place, top)), None) or self.facts.doubt(place)

    def look(self, path: str) -> Node | None:
        """Return what the process sees at ``path``, which leads through no link."""
        if self._top(path):
            return self.nodes.get(self.board(path))
        node = None if self._contained and self._masks(path) else self.nodes.get(path)
        if self._contained and path in _DEVICES and (node is None or node.type != "char"):
            return _STANDARD_DEVICE
        if node is None and path in self._above:  # a mount point's missing parents are made
            return _ROOT_DIRECTORY
        return node

    def hides(self, path: str) -> str | None:
        """Return why a path of the board cannot be there for a container, or None."""
        return self._masks(path) if self._contained and not self._top(path) else None

    def _masks(self, path: str) -> str | None:
        """Return what hides a path that is not mounted from a container, if anything does."""
        if any(below(path, top) for top in self.process.masked):
            return "hidden from containers"
        if path.startswith("/dev/") and path not in _DEVICES:
            return "a container's /dev holds only what is attached"
        return "AccessSysfs is not set" if path.startswith("/sys/") and not self.sysfs else None

    def kernels(self, path: str) -> bool:
        """Tell whether what a container sees at ``path`` is its own, made by the kernel when it starts."""
        own = path in _OPEN_FILES or kernels_own(path, sysfs=self.sysfs) not in (None, path)
        return own and self._contained and not self._top(path)


class _Walk:
    """One walk along a path, by one identity."""

    def __init__(self, identity: Identity, view: View) -> None:
        self._identity = identity
        self._protected = view.process.protected_links
        self._view = view
        self._chain: list[str] = []
        self._links: list[str] = []

    def to(self, path: str) -> Access:
        here, node = "/", self._view.look("/")
        waiting = path.split("/")[::-1]
        while waiting:
            part = waiting.pop()
            if node is None:
                return self._stop(here, None, f"{here}: does not exist")
            if node.type != "directory":
                return self._stop(here, node, f"{here}: not a directory")
            if not part:  # a slash too many asks for a directory, and for no more
                continue
            if not grants(self._identity, node, _SEARCH):
                return self._stop(here, node, f"no search permission: {self._describe(node, here)}", _SEARCH)
            self._chain.append(f"search: {self._describe(node, here)}")
            if part in (".", ".."):
                here = here if part == "." else posixpath.dirname(here)
                node = self._view.look(here)
                continue
            child = posixpath.join(here, part)
            if self._view.kernels(child):
                return self._stop(child, None, "")
            inner = self._view.look(child)
            if inner is None or inner.type != "link":
                here, node = child, inner
                continue
            refusal = self._follow(child, inner, node)
            if refusal:
                return self._stop(child, inner, refusal)
            waiting += (inner.target or "").split("/")[::-1]
            if (inner.target or "").startswith("/"):
                here, node = "/", self._view.look("/")
        return self._end(here, node)

    def _follow(self, path: str, link: Node, directory: Node) -> str | None:
        """Note a link; return why it is not followed, or None."""
        if len(self._links) >= MAX_LINKS:
            return f"{path}: too many levels of symbolic links"
        shared = self._protected and directory.mode & 0o1002 == 0o1002
        if shared and link.uid not in (self._identity.uid, directory.uid):
            return f"{path}: a link of user {link.uid} in a sticky directory is not followed (fs.protected_symlinks)"
        self._links.append(f"{path} -> {link.target}")
        self._chain.append(self._links[-1])
        return None

    def _stop(self, path: str, node: Node | None, reason: str, needs: int = 0) -> Access:
        view, doubt = self._view, None
        if node is None:
            doubt, hidden = view.doubt(path), view.hides(path)
            reason = doubt or (f"{path}: {hidden}" if hidden else reason)
        return Access(
            reasons=(*self._links[:MAX_LINKS], reason),
            chain=(*self._chain, reason),
            at=view.board(path),
            node=node,
            needs=needs,
            doubt=doubt,
        )

    def _end(self, path: str, node: Node | None) -> Access:
        if node is None:
            return self._stop(path, None, f"{path}: does not exist")
        mount = self._view.mount(path)
        passes = node.type in ("fifo", "socket")  # what goes into one is no change of a file system
        read_only = mount is not None and mount.read_only and not passes
        directory, who = node.type == "directory", self._identity
        reasons = (self._describe(node, path), *(("mounted read-only",) if read_only else ()))
        reading = grants(who, node, _READ)
        return Access(
            read=reading,
            write=grants(who, node, _WRITE | _SEARCH if directory else _WRITE) and not read_only,
            list=directory and reading,
            execute=grants(who, node, _SEARCH) if directory else _may_execute(who, node),
            reasons=(*self._links, *reasons),
            chain=(*self._chain, *reasons),
            at=self._view.board(path),
            node=node,
        )

    def _describe(self, node: Node, path: str) -> str:
        counts = counts_as(self._identity, node)
        return f"{path} is {node.mode:04o} {node.uid}:{node.gid}; {_DECIDES[counts]}"


def _upwards(path: str) -> Iterator[str]:
    """Yield a path and all directories above it."""
    yield path
    while path != "/":
        path = posixpath.dirname(path)
        yield path


def grants(identity: Identity, node: Node, need: int) -> bool:
    """Tell whether ``node`` grants all bits of ``need`` (4 read, 2 write, 1 search) to ``identity``."""
    counts = counts_as(identity, node)
    if counts == "root":
        return True
    if counts == "acl":
        return any(bits & need == need for bits in _by_acl(identity, node))
    return (node.mode >> _SHIFTS[counts]) & need == need


def counts_as(identity: Identity, node: Node) -> Class:
    """Return which of a node's permission bits count for ``identity``."""
    if identity.uid == 0:
        return "root"
    if identity.uid == node.uid:
        return "owner"
    if node.acl and node.mode & 0o070:  # under an empty mask the kernel looks at no ACL
        return "acl"
    return "group" if node.gid == identity.gid or node.gid in identity.groups else "others"


def _by_acl(identity: Identity, node: Node) -> list[int]:
    """Return the bits of the entries that count: the user's own, else its groups', each masked, else the others'."""
    mask = node.mode >> _SHIFTS["group"]
    own = [entry.bits & mask for entry in node.acl if entry.kind == "user" and entry.id == identity.uid]
    member = (identity.gid, *identity.groups)
    groups = [entry.bits & mask for entry in node.acl if entry.kind == "group" and entry.id in member]
    return own or groups or [node.mode]


_SHIFTS = {"owner": 6, "group": 3, "others": 0}


def _may_execute(identity: Identity, node: Node) -> bool:
    return bool(node.mode & 0o111) if identity.uid == 0 else grants(identity, node, _SEARCH)
