"""What to do where Docker, QEMU or a base is missing: a checkout has scripts for it, an installed edge-sim has not."""

from __future__ import annotations

import sys
from pathlib import Path

_CHECKOUT = (Path(__file__).resolve().parents[3] / ".ci/engine").is_file()
ENGINE = ".ci/engine" if _CHECKOUT else "apt-get install docker.io iptables, then start dockerd"
"""As root on Debian: an engine that answers."""
INTERPRETERS = (
    "apt-get install qemu-user-static, then .ci/engine"
    if _CHECKOUT
    else "apt-get install qemu-user-static binfmt-support"
)
"""As root on Debian: other processors' programs run."""
MMDEBSTRAP = ".ci/engine" if _CHECKOUT else "apt-get install mmdebstrap arch-test qemu-user-static binfmt-support"
"""As root on Debian: bases can be made."""
BASES = "make base-images" if _CHECKOUT else f"{sys.executable} -m edge_sim.emulation.containers.baseimages"
"""The command that makes bases, without a registry."""
