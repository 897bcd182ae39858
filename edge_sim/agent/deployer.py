"""Lays a deployment out on the board: everything is fetched, unpacked and checked first, then changed over at once.

The core's own rules come before anything is touched; packages that did not change stay where they are; what the new
group no longer has goes in the same step (``changeover`` makes it all or nothing), and what is not a deployment's
stays (``belongings``). How the result must look, path by path, is the business of ``greengrass.plan``. Texts of
failures follow V1's (gg-troubleshooting.md, ml-console.md).
"""

from __future__ import annotations

import json
import posixpath
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_sim.agent import durable
from edge_sim.agent import state as records
from edge_sim.agent.archives import Limits
from edge_sim.agent.belongings import Belongings, belongings, in_the_way
from edge_sim.agent.changeover import GROUP, Changeover, exclusive
from edge_sim.agent.download import download
from edge_sim.agent.host import Host, HostError
from edge_sim.agent.layout import walk
from edge_sim.agent.owners import Owners
from edge_sim.agent.packages import Fetch, Package, install, intact, packages, sources
from edge_sim.agent.rooted import inside, node_at
from edge_sim.agent.state import Installed, State
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.facts import HostFacts, Node
from edge_sim.greengrass import groupfile, rules
from edge_sim.greengrass.changes import differ
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import Content, Entry, deployment_directory, plan, work_directory


@dataclass(frozen=True, kw_only=True)
class Result:
    """A deployment that stands. ``contents`` by resource id; ``not_proven``: owners this process could not set.

    ``changed`` is False when everything lay there already.
    """

    group: Group
    contents: Mapping[str, tuple[Content, ...]]
    entries: tuple[Entry, ...]
    unpacked: int
    reused: int
    changed: bool
    not_proven: tuple[str, ...]


def deploy(
    document: Mapping[str, Any],
    root: Path,
    facts: HostFacts,
    host: Host,
    fetch: Fetch = download,
    *,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    owners_required: bool = False,
    passed: Callable[[str], None] = lambda _: None,
) -> Result:
    """Carry out the deployment ``document`` (``Group``, ``Artifacts``) on the board below ``root``.

    ``facts`` were probed with the group's ``paths_of_interest``. ``owners_required`` makes an owner that cannot be set
    a failure. ``passed`` is told the points where a killed run can leave things (for tests). On any failure the board
    is as it was: InvalidDefinitionError (a rule or an archive refuses), DownloadError, HostError,
    UnsupportedEnvironmentError (no space, another deployment at work, something in the way).
    """
    body = document.get("Group")
    if not isinstance(body, Mapping):
        raise InvalidDefinitionError("the deployment document has no Group")
    group = groupfile.decode(body)
    refuse(group, facts)
    wanted = packages(group, facts)
    urls = sources(document, wanted)
    root = root.resolve()
    gg = inside(root, facts.greengrass.root)
    try:
        with exclusive(gg):
            changeover = Changeover(gg, passed)
            try:
                work = _deployment(root, facts, host, changeover, fetch, limits, owners_required)
                result = work.prepare(group, wanted, urls, json.dumps(body, indent=2).encode() + b"\n")
                if changeover.empty and not result.changed:
                    changeover.close()
                    return result
                changeover.run(work.sync)
            except BaseException:
                changeover.close()
                raise
            said = (*result.not_proven, *work.last_sync(), *changeover.tidy())
            return replace(result, changed=True, not_proven=said)
    except OSError as error:
        raise UnsupportedEnvironmentError(
            f"{error.filename or gg}: the deployment cannot be laid out: {error.strerror}"
        ) from error


def refuse(group: Group, facts: HostFacts) -> None:
    """Raise InvalidDefinitionError with the first reason for which the core refuses this group on this board."""
    for finding in rules.refusals(group, facts):
        raise InvalidDefinitionError(finding.aws_text or finding.message, hint=finding.hint)


