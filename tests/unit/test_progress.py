"""How a command shows what it is doing: lines for a file or a pipe, a row for each board on a terminal."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from edge_sim.cli.progress import Display, shown
from edge_sim.runs.steps import BoardStep


def step(board: str, number: int, text: str = "deploying", *, ended: bool = False) -> BoardStep:
    return BoardStep(board=board, text=text, number=number, total=10, ended=ended)


def test_a_pipe_gets_plain_lines_with_the_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with shown() as display:
        display.say("starting the local \x1b[2Jcloud")
        display.step(step("pi", 3))
    out, err = capsys.readouterr()
    assert out == ""
    assert [re.sub(r"^… +\d+ s  ", "", line) for line in err.splitlines()] == [
        "starting the local \\x1b[2Jcloud",
        "pi: deploying (3 of 10)",
    ]


def drawn(display: Display, width: int) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=width, record=True, force_terminal=True)
    console.print(display.table(width))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    return [re.split(r"  +", line.strip()) for line in lines if line.strip()]


@pytest.mark.parametrize(("width", "bars"), [(100, 1), (60, 0)])
def test_a_terminal_has_a_row_for_each_board(width: int, bars: int, capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(drawn=True)
    display.say("starting the local cloud")
    assert drawn(display, width)[0][0] == "starting the local cloud"
    for one in (step("pi", 1, "creating the board"), step("jetson", 10, "ok", ended=True), step("pi", 3)):
        display.step(one)
    rows = drawn(display, width)
    assert [(row[0], row[1 + bars], row[-1]) for row in rows] == [
        ("pi", "3 of 10", "deploying"),
        ("jetson", "10 of 10", "ok"),
    ]
    assert all(re.fullmatch(r"\d+ s", row[2 + bars]) for row in rows)
    assert capsys.readouterr() == ("", "")
