"""Releases of the OTA agent to update to: the agent's own program with another version number.

AWS's agent is closed source. A release is what runs on a board anyway, under ``ota/ota_agent_v<version>`` as V1 had it,
with a program ``ggc-ota`` that starts it. The archive is the same, byte for byte, for the same version and program.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge_sim import folders
from edge_sim.emulation.corebuild import Member, archive_of, check_version

START = """#!/bin/sh
# Starts an OTA agent of edge_sim's; AWS's is a binary.
HERE=$(cd "$(dirname "$0")" && pwd -P) || exit 1
export OTA_AGENT="$HERE"
export PYTHONPATH="$HERE${PYTHONPATH:+:$PYTHONPATH}"
exec "${EDGE_SIM_PYTHON:-python3}" -c '
import os, sys
sys.path[0] = os.environ["OTA_AGENT"]  # not the working directory, which may hold another agent
from edge_sim.agent.program import main
main()' "$@"
"""
BROKEN_START = """#!/bin/sh
echo "ggc-ota: fatal: this build is broken on purpose" >&2
exit 1
"""
_PACKAGE = Path(__file__).parents[1]
_PARTS = ("agent", "greengrass", "jobs")
"""Beside the modules of the package itself: what an agent is made of."""


def agent_build(version: str, *, starts: bool = True) -> bytes:
    """Return a release of the OTA agent; with ``starts=False`` one whose program ends at once.

    Raises UsageError when ``version`` is not three numbers with dots between them.
    """
    check_version(version, "OTA agent")
    return archive_of(_members(version, starts=starts))


def _members(version: str, *, starts: bool) -> Iterator[Member]:
    base = f"ota/ota_agent_v{version}"
    yield "ota", 0o755, None
    yield base, 0o755, None
    yield f"{base}/ggc-ota", 0o755, (START if starts else BROKEN_START).encode()
    yield f"{base}/edge_sim", 0o755, None
    for path in _files():
        name = f"{base}/edge_sim/{path.relative_to(_PACKAGE)}"
        if path.is_dir():
            yield name, 0o755, None
        elif path == _PACKAGE / "agent/version.py":
            yield name, 0o644, f'VERSION = "{version}"\n'.encode()
        else:
            yield name, 0o644, path.read_bytes()


def _files() -> Iterator[Path]:
    yield from sorted(path for path in _PACKAGE.glob("*.py"))
    for part in _PARTS:
        yield _PACKAGE / part
        yield from (path for path in folders.below(_PACKAGE / part) if "__pycache__" not in path.parts)
