"""What on the board is a deployment's own, and what is somebody else's and stays.

Only what the deployer recorded (``state``) is its own. Where the record is gone, group.json still tells the
directories; then all that lies in them counts as the deployment's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_sim.agent.deployment.layout import walk
from edge_sim.agent.deployment.state import State
from edge_sim.agent.rooted import file_bytes, inside
from edge_sim.errors import EdgeSimError, InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.facts import HostFacts, below
from edge_sim.greengrass import groupfile
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import function_directory, model_directory, work_directory
from edge_sim.greengrass.tree import Tree


@dataclass(frozen=True, kw_only=True)
class Belongings:
    """``paths`` the deployer made, ``whole`` are directories with all that is in them."""

    root: Path
    paths: frozenset[str]
    whole: frozenset[str]

    @property
    def directories(self) -> frozenset[str]:
        """Return the directories of packages and links, the unrecorded ones too."""
        tops = {path for path in self.paths if path.rpartition("/")[0] not in self.paths}
        return frozenset(tops | self.whole)

    def claim(self, directory: str) -> None:
        """Raise UnsupportedEnvironmentError when something lies at ``directory`` that no deployment made."""
        there = inside(self.root, directory, follow_last=False)
        if directory not in self.paths | self.whole and (there.is_symlink() or there.exists()):
            raise in_the_way(directory)

    def within(self, directory: str) -> Callable[[str], bool]:
        """Return what tells of a path in ``directory``, relative to it, whether a deployment made it."""
        return lambda path: directory in self.whole or f"{directory}/{path}" in self.paths

    def foreign(self, directory: str) -> Iterator[str]:
        """Yield what in ``directory`` is somebody else's, relative to it; of a tree only its top."""
        if directory in self.whole:
            return
        top = None
        for path in sorted(walk(self.root, directory), key=lambda path: path.split("/")):
            if path not in self.paths and not (top and below(path, top)):
                top = path
                yield path[len(directory) + 1 :]


def belongings(root: Path, facts: HostFacts, state: State) -> Belongings:
    """Return what the deployments recorded in ``state``, or else in the board's group.json, made."""
    paths = state.paths()
    whole = frozenset(_directories(deployed_group(root, facts.greengrass.root), facts)) - paths
    return Belongings(root=root, paths=paths, whole=whole)


def deployed_group(root: Path, greengrass_root: str) -> Group:
    """Return the group in the board's group.json; an empty one where there is none that can be read."""
    try:
        return decoded_group(file_bytes(inside(root, Tree(greengrass_root).group_file)))
    except OSError:
        return Group()


def decoded_group(content: bytes | str) -> Group:
    """Return the group that a group.json holds; an empty one when it cannot be read."""
    try:
        return groupfile.decode(json.loads(content))
    except (ValueError, AttributeError, RecursionError, InvalidDefinitionError):
        return Group()


def in_the_way(path: str) -> EdgeSimError:
    """Return the error for a path that a deployment needs and somebody else has."""
    return UnsupportedEnvironmentError(
        f"{path}: is in the way, and no deployment created it", hint="Move it away, then try again; it was not touched."
    )


def _directories(group: Group, facts: HostFacts) -> Iterator[str]:
    for function in group.functions:
        if function.id in group.code:
            yield function_directory(facts, function)
        if group.isolation_mode(function) == "NoContainer":
            yield work_directory(facts, function)
    for resource in group.resources:
        if resource.id in group.artifacts:
            yield model_directory(facts, resource, group.artifacts[resource.id])
