"""What an invocation left written below a model's folder: the folder looked at before the call and after it.

Ours. V1's core recorded nothing of the kind. A file counts as changed when its inode, size, or times of content or
status differ, for no process but root's can set a status time back; what was written by others in the meantime counts
as well.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_sim.agent.rooted import inside
from edge_sim.facts import HostFacts
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import model_directory

Change = Literal["created", "changed", "removed"]
_State = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Write:
    """One path below a model's folder that differs after a call."""

    resource: str
    path: str
    change: Change


def states(group: Group, function_id: str, root: Path, facts: HostFacts) -> Mapping[tuple[str, str], _State]:
    """Return the state of every file and folder of a function's models, by resource Id and path in the model."""
    function = next((f for f in group.functions if f.id == function_id), None)
    known: dict[tuple[str, str], _State] = {}
    for resource, _ in group.attached(function) if function else ():
        artifact = group.artifacts.get(resource.id)
        if artifact:
            top = inside(root, model_directory(facts, resource, artifact))
            known |= {(resource.id, path): state for path, state in _below(top)}
    return known


def writes(before: Mapping[tuple[str, str], _State], after: Mapping[tuple[str, str], _State]) -> Iterator[Write]:
    """Yield what differs, by resource and path; a folder only where it is new or gone."""
    for resource, path in sorted({*before, *after}):
        old, new = before.get((resource, path)), after.get((resource, path))
        if old == new:
            continue
        change: Change = "created" if old is None else "removed" if new is None else "changed"
        yield Write(resource=resource, path=path, change=change)


def _below(top: Path, path: str = "") -> Iterator[tuple[str, _State]]:
    """Yield what is below a folder, following no link; what goes while it is looked at is not there."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(top / path) as entries:
        for entry in entries:
            name = f"{path}/{entry.name}".lstrip("/")
            status = entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):  # its times tell only of names in it, which have rows of their own
                yield name, (status.st_ino, 0, 0, 0)
                yield from _below(top, name)
            else:
                yield name, (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
