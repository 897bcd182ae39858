"""The limits of one package, by name: settings that a person, a scenario and the agent's configuration write alike.

A plain value, handed down from where it was read to whoever reads a package (``agent.archives``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Literal

from edge_sim.errors import UsageError

MIB = 1024 * 1024
GIB = 1024 * MIB

Links = Literal["refuse", "copy"]
LINKS: tuple[Links, ...] = ("refuse", "copy")
LINKS_COPIED = "links in packages become copies of their files; what V1 did with such a package is not documented"


def _limit(usual: int, meaning: str) -> int:
    return field(default=usual, metadata={"meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Budgets of one archive, and how its links are handled. They are ours: AWS names no limit for a model package."""

    entries: int = _limit(
        100_000, "Files, directories (with those that a zip only implies) and a tar's extension headers."
    )
    file_bytes: int = _limit(2 * GIB, "One file, unpacked.")
    total_bytes: int = _limit(
        4 * GIB, "The archive's whole unpacked content, with headers and copied links, counted while unpacking."
    )
    ratio: int = _limit(200, "Bytes produced for each byte of the archive.")
    ratio_from_bytes: int = _limit(64 * MIB, "Bytes that an archive may produce before its ratio is checked.")
    extension_bytes: int = _limit(MIB, "One PAX or long-name header of a tar, or the whole header of a gzip.")
    component_bytes: int = _limit(255, "One name; file systems accept no more than 255 bytes (NAME_MAX).")
    path_bytes: int = _limit(1024, "One path.")
    names_bytes: int = _limit(
        16 * MIB, "All names in one archive together, with those of directories that a zip only implies."
    )
    depth: int = _limit(32, "Components of one path.")
    seconds: int = _limit(1800, "Time to unpack one package.")
    links: Links = "refuse"
    """``copy`` turns a link to a file in the same archive into a copy of it."""

    def changed(self, settings: Iterable[str], links: Links | None = None) -> Limits:
        """Return these limits with each ``NAME=NUMBER`` and ``links`` (None: as it is) applied. Raises UsageError."""
        numbers: dict[str, int] = {}
        for setting in settings:
            name, _, value = setting.partition("=")
            if name not in NAMES:
                raise UsageError(f"no limit is named {name!r}", hint=f"the limits are: {', '.join(NAMES)}")
            if not (value.isascii() and value.isdigit() and len(value) <= 18):
                raise UsageError(f"limit {name}: expected a whole number, not {value!r}")
            numbers[name] = int(value)
        return replace(self, links=links or self.links, **numbers)


MEANINGS = {limit.name: str(limit.metadata["meaning"]) for limit in fields(Limits) if limit.name != "links"}
"""The limits by name, those in bytes and seconds say so; and what each counts, in a sentence."""
NAMES = tuple(MEANINGS)
