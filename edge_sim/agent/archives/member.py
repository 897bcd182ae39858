"""What both readers hand out: one file or directory at a time, its data to be read before the next one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_sim.agent.archives.links import Link
from edge_sim.agent.archives.names import Parts
from edge_sim.agent.archives.stream import Chunk


@dataclass(frozen=True, kw_only=True)
class Member:
    """``path`` is empty for the root itself. ``data`` is checked to its end while it is read.

    ``link`` says where a link leads, by places in the archive; a link has no data.
    """

    path: Parts
    directory: bool
    executable: bool
    data: Iterator[Chunk]
    link: Link | None = None
