"""What about a board is true: a profile's claims, what was found there, and the verdict on each. Pure.

    device profile ──Claims──┐
                             ├──judge──► rows ──summary──► one line for a report
    the board ──Observed─────┘

``agent.certificate`` finds out on the board, ``emulation.doctor`` asks a board for its rows. *true*: as on the real
board. *emulated*: a program that only looks sees the right answer, given by QEMU, a limit or a file of ours. *not
faithful*: another answer than the real board's, or one that could not be checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_sim.arch import ARCHITECTURES, Elf
from edge_sim.errors import UsageError
from edge_sim.jsonobject import JsonObject

Verdict = Literal["true", "emulated", "not faithful"]
VERDICTS: tuple[Verdict, ...] = ("true", "emulated", "not faithful")
EM_ARM = 40
_EF_ARM_ABI_FLOAT_SOFT, _EF_ARM_ABI_FLOAT_HARD = 0x200, 0x400
_MACHINES = {3: "386", EM_ARM: "ARM", 62: "x86-64", 183: "AArch64"}
LINK_PROTECTION = ("protected_hardlinks", "protected_symlinks")
"""Below /proc/sys/fs. Without both a core runs only with ``-i``, insecurely: developer guide, what-is-gg.md."""
PAGE_SIZE = 4096
"""Bytes. Inferred: armv6l, armv7l and x86_64 have no other, and the aarch64 kernels of V1's systems chose it."""
CGROUP = "v1"
"""Containers need the memory and devices cgroups mounted (developer guide, what-is-gg.md): version 1, we infer."""
_KERNELS_SHARE = 0.25
"""How much of a real board's memory its kernel and video keep from MemTotal, at most."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """The part of a device profile that can be compared with a board."""

    architecture: str
    operating_system: str
    os_release: Mapping[str, str]
    libc: str
    libc_version: str
    kernel: str
    memory_kib: int
    cpus: int
    umask: int
    users: Mapping[str, tuple[int, int]]
    groups: Mapping[str, int]

    @classmethod
    def from_json(cls, profile: JsonObject) -> Claims:
        """Return the claims of a profile as ``edge-sim profiles show NAME --format json`` prints it.

        Raises UsageError when it is something else.
        """
        try:
            users, groups, release = (profile.child(key) for key in ("users", "groups", "os_release"))
            return cls(
                users={name: _ids(users.child(name)) for name in users},
                groups={name: groups.number(name) for name in groups},
                os_release={key: release.text(key) for key in release},
                architecture=profile.text("architecture"),
                operating_system=profile.text("operating_system"),
                libc=profile.text("libc"),
                libc_version=profile.text("libc_version"),
                kernel=profile.text("kernel"),
                memory_kib=profile.number("memory_kib"),
                cpus=profile.number("cpus"),
                umask=profile.number("umask"),
            )
        except ValueError as error:
            raise UsageError(
                f"the expected board is not a device profile: {error}",
                hint="edge-sim profiles show NAME --format json prints one.",
            ) from error


def _ids(user: JsonObject) -> tuple[int, int]:
    return user.number("uid"), user.number("gid")


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What was found on a board. None: it could not be found out.

    ``emulator`` is the program that runs the board's programs, if any. ``base_release`` is what the packages call
    themselves (/usr/lib/os-release), ``os_release`` what /etc says. ``set_id`` is whether a set-group-id program got
    its group, with ``set_id_reason`` when not. ``memory_limit_kib`` and ``cpu_quota`` are the control group's.
    """

    machine: str
    kernel: str
    cpuinfo: Mapping[str, str]
    elf: Elf | None
    emulator: str | None
    page_size: int
    libc: str
    libc_version: str | None
    os_release: Mapping[str, str]
    base_release: Mapping[str, str]
    users: Mapping[str, tuple[int, int]]
    groups: Mapping[str, int]
    set_id: bool | None
    set_id_reason: str
    links: Mapping[str, str | None]
    umask: int
    cgroup: str
    memory_kib: int
    memory_limit_kib: int | None
    cpus: int
    cpu_quota: float | None


