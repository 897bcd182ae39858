"""The GitHub workflow and the action: they load, and whatever of ours they name exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
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
    assert wanted == {"lint", "test", "slow", "demo", "newest", "emulated"}
    assert wanted <= targets


def test_every_command_and_option_exists() -> None:
    calls = named(r'edge-sim"? ((?:run|doctor|validate|matrix)\b[^\n|>]*(?:\\\n[^\n|>]*)?)')
    assert {call.split()[0] for call in calls} == {"run", "doctor", "validate", "matrix"}
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
        set(re.findall(r"inputs\.(\w+)", text))
        == set(action["inputs"])
        == {"scenario", "profiles", "driver", "reports"}
    )
    verdict = next(step for step in steps(FILES[1]) if step.get("id") == "verdict")
    assert set(re.findall(r'echo "(\w+)=', verdict["run"])) == set(action["outputs"])
    assert all("${{ inputs" not in script for script in scripts(FILES[1])), "an input in a script is an injection"


@pytest.mark.process
@pytest.mark.parametrize("script", [script for file in FILES for script in scripts(file)])
def test_scripts_are_shell(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (0, "")


PROGRAM = """\
#!/bin/sh
echo "$@" >>"$RUNNER_TEMP/calls"
[ "$1" != run ] || exit 4
exec {python} -m edge_sim.cli.main "$@"
"""


@pytest.mark.process
@pytest.mark.parametrize(("profiles", "status"), [("", 4), ("raspberry-pi-3 openwrt-armv7", 3)])
def test_the_actions_steps_write_reports_summary_and_verdict(tmp_path: Path, profiles: str, status: int) -> None:
    """With the real ``validate`` and ``matrix``, and a program in the place of ``run`` that fails."""
    program = tmp_path / "edge-sim/bin/edge-sim"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    reports = tmp_path / "all reports"
    environment = {
        **os.environ,
        "RUNNER_TEMP": str(tmp_path),
        "SCENARIO": str(REPO / "examples/no-container-ml"),
        "PROFILES": profiles,
        "DRIVER": "local",
        "REPORTS": str(reports),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    ended: dict[str, str] = {}
    for step in (one for one in steps(FILES[1]) if "id" in one):
        name, out = step["id"], tmp_path / f"{step['id']}.out"
        statuses = " ".join(ended[one] for one in ("validate", "run", "matrix")) if name == "verdict" else ""
        words = ["bash", "-eo", "pipefail", "-c", step["run"]]
        mine = {**environment, "GITHUB_OUTPUT": str(out), "STATUSES": statuses}
        done = subprocess.run(words, env=mine, timeout=60, check=False, capture_output=True, text=True)
        ended[name] = dict(line.split("=", 1) for line in out.read_text().splitlines())["status"]
        assert done.returncode == (status if name == "verdict" else 0), done.stderr
    assert ended["verdict"] == str(status)
    endings = {"html", "sarif", "xml", "md", "txt"}
    assert {file.name for file in reports.iterdir()} == {
        f"{name}.{end}" for name in ("validate", "matrix") for end in endings
    }
    summary = (tmp_path / "summary").read_text("utf-8")
    assert 0 < len(summary.encode()) < 2**20
    assert "edge-sim validate" in summary
    assert "::group::edge-sim matrix" in done.stdout
    call = next(line for line in (tmp_path / "calls").read_text().splitlines() if line.startswith("run "))
    boards = "".join(f" --profile {load_profile(name).name}" for name in profiles.split())
    assert f"no-container-ml{boards} --driver local --format github --report {reports}/run.html" in call


def test_the_action_uses_no_other_action_and_no_secret() -> None:
    text = FILES[1].read_text("utf-8")
    assert [step["uses"] for step in steps(FILES[1]) if "uses" in step] == []
    assert "secrets." not in text
    assert "--require-hashes" in text


def test_make_says_what_it_installs_before_pip_is_silent() -> None:
    lines = (REPO / "Makefile").read_text("utf-8").splitlines()
    asked = [at for at, line in enumerate(lines) if line.startswith("\t@$(PIP_INSTALL) --require-hashes")]
    assert len(asked) == 2
    for at in asked:
        assert lines[at - 1].startswith('\t@echo "Installing the ')
