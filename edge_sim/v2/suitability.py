"""What keeps a nucleus off a board for good, each a sentence: its processor, its C library, its init system.

Sources: V2 guide, setting-up.md (glibc 2.25; the tested processors); aws-greengrass-lite, docs/SETUP.md (systemd 249)
and its build, where armv6 is a compile-time name only. Sudo, Java and memory can be put right; the checks have them.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_sim.facts import HostFacts
from edge_sim.v2.nucleus import Nucleus
from edge_sim.versions import numbers

_GLIBC = (2, 25)


def unsuited(nucleus: Nucleus, facts: HostFacts) -> Iterator[str]:
    """Yield what keeps the nucleus off the board."""
    own = libc(facts) if nucleus.lambdas else init(facts)
    yield from (reason for reason in (architecture(facts), own) if reason)


def architecture(facts: HostFacts) -> str | None:
    """Return why neither nucleus runs on the board's processor."""
    return "the new board is armv6l, which V2 does not support" if facts.architecture == "armv6l" else None


def libc(facts: HostFacts) -> str | None:
    """Return why nucleus classic does not run with the board's C library."""
    if facts.libc != "glibc":
        return f"the new board has {facts.libc}, but nucleus classic needs glibc 2.25 or newer"
    version = numbers(facts.libc_version)
    if version and version < _GLIBC:
        return f"the new board has glibc {facts.libc_version}, but nucleus classic needs 2.25 or newer"
    return None


def init(facts: HostFacts) -> str | None:
    """Return why nucleus lite does not run with the board's init system; systemd's version is not among the facts."""
    if facts.init == "systemd":
        return None
    return f"the new board's init is {facts.init}, but nucleus lite needs systemd 249 or newer"
