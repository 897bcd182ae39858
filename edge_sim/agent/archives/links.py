"""Where a link inside an archive leads, by name alone: nothing is looked up, and nothing outside can be meant.

V1's behaviour is unknown. Links are refused; with ``Limits.links == "copy"`` a link to a file in the same archive
becomes a copy of that file, made when all files are there. No link is ever made.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge_sim.agent.archives.errors import ArchiveError, escaped
from edge_sim.agent.archives.names import Parts, parts
from edge_sim.facts import MAX_LINKS
from edge_sim.limits import Limits

LONGEST_TARGET = 4096
"""Bytes; Linux's own limit."""
_HINT = "repack it with the files in place of the links (tar -czhf; zip without --symlinks)"


def target(path: Parts, raw: bytes, *, hard: bool, limits: Limits) -> Parts:
    """Return the member that the link at ``path`` leads to. Raises ArchiveError ``LINK``.

    A hard link names a member; a symbolic link is relative to its own directory.
    """
    shown = escaped("/".join(path))
    if raw.startswith(b"/") or raw.rsplit(b"/", 1)[-1] in (b"", b".", b"..") or len(raw) > LONGEST_TARGET:
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


def followed(path: Parts, among: Mapping[Parts, Parts]) -> Parts:
    """Return where ``path`` leads through the links ``among`` (a link itself where they go round)."""
    for _ in range(MAX_LINKS):
        if path not in among:
            break
        path = among[path]
    return path


def no_file(path: Parts, to: Parts) -> ArchiveError:
    """Return the error about a link to something that is no file in the archive."""
    shown, where = escaped("/".join(path)), escaped("/".join(to))
    brief = f"{shown} is a link to {where}, which is no file in the archive"
    return ArchiveError("LINK", brief, member=shown, hint=_HINT)


def _outside(shown: str, raw: bytes) -> ArchiveError:
    brief = f"{shown} is a link to “{escaped(raw)}”, which is no file in the archive"
    return ArchiveError("LINK", brief, member=shown, hint=_HINT)