@dataclass(frozen=True, kw_only=True)
class CertificateRow:
    """One fact of the certificate. ``claimed`` is the profile's, or where a constant above says so, V1's.

    ``actual`` is the board's: ``found`` in JSON, as in every report.
    """

    fact: str
    claimed: str
    actual: str
    verdict: Verdict
    reason: str = ""

    def as_json(self) -> dict[str, str]:
        return {"found" if name == "actual" else name: value for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, row: JsonObject) -> CertificateRow:
        """Return the row that ``as_json`` was made from; raises ValueError for anything else."""
        return cls(
            fact=row.text("fact"),
            claimed=row.text("claimed"),
            actual=row.text("found"),
            verdict=row.word("verdict", VERDICTS),
            reason=row.text("reason"),
        )


def judge(claims: Claims, observed: Observed) -> list[CertificateRow]:
    """Return the certificate, always in the same order."""
    return [
        *_processor(claims, observed),
        *_programs(claims, observed),
        *_accounts(claims, observed),
        *_kernel(claims, observed),
    ]


def summary(rows: Iterable[CertificateRow]) -> str:
    """Return the certificate in one line: ``true: 8, emulated: 2, not faithful: libc, kernel``."""
    by_verdict: dict[str, list[str]] = {verdict: [] for verdict in VERDICTS}
    for row in rows:
        by_verdict[row.verdict].append(row.fact)
    counts = [f"{verdict}: {len(by_verdict[verdict])}" for verdict in VERDICTS[:2]]
    return ", ".join([*counts, f"not faithful: {', '.join(by_verdict['not faithful']) or '0'}"])


def _row(fact: str, claimed: str, actual: str, reason: str, *, emulator: str | None = None) -> CertificateRow:
    """Return the row of a fact that is right when it is the same; ``reason`` is for the other case."""
    if claimed != actual:
        return CertificateRow(fact=fact, claimed=claimed, actual=actual, verdict="not faithful", reason=reason)
    if emulator:
        return CertificateRow(
            fact=fact, claimed=claimed, actual=actual, verdict="emulated", reason=f"{emulator} says so"
        )
    return CertificateRow(fact=fact, claimed=claimed, actual=actual, verdict="true")


def _processor(claims: Claims, observed: Observed) -> Iterable[CertificateRow]:
    ours = claims.architecture
    yield _row(
        "uname -m", ours, observed.machine, "its programs are built for another processor", emulator=observed.emulator
    )
    text, family = observed.cpuinfo, _family(observed.cpuinfo)
    name = text.get("Model") or text.get("model name") or text.get("Hardware") or "unnamed"
    machine = family if family == ours else f"{family} ({name})"
    yield _row("cpuinfo", ours, machine, "/proc/cpuinfo is this machine's", emulator=observed.emulator)
    expected, elf = ARCHITECTURES[ours].elf_machine, observed.elf
    actual = _MACHINES.get(elf.machine, str(elf.machine)) if elf else "unreadable"
    yield _row("ELF machine", _MACHINES[expected], actual, "the board's own programs are not used here")
    if expected == EM_ARM:
        reason = "programs built for the board do not start here, and the other way round"
        if elf and elf.flags & _EF_ARM_ABI_FLOAT_SOFT and ours == "armv6l":
            reason = f"Debian armel (soft float) stands in for {claims.operating_system}'s hard float on ARMv6"
        yield _row("float ABI", _claimed_float(claims), _found_float(elf), reason)
    page = f"pages of {observed.page_size} bytes"
    yield _row("page size", str(PAGE_SIZE), str(observed.page_size), page, emulator=observed.emulator)


def _family(cpuinfo: Mapping[str, str]) -> str:
    """Return whose /proc/cpuinfo it is. On ARMv6 "CPU architecture" says 7, so the name's ending counts first."""
    if "vendor_id" in cpuinfo:
        return "x86_64"
    for ending, family in (("(v6l)", "armv6l"), ("(v7l)", "armv7l"), ("(v8l)", "armv8l")):
        if cpuinfo.get("model name", "").endswith(ending):
            return family
    return "aarch64" if cpuinfo.get("CPU architecture") == "8" else "unknown"


def _claimed_float(claims: Claims) -> str:
    """Raspbian is hard float on ARMv6 and ARMv7. OpenWrt is where its architecture names a unit (inferred)."""
    openwrt = claims.os_release.get("OPENWRT_ARCH")
    return "hard" if openwrt is None or any(unit in openwrt for unit in ("vfp", "neon")) else "soft"


def _found_float(elf: Elf | None) -> str:
    if elf is None or elf.machine != EM_ARM:
        return "none"
    return "hard" if elf.flags & _EF_ARM_ABI_FLOAT_HARD else "soft"


