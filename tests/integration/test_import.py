"""``edge-sim import`` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

FOUND = Path(__file__).parents[1] / "unit" / "definitions" / "found"


def edge_sim(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "edge_sim.cli.main", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_a_core_s_file_becomes_a_bundle_and_that_stays_as_it_is(tmp_path: Path) -> None:
    group, again = tmp_path / "group.yaml", tmp_path / "again.yaml"
    first = edge_sim("import", FOUND / "group.json", "-o", group)
    assert first.returncode == 0, first.stderr
    assert "note: functions have no Id in this file" in first.stderr
    assert first.stdout == ""
    assert list(yaml.safe_load(group.read_text())) == [
        "edgeSimGroup",
        "arn",
        "core",
        "resources",
        "functions",
        "loggers",
    ]
    second = edge_sim("import", group, "-o", again)
    assert (second.returncode, second.stderr) == (0, "")
    assert again.read_bytes() == group.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.yaml", "group.yaml"]


def test_json_has_the_bundle_and_what_was_not_recovered() -> None:
    done = edge_sim("import", FOUND / "skeleton.json", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["form"] == "CreateResourceDefinition"
    (finding,) = document["findings"]
    assert (finding["id"], finding["path"], finding["line"]) == ("shape", "$.Resources[0].ResourceDataContainer", 8)
    assert document["bundle"]["resources"]["Resources"][0]["Id"] == "port"


def test_what_has_two_readings_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    target = tmp_path / "group.yaml"
    done = edge_sim("import", FOUND / "greengo-twice.yaml", "-o", target)
    assert done.returncode == 3
    assert "greengo-twice.yaml:21:9: the key 'Variables' is already set in line" in done.stderr
    assert "Traceback" not in done.stderr
    assert not target.exists()


def test_what_is_no_file_is_never_replaced_by_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = edge_sim("import", FOUND / "group.json", "-o", pipe)
    assert done.returncode == 2
    assert "not a regular file, so it cannot be overwritten" in done.stderr
    assert pipe.is_fifo()


def test_a_path_that_is_not_there_and_one_that_cannot_be_written(tmp_path: Path) -> None:
    for arguments, words in (
        ((tmp_path / "none.json",), "no such file"),
        ((FOUND / "group.json", "-o", tmp_path / "none" / "group.yaml"), "cannot be written"),
    ):
        done = edge_sim("import", *arguments)
        assert done.returncode == 2
        assert words in done.stderr
