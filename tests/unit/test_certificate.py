"""The certificate: what is judged true, emulated and not faithful, and the bytes it is read from."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from edge_sim.agent.certificate import cgroup_version, observe, read_claims
from edge_sim.agent.elf import elf_header
from edge_sim.arch import Elf
from edge_sim.certificate import EM_ARM, Claims, Observed, judge, summary
from edge_sim.errors import UsageError
from edge_sim.jsonobject import JsonObject
from edge_sim.profiles import list_profiles, load_profile

SOFT, HARD = 0x5000200, 0x5000400  # of Debian's armel and armhf /usr/bin/python3.11
HOST_CPUINFO = {"vendor_id": "AuthenticAMD", "model name": "AMD EPYC"}
DEBIAN = {"ID": "debian", "VERSION_ID": "12"}


def claims(name: str) -> Claims:
    return Claims.from_json(JsonObject(asdict(load_profile(name))))


def real(name: str, cpuinfo: dict[str, str], flags: int = HARD) -> Observed:
    """The board that the profile describes, itself."""
    said = claims(name)
    return Observed(
        machine=said.architecture, kernel=said.kernel, cpuinfo=cpuinfo, elf=Elf(machine=EM_ARM, flags=flags),
        emulator=None, page_size=4096, libc=said.libc, libc_version=said.libc_version, os_release=said.os_release,
        base_release=said.os_release, users=said.users, groups=said.groups, set_id=True, set_id_reason="",
        links={"protected_hardlinks": "1", "protected_symlinks": "1"}, umask=said.umask, cgroup="v1",
        memory_kib=said.memory_kib * 9 // 10, memory_limit_kib=None, cpus=said.cpus, cpu_quota=None,
    )  # fmt: skip


ZERO = real("raspberry-pi-zero-w", {"CPU architecture": "7", "model name": "ARMv6-compatible processor rev 7 (v6l)"})
ROUTER = real("openwrt-armv7", {"CPU architecture": "7", "model name": "ARMv7 Processor rev 1 (v7l)"})
IN_QEMU = replace(
    ZERO, kernel="6.1.0", cpuinfo=HOST_CPUINFO, elf=Elf(machine=EM_ARM, flags=SOFT), emulator="qemu-arm-static",
    libc_version="2.36", base_release=DEBIAN, set_id=False, set_id_reason="qemu-arm-static is without C",
    memory_kib=24_000_000, memory_limit_kib=524288, cpus=2, cpu_quota=1.0,
)  # fmt: skip


def verdicts(name: str, seen: Observed) -> dict[str, str]:
    return {row.fact: row.verdict for row in judge(claims(name), seen)}


def test_the_real_board_is_true_in_everything() -> None:
    for name, seen in (("raspberry-pi-zero-w", ZERO), ("openwrt-armv7", ROUTER)):
        assert set(verdicts(name, seen).values()) == {"true"}, judge(claims(name), seen)


def test_an_armel_container_under_qemu_is_no_pi_zero() -> None:
    assert verdicts("raspberry-pi-zero-w", IN_QEMU) == {
        "uname -m": "emulated",
        "cpuinfo": "not faithful",
        "ELF machine": "true",
        "float ABI": "not faithful",
        "page size": "emulated",
        "libc": "true",
        "libc version": "not faithful",
        "os-release": "emulated",
        "user land": "not faithful",
        "groups": "true",
        "users": "true",
        "set-id bits": "not faithful",
        "protected_hardlinks": "true",
        "protected_symlinks": "true",
        "umask": "true",
        "kernel": "not faithful",
        "cgroups": "true",
        "a build's limits": "not faithful",
        "memory": "emulated",
        "cpus": "emulated",
    }


def test_debian_standing_in_for_openwrt_is_told_by_its_libc() -> None:
    seen = replace(ROUTER, libc="glibc", libc_version="2.36", base_release=DEBIAN)
    rows = {row.fact: row for row in judge(claims("openwrt-armv7"), seen)}
    assert (rows["libc"].verdict, rows["libc"].reason) == ("not faithful", "glibc instead of musl")
    assert "libc version" not in rows
    assert rows["user land"].actual == "debian 12"


@pytest.mark.parametrize(
    ("fact", "change"),
    [
        ("uname -m", {"machine": "armv7l"}),
        ("cpuinfo", {"cpuinfo": {"CPU architecture": "8"}}),
        ("ELF machine", {"elf": None}),
        ("float ABI", {"elf": Elf(machine=EM_ARM, flags=SOFT)}),
        ("page size", {"page_size": 16384}),
        ("libc version", {"libc_version": None}),
        ("os-release", {"os_release": DEBIAN, "base_release": {}}),
        ("groups", {"groups": {**ZERO.groups, "render2": 1234}}),
        ("groups", {"groups": {**ZERO.groups, "video": 45}}),
        ("users", {"users": {"root": (0, 0)}}),
        ("set-id bits", {"set_id": None, "set_id_reason": "not checked: no program is available to try it with"}),
        ("protected_symlinks", {"links": {"protected_hardlinks": "1"}}),
        ("umask", {"umask": 0o077}),
        ("kernel", {"kernel": "6.1.0"}),
        ("cgroups", {"cgroup": "v2"}),
        ("memory", {"memory_kib": 2 * ZERO.memory_kib}),
        ("memory", {"memory_kib": 24_000_000, "memory_limit_kib": 4096}),
        ("cpus", {"cpus": 4}),
        ("cpus", {"cpus": 4, "cpu_quota": 0.5}),
    ],
)
def test_one_difference_is_one_fact_that_is_not_faithful(fact: str, change: dict[str, object]) -> None:
    seen = replace(ZERO, **change)  # type: ignore[arg-type]
    wrong = [row for row in judge(claims("raspberry-pi-zero-w"), seen) if row.verdict != "true"]
    assert fact in [row.fact for row in wrong]
    assert all(row.verdict == "not faithful" and row.reason for row in wrong)
    assert len(wrong) <= 2  # without an ELF header there is no float ABI either


def test_soft_float_openwrt_claims_soft_float() -> None:
    said = replace(claims("openwrt-armv7"), os_release={"ID": "openwrt", "OPENWRT_ARCH": "arm_xscale"})
    rows = {row.fact: row for row in judge(said, replace(ROUTER, elf=Elf(machine=EM_ARM, flags=SOFT)))}
    assert (rows["float ABI"].claimed, rows["float ABI"].verdict) == ("soft", "true")


def test_the_summary_counts_and_names() -> None:
    rows = judge(claims("raspberry-pi-zero-w"), replace(IN_QEMU, kernel=ZERO.kernel))
    told = (
        "true: 9, emulated: 5, not faithful: cpuinfo, float ABI, libc version, user land, set-id bits, a build's limits"
    )
    assert summary(rows) == told
    assert summary([]) == "true: 0, emulated: 0, not faithful: 0"


@pytest.mark.parametrize("name", list_profiles())
def test_every_profile_can_be_judged(name: str) -> None:
    assert all(row.claimed for row in judge(claims(name), IN_QEMU))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"architecture": "x"}', "null"])
def test_what_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_claims(text)


def test_an_elf_header_is_read_in_both_sizes_and_orders(tmp_path: Path) -> None:
    def header(bits: int, order: int, machine: int, flags: int) -> bytes:
        mark = "<" if order == 1 else ">"
        head = bytearray(b"\x7fELF" + bytes([bits, order]) + bytes(58))
        struct.pack_into(f"{mark}H", head, 18, machine)
        struct.pack_into(f"{mark}I", head, 36 if bits == 1 else 48, flags)
        return bytes(head)

    for content, found in (
        (header(1, 1, EM_ARM, HARD), Elf(machine=EM_ARM, flags=HARD)),
        (header(1, 2, EM_ARM, SOFT), Elf(machine=EM_ARM, flags=SOFT)),
        (header(2, 1, 183, 0), Elf(machine=183, flags=0)),
        (b"#!/bin/sh\n" + bytes(60), None),
        (b"\x7fELF", None),
    ):
        (tmp_path / "program").write_bytes(content)
        assert elf_header(tmp_path / "program") == found
    assert elf_header(tmp_path / "nothing") is None


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("3:memory:/docker/1\n2:devices:/\n0::/\n", "v1"),
        ("4:cpu,cpuacct:/\n3:memory,devices:/\n", "v1"),
        ("0::/user.slice/x:y\n", "v2"),
        ("1:name=systemd:/\n0::/\n", "v2"),
        ("", "none"),
    ],
)
def test_the_control_groups_version(text: str, version: str) -> None:
    assert cgroup_version(text) == version


@pytest.mark.process
def test_this_machine_is_observed_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "etc/group").write_text("root:x:0:\nodd:x:4711:\n")
    (tmp_path / "etc/os-release").write_text("ID=\"openwrt\"\nVERSION_ID='19.07.7'\n# a comment\n")
    seen = observe(tmp_path)
    assert (seen.machine, seen.kernel) == (os.uname().machine, os.uname().release)
    assert (seen.emulator, seen.groups, seen.users) == (None, {"root": 0, "odd": 4711}, {})
    assert (seen.os_release["ID"], seen.os_release["VERSION_ID"], seen.base_release) == ("openwrt", "19.07.7", {})
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.process
def test_the_c_library_is_the_boards_not_that_of_an_agent_with_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    getconf = tmp_path / "getconf"
    getconf.write_text("#!/bin/sh\necho $1 | sed 's/GNU_LIBC_VERSION/glibc 2.31/'\n", encoding="ascii")
    getconf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    seen = observe(tmp_path)
    assert (seen.libc, seen.libc_version) == ("glibc", "2.31")


@pytest.mark.process
def test_the_agents_verb_prints_rows(tmp_path: Path) -> None:
    profile = subprocess.run(
        [sys.executable, "-m", "edge_sim.cli.main", "profiles", "show", "raspberry-pi-3", "--format", "json"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    done = _agent("--root", str(tmp_path), "--expect", profile)
    rows = json.loads(done.stdout)["certificate"]
    assert done.returncode == 0
    assert {tuple(row) for row in rows} == {("fact", "claimed", "found", "verdict", "reason")}
    assert {row["verdict"] for row in rows} <= {"true", "emulated", "not faithful"}
    refused = _agent("--root", str(tmp_path), "--expect", "{}")
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)


def _agent(*options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "edge_sim.cli.main", "agent", "certificate", *options]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
