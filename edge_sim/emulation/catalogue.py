"""Which core software the local cloud has to offer: simulated builds of what AWS released, and what a file adds.

AWS always offered its newest release, for each of the seven pairs of system and architecture; a simulated build of any
release is made when it is asked for. ``updates.yaml`` lists further builds, good or broken, simulated or files of your
own; the last one of a pair is its newest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_sim import updatesfile, versions
from edge_sim.arch import UPDATE_TARGETS
from edge_sim.emulation.agentbuild import agent_build
from edge_sim.emulation.corebuild import core_build
from edge_sim.emulation.platform import Platform
from edge_sim.updatesfile import PAIRS, BuildEntry

AGENTS = ("1.0.0", "1.1.1", "1.2.0", "1.3.0")
"""The OTA agents of field listings; 1.3.0 came with core 1.11.0. The guide names none."""
FIRST_UPDATES: versions.Version = (1, 3, 0)
"""The first core with an OTA agent (what-is-gg.md)."""
FIRST_OF = {"openwrt": (1, 9, 2), "armv6l": (1, 9, 3)}
"""The first core for a system or an architecture, where that is not the first one (what-is-gg.md)."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A build for one system and architecture. ``file``: where it is; None for a simulated one, which ``starts``."""

    software: str
    operating_system: str
    architecture: str
    version: str
    starts: bool = True
    file: Path | None = None

    def chunks(self) -> Iterator[bytes]:
        """Yield the build. Raises OSError for a file that cannot be read."""
        if self.file is None:
            where = (self.operating_system, self.architecture)
            yield simulated(self.software, *where, self.version, starts=self.starts)
            return
        with self.file.open("rb") as file:
            while data := file.read(1 << 18):
                yield data


def released(software: str, operating_system: str, architecture: str) -> Sequence[str]:
    """Return the releases that AWS had for a system and architecture, the oldest first; none for a pair without any."""
    if (operating_system, architecture) not in UPDATE_TARGETS:
        return ()
    if software == "ota_agent":
        return AGENTS
    first = max(FIRST_UPDATES, *(FIRST_OF.get(word, FIRST_UPDATES) for word in (operating_system, architecture)))
    return [version for version in versions.RELEASED if versions.parse_version(version) >= first]


def newest(software: str, operating_system: str, architecture: str) -> tuple[str, bytes] | None:
    """Return version and content of what AWS would have offered, None where it had nothing."""
    known = released(software, operating_system, architecture)
    return (known[-1], simulated(software, operating_system, architecture, known[-1])) if known else None


def simulated(software: str, operating_system: str, architecture: str, version: str, *, starts: bool = True) -> bytes:
    """Return a simulated build of any version."""
    if software == "ota_agent":
        return agent_build(version, starts=starts)
    platform = Platform(architecture=architecture, operating_system=operating_system)
    return core_build(version, platform, starts=starts)


def read_offers(path: Path) -> Sequence[Offer]:
    """Read ``updates.yaml``. Raises InvalidDefinitionError with its place, UsageError."""
    return [offer for build in updatesfile.read(path) for offer in _offers(build)]


def _offers(build: BuildEntry) -> Iterator[Offer]:
    for pair in build.pairs or _pairs_of(build.software, build.version):
        system, _, architecture = pair.partition("/")
        yield Offer(
            software=build.software,
            operating_system=system,
            architecture=architecture,
            version=build.version,
            starts=build.starts,
            file=build.file,
        )


def _pairs_of(software: str, version: str) -> Sequence[str]:
    """Return the pairs that AWS had a release for; all of them for what it never released."""
    had = [pair for pair in PAIRS if version in released(software, *pair.split("/", 1))]
    return had or PAIRS
