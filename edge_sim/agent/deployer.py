"""Lays a deployment out on the board: everything is fetched, unpacked and checked first, then changed over at once.

The core's own rules come before anything is touched; packages that did not change stay where they are; what the new
group no longer has goes in the same step (``changeover`` makes it all or nothing). How the result must look, path by
path, is the business of ``greengrass.plan``. Texts of failures follow V1's (gg-troubleshooting.md, ml-console.md).
"""

from __future__ import annotations

import errno
import json
import posixpath
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_sim.agent import durable
from edge_sim.agent import state as records
from edge_sim.agent.archives import Limits
from edge_sim.agent.changeover import GROUP, Changeover, exclusive
from edge_sim.agent.download import download
from edge_sim.agent.host import Host, HostError
from edge_sim.agent.layout import walk
from edge_sim.agent.packages import Fetch, Package, install, intact, packages, sources
from edge_sim.agent.rooted import inside
from edge_sim.agent.state import Installed, State
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.facts import HostFacts, Node
from edge_sim.greengrass import groupfile, rules
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import Content, Entry, Modes, deployment_directory, model_modes, plan, work_directory
from edge_sim.greengrass.resources import Model

_MAX_GID = 2**32 - 2
_OWN = "the core's own directories and links"


@dataclass(frozen=True, kw_only=True)
class Result:
    """A deployment that stands. ``contents`` by resource id; ``not_proven``: owners this process could not set."""

    group: Group
    contents: Mapping[str, tuple[Content, ...]]
    entries: tuple[Entry, ...]
    unpacked: int
    reused: int
    not_proven: tuple[str, ...]


