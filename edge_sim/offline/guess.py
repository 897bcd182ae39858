"""Which board a group may be for, where nobody has said it: by what its definition names and its code is built for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from edge_sim import folders
from edge_sim.agent.elf import elf_header
from edge_sim.arch import ARCHITECTURES
from edge_sim.definitions.definition import Definition
from edge_sim.deviceprofile import DeviceProfile
from edge_sim.greengrass.group import Group
from edge_sim.profiles import list_profiles, load_profiles
from edge_sim.validation.verdict import judge

USUAL = "raspberry-pi-3"
"""The board where nothing speaks for another."""
_MOST_FILES = 5_000
"""Files below one folder of code that are looked at for what they are built for."""


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A board's profile, and what speaks for it in words."""

    profile: DeviceProfile
    reason: str

    @property
    def note(self) -> str:
        return f"board {self.profile.name} is a guess: {self.reason}; choose another with --profile"


def guess(definition: Definition, places: Iterable[Path]) -> Guess:
    """Return the board that a definition contradicts least, by the rules; ``places`` hold its code and models."""
    profiles = load_profiles(sorted(list_profiles(), key=lambda name: name != USUAL))
    machines = {machine for place in places for machine in _machines(place)}
    fitting = [
        profile for profile in profiles if ARCHITECTURES[profile.architecture].elf_machine in machines
    ] or profiles
    verdict = judge(definition, {profile.name: profile.facts() for profile in fitting})
    errors = Counter(board for finding in verdict.errors for board in finding.boards)
    unknowns = Counter(board for finding in verdict.unknowns for board in finding.boards)
    best = min(fitting, key=lambda profile: (errors[profile.name], unknowns[profile.name]))
    return Guess(profile=best, reason=" and ".join(_reasons(definition.group, best, profiles, fitting)))


def _reasons(
    group: Group, best: DeviceProfile, profiles: list[DeviceProfile], fitting: list[DeviceProfile]
) -> Iterator[str]:
    """Yield what speaks for a board and against others."""
    usual = profiles[0]
    if len(fitting) < len(profiles):
        yield f"the files beside the definition are built for {best.architecture}"
    sources = [path for resource in group.resources if (path := resource.source_path)]
    has, usual_has = best.facts().paths, usual.facts().paths
    only = [path for path in sources if path in has and path not in usual_has]
    if only:
        yield f"it has {', '.join(only)}"
    elif best is usual or len(fitting) < len(profiles):
        yield "the definition names nothing that only another board has" if best is usual else "it fits the definition"
    else:
        yield f"the definition fits it better than {usual.name}"


def _machines(place: Path) -> Iterator[int]:
    """Yield the ELF machines of a file, or of what is below a folder, that Greengrass V1 ran on."""
    known = {row.elf_machine for row in ARCHITECTURES.values()}
    try:
        files = [place] if place.is_file() else islice(folders.below(place), _MOST_FILES)
        headers = [elf_header(file) for file in files if file.is_file()]
    except OSError:
        return
    yield from (header.machine for header in headers if header and header.machine in known)
