"""Every machine-readable format of every command holds a whole document with the fault in it when the command fails."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest
from click.testing import CliRunner, Result

from edge_sim.cli.faults import fault
from edge_sim.cli.main import edge_sim
from edge_sim.errors import EdgeSimError
from edge_sim.profiles import profile_path
from tests.cases_table import FOLDER

FOR_PEOPLE = {"text", "markdown", "yaml"}
"""yaml is what ``import`` makes: a definition, or nothing."""
TWO = str(FOLDER / "two-groups.yaml")
FAILURES: dict[str, tuple[Sequence[str], int]] = {
    "access": (["bad.json", "--profile=raspberry-pi-3"], 3),
    "apply": (["bad.json", "--root=."], 3),
    "board build": ([], 2),
    "board bundle": (["--profile=bad.yaml", "-o", "agent.tar.gz"], 3),
    "board ls": ([], 6),
    "board up": (["--profile=bad.yaml"], 3),
    "check-archive": (["no-such.tar.gz"], 2),
    "cloud env": ([], 6),
    "cloud serve": (["--bind=nowhere"], 2),
    "compare": (["bad.json", "bad.json"], 2),
    "doctor": (["--profile=bad.yaml"], 3),
    "drift": (["bad.json", "--root=."], 3),
    "fleet": (["bad.json"], 3),
    "import": ([TWO], 3),
    "init": (["bad.json"], 3),
    "matrix": ([TWO, "--profile=raspberry-pi-3"], 3),
    "migrate": ([TWO, "--from-profile=raspberry-pi-3"], 3),
    "nucleus": ([".", "--root=."], 2),
    "ota build": ([], 2),
    "ota create": (["--for=raspbian/armv7l"], 6),
    "ota status": (["--root=none"], 2),
    "ota watch": (["a-job"], 6),
    "plan": (["bad.json", "--profile=raspberry-pi-3"], 3),
    "profiles list": ([], 3),
    "profiles show": (["bad.yaml"], 3),
    "rescue": (["--root=.", "-o", "out"], 3),
    "rules": (["no-such-rule"], 2),
    "run": (["bad.json"], 3),
    "try": (["bad.json", "--profile=raspberry-pi-3"], 3),
    "validate": ([TWO, "--profile=bad.yaml"], 3),
}
"""How to make each command fail by what it was given, and with which status."""


def leaves(command: click.Command, *names: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield " ".join(names), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from leaves(found, *names, name)


def formats(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        if parameter.name == "fmt" and isinstance(parameter.type, click.Choice):
            yield from (choice for choice in parameter.type.choices if choice not in FOR_PEOPLE)


WALK = [(name, fmt) for name, command in leaves(edge_sim) for fmt in formats(command)]


@pytest.fixture
def _bad_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("EDGE_SIM_MQTT_URL", "mqtt://127.0.0.1:1")
    Path("bad.json").write_text('{"Resources": 5}')
    Path("bad.yaml").write_text("description: one\n")


def test_every_command_is_here() -> None:
    assert {name for name, _ in WALK} == FAILURES.keys()


def failed(*words: str) -> tuple[Result, EdgeSimError]:
    """Run a command that fails; return what it printed, and its error as the command line tells it."""
    done = CliRunner().invoke(edge_sim, words, standalone_mode=False)
    assert isinstance(done.exception, Exception), done.output
    error = fault(done.exception)
    assert error is not None
    return done, error


def told(fmt: str, text: str) -> tuple[int | None, str]:
    """Return the status and the message that one whole document holds."""
    if fmt == "json":
        document = json.loads(text)
        return document["exit_status"], document["error"]["message"]
    if fmt == "junit":
        suites = ET.fromstring(text)
        (case,) = suites.iter("testcase")
        assert suites.get("errors") == "1"
        return int(str(case[0].get("type")).removeprefix("status ")), str(case[0].get("message"))
    if fmt == "sarif":
        (run,) = json.loads(text)["runs"]
        (invocation,) = run["invocations"]
        assert invocation["executionSuccessful"] is False
        return invocation["exitCode"], invocation["toolExecutionNotifications"][0]["message"]["text"]
    if fmt == "html":
        assert text.rstrip().endswith("</html>")
        document = json.loads(text.partition('id="edge-sim-data">')[2].partition("</script>")[0])
        return document["exit_status"], document["error"]["message"]
    assert fmt == "github", fmt
    (line,) = text.splitlines()
    assert line.startswith("::error")
    return None, line


@pytest.mark.usefixtures("_bad_inputs")
@pytest.mark.parametrize(("name", "fmt"), WALK)
@pytest.mark.parametrize("kind", ["usage", "input"])
def test_a_failure_is_told_in_the_format_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, name: str, fmt: str, kind: str
) -> None:
    words, status = (["--no-such-option"], 2) if kind == "usage" else FAILURES[name]
    if (name, kind) == ("profiles list", "input"):
        monkeypatch.setattr("edge_sim.profiles.profile_folder", Path.cwd)
    done, error = failed(*name.split(), "--format", fmt, *words)
    assert error.exit_status == status
    said, message = told(fmt, done.stdout)
    assert said in (status, None)
    assert message
    assert message.splitlines()[0] in error.explained() or fmt == "github", "one sentence, on standard error as well"


def test_an_error_is_never_written_to_what_a_command_reads(tmp_path: Path) -> None:
    archive = tmp_path / "m.zip"
    archive.mkdir()
    for words in (["check-archive", str(archive)], ["check-archive", str(tmp_path / "gone.zip")]):
        assert failed(*words, "--format", "json")[0].stdout.startswith("{")
    assert [path.name for path in tmp_path.iterdir()] == ["m.zip"]


def test_the_last_format_counts() -> None:
    done, _ = failed("rules", "--format", "text", "--format=json", "--no-such-option")
    assert json.loads(done.stdout)["exit_status"] == 2
    assert failed("rules", "--format=json", "--format", "text", "--no-such-option")[0].stdout == ""


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["validat"], "validate"),
        (["board", "list"], "ls"),
        (["profiles", "remove"], None),
        (["board", "biuld"], "build"),
        (["cloud", "serv"], "serve"),
        (["profiles", "lst"], "list"),
        (["profiles", "shwo", "x"], "show"),
        (["agent", "lay-out"], "layout"),
    ],
)
def test_a_mistyped_command_is_told_which_may_be_meant(words: Sequence[str], meant: str | None) -> None:
    _, error = failed(*words)
    assert error.exit_status == 2
    assert ("Did you mean" in error.brief) == (meant is not None)
    assert f"Did you mean {meant}?" in error.brief or meant is None


@pytest.mark.parametrize("command", ["validate", "run", "plan", "import", "check-archive"])
def test_an_empty_path_is_not_the_current_folder(command: str) -> None:
    _, error = failed(command, "")
    assert (error.exit_status, "the path is empty" in error.brief) == (2, True)


def test_the_profiles_that_can_be_used_are_listed_beside_those_that_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.yaml").write_text("description: one\n")
    (tmp_path / "good.yaml").write_text(profile_path("docker-core").read_text())
    monkeypatch.setattr("edge_sim.profiles.profile_folder", lambda: tmp_path)
    done, error = failed("profiles", "list", "--format", "json")
    document = json.loads(done.stdout)
    assert [one["name"] for one in document["profiles"]] == ["good"]
    assert (document["exit_status"], "bad.yaml" in document["error"]["details"]) == (error.exit_status, True)
