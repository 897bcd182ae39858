"""A minimal bad and a minimal good definition for each rule, with the board or core version that it takes.

They stand in ``examples/*.yaml``: ``edge-sim rules ID`` shows them, and the tests hold each rule to its own. Each
can be read as a file of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edge_sim.facts import LISTINGS, GreengrassInstall, HostFacts, Node, User
from edge_sim.versions import RELEASES

FOLDER = Path(__file__).with_name("examples")
_PATHS = {
    **dict.fromkeys(("/", "/dev", "/mnt", "/readings", "/srv", "/srv/readings"), "directory 0755 0:0"),
    "/dev/ttyAMA0": "char 0660 0:20",
}


@dataclass(frozen=True, kw_only=True)
class Example:
    """A definition as text (…DefinitionVersion objects in one), and what it is judged with.

    ``board`` changes the example board of ``facts``; None: the definition alone is judged. ``mentions`` are those
    of the functions' code (``Definition.mentions``).
    """

    text: str
    board: Mapping[str, Any] | None
    ggc: str | None
    limits: tuple[str, ...]
    gid_only: bool
    mentions: Mapping[str, frozenset[str]]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What a rule finds fault with, and what it does not."""

    bad: Example
    good: Example


@functools.cache
def examples() -> Mapping[str, Pair]:
    """Return the examples by rule id."""
    pairs: dict[str, Pair] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
        pairs |= {id_: Pair(bad=_example(entry, "bad"), good=_example(entry, "good")) for id_, entry in entries.items()}
    return pairs


def _example(entry: Mapping[str, Any], which: str) -> Example:
    return Example(
        text=entry[which],
        board=entry.get(f"{which}_board"),
        ggc=entry.get(f"{which}_ggc"),
        limits=tuple(entry.get("limits", ())),
        gid_only=bool(entry.get("gid_only")),
        mentions={name: frozenset(words) for name, words in entry.get(f"{which}_mentions", {}).items()},
    )


def facts(changes: Mapping[str, Any]) -> HostFacts:
    """Return a small Raspberry Pi, with ``changes`` as the example files write them."""
    users = changes.get("users", {"root": [0, 0], "ggc_user": [995, 995]})
    return HostFacts(
        architecture=changes.get("architecture", "armv7l"),
        operating_system=changes.get("operating_system", "raspbian"),
        libc_version=changes.get("libc_version", "2.28"),
        kernel=changes.get("kernel", "5.10.63-v7+"),
        memory_kib=changes.get("memory_kib", 1048576),
        storage_kib=changes.get("storage_kib", 16777216),
        umask=int(changes.get("umask", "0022"), 8),
        cgroups=changes.get("cgroups", "v1"),
        cgroup_subsystems=frozenset(changes.get("cgroup_subsystems", ("devices", "memory"))),
        programs=changes.get("programs", {}),
        users={name: User(uid=uid, gid=gid) for name, (uid, gid) in users.items()},
        groups={"root": 0, "dialout": 20, "video": 44, "ggc_group": 995},
        greengrass=GreengrassInstall(
            root=changes.get("root", "/greengrass"),
            version=changes.get("greengrass", RELEASES["1.11"]),
            allow_functions_to_run_as_root=changes.get("allow_root", False),
        ),
        paths={path: _node(text) for path, text in {**_PATHS, **changes.get("paths", {})}.items()},
        unsupported=frozenset(changes.get("unsupported", ())),
        whole=frozenset(changes.get("whole", LISTINGS)),
    )


def _node(text: str) -> Node:
    kind, mode, owner = text.split()
    uid, gid = owner.split(":")
    kinds: dict[str, Any] = {"type": kind}
    return Node(uid=int(uid), gid=int(gid), mode=int(mode, 8), **kinds)
