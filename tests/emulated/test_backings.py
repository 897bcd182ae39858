"""What stands behind a board's device nodes, looked at from inside, and input for a program on a board."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_sim.emulation.containers.board import DockerBoard
from edge_sim.scenario import DeviceBacking
from tests.emulated.containers import LIMIT_S, edge_sim, ready

pytestmark = pytest.mark.emulated
PROFILES = ["raspberry-pi-3", "raspberry-pi-4"]
CARD_KIB = 4096
USE_BLOCKS = """
import os, stat
card = os.open("/dev/mmcblk0", os.O_RDWR)
s = os.fstat(card)
print(stat.S_ISBLK(s.st_mode), s.st_gid, oct(stat.S_IMODE(s.st_mode)), os.lseek(card, 0, os.SEEK_END), s.st_rdev)
os.pwrite(card, b"partition table", 1 << 20)
os.fsync(card)
print(os.pread(card, 15, 1 << 20).decode(), os.pread(card, 512, 0) == bytes(512))
"""
READ_FRAMES = """
import sys
with open("/dev/video0", "rb", buffering=0) as camera:
    size, data = int(sys.argv[1]), b""
    while len(data) < size:
        data += camera.read(size - len(data))
print(data.hex())
"""
WRITE = """
import os
try:
    os.write(os.open("/dev/gpiomem", os.O_RDWR), b"x")
except OSError as error:
    print(error.errno)
"""


def attached(name: str) -> list[str]:
    """Return the loop devices whose file was made for a board's container."""
    files = Path("/sys/block").glob("loop*/loop/backing_file")
    return [str(file) for file in files if f"/{name}-" in file.read_text()]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.skipif(not os.access("/dev/loop-control", os.R_OK | os.W_OK), reason="a loop device needs root")
def test_a_block_device_is_the_boards_and_goes_with_it(board_of: Callable[..., DockerBoard], profile: str) -> None:
    board = board_of(profile, devices=[DeviceBacking(path="/dev/mmcblk0", size_kib=CARD_KIB)])
    node = board.facts.paths["/dev/mmcblk0"]
    done = board.exec(["python3", "-c", USE_BLOCKS])
    first, second = done.stdout.splitlines()
    assert first.split()[:4] == ["True", str(node.gid), oct(node.mode), str(CARD_KIB * 1024)], done.stderr
    assert second == "partition table True"
    assert len(attached(board.container)) == 2, "its Greengrass root and its card"
    assert any(f"an empty loop device of {CARD_KIB} KiB" in note for note in board.notes)
    board.close()
    assert attached(board.container) == []


@pytest.mark.parametrize("profile", PROFILES)
def test_frames_come_out_in_order_byte_for_byte(
    board_of: Callable[..., DockerBoard], profile: str, tmp_path: Path
) -> None:
    (tmp_path / "b.raw").write_bytes(b"\x03\x04\r\n\x11\x13\x7f\xff")
    (tmp_path / "a.raw").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "empty").touch()
    frames = (tmp_path / "a.raw").read_bytes() + (tmp_path / "b.raw").read_bytes()
    board = board_of(profile, devices=[DeviceBacking(path="/dev/video0", frames=tmp_path)])
    wanted = (frames * 3)[: 2 * len(frames) + 100]
    done = board.exec(["python3", "-c", READ_FRAMES, str(len(wanted))])
    assert bytes.fromhex(done.stdout) == wanted, done.stderr
    assert board.exec(["stat", "-c", "%U:%G %a", "/dev/video0"]).stdout == "root:video 660\n"


def test_a_device_of_this_machine_has_the_boards_owner_and_mode(board_of: Callable[..., DockerBoard]) -> None:
    board = board_of("raspberry-pi-3", devices=[DeviceBacking(path="/dev/gpiomem", host=Path("/dev/full"))])
    assert board.exec(["python3", "-c", WRITE]).stdout == f"{errno.ENOSPC}\n"
    assert board.exec(["stat", "-c", "%U:%G %a", "/dev/gpiomem"]).stdout == "root:gpio 660\n"
    assert any("/dev/gpiomem: this machine's /dev/full" in note for note in board.notes)


@pytest.mark.parametrize("profile", ["generic-x86_64", "raspberry-pi-3"])
def test_board_exec_hands_input_on_and_board_up_takes_a_device(
    client: Any, cloud: dict[str, str], profile: str
) -> None:
    ready(client, profile)
    name = f"test-{os.getpid()}-input"
    data = os.urandom(1 << 20) + bytes(range(256))
    run = [sys.executable, "-m", "edge_sim.cli.main", "board", "exec"]
    try:
        edge_sim("board", "up", "--profile", profile, "--name", name, "--mqtt", cloud["mqtt"],
                 "--device", "/dev/full:/dev/video0")  # fmt: skip
        back = subprocess.run([*run, "-i", name, "cat"], input=data, capture_output=True, timeout=LIMIT_S, check=True)
        assert back.stdout == data
        none = subprocess.run([*run, name, "--", "cat"], input=data, capture_output=True, timeout=LIMIT_S, check=True)
        assert none.stdout == b"", "without -i a program has no input"
        full = edge_sim("board", "exec", name, "cp", "/etc/os-release", "/dev/video0", check=False)
        assert "No space left" in full.stderr
        assert edge_sim("board", "exec", name, "--", check=False).returncode == 2
        unknown = edge_sim("board", "exec", name, "no-such-program", check=False)
        assert (unknown.returncode, "not found" in unknown.stderr) == (127, True)
    finally:
        edge_sim("board", "down", name)
    assert attached(f"edge-sim-{name}") == []
