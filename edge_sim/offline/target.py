"""The board that a group is planned for: a device profile, or a root directory on this machine.

Both become the same value: the board's facts, what lies where deployments go, and what of it earlier ones made.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from edge_sim import digests
from edge_sim.agent.deployment import state
from edge_sim.agent.deployment.belongings import belongings, deployed_group
from edge_sim.agent.deployment.layout import walk
from edge_sim.agent.deployment.state import State
from edge_sim.agent.probe import probe
from edge_sim.agent.rooted import inside
from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation.boardplan import items_of
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.facts import HostFacts, Node, below, resolve
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import deployment_directory, paths_of_interest
from edge_sim.greengrass.tree import Tree
from edge_sim.report import Finding
from edge_sim.scenario import BoardFile, Scenario, fault


@dataclass(frozen=True, kw_only=True)
class Target:
    """A board. ``disk`` is what lies at and below the deployment directory, ``ours`` what deployments made there.

    ``closed`` are paths that this process may not look into, ``unseen`` some at which nobody looked. ``record`` and
    ``deployed`` tell what the last deployment was; ``deployed`` is None where that cannot be known, and ``owned``
    False where nobody worked out what is ``ours``. ``digest`` returns
    a file's SHA-256, or None when it cannot be known.
    """

    name: str
    facts: HostFacts
    disk: Mapping[str, Node] = field(default_factory=dict)
    ours: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    record: State = field(default_factory=State)
    owned: bool = True
    deployed: Group | None = None
    unseen: frozenset[str] = frozenset()
    digest: Callable[[str], str | None] | None = None
    notes: tuple[str, ...] = ()

    def hides(self, path: str) -> bool:
        """Tell whether ``path`` lies in a directory that could not be looked into."""
        return any(path.startswith(f"{directory}/") for directory in self.closed)


def of_profile(profile: DeviceProfile, files: Sequence[BoardFile] = ()) -> Target:
    """Return a fresh board of ``profile`` with the files that a scenario lays on it before the core starts."""
    return _with_files(Target(name=profile.name, facts=profile.facts()), profile, files, over=True)


def boards(scenario: Scenario, profiles: Sequence[DeviceProfile]) -> tuple[dict[str, HostFacts], dict[str, Finding]]:
    """Return each profile's facts by name, and the fault of each board on which the scenario's files cannot be."""
    facts, faults = {}, {}
    for profile in profiles:
        try:
            facts[profile.name] = of_profile(profile, scenario.files).facts
        except InvalidDefinitionError as error:
            facts[profile.name], faults[profile.name] = profile.facts(), fault(error)
    return facts, faults


def with_files(target: Target, profile: DeviceProfile, files: Sequence[BoardFile]) -> Target:
    """Return a board with the files that a scenario lays on it where it has nothing; ``profile`` has its accounts."""
    return _with_files(target, profile, files, over=False)


def _with_files(target: Target, profile: DeviceProfile, files: Sequence[BoardFile], *, over: bool) -> Target:
    paths = dict(target.facts.paths)
    for file in files:
        for item in items_of(file, profile):
            path = resolve(paths, posixpath.dirname(item.path)).rstrip("/") + f"/{posixpath.basename(item.path)}"
            for parent in _parents(path):
                paths.setdefault(parent, Node(type="directory", uid=0, gid=0, mode=0o755))
            if over or path not in paths:
                paths[path] = item.node
    return replace(target, facts=replace(target.facts, paths=paths))


def of_root(root: Path, group: Group, greengrass_root: str = "/greengrass") -> Target:
    """Return the board below ``root``, looked at where ``group`` and deployments have to do with it.

    Raises EdgeSimError where the core's configuration or the deployer's record cannot be read.
    """
    root = root.resolve()
    facts = probe(root, paths_of_interest(group, greengrass_root), greengrass_root=greengrass_root)
    closed: set[str] = set()
    disk = walk(root, deployment_directory(facts), closed)
    record = _record(inside(root, greengrass_root), Tree(greengrass_root).record, closed)
    own = belongings(root, facts, record)
    group_file = Tree(greengrass_root).group_file
    if group_file in disk and not os.access(inside(root, group_file), os.R_OK):
        closed.add(group_file)
    whole = {path for path in disk for top in own.whole if below(path, top)}
    return Target(
        name=str(root),
        facts=facts,
        disk=disk,
        digest=cache(lambda path: sha256(inside(root, path, follow_last=False))),
        ours=own.paths | whole,
        closed=frozenset(closed),
        record=record,
        deployed=None if group_file in closed else deployed_group(root, greengrass_root),
    )


def sha256(path: Path) -> str | None:
    """Return the digest of a file of this machine; None when it cannot be read."""
    try:
        with path.open("rb") as file:
            return digests.sha256(file)
    except OSError:
        return None


def _record(gg: Path, name: str, closed: set[str]) -> State:
    """Return the deployer's record; an empty one, and the path in ``closed``, where only root may read it."""
    try:
        return state.read(gg)
    except UnsupportedEnvironmentError as error:
        if not isinstance(error.__cause__, PermissionError):
            raise
        closed.add(name)
        return State()


def _parents(path: str) -> Iterator[str]:
    while path != "/":
        path = posixpath.dirname(path)
        yield path
