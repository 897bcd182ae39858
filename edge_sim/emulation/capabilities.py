"""What this machine lets a local board do, and what would help where it does not.

Nothing is guessed from versions: a board is tried in the best mode first, and what it did (changed an owner,
became another user, mounted) is what it proves. This module chooses the modes and finds words for what failed.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Mode = Literal["root", "mapped", "single", "plain"]
"""``root``: namespaces made by root. ``mapped``: a user namespace with subordinate ids. ``single``: one with our
own id only. ``plain``: no namespaces at all."""

IDS = 65535
"""How many subordinate ids a board needs: 1 to 65535, so that nobody (65534) is among them."""
_NO_NAMESPACE = "a user namespace: "
"""How the error of a board's process begins that was refused one."""
SUBORDINATE = (Path("/etc/subuid"), Path("/etc/subgid"))
_SWITCHES = (
    ("kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
)


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A claim that a run on this board cannot prove, why, and the package or command that helps."""

    claim: Literal["owners", "identities", "mounts"]
    reason: str
    help: str


@dataclass(frozen=True, kw_only=True)
class Proves:
    """What a board's run proves: that files have their owners, that processes have their ids, that mounts work."""

    owners: bool
    identities: bool
    mounts: bool
    missing: tuple[Missing, ...] = ()

    @property
    def everything(self) -> bool:
        return self.owners and self.identities and self.mounts


@dataclass(frozen=True, kw_only=True)
class IdMap:
    """Arguments for newuidmap and newgidmap: triples of inside, outside, count."""

    uids: tuple[int, ...]
    gids: tuple[int, ...]


def modes() -> tuple[Mode, ...]:
    """Return the modes worth trying here, best first."""
    if os.geteuid() == 0:
        return ("root", "plain")
    return ("mapped", "single", "plain") if id_map() else ("single", "plain")


def id_map() -> IdMap | None:
    """Return the map for this user's board, or None without newuidmap or enough subordinate ids."""
    if lacking_ids():
        return None
    uids, gids = (subordinate_ids(file) for file in SUBORDINATE)
    return IdMap(uids=_triples(os.geteuid(), uids), gids=_triples(os.getegid(), gids))


def lacking_ids(files: Sequence[Path] = SUBORDINATE) -> tuple[str, str] | None:
    """Return what keeps this user's boards from having many ids, and what helps: exactly what is missing."""
    lacks = []
    if not (shutil.which("newuidmap") and shutil.which("newgidmap")):
        lacks.append(("newuidmap is not installed", "apt-get install uidmap (Fedora: shadow-utils)"))
    if any(sum(count for _, count in subordinate_ids(file)) < IDS for file in files):
        name = _user_name()
        lacks.append((f"{name} has fewer than {IDS} subordinate ids", f"As root: {add_subordinate_ids(name, files)}"))
    return ("; ".join(why for why, _ in lacks), "; ".join(helps for _, helps in lacks)) if lacks else None


def subordinate_ids(file: Path) -> list[tuple[int, int]]:
    """Return the (first, count) ranges that a subuid or subgid file gives this user, by name or number."""
    uid = os.geteuid()
    names = {str(uid)}
    try:
        names.add(pwd.getpwuid(uid).pw_name)
        lines = file.read_text(encoding="utf-8").splitlines()
    except (KeyError, OSError):
        return []
    ranges = [line.split(":") for line in lines if line.count(":") == 2]
    return [(int(r[1]), int(r[2])) for r in ranges if r[0] in names and r[1].isdigit() and r[2].isdigit()]


def add_subordinate_ids(user: str, files: Sequence[Path] = SUBORDINATE) -> str:
    """Return the command that gives ``user`` ids nobody has: shared ones would open one user's files to another."""
    first = 100000
    for file in files:
        with contextlib.suppress(OSError):
            fields = [line.split(":") for line in file.read_text(encoding="utf-8").splitlines()]
            first = max([first, *(int(f[1]) + int(f[2]) for f in fields if len(f) == 3 and (f[1] + f[2]).isdigit())])
    ids = f"{first}-{first + IDS}"
    return f"usermod --add-subuids {ids} --add-subgids {ids} {user}"


def _triples(own: int, ranges: list[tuple[int, int]]) -> tuple[int, ...]:
    triples = [0, own, 1]
    inside = 1
    for first, count in ranges:
        size = min(count, 65536 - inside)
        if size > 0:
            triples += [inside, first, size]
            inside += size
    return tuple(triples)


def judge(mode: Mode, proven: Mapping[str, bool], failures: Mapping[Mode, str]) -> Proves:
    """Return what a board in ``mode`` proves; ``failures`` are the errors of the better modes tried before."""
    reason, advice = _why_not_better(mode, failures)
    claims: tuple[Literal["owners", "identities", "mounts"], ...] = ("owners", "identities", "mounts")
    return Proves(
        owners=proven["owners"],
        identities=proven["identities"],
        mounts=proven["mounts"],
        missing=tuple(Missing(claim=c, reason=reason, help=advice) for c in claims if not proven[c]),
    )


def _why_not_better(mode: Mode, failures: Mapping[Mode, str]) -> tuple[str, str]:
    attempts = "; ".join(failures.values())
    if mode == "single" and not failures and id_map():
        return "this board was requested with a single id", "Leave the mode to edge-sim."
    if os.geteuid() == 0:
        return (
            f"root is not permitted to do it here ({attempts or 'ids outside the container'})",
            "In Docker: docker run --cap-add SYS_ADMIN --security-opt apparmor=unconfined …",
        )
    for switch, blocked, command in _SWITCHES:
        if mode == "plain" and _sysctl(switch) == blocked:
            return f"this kernel denies user namespaces to ordinary users ({switch})", f"As root: {command}"
    if mode == "plain" and _NO_NAMESPACE in failures.get("single", ""):
        return (
            f"the kernel refuses it here ({failures['single']}), as it does in every chroot and in many containers",
            "Run as root, or outside the chroot or container. (uidmap does not help there.)",
        )
    if lacks := lacking_ids():
        return lacks
    return f"this machine refuses it ({attempts or 'no reason given'})", "Run as root, or in a virtual machine."


def _sysctl(name: str) -> str:
    try:
        return (Path("/proc/sys") / name).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