def deploy(
    document: Mapping[str, Any],
    root: Path,
    facts: HostFacts,
    host: Host,
    fetch: Fetch = download,
    *,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    passed: Callable[[str], None] = lambda _: None,
) -> Result:
    """Carry out the deployment ``document`` (``Group``, ``Artifacts``) on the board below ``root``.

    ``facts`` were probed with the group's ``paths_of_interest``. ``passed`` is told the points where a killed run
    can leave things (for tests). On any failure the board is as it was: InvalidDefinitionError (a rule or an archive
    refuses), DownloadError, HostError, UnsupportedEnvironmentError (no space, another deployment at work).
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
        with exclusive(gg), closing(Changeover(gg, passed)) as changeover:
            work = _Deployment(
                root=root,
                facts=facts,
                host=host,
                fetch=fetch,
                limits=limits,
                before=records.read(gg),
                changeover=changeover,
            )
            result = work.prepare(group, wanted, urls)
            changeover.run(json.dumps(body, indent=2).encode() + b"\n", work.sync)
            return work.settle(result)
    except OSError as error:
        raise UnsupportedEnvironmentError(
            f"{error.filename or gg}: the deployment cannot be laid out: {error.strerror}"
        ) from error


def refuse(group: Group, facts: HostFacts) -> None:
    """Raise InvalidDefinitionError with the first reason for which the core refuses this group on this board."""
    for finding in rules.check(group, facts):
        if finding.severity == "error":
            raise InvalidDefinitionError(finding.aws_text or finding.message, hint=finding.hint)
    for resource in group.resources:
        if isinstance(resource.data, Model) and model_modes(facts, resource).gid > _MAX_GID:
            raise InvalidDefinitionError(f"resource {resource.id}: its GroupOwner is larger than any GID")


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
    owners: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    not_proven: list[str] = field(default_factory=list)

    def prepare(self, group: Group, wanted: Sequence[Package], urls: Mapping[str, str]) -> Result:
        """Stage everything, so that only renames are left to do."""
        functions = [f for f in group.functions if group.isolation_mode(f) == "NoContainer"]
        work = tuple(work_directory(self.facts, function) for function in functions)
        self._check_inside([*(p.directory for p in wanted), *work])
        self._skeleton(plan(group, self.facts, {}))
        kept = {p.directory: one for p in wanted if (one := self._reusable(p)) is not None}
        fresh = {p.directory: self._install(p, urls[p.arn]) for p in wanted if p.directory not in kept}
        installed = {**kept, **fresh}
        contents = State(installed=installed).contents(group, self.facts)
        entries = plan(group, self.facts, contents)
        self._check_inside([entry.path for entry in entries])
        for directory in work:
            self._work_directory(directory, entries)
        for directory in sorted({*self.before.installed, *self.before.work} - {*installed, *work}):
            self.changeover.remove(self._relative(directory))
        state = State(installed=installed, work=work, not_proven=tuple(self.not_proven))
        durable.write(self.changeover.replace(records.PATH), records.encode(state))
        return Result(
            group=group,
            contents=contents,
            entries=entries,
            unpacked=len(fresh),
            reused=len(kept),
            not_proven=state.not_proven,
        )

    def sync(self, relative: str) -> None:
        """Bring the names in a directory below the Greengrass root to the disk."""
        self.host.sync(self._board(relative))

    def settle(self, result: Result) -> Result:
        """Give the directories around the packages, and group.json, their planned owner and mode.

        The deployment stands already: what fails here is said, not undone.
        """
        for entry in result.entries:
            if entry.resource is None and entry.function is None:
                try:
                    inside(self.root, entry.path).chmod(entry.node.mode)
                    self._own(entry.path, entry.node)
                except (OSError, UnsupportedEnvironmentError) as error:
                    self.not_proven.append(f"{entry.path}: its owner and mode could not be set: {error}")
        try:
            self.sync(posixpath.dirname(GROUP))
        except HostError as error:
            self.not_proven.append(f"this deployment may not survive a power cut: {error}")
        return replace(result, not_proven=tuple(self.not_proven))

    def _reusable(self, package: Package) -> Installed | None:
        """Return the record of a package that lies there unchanged, as it would be unpacked now."""
        known = self.before.installed.get(package.directory)
        modes = self._settable(package.modes, package.owner)
        if known is None or known.sha256 != package.sha256:
            return None
        place = inside(self.root, package.directory, follow_last=False)
        return known if intact(place, known.contents, modes) else None

    def _install(self, package: Package, url: str) -> Installed:
        modes = self._settable(package.modes, package.owner)
        place = self.changeover.replace(self._relative(package.directory))
        contents = install(package, url, place, modes, fetch=self.fetch, limits=self.limits)
        return Installed(sha256=package.sha256, contents=contents)

    def _work_directory(self, directory: str, entries: Sequence[Entry]) -> None:
        """Prepare a No-container function's directory of links, unless it lies there as planned."""
        inner = {e.path: e.node for e in entries if e.path == directory or e.path.startswith(f"{directory}/")}
        wanted = {path: self._settable_node(node) for path, node in inner.items()}
        disk = walk(self.root, directory)
        if wanted == {path: _forget_unsettable(node, wanted.get(path)) for path, node in disk.items()}:
            return
        top = self.changeover.replace(self._relative(directory))
        for path, node in inner.items():
            place = top / path[len(directory) + 1 :]
            if node.type == "link":
                place.symlink_to(node.target or "")
            else:
                place.mkdir()
                place.chmod(node.mode)
            self._own(self._staged(place), node)
        for path, node in inner.items():
            if node.type == "directory":
                self.host.sync(self._staged(top / path[len(directory) + 1 :]))

    def _skeleton(self, entries: Sequence[Entry]) -> None:
        self._owner((0, 0), _OWN)
        for relative in ("ggc/var", posixpath.dirname(records.PATH)):
            self.changeover.directory(relative, 0o755)
        for entry in entries:
            if entry.resource is None and entry.function is None and entry.node.type == "directory":
                self.changeover.directory(self._relative(entry.path), entry.node.mode)

    def _settable(self, modes: Modes, what: str) -> Modes:
        """Return ``modes`` with -1 for what this process may not set, and remember to say so."""
        uid, gid = self._owner((modes.uid, modes.gid), what)
        return replace(modes, uid=uid, gid=gid)

    def _settable_node(self, node: Node) -> Node:
        uid, gid = self._owner((node.uid, node.gid), _OWN)
        return replace(node, uid=uid, gid=gid)

    def _own(self, path: str, node: Node) -> None:
        settable = self._settable_node(node)
        if (settable.uid, settable.gid) != (-1, -1):
            self.host.chown(path, settable.uid, settable.gid)

    def _owner(self, wanted: tuple[int, int], what: str) -> tuple[int, int]:
        """Return the part of ``wanted`` (uid, gid) that this process may set, -1 for the rest."""
        if wanted not in self.owners:
            self.owners[wanted] = self._try_owner(wanted)
        got = self.owners[wanted]
        if got != wanted:
            names = [name for name, one in zip(("user", "group"), got, strict=True) if one == -1]
            sentence = (
                f"{what}: the owner {wanted[0]}:{wanted[1]} is not proven here: "
                f"this process may not set the {' and the '.join(names)}"
            )
            if sentence not in self.not_proven:
                self.not_proven.append(sentence)
        return got

    def _try_owner(self, wanted: tuple[int, int]) -> tuple[int, int]:
        probe = self.changeover.staging / "owner"
        probe.touch(mode=0o600)
        for attempt in (wanted, (-1, wanted[1]), (wanted[0], -1)):
            try:
                self.host.chown(self._staged(probe), *attempt)
            except HostError as error:
                if error.errno not in (errno.EPERM, errno.EINVAL):
                    raise
            else:
                return attempt
        return -1, -1

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


def _forget_unsettable(node: Node, wanted: Node | None) -> Node:
    """Return ``node`` without the owner that could not be set for it either."""
    uid = -1 if wanted is not None and wanted.uid == -1 else node.uid
    gid = -1 if wanted is not None and wanted.gid == -1 else node.gid
    return replace(node, uid=uid, gid=gid)
