"""Bad input gets one clear sentence, the documented exit status, and nothing half done. As a user sees it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_sim.cli import running_cloud
from edge_sim.cloud import notes
from edge_sim.errors import UnsupportedEnvironmentError
from tests import needs
from tests.ports import port_of_nobody

EXAMPLE = Path("examples/no-container-ml")
pytestmark = pytest.mark.network


def edge_sim(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "edge_sim.cli.main", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def refused(done: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    """Check the exit status and that one sentence after ``error:`` names what it should."""
    assert done.returncode == status, done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(("error:", "Error:"))]
    for word in words:
        assert word in line, done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """A copy of the example, to be spoiled."""
    copy = tmp_path / "scenario"
    shutil.copytree(EXAMPLE, copy)
    return copy


def rewrite(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def container(definition: Any, number: int) -> Any:
    (data,) = definition["Resources"][number]["ResourceDataContainer"].values()
    return data


def test_no_such_scenario(tmp_path: Path) -> None:
    refused(edge_sim("run", str(tmp_path / "nowhere")), 2, "nowhere")


def test_a_name_that_no_file_can_have() -> None:
    refused(edge_sim("run", "x" * 5000), 2, "xxx…", "File name too long")
    refused(edge_sim("run", str(EXAMPLE), "--profile", "x/" * 5000), 2, "too long")


@pytest.mark.parametrize(
    "words",
    ["ota build --simulated good --version 1.11.7", "board bundle --architecture armv7l",
     "profiles capture ssh://nobody@127.0.0.1:1", f"import {EXAMPLE}"],
)  # fmt: skip
def test_a_file_that_cannot_be_written_is_refused_before_the_work_is_done(words: str, tmp_path: Path) -> None:
    """It was a traceback, after the minutes that a bundle takes."""
    refused(edge_sim(*words.split(), "-o", str(tmp_path / "no/file")), 2, "no/file: cannot be written: ")
    refused(edge_sim(*words.split(), "-o", "/dev/full"), 2, "/dev/full: not a regular file")


def test_a_build_replaces_the_file_of_its_name_whole_or_not_at_all(tmp_path: Path) -> None:
    build = ("ota", "build", "--simulated", "good", "--version", "1.11.7", "-o", str(tmp_path / "x.tar.gz"))
    (tmp_path / "x.tar.gz").write_text("mine")
    (tmp_path / ".x.tar.gz.part").mkdir()  # where nothing can be written
    refused(edge_sim(*build), 2, "x.tar.gz: cannot be written: ")
    assert (tmp_path / "x.tar.gz").read_text() == "mine"
    (tmp_path / ".x.tar.gz.part").rmdir()
    assert edge_sim(*build).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.gz"]


def test_a_mistyped_command_and_what_was_meant() -> None:
    refused(edge_sim("validat", str(EXAMPLE)), 2, "No such command 'validat'. Did you mean validate?")
    done = edge_sim("xyzzy")
    refused(done, 2, "No such command 'xyzzy'.")
    assert "mean" not in done.stderr


def test_an_unknown_profile_and_what_was_meant() -> None:
    done = edge_sim("run", str(EXAMPLE), "--profile", "raspbery-pi-3")
    refused(done, 2, "raspbery-pi-3")
    assert "Did you mean raspberry-pi-3" in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("resources.json", "empty")),
        (b'{"Resources": [\n  {"Id": "a",,}]}', ("resources.json:2:", "JSON")),
        (b"\x1f\x8b\x08\x00binary\x00\xff", ("resources.json", "not")),
        (b"[1, 2]", ("resources.json",)),
        (b'{"Cores": []}', ("resources.json", "not a resource definition")),
        (b'{"Resources": [' + b"[" * 100_000, ("resources.json",)),
        (b'{"Resources": [],\n "Resources": []}', ("resources.json:2:2:", "'Resources'", "already set")),
        (b'{"Resources": [\n  {"Id": NaN}]}', ("resources.json:2:10:", "NaN")),
        (b'{"Resources": [\n  {"Id": "a:\\"NaN", "b": -Infinity}]}', ("resources.json:2:26:", "-Infinity")),
        (b'{"Resources": [\n  {"Id": [{}, 1e999]}]}', ("resources.json:2:15:", "1e999")),
    ],
    ids=["empty", "json-error", "binary", "a-list", "another-definition", "deep", "twice", "nan", "infinity", "huge"],
)
def test_a_definition_that_cannot_be_read(scenario: Path, content: bytes, words: tuple[str, ...]) -> None:
    (scenario / "resources.json").write_bytes(content)
    refused(edge_sim("run", str(scenario)), 3, *words)


def test_an_unknown_key_of_the_scenario_is_named_with_its_line(scenario: Path) -> None:
    file = scenario / "edge-sim.yaml"
    file.write_text(file.read_text().replace("boards:", "bords:"))
    done = edge_sim("run", str(scenario))
    refused(done, 3, "edge-sim.yaml:")
    assert "boards" in done.stderr


def test_a_yaml_error_has_line_and_column(scenario: Path) -> None:
    (scenario / "edge-sim.yaml").write_text("edgeSim: 1\nname: [unclosed\n")
    refused(edge_sim("run", str(scenario)), 3, "edge-sim.yaml:")


def test_every_fault_of_a_definition_is_told_at_once(scenario: Path) -> None:
    def spoil(functions: Any) -> None:
        for function in functions["Functions"][:2]:
            function["FunctionConfiguration"]["MemorySize"] = 16384

    rewrite(scenario / "functions.json", spoil)
    done = edge_sim("run", str(scenario))
    refused(done, 3, "functions.json:1:", "MemorySize is not allowed in IsolationMode NoContainer", "and 1 more")
    assert done.stderr.count("is not allowed in IsolationMode=NoContainer") == 2


def test_a_missing_source(scenario: Path) -> None:
    shutil.rmtree(scenario / "models" / "digits")
    refused(edge_sim("run", str(scenario)), 3, "models/digits", "no such")


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(edge_sim("cloud", "serve", "--port", str(port)), 6, str(port), "in use")


def test_no_broker() -> None:
    with port_of_nobody() as port:
        url = f"mqtt://127.0.0.1:{port}"
        refused(edge_sim("cloud", "serve", "--broker", url), 6, url)
        done = edge_sim("run", str(EXAMPLE), "--broker", url)
    assert done.returncode == 6
    assert url in done.stderr
    assert "Traceback" not in done.stderr


def test_keep_leaves_no_empty_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with port_of_nobody() as port:
        url = f"mqtt://127.0.0.1:{port}"
        argv = [sys.executable, "-m", "edge_sim.cli.main", "run", str(EXAMPLE), "--keep", "--broker", url]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 6
    assert "kept:" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_broker_that_is_no_url() -> None:
    refused(edge_sim("cloud", "serve", "--broker", "localhost"), 2, "localhost", "mqtt://")
    done = edge_sim("run", str(EXAMPLE), "--broker", "banana")
    refused(done, 2, "--broker banana", "mqtt://")
    assert "…" not in done.stderr, "nothing was started"


def test_certificates_that_cannot_be_read_are_refused_before_anything_is_started(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    done = edge_sim("run", str(EXAMPLE), "--broker", "mqtts://localhost", "--broker-cafile", str(tmp_path / "ca.pem"))
    refused(done, 2, "ca.pem", "cannot be read as CA certificates")
    assert "…" not in done.stderr


@pytest.mark.slow
@pytest.mark.root
@needs.mounts
def test_an_umlaut_in_a_path_where_the_locale_has_ascii_alone(scenario: Path, tmp_path: Path) -> None:
    place = tmp_path / "mödel"
    scenario.rename(place)
    (place / "models" / "digits").rename(place / "models" / "zähler")
    file = place / "edge-sim.yaml"
    text = file.read_text("utf-8").partition("updates:")[0]
    file.write_text(text.replace("folder: models/digits", "folder: models/zähler"), "utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    argv = [sys.executable, "-m", "edge_sim", "run", str(place), "--profile", "raspberry-pi-3"]
    done = subprocess.run(argv, capture_output=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    assert "→".encode() in done.stdout


def test_sources_that_are_no_url() -> None:
    refused(edge_sim("cloud", "serve", "--sources", "localhost:5000"), 2, "localhost:5000", "aws")


def test_no_cloud_to_print_the_environment_of(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "edge_sim.cli.main", "cloud", "env"]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False, env=environment)
    refused(done, 6, "no local cloud is running")


def test_a_user_without_a_home_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with notes.left({"mqtt": "mqtt://h"}), pytest.raises(UnsupportedEnvironmentError) as caught:
        running_cloud.broker("edge-sim cloud serve")
    assert "no local cloud is running" in caught.value.brief


def deployment_error(scenario: Path) -> tuple[str, str | None]:
    """Run a scenario whose deployment fails; return what the deployment said, and the hint."""
    done = edge_sim("run", str(scenario), "--profile", "raspberry-pi-3", "--format", "json")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (board,) = json.loads(done.stdout)["boards"]
    assert board["deployment"]["status"] == "Failure"
    assert board["layout"] == []
    (problem,) = board["problems"]
    assert (problem["message"], problem["hint"]) == (board["deployment"]["error"], board["deployment"]["hint"])
    return problem["message"], problem["hint"]


@needs.mounts
@pytest.mark.root
def test_a_source_that_is_not_an_archive(scenario: Path) -> None:
    file = scenario / "edge-sim.yaml"
    (scenario / "page.html").write_text("<html>404</html>")
    file.write_text(file.read_text().replace("folder: models/digits", "file: page.html"))
    text, hint = deployment_error(scenario)
    assert "resource digits-model" in text
    assert "its content is a web page" in text
    assert "repack it" in str(hint)


@needs.mounts
@pytest.mark.root
def test_a_group_that_the_board_does_not_have(scenario: Path) -> None:
    def spoil(definition: Any) -> None:
        owned = next(r for r in definition["Resources"] if "OwnerSetting" in container({"Resources": [r]}, 0))
        container({"Resources": [owned]}, 0)["OwnerSetting"]["GroupOwner"] = "nosuchgroup"

    rewrite(scenario / "resources.json", spoil)
    text, hint = deployment_error(scenario)
    assert "'nosuchgroup' does not exist on this board" in text
    assert "resource " in text
    assert "groupadd nosuchgroup" in str(hint)


@needs.mounts
@pytest.mark.root
def test_ml_models_on_openwrt_are_refused() -> None:
    done = edge_sim("run", str(EXAMPLE), "--profile", "openwrt-armv7", "--format", "json")
    assert done.returncode == 3
    (board,) = json.loads(done.stdout)["boards"]
    assert "does not support ML inference on openwrt" in board["deployment"]["error"]


def test_a_later_run_sweeps_what_a_killed_one_left(tmp_path: Path) -> None:
    (tmp_path / "edge-sim-run-killed").mkdir()
    with port_of_nobody() as port:
        argv = [sys.executable, "-m", "edge_sim", "run", str(EXAMPLE), "--broker", f"mqtt://127.0.0.1:{port}"]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 6, done.stderr
    assert list(tmp_path.iterdir()) == []
