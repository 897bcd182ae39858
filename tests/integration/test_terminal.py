"""The command line on a terminal, a pty of 100 columns, and what a pipe gets of the same."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests import needs
from tests.small_group import ml, write_group
from tests.unit.greengrass.build import function

pytestmark = pytest.mark.process
COLUMNS = 100
ARGV = (sys.executable, "-m", "edge_sim.cli.main")
STYLE = re.compile(r"\x1b\[[0-9;]*m")


def on_terminal(*words: str, answer: str = "", **environment: str) -> tuple[int, str]:
    """Return status and everything that edge-sim writes on a terminal, where ``answer`` is typed."""
    child, terminal = pty.fork()
    if child == 0:  # the child only becomes the program
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
        os.execvpe(ARGV[0], [*ARGV, *words], {**os.environ, "TERM": "xterm-256color", **environment})
    os.write(terminal, answer.encode())
    written = b""
    try:
        while chunk := os.read(terminal, 1 << 16):
            written += chunk
    except OSError:
        pass  # the program has ended, and its terminal with it
    finally:
        os.close(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), written.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vaildate"], "Did you mean validate?"),
        (["board", "upp"], "Did you mean up?"),
        (["profiles", "show", "raspbery-pi-3"], "Did you mean raspberry-pi-3?"),
        (["rules", "ml-no-container-versoin"], "Did you mean ml-no-container-version"),
        (["help", "exit-statu"], "Did you mean exit-status?"),
        (["validate", "--profil", "x"], "Did you mean '--profile'?"),
    ],
)
def test_a_slip_has_a_suggestion(words: list[str], said: str) -> None:
    status, written = on_terminal(*words)
    assert (status, said in written) == (2, True), written


@needs.whole_board
@pytest.mark.root
@pytest.mark.network
@pytest.mark.slow
def test_a_terminal_is_drawn_on_and_a_pipe_is_not(tmp_path: Path) -> None:
    write_group(
        tmp_path,
        [ml("birds", "100")],
        [function("reader", ("birds", None))],
        code={"main.py": "def handler(e, c): ..."},
    )
    file = tmp_path / "edge-sim.yaml"
    file.write_text(file.read_text("utf-8").replace("python3.8", "python3.7"), "utf-8")
    words = ("run", str(tmp_path), "--profile", "raspberry-pi-3", "--summary")
    status, written = on_terminal(*words)
    assert status == 0, written
    # Which steps are drawn depends on how long each takes.
    assert re.search(r"\x1b\[2Kraspberry-pi-3 .* [1-5] of 5 +[0-9]+ s  [a-z]", STYLE.sub("", written))
    last = STYLE.sub("", written.rpartition("\x1b[2K")[2])
    assert last.count("\n") < 10, "a summary has the boards' lines, the verdict and the next step"
    assert re.search(r"^raspberry-pi-3 +ok +Success +1 of 1 ", last, re.MULTILINE)
    done = subprocess.run([*ARGV, *words], capture_output=True, text=True, timeout=300, check=True)
    assert "\x1b" not in done.stdout + done.stderr
    assert "raspberry-pi-3: reading the layout (4 of 5)" in done.stderr


@contextmanager
def hanging_up() -> Iterator[tuple[str, list[object]]]:
    """Yield the address of a proxy that hangs up on everybody, and whom it has done that to."""
    callers: list[object] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, caller = listener.accept()
                callers.append(caller)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", callers
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.network
@pytest.mark.parametrize(("answer", "ends", "asks"), [("n", 130, False), ("", 130, False), ("y", 6, True)])
def test_on_real_aws_a_job_is_created_after_a_yes_alone(answer: str, ends: int, asks: bool, tmp_path: Path) -> None:
    build = tmp_path / "core.tar.gz"
    command = (*ARGV, "ota", "build", "--simulated", "good", "--version", "1.11.8", "-o", str(build))
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    words = ("--thing", "core-1", "--for", "raspbian/armv7l", "--build", str(build), "--url", "https://x/b.tar.gz")
    with hanging_up() as (proxy, callers):
        status, written = on_terminal(
            *("ota", "create", "--aws", *words),
            answer=f"{answer}\n",
            AWS_DEFAULT_REGION="eu-west-1",
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_MAX_ATTEMPTS="1",
            HTTPS_PROXY=proxy,
            NO_PROXY="",
            no_proxy="",
        )
        assert status == ends, written
        assert "Create an update job for core-1 on AWS IoT in eu-west-1?" in written
        assert ("Nothing was changed." in written) is not asks
        assert bool(callers) is asks, "whether AWS was called"
