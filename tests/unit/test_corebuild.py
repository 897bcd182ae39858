"""Core builds: the same bytes each time, V1's layout and lines, and shell that every board's sh understands."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from edge_sim.agent.elf import elf_header, interpreter
from edge_sim.arch import ARCHITECTURES, UPDATE_TARGETS
from edge_sim.emulation.corebuild import core_build
from edge_sim.emulation.platform import Platform
from edge_sim.errors import UsageError
from tests import needs
from tests.factory import install_core

SHELLS = [
    pytest.param(
        argv,
        marks=needs.program(argv[0]),
    )
    for argv in (["dash"], ["busybox", "ash"], ["bash", "--posix"])
]


def test_a_build_is_the_same_every_time_and_another_for_another_version() -> None:
    assert core_build("1.11.6") == core_build("1.11.6")
    assert len({core_build("1.11.6"), core_build("1.11.5"), core_build("1.11.6", starts=False)}) == 3


def test_a_build_has_v1s_layout_with_directory_entries() -> None:
    with tarfile.open(fileobj=io.BytesIO(core_build("1.11.6"))) as archive:
        members = [(m.name, m.isdir(), oct(m.mode)) for m in archive]
    assert members == [
        ("packages", True, "0o755"),
        ("packages/1.11.6", True, "0o755"),
        ("packages/1.11.6/bin", True, "0o755"),
        ("packages/1.11.6/bin/daemon", False, "0o755"),
        ("packages/1.11.6/greengrassd", False, "0o755"),
        ("packages/1.11.6/release_notes_1.11.6.html", False, "0o644"),
    ]


@pytest.mark.parametrize("version", ["", "1", "1.2", "1.2.3/../..", "1.2.3; rm -rf", "1.2.x", "१.2.3"])
def test_what_is_no_version_makes_no_build(version: str) -> None:
    with pytest.raises(UsageError, match="not three numbers"):
        core_build(version)


def test_a_new_board_has_the_factory_files(tmp_path: Path) -> None:
    install_core(tmp_path, "/opt/greengrass", "1.10.0", thing_arn="arn:x", use_systemd=False)
    gg = tmp_path / "opt/greengrass"
    config = json.loads((gg / "config/config.json").read_text())
    assert config["coreThing"]["thingArn"] == "arn:x"
    assert config["runtime"] == {"cgroup": {"useSystemd": "no"}, "allowFunctionsToRunAsRoot": "no"}
    assert json.loads((gg / "ggc/deployment/group/group.json").read_text())["Version"] == "test group version"
    assert (gg / "ggc/core").readlink() == Path("packages/1.10.0")


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
def test_greengrassd_says_what_v1s_says(tmp_path: Path, shell: list[str]) -> None:
    install_core(tmp_path, "/greengrass", "1.10.0")
    started = _run(tmp_path, shell, "start")
    try:
        assert [re.sub(r"\d+$", "N", line) for line in started.stdout.splitlines()] == [
            "Setting up greengrass daemon",
            "Validating hardlink/softlink protection",
            "Waiting for up to 30s for Daemon to start",
            "Greengrass successfully started with PID: N",
        ]
        pid = started.stdout.split()[-1]
        assert (tmp_path / "var/run/greengrassd.pid").read_text().strip() == pid
        state = json.loads((tmp_path / "greengrass/ggc/var/state/core.json").read_text())
        assert (state["version"], str(state["pid"])) == ("1.10.0", pid)
        assert "already running" in _run(tmp_path, shell, "start").stdout
        assert _run(tmp_path, shell, "--version").stdout == "1.10.0\n"
    finally:
        stopped = _run(tmp_path, shell, "stop")
    assert stopped.stdout.splitlines() == [
        f"Stopping greengrass daemon of PID: {pid}",
        "Waiting..",
        "Stopped greengrass daemon, exiting with success",
    ]
    assert (started.returncode, stopped.returncode) == (0, 0)


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
def test_a_broken_build_does_not_start_and_says_why(tmp_path: Path, shell: list[str]) -> None:
    install_core(tmp_path, "/greengrass", "1.10.0")
    with tarfile.open(fileobj=io.BytesIO(core_build("1.10.0", starts=False))) as archive:
        daemon = archive.extractfile("packages/1.10.0/bin/daemon")
        assert daemon is not None
        (tmp_path / "greengrass/ggc/core/bin/daemon").write_bytes(daemon.read())
    done = _run(tmp_path, shell, "start")
    assert done.returncode == 1
    assert "this build is broken on purpose" in done.stdout
    assert re.search(r"The Greengrass daemon process with \[pid = \d+\] died\.", done.stdout)


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("said", "limit"), [("90000", 90), ("1500", 2), ('"soon"', 30)])
def test_greengrassd_waits_as_long_as_the_boards_config_says(
    tmp_path: Path, shell: list[str], said: str, limit: int
) -> None:
    install_core(tmp_path, "/greengrass", "1.10.0")
    config = tmp_path / "greengrass/config/config.json"
    config.write_text(
        config.read_text().replace('"runtime": {', f'"runtime": {{"postStartHealthCheckTimeout": {said},')
    )
    try:
        assert f"Waiting for up to {limit}s for Daemon to start" in _run(tmp_path, shell, "start").stdout
    finally:
        _run(tmp_path, shell, "stop")


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("path", ["log/crash.log", "state/core.json.new"])
def test_a_core_runs_where_one_of_its_files_alone_cannot_be_written(
    tmp_path: Path, shell: list[str], path: str
) -> None:
    """It was never ready in the eyes of greengrassd, which killed it after half a minute, again and again."""
    install_core(tmp_path, "/greengrass", "1.10.0")
    (tmp_path / "greengrass/ggc/var" / path).mkdir(parents=True)
    (tmp_path / "greengrass/ggc/var" / path / "in-it").touch()
    started = _run(tmp_path, shell, "start")
    assert started.returncode == 0, started.stdout
    pid = int(started.stdout.split()[-1])
    try:
        assert b"bin/daemon" in Path(f"/proc/{pid}/cmdline").read_bytes()
    finally:
        _run(tmp_path, shell, "stop")


def _run(root: Path, shell: list[str], verb: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which(shell[0])
    assert program is not None
    path = "/usr/bin:/bin"
    if shell[0] == "busybox":  # and nothing but its own tools
        path = str(root / "tools")
        (root / "tools").mkdir(exist_ok=True)
        subprocess.run([program, "--install", "-s", path], check=True, timeout=60)
    return subprocess.run(
        [program, *shell[1:], str(root / "greengrass/ggc/core/greengrassd"), verb],
        env={
            "PATH": path,
            "GREENGRASS_ROOT": str(root / "greengrass"),
            "GREENGRASS_PID_DIRECTORY": str(root / "var/run"),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("operating_system", "architecture"), sorted(UPDATE_TARGETS))
def test_a_build_for_a_platform_holds_a_program_that_says_so(
    operating_system: str, architecture: str, tmp_path: Path
) -> None:
    platform = Platform(architecture=architecture, operating_system=operating_system)
    with tarfile.open(fileobj=io.BytesIO(core_build("1.11.6", platform))) as archive:
        member = archive.extractfile("packages/1.11.6/bin/platform")
        assert member is not None
        program = tmp_path / "platform"
        program.write_bytes(member.read())
    header = elf_header(program)
    assert header is not None
    assert header.machine == ARCHITECTURES[architecture].elf_machine
    assert interpreter(program) == platform.loader
    assert ("musl" in platform.loader) == (operating_system == "openwrt")


def test_the_loader_of_this_machines_own_programs_is_read() -> None:
    assert Path(interpreter(Path("/bin/sh").resolve())).name.startswith("ld-")
    assert interpreter(Path(__file__)) == ""
