"""A machine-readable report is a whole document, with the fault in it, where a command could not do its work."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from edge_sim.cli.faults import fault
from edge_sim.cli.main import edge_sim
from edge_sim.errors import EdgeSimError

EXAMPLE = Path("examples/no-container-ml")
PI = "raspberry-pi-3"
COMMANDS = {
    "run": ("--profile", PI),
    "validate": ("--profile", PI),
    "matrix": ("--profile", PI),
    "access": ("--profile", PI),
    "plan": ("--profile", PI),
    "drift": ("--root", "/"),
    "apply": ("--root", "/"),
}
NOT_JSON = '{"Resources": [\n  {"Id": "a",,}]}'


def call(command: str, group: Path, *options: str) -> Result:
    return CliRunner().invoke(edge_sim, [command, str(group), *options])


def status(result: Result) -> int:
    """The exit status, as ``main`` makes it of an error."""
    error = result.exception
    return error.exit_status if isinstance(error, EdgeSimError) else result.exit_code


def document(command: str, group: Path, *options: str) -> Any:
    return json.loads(call(command, group, *options, "--format", "json").stdout)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A definition that cannot be read, as the group of a scenario."""
    (tmp_path / "resources.json").write_text(NOT_JSON)
    scenario = tmp_path / "edge-sim.yaml"
    scenario.write_text(f"edgeSim: 1\nname: x\nboards: [{PI}]\ngroup: {{resources: resources.json}}\n")
    return scenario


@pytest.mark.parametrize("command", COMMANDS)
def test_json_of_a_missing_file(command: str) -> None:
    told = document(command, Path("nowhere.yaml"), *COMMANDS[command])
    assert told["exit_status"] == 2
    assert "nowhere.yaml" in told["error"]["message"]


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {"validate"}))
def test_json_of_an_invalid_definition_names_the_place(command: str, broken: Path) -> None:
    told = document(command, broken, *COMMANDS[command])
    assert told["exit_status"] == 3
    error = told["error"]
    assert (Path(error["file"]).name, error["line"]) == ("resources.json", 2)
    assert "JSON" in error["message"]


@pytest.mark.parametrize("command", COMMANDS)
def test_json_of_a_wrong_command_line(command: str) -> None:
    told = document(command, EXAMPLE, "--no-such-option")
    assert told["exit_status"] == 2
    assert "--no-such-option" in told["error"]["message"]
    assert json.loads(call(command, EXAMPLE, "--no-such-option", "--format=json").stdout) == told


@pytest.mark.parametrize("command", ["validate", "matrix", "access", "plan"])
def test_json_has_the_keys_of_a_good_document(command: str) -> None:
    good = document(command, EXAMPLE, *COMMANDS[command])
    faulty = document(command, Path("nowhere.yaml"), *COMMANDS[command])
    assert good.keys() == faulty.keys() - {"error", "exit_status"}
    assert "error" not in good


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize(
    ("options", "words"), [((), "nowhere.yaml"), (("--profile", "rasp"), "rasp"), (("--no-such",), "--no-such")]
)
def test_junit_has_an_error(command: str, options: tuple[str, ...], words: str) -> None:
    result = call(command, EXAMPLE if options else Path("nowhere.yaml"), *options, "--format", "junit")
    assert status(result) == 2
    suites = ET.fromstring(result.stdout)
    assert (suites.get("tests"), suites.get("errors"), suites.get("failures")) == ("1", "1", "0")
    error = suites.find("./testsuite/testcase/error")
    assert error is not None
    assert words in str(error.get("message"))


def test_junit_of_an_invalid_definition(broken: Path) -> None:
    result = call("run", broken, "--format", "junit")
    assert status(result) == 3
    error = ET.fromstring(result.stdout).find("./testsuite/testcase/error")
    assert error is not None
    assert "resources.json:2" in str(error.get("message"))


def test_junit_takes_a_name_that_xml_has_no_way_to_write() -> None:
    ET.fromstring(call("run", Path("no\udcff\x01where"), "--format", "junit").stdout)


