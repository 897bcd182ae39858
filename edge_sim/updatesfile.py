"""The keys of updates.yaml as rows, and what is read from them: the builds that a cloud offers in place of AWS's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_sim import keys
from edge_sim.arch import UPDATE_TARGETS
from edge_sim.documents import Place
from edge_sim.jobs.update import SOFTWARE, Software
from edge_sim.keys import Key, KeyTable, Value

PAIRS = tuple(f"{system}/{architecture}" for system, architecture in sorted(UPDATE_TARGETS))
"""Every system with an architecture that AWS had software for."""


@dataclass(frozen=True, kw_only=True)
class BuildEntry:
    """One entry. ``pairs``, none where the file has no word of them, are of ``PAIRS``; ``file``: a build of the user's.

    Without a file the build is simulated; ``starts`` says whether its core comes up.
    """

    software: Software
    version: str
    pairs: tuple[str, ...] = ()
    starts: bool = True
    file: Path | None = None


def read(path: Path) -> Sequence[BuildEntry]:
    """Return the builds in a file, in order. Raises InvalidDefinitionError with its place, UsageError."""
    return UPDATES.read(Place.load(path))[_BUILDS]


def _build(place: Place) -> BuildEntry:
    entries = _BUILD.read(place)
    if _FILE in entries and _STARTS in entries:
        entries.fail(_STARTS, "applies to simulated builds only, and file names your own build")
    return BuildEntry(
        software=entries[_SOFTWARE],
        version=entries[_VERSION],
        pairs=entries[_FOR],
        starts=entries[_STARTS],
        file=entries[_FILE],
    )


def _some_pairs(place: Place) -> tuple[str, ...]:
    pairs = _EACH_PAIR.read(place)
    if not pairs:
        place.fail("must name at least one system and architecture", allowed=PAIRS)
    return pairs


_CORE: Software = "core"
_EACH_PAIR = keys.each(keys.choice(PAIRS))
_NUMBERS = keys.words(r"[0-9]{1,4}(\.[0-9]{1,4}){2}", "a version such as 1.11.7")
_VERSION = Key("version", _NUMBERS, "The version of the build.", examples=("1.11.7",))
_SOFTWARE = Key("software", keys.choice(SOFTWARE), "The software to update.", _CORE)
_FOR = Key(
    "for",
    Value(read=_some_pairs, schema={**_EACH_PAIR.schema, "minItems": 1}),
    "The systems and architectures it is for; by default those that AWS released this version for, otherwise all.",
    (),
    examples=(["raspbian/armv7l"],),
)
_STARTS = Key("starts", keys.FLAG, "Simulated builds only: whether the build starts.", True)
_FILE = Key("file", keys.FILE, "Your own build (edge-sim ota build), in place of a simulated one.", None)
_BUILD = KeyTable(keys=(_VERSION, _SOFTWARE, _FOR, _STARTS, _FILE))
_BUILDS = Key(
    "updates",
    keys.each(keys.table(_build, _BUILD)),
    "The builds offered in place of AWS's last release; for each system and architecture, the last is the newest.",
)
UPDATES = KeyTable(title="updates.yaml", keys=(_BUILDS,))
"""The whole file."""
