"""Where a link inside an archive leads, by name alone: nothing is looked up, and nothing outside can be meant.

V1's behaviour is unknown. Links are refused; with ``Limits.links == "copy"`` a link to a file in the same archive
becomes a copy of that file, made when all files are there, if tar and bsdtar would make a link that reads the same.
No link is ever made.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_sim.agent.archives.errors import ArchiveError, escaped
from edge_sim.agent.archives.names import Parts, parts
from edge_sim.limits import Limits

LONGEST_TARGET = 4095
"""Bytes; Linux's own limit (PATH_MAX without its NUL)."""
_HINT = "repack it with the files in place of the links (tar -czhf; zip without --symlinks)"


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link to the member ``to``, over the directories ``through``, all of which must be there."""

    to: Parts
    hard: bool
    through: tuple[Parts, ...] = ()


def target(path: Parts, raw: bytes, *, hard: bool, limits: Limits) -> Link:
    """Return where the link at ``path`` leads. Raises ArchiveError ``LINK``.

    A hard link names a member; a symbolic link is relative to its own directory.
    """
    label = escaped("/".join(path))
    if raw.startswith(b"/") or raw.rsplit(b"/", 1)[-1] in (b"", b".", b"..") or len(raw) > LONGEST_TARGET:
        raise _outside(label, raw)
    try:
        if hard:
            return Link(to=parts(raw, directory=False, limits=limits), hard=True)
        return _symbolic(path[:-1], raw, label, limits)
    except ArchiveError as error:
        raise _outside(label, raw) from error


def _symbolic(directory: Parts, raw: bytes, label: str, limits: Limits) -> Link:
    here, through = [part.encode() for part in directory], []
    *above, last = raw.split(b"/")
    for part in above:
        if part == b".." and not here:
            raise _outside(label, raw)
        if part == b"..":
            here.pop()
        elif part != b".":
            here.append(part)
            through.append(parts(b"/".join(here), directory=False, limits=limits))
    return Link(to=parts(b"/".join((*here, last)), directory=False, limits=limits), hard=False, through=tuple(through))


def no_file(path: Parts, link: Link) -> ArchiveError:
    """Return the error about a link that leads to no file in the archive."""
    label, where = escaped("/".join(path)), escaped("/".join(link.to))
    return ArchiveError(
        "LINK", f"{label} is a link to {where}, which is not a file in the archive", member=label, hint=_HINT
    )


def no_directory(path: Parts, link: Link, missing: Parts) -> ArchiveError:
    """Return the error about a link over something that is not a directory in the archive."""
    label, where, over = (escaped("/".join(place)) for place in (path, link.to, missing))
    brief = f"{label} is a link to {where} by way of {over}, which is not a directory in the archive"
    return ArchiveError("LINK", brief, member=label, hint=_HINT)


def no_earlier_file(path: Parts, link: Link) -> ArchiveError:
    """Return the error about a hard link to what does not come before it."""
    label, where = escaped("/".join(path)), escaped("/".join(link.to))
    brief = (
        f"{label} is a hard link to {where}, which does not precede it in the archive, so tar and bsdtar cannot "
        "create it"
    )
    return ArchiveError("LINK", brief, member=label, hint=_HINT)


def moved(path: Parts, link: Link) -> ArchiveError:
    """Return the error about a hard link to a symbolic link of another directory."""
    label, where = escaped("/".join(path)), escaped("/".join(link.to))
    brief = (
        f"{label} is a hard link to the symbolic link {where}: unpacked by tar or bsdtar, it leads to a different "
        "file than with Go and Python"
    )
    return ArchiveError("LINK", brief, member=label, hint=_HINT)


def _outside(label: str, raw: bytes) -> ArchiveError:
    brief = f"{label} is a link to “{escaped(raw)}”, which is not a file in the archive"
    return ArchiveError("LINK", brief, member=label, hint=_HINT)
