"""The question before a run on a real board: on a terminal of its own, answered, interrupted, and asked of nobody."""

from __future__ import annotations

import os
import pty
import re
import select
import sys

import pytest

from edge_sim.emulation.containers.board import DockerBoard
from tests.emulated.ssh_boards import Ssh, everything
from tests.emulated.test_ssh import debian, pytestmark, quick, ssh, unchanged

__all__ = ["debian", "pytestmark", "quick", "ssh", "unchanged"]
QUESTION = "Run the scenario there, and put everything back afterwards? [y/N]: "
AGAIN_S = 5
INTERRUPT, END_OF_INPUT = b"\x03", b"\x04"


def on_terminal(ssh: Ssh, words: tuple[str, ...], answer: bytes, question: str = QUESTION) -> tuple[int, str]:
    """Run ``edge-sim`` on a terminal, give ``answer`` to its question, and return status and all that was written."""
    environment = {**os.environ, "PATH": f"{ssh.folder}/bin:{os.environ['PATH']}", "TERM": "xterm-256color"}
    child, terminal = pty.fork()
    if child == 0:  # the child only becomes the program
        os.execvpe(sys.executable, [sys.executable, "-m", "edge_sim.cli.main", *words], environment)
    written, asked = b"", False
    try:
        while True:
            silent = select.select([terminal], [], [], AGAIN_S)[0] == []
            if asked and silent and answer == INTERRUPT:  # Python may lose one that comes just before it reads
                os.write(terminal, INTERRUPT)
            written += os.read(terminal, 1 << 16)
            if not asked and question.encode() in written:
                asked = True
                os.write(terminal, answer)
    except OSError:
        pass  # the program has ended, and its terminal with it
    finally:
        os.close(terminal)
    _, status = os.waitpid(child, 0)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.decode()).replace("\r\n", "\n")
    assert asked, text
    return os.waitstatus_to_exitcode(status), text


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"n\n", "Nothing was changed."),
        (b"\n", "Nothing was changed."),
        (b"perhaps\nno\n", "Nothing was changed."),
        (END_OF_INPUT, "Interrupted; everything that was started has been stopped."),
        (INTERRUPT, "Interrupted; everything that was started has been stopped."),
    ],
    ids=["no", "nothing", "perhaps", "end of input", "Ctrl-C"],
)
def test_without_a_yes_nothing_is_changed(ssh: Ssh, debian: DockerBoard, quick: str, answer: bytes, said: str) -> None:
    before = everything(debian)
    status, text = on_terminal(ssh, ("run", quick, "--board", "ssh://debian"), answer)
    assert (status, everything(debian)) == (130, before), text
    shown, _, rest = text.partition(QUESTION)
    assert "/opt/edge-sim/run/greengrass/ggc/deployment" in shown, "the plan comes before the question"
    assert "read-digits" in shown, "and so does who can open what"
    assert rest.endswith(f"{said}\n")


@pytest.mark.usefixtures("unchanged")
def test_with_a_yes_the_run_goes_on(ssh: Ssh, quick: str) -> None:
    status, text = on_terminal(ssh, ("run", quick, "--board", "ssh://debian", "--summary"), b"y\n")
    assert status == 0, text


@pytest.mark.usefixtures("unchanged")
def test_the_question_says_what_becomes_of_a_run_that_is_kept(ssh: Ssh, quick: str) -> None:
    words = ("run", quick, "--board", "ssh://debian", "--keep")
    status, text = on_terminal(ssh, words, b"n\n", QUESTION.replace("put everything back", "leave it there"))
    assert (status, text.endswith("Nothing was changed.\n")) == (130, True), text


@pytest.mark.usefixtures("unchanged")
def test_nobody_is_asked_without_a_terminal(ssh: Ssh, quick: str) -> None:
    said = ssh.edge_sim("run", quick, "--board", "ssh://debian", status=2).stderr
    assert "a run changes a real board, and there is no terminal to confirm it" in said
    assert "Add --yes." in said