def _deployment(
    root: Path,
    facts: HostFacts,
    host: Host,
    changeover: Changeover,
    fetch: Fetch,
    limits: Limits,
    owners_required: bool,
) -> _Deployment:
    probe = changeover.staging / "owner"
    probe.touch(mode=0o600)
    path = posixpath.join(facts.greengrass.root, str(probe.relative_to(changeover.gg)))
    before = records.read(changeover.gg)
    return _Deployment(
        root=root,
        facts=facts,
        host=host,
        fetch=fetch,
        limits=limits,
        before=before,
        changeover=changeover,
        owners=Owners(host, path, required=owners_required),
        own=belongings(root, facts, before),
    )


@dataclass(kw_only=True)
class _Deployment:
    """One deployment being prepared."""

    root: Path
    facts: HostFacts
    host: Host
    fetch: Fetch
    limits: Limits
    before: State
    changeover: Changeover
    owners: Owners
    own: Belongings

    def prepare(self, group: Group, wanted: Sequence[Package], urls: Mapping[str, str], body: bytes) -> Result:
        """Stage everything, so that only renames are left to do; ``changed`` tells whether group.json is another."""
        functions = [f for f in group.functions if group.isolation_mode(f) == "NoContainer"]
        work = tuple(work_directory(self.facts, function) for function in functions)
        self._check_inside([*(p.directory for p in wanted), *work])
        self._skeleton(plan(group, self.facts, {}))
        kept = {p.directory: one for p in wanted if (one := self._reusable(p)) is not None}
        fresh = {p.directory: self._install(p, urls[p.arn]) for p in wanted if p.directory not in kept}
        state = State(installed={**kept, **fresh}, work=work)
        contents = state.contents(group, self.facts)
        entries = plan(group, self.facts, contents, state.code(group, self.facts))
        self._check_inside([entry.path for entry in entries])
        links = [path for directory in work for path in self._work_directory(directory, entries)]
        for directory in sorted(self.own.directories - {*state.installed, *work}):
            self._remove(directory)
        changed = self._stage_group(body, next(e.node for e in entries if e.rule == "group-json"))
        self._record(replace(state, links=tuple(links), not_proven=tuple(self.owners.not_proven)))
        return Result(
            group=group,
            contents=contents,
            entries=entries,
            unpacked=len(fresh),
            reused=len(kept),
            changed=changed,
            not_proven=tuple(self.owners.not_proven),
        )

    def sync(self, relative: str) -> None:
        """Bring the names in a directory below the Greengrass root to the disk."""
        self.host.sync(self._board(relative))

    def last_sync(self) -> list[str]:
        """Bring group.json's name to the disk. The deployment stands already: a failure is said, not undone."""
        try:
            self.sync(posixpath.dirname(GROUP))
        except HostError as error:
            return [f"this deployment may not survive a power cut: {error}"]
        return []

    def _reusable(self, package: Package) -> Installed | None:
        """Return the record of a package that lies there unchanged, as it would be unpacked now."""
        known = self.before.installed.get(package.directory)
        modes = self.owners.modes(package.modes, package.owner)
        if known is None or known.sha256 != package.sha256:
            return None
        place = inside(self.root, package.directory, follow_last=False)
        return known if intact(place, known.contents, modes) else None

    def _install(self, package: Package, url: str) -> Installed:
        self.own.claim(package.directory)
        modes = self.owners.modes(package.modes, package.owner)
        place = self.changeover.replace(self._relative(package.directory))
        contents = install(package, url, place, modes, fetch=self.fetch, limits=self.limits)
        self._carry(package.directory, place)
        return Installed(sha256=package.sha256, contents=contents)

    def _work_directory(self, directory: str, entries: Sequence[Entry]) -> list[str]:
        """Prepare a No-container function's directory of links, unless it lies there as planned; return its paths."""
        inner = {e.path: e.node for e in entries if e.path == directory or e.path.startswith(f"{directory}/")}
        disk = walk(self.root, directory)
        stale = [path for path in disk if path in self.own.paths and path not in inner]
        if not stale and all(path in disk and self._as_it_can_be(disk[path], node) for path, node in inner.items()):
            return list(inner)
        self.own.claim(directory)
        top = self.changeover.replace(self._relative(directory))
        for path, node in inner.items():
            place = top / path[len(directory) + 1 :]
            if node.type == "link":
                place.symlink_to(node.target or "")
            else:
                place.mkdir()
                place.chmod(node.mode)
            self.owners.give(self._staged(place), node)
        self._carry(directory, top)
        for path, node in inner.items():
            if node.type == "directory":
                self.host.sync(self._staged(top / path[len(directory) + 1 :]))
        return list(inner)

    def _as_it_can_be(self, found: Node, wanted: Node) -> bool:
        """Tell whether a node is as planned, but for the owner that cannot be set."""
        can = self.owners.node(wanted)
        uid = found.uid if can.uid == -1 else can.uid
        gid = found.gid if can.gid == -1 else can.gid
        return not differ(replace(wanted, uid=uid, gid=gid), found)

    def _remove(self, directory: str) -> None:
        """Have a directory of an earlier deployment removed, but for what is not its own."""
        if not list(self.own.foreign(directory)):
            self.changeover.remove(self._relative(directory))
            return
        top = self.changeover.replace(self._relative(directory))
        self._like(directory, top)
        self._carry(directory, top)

    def _carry(self, directory: str, new: Path) -> None:
        """Have what in ``directory`` is not a deployment's stay, now that ``new`` takes its place."""
        for relative in self.own.foreign(directory):
            for parent in reversed(Path(relative).parents[:-1] if "/" in relative else ()):
                if not (new / parent).is_dir():
                    self._like(f"{directory}/{parent}", new / parent)
            if node_at(new / relative) is not None:
                raise in_the_way(f"{directory}/{relative}")
            self.changeover.carry(self._relative(directory), new, relative)

    def _like(self, directory: str, new: Path) -> None:
        """Make the directory ``new`` with owner and mode of one that is on the board."""
        status = inside(self.root, directory, follow_last=False).lstat()
        new.mkdir()
        self.host.chown(self._staged(new), status.st_uid, status.st_gid)
        new.chmod(stat.S_IMODE(status.st_mode))
        self.host.sync(self._staged(new))

    def _skeleton(self, entries: Sequence[Entry]) -> None:
        own = self.owners.settable(0, 0)
        for relative in ("ggc/var", posixpath.dirname(records.PATH)):
            if not (self.changeover.gg / relative).is_dir():
                self.changeover.directory(relative, 0o755, own)
        for entry in entries:
            if entry.rule == "deployment-directory":
                self.changeover.directory(self._relative(entry.path), entry.node.mode, own)

    def _stage_group(self, body: bytes, node: Node) -> bool:
        """Stage group.json and tell whether it is not the one that lies there."""
        staged = self.changeover.stage_group(body)
        self.owners.give(self._staged(staged), node)
        place = self.changeover.gg / GROUP
        found = node_at(place)
        if found is None or found.type != "file":
            return True
        return place.read_bytes() != body or not self._as_it_can_be(found, node)

    def _record(self, state: State) -> None:
        content, place = records.encode(state), self.changeover.gg / records.PATH
        if not place.is_file() or place.read_bytes() != content:
            durable.write(self.changeover.replace(records.PATH), content)

    def _check_inside(self, paths: Sequence[str]) -> None:
        """Refuse a group whose ids lead out of the deployment directory; no rule should let one through."""
        top = deployment_directory(self.facts)
        for path in paths:
            if posixpath.normpath(path) != path or not (path == top or path.startswith(f"{top}/")):
                raise InvalidDefinitionError(f"group.json: {path!r} would lie outside {top}")

    def _relative(self, path: str) -> str:
        return posixpath.relpath(path, self.facts.greengrass.root)

    def _staged(self, place: Path) -> str:
        return self._board(str(place.relative_to(self.changeover.gg)))

    def _board(self, relative: str) -> str:
        return posixpath.join(self.facts.greengrass.root, relative)
