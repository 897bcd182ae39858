"""The verdict on a package without unpacking it: every fault in one go, and what V1 itself would have said.

The readers are the same as for unpacking; a fault that leaves the rest readable is kept and the reading goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_sim.agent.archives.errors import ArchiveError
from edge_sim.agent.archives.fill import Nowhere, fill
from edge_sim.agent.archives.reading import Kind, Reading
from edge_sim.documents import unusable
from edge_sim.errors import UsageError, file_error
from edge_sim.greengrass.plan import Content, is_hollow
from edge_sim.limits import Limits

MOST_FAULTS = 100
"""Reading stops after this many faults."""
V1_SOURCE = "DG ml-console.md"
V1Verdict = Literal["refused", "taken", "unknown"]


@dataclass(frozen=True, kw_only=True)
class ArchiveVerdict:
    """The verdict on a package. ``kind`` and ``sha256`` are None where the reading ended before they were known.

    ``entries`` counts headers, ``unpacked_bytes`` what came out, headers included. With ``complete`` false the reading
    stopped at the last fault, and there may be more after it.
    """

    kind: Kind | None
    sha256: str | None
    size: int
    entries: int
    unpacked_bytes: int
    contents: tuple[Content, ...]
    copied_links: int
    faults: tuple[ArchiveError, ...]
    complete: bool

    @property
    def v1(self) -> V1Verdict:
        """What V1 did with such a package: one refusal is documented, taking ordinary ones is inferred."""
        if any(fault.code == "NO_PARENT" for fault in self.faults):
            return "refused"
        return "unknown" if self.faults or self.copied_links or self.flat or is_hollow(self.contents) else "taken"

    @property
    def flat(self) -> bool:
        """Tell whether a tar.gz has no directory at all: the guide asks for one (ml-console.md)."""
        plain = all(content.type == "file" and "/" not in content.path for content in self.contents)
        return self.kind == "tar.gz" and plain and bool(self.contents)


def check(path: Path, *, limits: Limits, file_name: str | None = None) -> ArchiveVerdict:
    """Read the package at ``path`` as ``unpack`` would. Raises UsageError when it cannot be read at all.

    ``file_name`` is what it is called where it comes from, when that is not the path's own name.
    """
    if not path.is_file():  # opening a pipe would wait for somebody to write
        hint = "Save it to a file first: a zip is read from its end." if path.is_fifo() else None
        raise UsageError(f"{path}: {unusable(path, 'file')}", hint=hint)
    faults, nowhere = _Faults(), Nowhere(keep_sizes=limits.links == "copy")
    reading: Reading | None = None
    contents: tuple[Content, ...] = ()
    digest: str | None = None
    try:
        with path.open("rb") as source:
            size = path.stat().st_size
            try:
                with Reading(source, file_name=file_name or path.name, limits=limits, refuse=faults.add) as reading:
                    contents = fill(
                        nowhere,
                        reading.members(),
                        reading.budget,
                        parents_implied=reading.kind == "zip",
                        refuse=faults.add,
                    )
                    digest = reading.finish(None)
            except ArchiveError as error:
                faults.last(error)
    except OSError as error:
        raise file_error(f"{path}: cannot be read: {error.strerror}", error) from error
    return ArchiveVerdict(
        kind=reading.kind if reading else None,
        sha256=digest,
        size=size,
        entries=reading.budget.entries if reading else 0,
        unpacked_bytes=reading.budget.bytes if reading else 0,
        contents=contents,
        copied_links=nowhere.copies,
        faults=tuple(faults.errors),
        complete=digest is not None,
    )


class _Faults:
    """Keeps faults, and lets the reading go on until there are too many."""

    def __init__(self) -> None:
        self.errors: list[ArchiveError] = []

    def add(self, error: ArchiveError) -> None:
        if self._follows(error):
            return
        if len(self.errors) == MOST_FAULTS:
            raise error
        self.errors.append(error)

    def last(self, error: ArchiveError) -> None:
        """Keep what ended the reading."""
        if len(self.errors) < MOST_FAULTS:
            self.errors.append(error)

    def _follows(self, error: ArchiveError) -> bool:
        """Tell whether this is a fault only because something else was refused before."""
        if error.code == "NO_PARENT":
            return any(known.member and f"{error.member}".startswith(f"{known.member}/") for known in self.errors)
        return error.code == "EMPTY" and bool(self.errors)
