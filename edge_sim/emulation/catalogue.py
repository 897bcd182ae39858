"""Which core software the local cloud has to offer: simulated builds of what AWS released, and what a file adds.

AWS always offered its newest release, for each of the seven pairs of system and architecture. ``updates.yaml`` lists
further builds, good or broken, simulated or files of your own; the last one of a pair is its newest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_sim import versions
from edge_sim.arch import UPDATE_TARGETS
from edge_sim.documents import Place
from edge_sim.emulation.agentbuild import agent_build
from edge_sim.emulation.corebuild import core_build
from edge_sim.emulation.platform import Platform
from edge_sim.scenariofile import existing

LATEST_AGENT = "1.3.0"
"""The OTA agent that came with core 1.11 (field listings)."""
VERSION = (r"[0-9]{1,4}(\.[0-9]{1,4}){2}", "a version such as 1.11.7")
PAIRS = tuple(f"{system}/{architecture}" for system, architecture in sorted(UPDATE_TARGETS))


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
        if self.file is None and self.software == "ota_agent":
            yield agent_build(self.version, starts=self.starts)
            return
        if self.file is None:
            platform = Platform(architecture=self.architecture, operating_system=self.operating_system)
            yield core_build(self.version, platform, starts=self.starts)
            return
        with self.file.open("rb") as file:
            while data := file.read(1 << 18):
                yield data


def newest(software: str, operating_system: str, architecture: str) -> tuple[str, bytes] | None:
    """Return version and content of what AWS would have offered, None where there is no simulated build."""
    if (operating_system, architecture) not in UPDATE_TARGETS:
        return None
    if software == "ota_agent":
        return LATEST_AGENT, agent_build(LATEST_AGENT)
    version = versions.text(versions.LATEST)
    platform = Platform(architecture=architecture, operating_system=operating_system)
    return version, core_build(version, platform)


def read_offers(path: Path) -> Sequence[Offer]:
    """Read ``updates.yaml``. Raises InvalidDefinitionError with its place, UsageError."""
    entries = Place.load(path).mapping(("updates",))["updates"].items()
    return [offer for entry in entries for offer in _offers(entry)]


def _offers(entry: Place) -> Iterator[Offer]:
    got = entry.mapping(("version",), ("software", "for", "starts", "file"))
    if "file" in got and "starts" in got:
        got["starts"].fail("says something of a simulated build, and file names a build of yours")
    software = got["software"].choice(("core", "ota_agent")) if "software" in got else "core"
    for pair in [place.choice(PAIRS) for place in got["for"].items()] if "for" in got else PAIRS:
        system, _, architecture = pair.partition("/")
        yield Offer(
            software=software,
            operating_system=system,
            architecture=architecture,
            version=got["version"].text(*VERSION),
            starts=got["starts"].flag() if "starts" in got else True,
            file=existing(got["file"], folder=False) if "file" in got else None,
        )