def test_sarif_of_a_missing_file_is_a_run_that_failed() -> None:
    result = call("validate", Path("nowhere.yaml"), "--format", "sarif")
    assert status(result) == 2
    [run] = json.loads(result.stdout)["runs"]
    assert run["results"] == []
    [invocation] = run["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 2)
    assert "nowhere.yaml" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_github_names_what_is_in_no_file() -> None:
    result = call("validate", Path("nowhere.yaml"), "--format", "github")
    assert result.stdout.startswith("::error title=edge-sim::")
    assert "nowhere.yaml" in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_text_is_for_standard_error_alone(command: str) -> None:
    assert call(command, Path("nowhere.yaml"), *COMMANDS[command]).stdout == ""


def test_no_hint_names_a_package_that_anyone_could_register() -> None:
    told = fault(ModuleNotFoundError("No module named 'boto3'", name="boto3"))
    assert told is not None
    assert "pip install '.[sim]'" in str(told.hint)
    for file in (Path("edge_sim"), Path("benchmarks"), Path("docs")):
        for path in (one for one in file.rglob("*") if one.suffix in (".py", ".md", ".yaml")):
            assert not re.search(r"pip install [^\n]*(?<!/)\bedge[-_]sim\b", path.read_text("utf-8")), path


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {"apply"}))
def test_a_page_of_a_missing_file_names_it_and_says_that_nothing_was_judged(command: str, tmp_path: Path) -> None:
    files = [tmp_path / "report.html", tmp_path / "report.md", tmp_path / "report.json"]
    reports = [word for file in files for word in ("--report", str(file))]
    call(command, Path("nowhere.yaml"), *COMMANDS[command], *reports)
    page, markdown, document = (file.read_text("utf-8") for file in files)
    for text in (page, markdown):
        assert "No result: the command could not do its work" in text
        assert "nowhere.yaml" in text
    assert json.loads(document)["exit_status"] == 2


@pytest.mark.parametrize(("name", "word"), [("report.pdf", ".html"), ("none/report.html", "none"), ("", "directory")])
def test_a_report_that_cannot_be_written_is_told_before_anything_is_done(name: str, word: str, tmp_path: Path) -> None:
    folder = "directory.html"
    (tmp_path / folder).mkdir()
    result = call("validate", EXAMPLE, "--report", str(tmp_path / (name or folder)))
    assert status(result) == 2
    assert word in str(result.exception)
    assert result.stdout == ""


def test_a_report_is_written_beside_what_was_asked_for(tmp_path: Path) -> None:
    file, page = tmp_path / "verdict.json", tmp_path / "verdict.html"
    result = call("validate", EXAMPLE, "--format", "json", "-o", str(file), "--report", str(page))
    assert (status(result), result.stdout) == (0, "")
    assert json.loads(file.read_text("utf-8"))["ok"]
    assert "<!doctype html>" in page.read_text("utf-8")
    assert {*tmp_path.iterdir()} == {file, page}


def test_without_jinja2_one_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = call("validate", EXAMPLE, "--format", "html")
    assert status(result) == 6
    assert isinstance(result.exception, EdgeSimError)
    assert "Jinja2" in result.exception.brief
    assert ".[report]" in str(result.exception.hint)
    assert status(call("validate", EXAMPLE, "--format", "markdown")) == 0


def test_no_variable_of_a_function_reaches_a_verdict(tmp_path: Path) -> None:
    canary = "canary-in-a-variable"
    environment = {"Variables": {"AWS_ACCESS_KEY_ID": canary, "bad name": canary, "GG_SIZE": canary}}
    configuration = {"MemorySize": 1, "Timeout": 3, "Environment": environment}
    function = {"Id": "f", "FunctionArn": f"arn:aws:lambda:us-east-1:1:function:{'x' * 9}:1"}
    group = tmp_path / "functions.json"
    group.write_text(json.dumps({"Functions": [{**function, "FunctionConfiguration": configuration}]}))
    for fmt in ("text", "json", "sarif", "junit", "github", "html", "markdown"):
        assert canary not in call("validate", group, "--format", fmt).stdout


def test_an_archive_that_is_refused_is_not_written_over(tmp_path: Path) -> None:
    """Its argument is called ``file``, as the option of a report once was."""
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(b"no archive")
    call("check-archive", archive, "--format", "json", "--limit", "nonsense")
    call("check-archive", archive, "--format", "json")
    assert archive.read_bytes() == b"no archive"


def test_a_setting_of_the_core_is_no_secret(tmp_path: Path) -> None:
    environment = {"Variables": {"GG_CONFIG_STORAGE_TYPE": "Floppy-Disk", "TOKEN": "canary-in-a-variable"}}
    arn = "arn:aws:lambda:::function:GGCloudSpooler:1"
    function = {"Id": "spooler", "FunctionArn": arn, "FunctionConfiguration": {"Environment": environment}}
    group = tmp_path / "functions.json"
    group.write_text(json.dumps({"Functions": [function]}))
    assert "Floppy-Disk" in call("validate", group).stdout
