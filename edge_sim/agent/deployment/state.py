"""What the deployer knows about its own work: ``<gg>/ggc/var/state/edge-sim.json``.

From it the plan of the running group can be computed again without the archives, an unchanged artifact is not
fetched twice, and only what is recorded here is ever removed. The file's form is ours. ``gg`` is the Greengrass root.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_sim.agent.rooted import file_bytes
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.facts import HostFacts
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import Content, function_directory, model_directory
from edge_sim.greengrass.tree import BELOW

_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Installed:
    """One unpacked package: the archive's digest, and what came out of it."""

    sha256: str
    contents: tuple[Content, ...]


@dataclass(frozen=True, kw_only=True)
class State:
    """``installed`` by the board's directory; ``work`` are the working directories, ``links`` what was made in them."""

    installed: Mapping[str, Installed] = field(default_factory=dict)
    work: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    not_proven: tuple[str, ...] = ()

    def paths(self) -> frozenset[str]:
        """Return every path that the recorded deployment made, the directories around the packages left out."""
        places = {*self.work, *self.links, *self.installed}
        for directory, installation in self.installed.items():
            places.update(f"{directory}/{content.path}" for content in installation.contents)
        return frozenset(places)

    def contents(self, group: Group, facts: HostFacts) -> dict[str, tuple[Content, ...]]:
        """Return the members of each model of ``group`` by resource id, as ``plan`` wants them."""
        by_owner = {}
        for resource in group.resources:
            artifact = group.artifacts.get(resource.id)
            if resource.model and artifact is not None:
                installed = self.installed.get(model_directory(facts, resource, artifact))
                by_owner[resource.id] = installed.contents if installed else ()
        return by_owner

    def code(self, group: Group, facts: HostFacts) -> dict[str, tuple[Content, ...]]:
        """Return the members of each function's package by function id, as ``plan`` wants them."""
        known = ((f.id, self.installed.get(function_directory(facts, f))) for f in group.functions)
        return {id_: installed.contents for id_, installed in known if installed}


def read(gg: Path) -> State:
    """Return the recorded state, an empty one when nothing was ever deployed.

    Raises UnsupportedEnvironmentError when the file exists but cannot be read.
    """
    path = gg / BELOW.record
    try:
        return decode(file_bytes(path))
    except FileNotFoundError:
        return State()
    except NotADirectoryError as error:
        raise UnsupportedEnvironmentError(
            f"{gg}: is not a directory", hint="Name another --greengrass-root."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnsupportedEnvironmentError(
            f"{path}: the deployer's record cannot be read",
            details=str(error),
            hint="remove it and deploy again; every artifact is then fetched again",
        ) from error


def decode(content: bytes) -> State:
    """Return the state that a file holds. Raises ValueError, KeyError, TypeError or AttributeError for another's."""
    raw = json.loads(content)
    if raw["version"] != _VERSION:
        raise ValueError(f"version {raw['version']}")
    return State(
        installed={directory: _installed(value) for directory, value in raw["installed"].items()},
        work=tuple(raw["work"]),
        links=tuple(raw.get("links", ())),
        not_proven=tuple(raw["not_proven"]),
    )


def encode(state: State) -> bytes:
    """Return ``state`` as the file holds it."""
    body = {"version": _VERSION, **asdict(state)}
    return json.dumps(body, indent=1, sort_keys=True).encode() + b"\n"


def _installed(raw: Mapping[str, Any]) -> Installed:
    return Installed(
        sha256=raw["sha256"],
        contents=tuple(Content(**content) for content in raw["contents"]),
    )
