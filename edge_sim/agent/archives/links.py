"""Where a link inside an archive leads, by name alone: nothing is looked up, and nothing outside can be meant.

V1's behaviour is unknown. Links are refused; with ``Limits.links == "copy"`` a link to a file that came before it in
the same archive becomes a copy of that file. No link is ever made.
"""

from __future__ import annotations

from edge_sim.agent.archives.errors import ArchiveError, escaped
from edge_sim.agent.archives.limits import Limits
from edge_sim.agent.archives.names import Parts, parts

LONGEST_TARGET = 4096
"""Bytes; Linux's own limit."""


def target(path: Parts, raw: bytes, *, hard: bool, limits: Limits) -> Parts:
    """Return the member that the link at ``path`` leads to. Raises ArchiveError ``LINK``.

    A hard link names a member; a symbolic link is relative to its own directory.
    """
    shown = escaped("/".join(path))
    if raw.startswith(b"/") or len(raw) > LONGEST_TARGET:
        raise _outside(shown, raw)
    here = [] if hard else [part.encode() for part in path[:-1]]
    for part in raw.split(b"/"):
        if part == b".." and not here:
            raise _outside(shown, raw)
        if part == b"..":
            here.pop()
        elif part != b".":
            here.append(part)
    try:
        return parts(b"/".join(here), directory=False, limits=limits)
    except ArchiveError as error:
        raise _outside(shown, raw) from error


def no_file(path: Parts, to: Parts) -> ArchiveError:
    """Return the error about a link to something that is not a file that came before."""
    shown, where = escaped("/".join(path)), escaped("/".join(to))
    brief = f"{shown} is a link to {where}, which is no file that comes before it in the archive"
    return ArchiveError("LINK", brief, member=shown, hint="repack it with the files in place of the links")


def _outside(shown: str, raw: bytes) -> ArchiveError:
    brief = f"{shown} is a link to “{escaped(raw)}”, which is not in the archive"
    return ArchiveError("LINK", brief, member=shown, hint="leave the link out, or pack the file it leads to")
