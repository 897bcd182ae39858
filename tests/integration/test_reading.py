"""A definition is read once, whatever the command; and a fault in it has the same place and words in every one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests import needs

EXAMPLE = "examples/no-container-ml"
PI = ("--profile", "raspberry-pi-3")
LIMIT_S = 600
COMMANDS = {
    "validate": PI,
    "matrix": PI,
    "import": (),
    "plan": PI,
    "access": PI,
    "apply": ("--root", "{root}"),
    "drift": ("--root", "{root}"),
    "migrate": ("--from-profile", "raspberry-pi-3"),
    "run": PI,
}
COUNTING = """
import sys
log = open(sys.argv.pop(1), "w")
def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        print(arguments[0], file=log, flush=True)
sys.addaudithook(note)
from edge_sim.cli.main import main
main()
"""


def edge_sim(
    command: str, folder: Path, root: Path, *before: str, options: tuple[str, ...] | None = None
) -> subprocess.CompletedProcess[str]:
    words = [word.format(root=root) for word in (COMMANDS[command] if options is None else options)]
    argv = [sys.executable, *(before or ("-m", "edge_sim.cli.main")), command, str(folder), *words]
    environment = {**os.environ, "XDG_CACHE_HOME": str(root / "cache")}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "scenario"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A board on which there are the accounts that the example names, and nothing else."""
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nggc_user:x:900:900::/:/bin/sh\n")
    (tmp_path / "root/etc/group").write_text("root:x:0:\nggc_group:x:900:\nusers:x:100:\n")
    return tmp_path / "root"


def readings(command: str, scenario: Path, root: Path) -> dict[str, int]:
    """Return how often a command opened each definition of a scenario, the scenario's own file, and each profile."""
    log = root / "opened"
    edge_sim(command, scenario, root, "-c", COUNTING, str(log))
    opened = (Path(line) for line in log.read_text().splitlines())
    kept = (path.name for path in opened if path.parent == scenario or path.parent.name == "device_profiles")
    return {name: count for name, count in Counter(kept).items() if name.endswith((".json", ".yaml"))}


TAKES_FAULTS = {"validate", "import", "migrate"}
"""What shows the faults of a definition with whatever else there is to say."""
DEFINITIONS = dict.fromkeys(("edge-sim.yaml", "core.json", "resources.json", "functions.json"), 1)
PROFILE = {"raspberry-pi-3.yaml": 1}
ONCE = {c: DEFINITIONS | (PROFILE if "raspberry-pi-3" in options else {}) for c, options in COMMANDS.items()}


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "run"])
def test_every_file_is_read_once(command: str, scenario: Path, root: Path) -> None:
    assert readings(command, scenario, root) == ONCE[command]


@pytest.mark.slow
@needs.mounts
@pytest.mark.root
@pytest.mark.network
def test_a_run_reads_every_file_once(scenario: Path, root: Path) -> None:
    file = scenario / "edge-sim.yaml"
    file.write_text(file.read_text().partition("updates:")[0])  # they read nothing more
    assert readings("run", scenario, root) == ONCE["run"]


def place_of(file: Path, word: str) -> str:
    """Return the place of the first occurrence of a word, as a message begins with it."""
    text = file.read_text()
    at = text.index(word)
    return f"{file}:{text[:at].count(chr(10)) + 1}:{at - text.rfind(chr(10), 0, at)}: "


def wrong_type(scenario: Path) -> str:
    file = scenario / "functions.json"
    file.write_text(file.read_text().replace('"Timeout": 20', '"Timeout": "soon"'))
    return place_of(file, '"Timeout": "soon"')


def unknown_key(scenario: Path) -> str:
    file = scenario / "edge-sim.yaml"
    file.write_text(file.read_text().replace("\ndevices:", "\ndevise:"))
    return place_of(file, "devise:")


def missing_folder(scenario: Path) -> str:
    shutil.rmtree(scenario / "models" / "digits")
    return place_of(scenario / "edge-sim.yaml", "models/digits\n")


def broken(scenario: Path) -> str:
    (scenario / "core.json").write_text('{"Cores": [\n')
    return f"{scenario / 'core.json'}:2:1: "


@pytest.mark.parametrize("spoil", [wrong_type, unknown_key, missing_folder, broken])
def test_a_fault_is_told_the_same_way_by_every_command(spoil: Any, scenario: Path, root: Path) -> None:
    place = spoil(scenario)
    told = {}
    for command in COMMANDS:
        if command == "validate" and spoil is not broken:
            continue
        done = edge_sim(command, scenario, root)
        if command in TAKES_FAULTS and spoil is wrong_type:
            assert place.removesuffix(": ") in done.stderr + done.stdout, "nothing was lost"
            continue
        assert done.returncode == 3
        (told[command],) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(set(told.values())) == 1, told
    (line,) = set(told.values())
    assert line.startswith(f"error: {place}")
    verdict = edge_sim("validate", scenario, root, options=("--format", "json"))
    assert verdict.returncode == 3
    errors = [one for one in json.loads(verdict.stdout)["findings"] if one["severity"] == "error"]
    first = errors[0]
    assert f"{first['file']}:{first['line']}:{first['column']}: " == place
    assert first["message"] in line
