"""Board paths below a root directory: links are followed as the board would, never out of the root."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from edge_sim.errors import EdgeSimError
from edge_sim.facts import MAX_LINKS


def inside(root: Path, path: str, *, follow_last: bool = True) -> Path:
    """Return where the board's absolute ``path`` lies on this machine; what does not exist is taken literally.

    Raises EdgeSimError when there are more than 40 symbolic links on the way.
    """
    waiting = list(reversed(PurePosixPath("/", path).parts[1:]))
    here: list[str] = []
    links = 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            del here[-1:]
            continue
        place = root.joinpath(*here, part)
        if not place.is_symlink() or (not waiting and not follow_last):
            here.append(part)
            continue
        links += 1
        if links > MAX_LINKS:
            raise EdgeSimError(f"{path}: too many levels of symbolic links")
        target = PurePosixPath(place.readlink())
        if target.is_absolute():
            here, target = [], target.relative_to("/")
        waiting.extend(reversed(target.parts))
    return root.joinpath(*here)
