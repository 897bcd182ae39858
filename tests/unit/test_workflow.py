"""The GitHub workflow and the action: they load, and whatever of ours they name exists."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from edge_sim.cli.main import edge_sim
from edge_sim.profiles import load_profile

REPO = Path(__file__).resolve().parents[2]
FILES = (REPO / ".github/workflows/ci.yml", REPO / "action.yml")


def load(file: Path) -> dict[str, Any]:
    value = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def steps(file: Path) -> list[dict[str, Any]]:
    value = load(file)
    jobs = value["jobs"].values() if "jobs" in value else [value["runs"]]
    return [step for job in jobs for step in job["steps"]]


def scripts(file: Path) -> Iterator[str]:
    yield from (step["run"] for step in steps(file) if "run" in step)


def named(pattern: str) -> list[str]:
    return [found for file in FILES for script in scripts(file) for found in re.findall(pattern, script)]


def test_both_files_are_found_and_have_steps() -> None:
    assert all(("run" in step) != ("uses" in step) for file in FILES for step in steps(file))
    assert all("shell" in step for step in steps(FILES[1]) if "run" in step)  # a composite action has no default


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    wanted = set(named(r"\bmake ([a-z-]+)"))
    assert wanted == {"lint", "test", "demo", "newest", "emulated"}
    assert wanted <= targets


def test_every_command_and_option_exists() -> None:
    calls = named(r'edge-sim"? ((?:run|doctor)\b[^\n|>]*(?:\\\n[^\n|>]*)?)')
    assert {call.split()[0] for call in calls} == {"run", "doctor"}
    for call in calls:
        words = call.replace("\\\n", " ").split()
        command = edge_sim.get_command(click.Context(edge_sim), words[0])
        assert command is not None
        known = {name for parameter in command.params for name in parameter.opts}
        options = {word for word in words if word.startswith("--")}
        assert options <= known, (options, known)
        assert "--profile" in known  # given as an array


def test_action_inputs_and_outputs_are_used_and_known() -> None:
    text, action = FILES[1].read_text(encoding="utf-8"), load(FILES[1])
    assert (
        set(re.findall(r"inputs\.(\w+)", text)) == set(action["inputs"]) == {"scenario", "profiles", "driver", "report"}
    )
    assert set(re.findall(r'echo "(\w+)=', text)) == set(action["outputs"])
    assert all("${{ inputs" not in script for script in scripts(FILES[1])), "an input in a script is an injection"


@pytest.mark.process
@pytest.mark.parametrize("script", [script for file in FILES for script in scripts(file)])
def test_scripts_are_shell(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.process
@pytest.mark.parametrize(("profiles", "status"), [("", 0), ("raspberry-pi-3 openwrt-armv7", 4)])
def test_the_run_step_calls_edge_sim_and_hands_on_its_status(tmp_path: Path, profiles: str, status: int) -> None:
    """With a program in edge-sim's place that prints what it was given."""
    program = tmp_path / "edge-sim/bin/edge-sim"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@"\nexit {status}\n')
    program.chmod(0o755)
    script = next(step["run"] for step in steps(FILES[1]) if step.get("id") == "run")
    environment = {
        **os.environ, "RUNNER_TEMP": str(tmp_path), "GITHUB_OUTPUT": str(tmp_path / "out"), "SCENARIO": "a folder",
        "PROFILES": profiles, "DRIVER": "local", "REPORT": str(tmp_path / "report.xml"),
    }  # fmt: skip
    done = subprocess.run(["bash", "-eo", "pipefail", "-c", script], env=environment, timeout=20, check=False)
    boards = [word for name in profiles.split() for word in ("--profile", load_profile(name).name)]
    assert done.returncode == status
    words = ["run", "a folder", *boards, "--driver", "local", "--format", "junit"]
    assert (tmp_path / "report.xml").read_text().splitlines() == words
    assert (tmp_path / "out").read_text() == f"status={status}\nreport={tmp_path / 'report.xml'}\n"