def _programs(claims: Claims, observed: Observed) -> Iterable[CertificateRow]:
    same = claims.libc == observed.libc
    yield _row("libc", claims.libc, observed.libc, f"{observed.libc} instead of {claims.libc}")
    if same:
        yield _row(
            "libc version", claims.libc_version, observed.libc_version or "unknown",
            f"{observed.libc} {observed.libc_version} instead of {claims.libc_version}: other symbols, other faults",
        )  # fmt: skip
    claimed, base = release(claims.os_release), release(observed.base_release)
    overlay = "a file of ours" if base != "unknown" and base != claimed else None
    yield _row("os-release", claimed, release(observed.os_release), "another system's", emulator=overlay)
    if overlay:
        yield _row("user land", claimed, base, f"the programs are those of {base}")


def release(fields: Mapping[str, str]) -> str:
    """Return an os-release as "raspbian 10"."""
    return " ".join(filter(None, (fields.get("ID"), fields.get("VERSION_ID")))) or "unknown"


def _accounts(claims: Claims, observed: Observed) -> Iterable[CertificateRow]:
    yield _table("groups", claims.groups, observed.groups)
    yield _table("users", claims.users, observed.users)
    answer = {True: "honoured", False: "ignored", None: "not checked"}[observed.set_id]
    yield _row("set-id bits", "honoured", answer, observed.set_id_reason)


def _table(fact: str, claimed: Mapping[str, object], actual: Mapping[str, object]) -> CertificateRow:
    """Names that the board should not have count as well: a definition could use them."""
    wrong = sorted(name for name in {*claimed, *actual} if claimed.get(name) != actual.get(name))
    summary = f"{len(actual)}, as claimed" if not wrong else f"{len(actual)}, other: {_some(wrong)}"
    verdict: Verdict = "not faithful" if wrong else "true"
    reason = "missing, unknown to the profile, or with other ids" if wrong else ""
    return CertificateRow(fact=fact, claimed=f"{len(claimed)}", actual=summary, verdict=verdict, reason=reason)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _kernel(claims: Claims, observed: Observed) -> Iterable[CertificateRow]:
    for name in LINK_PROTECTION:
        yield _row(
            name,
            "1",
            observed.links.get(name) or "unknown",
            "this machine's sysctl; with 0 a core runs only in insecure mode",
        )
    yield _row("umask", f"{claims.umask:04o}", f"{observed.umask:04o}", "files get different modes")
    yield _row("kernel", claims.kernel, observed.kernel, "this machine's kernel")
    yield _row("cgroups", CGROUP, observed.cgroup, "a core needs the memory and devices hierarchies for its containers")
    yield _row(
        "a build's limits", "kept", "not kept" if observed.emulator else "kept",
        f"{observed.emulator}: memory and processes of an update's core are not limited, and the processes that it "
        "leaves behind can be found only by their environment",
    )  # fmt: skip
    yield _memory(claims, observed)
    yield _cpus(claims, observed)


def _memory(claims: Claims, observed: Observed) -> CertificateRow:
    claimed, total = f"{claims.memory_kib // 1024} MiB", f"{observed.memory_kib // 1024} MiB"
    if claims.memory_kib * (1 - _KERNELS_SHARE) <= observed.memory_kib <= claims.memory_kib:
        return CertificateRow(fact="memory", claimed=claimed, actual=total, verdict="true")
    if observed.memory_limit_kib == claims.memory_kib:
        reason = f"a control group's limit; /proc/meminfo shows {total}"
        return CertificateRow(fact="memory", claimed=claimed, actual=claimed, verdict="emulated", reason=reason)
    limit = observed.memory_limit_kib
    actual = total if limit is None else f"{limit // 1024} MiB"
    return CertificateRow(
        fact="memory", claimed=claimed, actual=actual, verdict="not faithful", reason="not the board's limit"
    )


def _cpus(claims: Claims, observed: Observed) -> CertificateRow:
    quota = observed.cpu_quota
    if quota == claims.cpus != observed.cpus:
        reason = f"a control group's quota; programs see {observed.cpus}"
        return CertificateRow(
            fact="cpus", claimed=str(claims.cpus), actual=f"{quota:g}", verdict="emulated", reason=reason
        )
    usable = observed.cpus if quota is None else min(float(observed.cpus), quota)
    return _row("cpus", str(claims.cpus), f"{usable:g}", "as many as this machine has")
