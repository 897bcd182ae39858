"""This process's mounts below a path: other programs (a Docker engine) mount and unmount beside the tests."""

from __future__ import annotations

from pathlib import Path


def below(top: Path) -> list[str]:
    """Return the lines of mountinfo whose mount point, or what is mounted there, lies at or below ``top``."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if any(_inside(place, top) for place in line.split()[3:5])]


def _inside(place: str, top: Path) -> bool:
    return Path(place.encode().decode("unicode_escape")).is_relative_to(top)
