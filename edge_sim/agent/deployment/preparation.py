"""A deployment being prepared: everything is fetched, unpacked and laid ready, so that only renames are left to do.

``Preparation.stage`` collects the steps in a ``changeover``; nothing that the board uses is touched here.
"""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_sim.agent import durable
from edge_sim.agent.archives import Limits
from edge_sim.agent.deployment import state as records
from edge_sim.agent.deployment.belongings import Belongings, belongings, in_the_way
from edge_sim.agent.deployment.changeover import Changeover
from edge_sim.agent.deployment.layout import walk
from edge_sim.agent.deployment.owners import Owners
from edge_sim.agent.deployment.packages import DeploymentPackage, Fetch, as_it_can_be, install, intact
from edge_sim.agent.deployment.state import Installed, State
from edge_sim.agent.events import Progress
from edge_sim.agent.host import Host
from edge_sim.agent.rooted import inside, node_at
from edge_sim.errors import InvalidDefinitionError
from edge_sim.facts import HostFacts, Node, below
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import Content, Entry, deployment_directory, plan, work_directory
from edge_sim.greengrass.tree import BELOW


@dataclass(frozen=True, kw_only=True)
class DeploymentResult:
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


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a deployment works with: the board's root and facts, who sets owners, where packages come from.

    ``owners_required`` makes an owner that cannot be set a failure; ``renewed`` are directories of packages that are
    unpacked again though they look unchanged; ``progress`` hears of every package.
    """

    root: Path
    facts: HostFacts
    host: Host
    fetch: Fetch
    limits: Limits
    owners_required: bool = False
    renewed: Collection[str] = ()
    progress: Progress = lambda _: None


class Preparation:
    """One deployment on its way into ``changeover``."""

    def __init__(self, means: Means, changeover: Changeover) -> None:
        self._means = means
        self._root, self._facts, self._host = means.root, means.facts, means.host
        self._changeover = changeover
        self._before = records.read(changeover.gg)
        self._own: Belongings = belongings(means.root, means.facts, self._before)
        probe = changeover.staging / "owner"
        probe.touch(mode=0o600)
        self._owners = Owners(means.host, self._staged(probe), required=means.owners_required)

    def stage(
        self, group: Group, required: Sequence[DeploymentPackage], urls: Mapping[str, str], body: bytes
    ) -> DeploymentResult:
        """Stage everything, so that only renames are left to do; ``changed`` tells whether group.json is another."""
        functions = [f for f in group.functions if group.isolation_mode(f) == "NoContainer"]
        work = tuple(work_directory(self._facts, function) for function in functions)
        self._check_inside([*(p.directory for p in required), *work])
        self._skeleton(plan(group, self._facts, {}))
        reusable = {p.directory: installed for p in required if (installed := self._reusable(p)) is not None}
        fresh = {p.directory: self._install(p, urls[p.arn]) for p in required if p.directory not in reusable}
        state = State(installed={**reusable, **fresh}, work=work)
        contents = state.contents(group, self._facts)
        entries = plan(group, self._facts, contents, state.code(group, self._facts))
        self._check_inside([entry.path for entry in entries])
        links = [path for directory in work for path in self._work_directory(directory, entries)]
        for directory in sorted(self._own.directories - {*state.installed, *work}):
            self._remove(directory)
        changed = self._stage_group(body, next(e.node for e in entries if e.rule == "group-json"))
        self._record(replace(state, links=tuple(links), not_proven=tuple(self._owners.not_proven)))
        return DeploymentResult(
            group=group,
            contents=contents,
            entries=entries,
            unpacked=len(fresh),
            reused=len(reusable),
            changed=changed,
            not_proven=tuple(self._owners.not_proven),
        )

    def _reusable(self, package: DeploymentPackage) -> Installed | None:
        """Return the record of a package that lies there unchanged, as it would be unpacked now."""
        known = self._before.installed.get(package.directory)
        modes = self._owners.modes(package.modes, package.owner)
        if known is None or known.sha256 != package.sha256 or package.directory in self._means.renewed:
            return None
        place = inside(self._root, package.directory, follow_last=False)
        return known if intact(place, known.contents, modes) else None

    def _install(self, package: DeploymentPackage, url: str) -> Installed:
        self._own.claim(package.directory)
        modes = self._owners.modes(package.modes, package.owner)
        place = self._replace(package.directory)
        means = self._means
        contents = install(package, url, place, modes, fetch=means.fetch, limits=means.limits, progress=means.progress)
        self._carry(package.directory, place)
        return Installed(sha256=package.sha256, contents=contents)

    def _work_directory(self, directory: str, entries: Sequence[Entry]) -> list[str]:
        """Prepare a No-container function's directory of links, unless it lies there as planned; return its paths."""
        inner = {e.path: e.node for e in entries if below(e.path, directory)}
        disk = walk(self._root, directory)
        stale = [path for path in disk if path in self._own.paths and path not in inner]
        if not stale and all(path in disk and self._as_it_can_be(disk[path], node) for path, node in inner.items()):
            return list(inner)
        self._own.claim(directory)
        top = self._replace(directory)
        for path, node in inner.items():
            place = top / path[len(directory) + 1 :]
            if node.type == "link":
                place.symlink_to(node.target or "")
            else:
                place.mkdir()
                place.chmod(node.mode)
            self._owners.give(self._staged(place), node)
        self._carry(directory, top)
        for path, node in inner.items():
            if node.type == "directory":
                self._host.sync(self._staged(top / path[len(directory) + 1 :]))
        return list(inner)

    def _as_it_can_be(self, actual: Node, target: Node) -> bool:
        """Tell whether a node is as planned, but for the owner that cannot be set."""
        return as_it_can_be(actual, self._owners.node(target))

    def _remove(self, directory: str) -> None:
        """Have a directory of an earlier deployment removed, but for what is not its own."""
        if not list(self._own.foreign(directory)):
            self._changeover.remove(self._relative(directory), self._own.within(directory))
            return
        top = self._replace(directory)
        self._like(directory, top)
        self._carry(directory, top)

    def _replace(self, directory: str) -> Path:
        return self._changeover.replace(self._relative(directory), self._own.within(directory))

    def _carry(self, directory: str, new: Path) -> None:
        """Have what in ``directory`` is not a deployment's stay, now that ``new`` takes its place."""
        for relative in self._own.foreign(directory):
            for parent in reversed(Path(relative).parents[:-1] if "/" in relative else ()):
                if not (new / parent).is_dir():
                    self._like(f"{directory}/{parent}", new / parent)
            if node_at(new / relative) is not None:
                raise in_the_way(f"{directory}/{relative}")
            self._changeover.carry(self._relative(directory), new, relative)

    def _like(self, directory: str, new: Path) -> None:
        """Make the directory ``new`` with owner and mode of one that is on the board."""
        status = inside(self._root, directory, follow_last=False).lstat()
        new.mkdir()
        self._host.chown(self._staged(new), status.st_uid, status.st_gid)
        new.chmod(stat.S_IMODE(status.st_mode))
        self._host.sync(self._staged(new))

    def _skeleton(self, entries: Sequence[Entry]) -> None:
        own = self._owners.settable(0, 0)
        for relative in (BELOW.var, BELOW.state):
            if not (self._changeover.gg / relative).is_dir():
                self._changeover.directory(relative, 0o755, own)
        for entry in entries:
            if entry.rule == "deployment-directory":
                self._changeover.directory(self._relative(entry.path), entry.node.mode, own)

    def _stage_group(self, body: bytes, node: Node) -> bool:
        """Stage group.json and tell whether it differs from the present one."""
        staged = self._changeover.stage_group(body)
        self._owners.give(self._staged(staged), node)
        place = self._changeover.gg / BELOW.group_file
        existing = node_at(place)
        if existing is None or existing.type != "file":
            return True
        return place.read_bytes() != body or not self._as_it_can_be(existing, node)

    def _record(self, state: State) -> None:
        content, place = records.encode(state), self._changeover.gg / BELOW.record
        if not place.is_file() or place.read_bytes() != content:
            durable.write(self._changeover.replace(BELOW.record), content)

    def _check_inside(self, paths: Sequence[str]) -> None:
        """Refuse a group whose ids lead out of the deployment directory; no rule should let one through."""
        top = deployment_directory(self._facts)
        for path in paths:
            if posixpath.normpath(path) != path or not below(path, top):
                raise InvalidDefinitionError(f"group.json: {path!r} would lie outside {top}")

    def _relative(self, path: str) -> str:
        return posixpath.relpath(path, self._facts.greengrass.root)

    def _staged(self, place: Path) -> str:
        return self._board(str(place.relative_to(self._changeover.gg)))

    def _board(self, relative: str) -> str:
        return posixpath.join(self._facts.greengrass.root, relative)
