"""What ``edge-sim`` does when what it says cannot be written: no traceback, and a status that is not 0."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.network


def rules(stdout: int, **environment: str) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-m", "edge_sim.cli.main", "rules", "--format", "markdown"]
    env = {**os.environ, **environment}
    return subprocess.run(argv, stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False, env=env)


def test_a_reader_that_went_away_is_neither_success_nor_bug() -> None:
    read, write = os.pipe()
    os.close(read)
    done = rules(write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_report_whose_reader_went_away_is_no_bug() -> None:
    program = (
        "import sys\n"
        "from rich.console import Console\n"
        "from edge_sim.cli import main\n"
        "main.edge_sim.add_command(main.click.Command('x', callback=lambda: report()))\n"
        "main.LazyGroup.get_command = main.click.Group.get_command\n"
        "def report():\n"
        "    from edge_sim.runs.results import RunReport\n"
        "    from edge_sim.runs.text import print_report\n"
        "    print_report(RunReport(scenario='x'), Console())\n"
        "sys.argv[1:] = ['x']\n"
        "main.main()\n"
    )
    read, write = os.pipe()
    os.close(read)
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_is_said() -> None:
    with Path("/dev/full").open("wb") as full:
        done = rules(full.fileno())
    assert done.returncode == 6
    assert b"error: could not write the output or a temporary file: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_command_that_leaves_no_descriptor_is_explained() -> None:
    program = (
        "import os, resource, sys\n"
        "from edge_sim.cli import main\n"
        "main.edge_sim.add_command(main.click.Command('x', callback=lambda: exhaust()))\n"
        "main.LazyGroup.get_command = main.click.Group.get_command\n"
        "def exhaust():\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "    while True:\n"
        "        os.open(os.devnull, os.O_RDONLY)\n"
        "sys.argv[1:] = ['x']\n"
        "main.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.returncode == 6, done.stderr
    assert b"error: /dev/null: Too many open files" in done.stderr


def test_a_locale_without_our_characters_is_no_error() -> None:
    done = rules(subprocess.PIPE, PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert "…".encode("ascii", "backslashreplace") in done.stdout


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_file_that_may_not_grow_is_said(command: str, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "edge_sim", command, "examples/no-container-ml", "--profile", "raspberry-pi-3"]
    small = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *program]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(small, capture_output=True, timeout=60, check=False, env=env)
    assert done.returncode == 6, done.stderr
    assert b"File too large" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["click", "edge_sim.cli.validate"])
def test_an_interruption_while_modules_are_imported_is_no_traceback(module: str) -> None:
    program = (
        "import signal, sys, runpy\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "sys.argv = ['edge-sim', 'validate', 'examples/no-container-ml']\n"
        "runpy.run_module('edge_sim', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.returncode in (-signal.SIGINT, 130)
    assert b"Traceback" not in done.stderr


def test_an_interruption_that_python_wraps_is_one() -> None:
    program = (
        "from edge_sim.cli import main\n"
        "import sys\n"
        "def wrapped(*_):\n"
        "    raise RuntimeError('Error calling __set_name__') from KeyboardInterrupt()\n"
        "main.LazyGroup.get_command = wrapped\n"
        "sys.argv[1:] = ['validate']\n"
        "main.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.returncode == 130, done.stderr
    assert b"Traceback" not in done.stderr


def test_an_end_of_file_that_nobody_expected_is_a_bug_and_no_interruption() -> None:
    program = (
        "from edge_sim.cli import main\n"
        "import sys\n"
        "def cut_off(*_):\n"
        "    raise EOFError('marshal data too short')\n"
        "main.LazyGroup.get_command = cut_off\n"
        "sys.argv[1:] = ['validate']\n"
        "main.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert b"Interrupted" not in done.stderr
    assert b"RuntimeError: EOFError: marshal data too short" in done.stderr


HOSTILE = "a\nerror: b\x1b[31m\u2028c"


@pytest.mark.parametrize(
    "words",
    [
        ("validate", f"{HOSTILE}.json"),  # a fault in a file
        ("check-archive", f"{HOSTILE}.zip"),  # a text on standard output
        ("apply", f"{HOSTILE}.json", "--root", f"{HOSTILE}.json"),  # click's own words
        ("doctor", "--root", HOSTILE),
    ],
    ids=lambda words: words[0],
)
def test_a_name_neither_ends_a_line_nor_begins_one(words: tuple[str, ...], tmp_path: Path) -> None:
    for suffix in (".json", ".zip"):
        (tmp_path / f"{HOSTILE}{suffix}").write_bytes(b"?")
    argv = [sys.executable, "-m", "edge_sim.cli.main", *words]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    lines = (done.stdout + done.stderr).split("\n")
    assert all(line.isprintable() for line in lines)
    assert any("a\\nerror: b\\x1b[31m\\u2028c" in line for line in lines)
    assert not any(line.startswith("error: b") for line in lines)
