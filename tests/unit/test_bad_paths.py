"""What is not the file that a command reads: one clear sentence and a documented status, whatever it is."""

from __future__ import annotations

import os
import re
import socket
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_sim.cli.faults import fault
from edge_sim.cli.main import edge_sim
from edge_sim.errors import EdgeSimError

GROUP = '{"Functions": [{"Id": "f", "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:f:1"}]}'
COMMANDS: Mapping[str, Callable[[str], Sequence[str]]] = {
    "validate": lambda path: ["validate", path],
    "plan": lambda path: ["plan", path, "--profile=raspberry-pi-3"],
    "apply": lambda path: ["apply", path, "--root=root"],
    "access": lambda path: ["access", path, "--profile=raspberry-pi-3"],
    "drift": lambda path: ["drift", path, "--root=root"],
    "matrix": lambda path: ["matrix", path, "--profile=raspberry-pi-3"],
    "import": lambda path: ["import", path],
    "run": lambda path: ["run", path],
    "check-archive": lambda path: ["check-archive", path],
    "profiles": lambda path: ["profiles", "show", path],
    "doctor": lambda path: ["doctor", "--profile", path],
    "rules": lambda path: ["rules", path],
    "snapshot": lambda path: ["drift", "group.json", "--snapshot", path],
    "tar": lambda path: ["drift", "group.json", "--tar", path],
    "profile": lambda path: ["validate", "group.json", "--profile", path],
    "compare": lambda path: ["compare", path, path],
    "migrate": lambda path: ["migrate", path, "--from-profile=raspberry-pi-3"],
    "config": lambda path: ["migrate", "group.json", "--from-profile=raspberry-pi-3", f"--config={path}"],
    "report": lambda path: ["migrate", "group.json", "--from-profile=raspberry-pi-3", f"--run={path}"],
    "init": lambda path: ["init", path, "--output=new"],
    "try": lambda path: ["try", path, "--profile=raspberry-pi-3"],
    "nucleus": lambda path: ["nucleus", path, "--root=root"],
    "rescue-root": lambda path: ["rescue", f"--root={path}", "--output=new"],
    "rescue-tar": lambda path: ["rescue", f"--tar={path}", "--output=new"],
    "rescue-export": lambda path: ["rescue", f"--export={path}", "--output=new"],
    "build": lambda path: ["ota", "build", path, "--version=1.11.7"],
    "agent": lambda path: ["agent", "run", f"--config={path}", "--root=root"],
    "layout": lambda path: ["agent", "layout", f"--config={path}", "--root=root"],
    "source": lambda path: [
        *("plan", "group.json", "--profile=raspberry-pi-3"),
        f"--source=arn:aws:lambda:eu-west-1:123456789012:function:f:1={path}",
    ],
}
BYTES = {
    "empty": b"",
    "binary": bytes(range(255, -1, -1)) * 16,
    "latin-1": '{"é": 1}'.encode("latin-1"),
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "nul": b'{"a": "\0"}',
    "cut": GROUP[:40].encode(),
    "list": b"[1, 2]",
    "scalar": b"5",
    "deep": b"[" * 3000,
    "two-documents": b"a: 1\n---\nb: 2\n",
    "aliases": b"a: &a [x, x]\nb: [*a, *a]\n",
    "bom-alone": b"\xef\xbb\xbf",
    "lines-of-windows": b'{"a": \r\n}\r\n',
}
PATHS = ("", "missing", "round", "dangling", "empty/below", "n" * 300, "socket", "/dev/null", "folder", "no\udce9thing")
STREAMS = ("run", "check-archive", "profiles", "doctor", "profile", "source")
"""Commands that read a file more than once, or from its end: a pipe will not do."""


@pytest.fixture(scope="module")
def _here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("bad"))
        _make()
        yield


def _make() -> None:
    for name, content in BYTES.items():
        Path(name).write_bytes(content)
    Path("round").symlink_to("round")
    Path("dangling").symlink_to("gone")
    Path("folder").mkdir()
    Path("root/greengrass/ggc").mkdir(parents=True)
    Path("group.json").write_text(GROUP)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("command", COMMANDS)
def test_every_bad_file_gets_one_sentence_and_a_documented_status(command: str) -> None:
    wrong = {}
    for path in (*BYTES, *PATHS, *(["pipe"] if command in STREAMS else [])):
        done = CliRunner().invoke(edge_sim, COMMANDS[command](path), standalone_mode=False)
        error = fault(done.exception) if isinstance(done.exception, Exception) else None
        status = error.exit_status if error else done.exit_code
        said = error.brief if error else done.output
        fine = status in (2, 3, 6) and said.strip() and (error is None or len(error.brief.splitlines()) == 1)
        if not fine:
            wrong[path] = (status, said[:200], repr(done.exception)[:200])
    assert wrong == {}


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("command", ["compare", "config", "report", "agent", "layout", "profiles", "validate"])
def test_a_file_far_too_large_is_not_read_to_its_end(command: str) -> None:
    with Path("huge").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    tracemalloc.start()
    try:
        done = CliRunner().invoke(edge_sim, COMMANDS[command]("huge"), standalone_mode=False)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(done.exception, EdgeSimError)
    assert re.search("larger than|longer than", done.exception.brief)
    assert most < 80 * 1024 * 1024


@pytest.mark.parametrize("text", ["[" * 100000, "[]", "3", '{"a": 1, "a": 2}', "{", "\0"])
def test_a_damaged_group_on_a_board_is_named(text: str, tmp_path: Path) -> None:
    group = tmp_path / "greengrass/ggc/deployment/group/group.json"
    group.parent.mkdir(parents=True)
    group.write_text(text)
    for command in (["agent", "layout"], ["agent", "access"], ["agent", "invoke", "f"]):
        done = CliRunner().invoke(edge_sim, [*command, f"--root={tmp_path}"], standalone_mode=False)
        assert isinstance(done.exception, EdgeSimError), (command, done.exception)
        assert "group.json: " in done.exception.brief
