"""What ``edge-sim doctor`` says about a machine, and when it ends with 6."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from edge_sim.certificate import CertificateRow
from edge_sim.cli.doctor import certificate_table, table
from edge_sim.emulation import hostchecks
from edge_sim.emulation.containers import engine
from edge_sim.emulation.containers.engine import Interpreter
from edge_sim.emulation.hostchecks import HostCheck, missing


def doctor(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_sim.cli.main", "doctor", *options],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("release", "local", "core"),
    [
        ("6.1.0-18-amd64", "ok", "ok"),
        ("5.8", "ok", "ok"),
        ("5.4.0-150-generic", "missing", "ok"),
        ("4.3.9", "missing", "different"),
        ("3.16.0", "missing", "missing"),
    ],
)
def test_kernels(release: str, local: str, core: str) -> None:
    assert [check.status for check in hostchecks.kernel(release)] == [local, core]


@pytest.mark.parametrize(
    ("text", "found", "status"),
    [("2:memory,devices:/\n", "v1", "ok"), ("0::/init\n", "v2", "different"), ("", "none", "different")],
)
def test_control_groups(tmp_path: Path, text: str, found: str, status: str) -> None:
    (tmp_path / "cgroup").write_text(text)
    check = hostchecks.cgroups(tmp_path / "cgroup")
    assert (check.actual, check.status) == (found, status)


def entry(name: str, flags: str) -> Interpreter:
    return Interpreter(name=name, program="/nowhere/qemu", flags=flags, enabled=True)


@pytest.mark.process
@pytest.mark.parametrize(
    ("entries", "status"),
    [
        ({}, "missing"),
        ({"qemu-arm": entry("qemu-arm", "P")}, "missing"),
        ({"qemu-arm": entry("qemu-arm", "POF")}, "different"),
        ({"qemu-arm": entry("qemu-arm", "OCF")}, "ok"),
    ],
)
def test_interpreters(monkeypatch: pytest.MonkeyPatch, entries: dict[str, Interpreter], status: str) -> None:
    monkeypatch.setattr(engine, "interpreters", lambda: entries)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    checks = {check.check: check for check in hostchecks.interpreters()}
    assert list(checks) == ["qemu-arm", "qemu-aarch64"]
    assert checks["qemu-arm"].status == status
    assert checks["qemu-arm"].needed_for == "docker: armv6l, armv7l"
    assert (checks["qemu-arm"] in missing([*checks.values()], "docker")) == (status == "missing")
    assert missing([*checks.values()], "local") == []


def test_the_processors_own_programs_need_no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "interpreters", dict)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert [check.check for check in hostchecks.interpreters()] == ["qemu-arm", "qemu-x86_64"]


def test_an_engine_elsewhere_has_interpreters_that_are_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "interpreters", dict)
    checks = [
        *hostchecks.interpreters(elsewhere=True),
        *hostchecks.docker({"KernelVersion": "0", "DockerRootDir": "/"}),
    ]
    assert missing(checks, "docker") == []
    assert {check.status for check in checks if check.check.startswith("qemu-")} == {"different"}
    assert "free for Docker" not in [check.check for check in checks]


@pytest.mark.process
def test_without_an_engine_docker_ends_with_6_and_says_what_helps() -> None:
    done = doctor("--driver", "docker", "--format", "json", DOCKER_HOST="unix:///nowhere/docker.sock")
    answer = json.loads(done.stdout)
    row = next(row for row in answer["checks"] if row["check"] == "Docker engine")
    assert (done.returncode, answer["ok"], row["status"]) == (6, False, "missing")
    assert set(row) == {"check", "status", "found", "needed_for", "fix"}
    assert ".ci/engine" in row["fix"]


@pytest.mark.process
def test_local_boards_do_not_need_an_engine() -> None:
    done = doctor("--format", "json", DOCKER_HOST="unix:///nowhere/docker.sock")
    checks = {row["check"]: row for row in json.loads(done.stdout)["checks"]}
    blocked = [name for name, row in checks.items() if row["status"] == "missing" and "local" in row["needed_for"]]
    assert done.returncode == (6 if blocked else 0), done.stdout


def test_without_a_broker_of_its_own_the_machine_is_different(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("edge_sim.process.SBIN", str(tmp_path))
    row = hostchecks.mosquitto()
    assert (row.status, row.needed_for) == ("different", "optional")


def test_too_little_room_is_missing(tmp_path: Path) -> None:
    check = hostchecks.room("free", tmp_path, 2**40, "local", "")
    assert missing([check], "local") == [check]


@pytest.mark.parametrize("terminal", [True, False])
def test_tables_fit_80_columns_on_a_terminal_and_carry_everything(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    long = "word " * 40
    checks = [
        HostCheck(check="a check", status="missing", actual=long, needed_for="docker", fix=long),
        HostCheck(check="another check here", status="ok", actual="x", needed_for="local"),
    ]
    rows = [CertificateRow(fact="libc", claimed="musl", actual="glibc", verdict="not faithful", reason=long)]
    for lines in (list(table(checks)), list(certificate_table(rows))):
        assert (max(map(len, lines)) <= 80) == terminal, "a sentence in a file is one line"
        assert sum(line.count("word") for line in lines) == (80 if lines[0].startswith("check") else 40)


@pytest.mark.process
@pytest.mark.parametrize("options", [["--profile", "no-such-board"], ["--driver", "vm"]])
def test_wrong_names_are_usage_errors(options: list[str]) -> None:
    done = doctor(*options)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


@pytest.mark.process
def test_a_boards_certificate_needs_an_engine() -> None:
    done = doctor("--board", "x", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert (done.returncode, "Traceback" in done.stderr) == (6, False)
    assert "hint:" in done.stderr


@pytest.mark.process
def test_this_machine_is_held_against_what_a_core_needs() -> None:
    done = doctor("--root", "/", "--format", "json")
    needs = {row["fact"]: row for row in json.loads(done.stdout)["requirements"]}
    assert done.returncode == 0, done.stderr
    assert needs["kernel"]["has"] == platform.release()
    assert {"cgroups", "accounts", "python3.8", "tools for updates", "network proxy"} <= needs.keys()
    assert doctor("--root", "/", "--profile", "raspberry-pi-3").returncode == 2
