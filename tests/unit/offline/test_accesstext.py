"""What ``edge-sim access`` prints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_sim.greengrass.access import Access, View
from edge_sim.greengrass.process import function_process
from edge_sim.offline.accesstext import MANY
from tests.small_group import C, edge, write_group
from tests.unit.greengrass import build
from tests.unit.greengrass.build import function, volume

EXAMPLE = "examples/no-container-ml"


def test_reasons_stand_below_a_path_where_there_is_one() -> None:
    text = edge("access", EXAMPLE, "--profile", "raspberry-pi-3", "--function", "meter-log").output
    lines = [line.strip() for line in text.splitlines()]
    assert "/models/digits" in lines
    assert "the core returns a secret only to functions it is attached to" in lines
    assert "None" not in lines
    assert "writing is not checked: whatever a function in a container writes there stays in its overlay" in lines


def test_many_rows_that_say_the_same_are_one_line_unless_one_function_is_asked_about(tmp_path: Path) -> None:
    made = [volume(f"v{n}", f"/srv/v{n}", f"/in{n}") for n in range(30)]
    functions = [function(f"f{n}", *((f"v{n + k}", "ro") for k in range(10)), isolation=C) for n in range(20)]
    group = write_group(tmp_path / "group", made, functions)
    lines = [line.split() for line in edge("access", group, "--profile", "raspberry-pi-3").stdout.splitlines()]
    first = [line for line in lines if line[:1] == ["f0"]]
    assert [line[1:5] for line in first] == [["v0", "and", "9", "more"], ["v10", "and", "19", "more"]]
    assert len([line for line in lines if line and line[0].startswith("f")]) <= 20 * 3
    whole = edge("access", group, "--profile", "raspberry-pi-3", "--function", "f0").stdout
    assert all(f" v{n} " in whole for n in range(30))


def test_a_few_rows_are_shown_one_by_one(tmp_path: Path) -> None:
    made = [volume(f"v{n}", f"/srv/v{n}", f"/in{n}") for n in range(MANY)]
    group = write_group(tmp_path / "group", made, [function("f", *((one["Id"], "ro") for one in made), isolation=C)])
    assert "more" not in edge("access", group, "--profile", "raspberry-pi-3").stdout


def test_views_of_one_board_share_only_what_no_mount_touches() -> None:
    """A function that has the volume mounted over a path of the board sees another thing there."""
    shared: dict[object, Access] = {}
    made = build.group(
        [volume("v", "/srv/readings", "/srv/other")],
        [function("without", isolation=C), function("with", ("v", "ro"), isolation=C)],
    )
    paths = {**build.board().paths, "/srv/other": build.directory(0o700)}
    facts = build.board(paths=paths)
    for name, reads in (("without", False), ("with", True), ("without", False)):
        chosen = next(f for f in made.functions if f.id == name)
        view = View(function_process(made, chosen, facts), paths, facts, shared)
        assert view.access("/srv/other").read == reads
        assert view.access("/srv/../srv/other").read == reads


@pytest.mark.slow
def test_a_group_as_large_as_the_quotas_let_it_be_has_few_lines(tmp_path: Path) -> None:
    made = [volume(f"v{n}", f"/srv/v{n}", f"/in{n}") for n in range(200)]
    functions = [function(f"f{n}", *((f"v{(n + k) % 200}", "ro") for k in range(10)), isolation=C) for n in range(200)]
    group = write_group(tmp_path / "group", made, functions)
    told = edge("access", group, "--profile", "raspberry-pi-4-raspbian", status=None).stdout
    assert 200 < len(told.splitlines()) <= 1_000


def asked(path: str, group: str | Path = EXAMPLE) -> tuple[int, dict[str, dict[str, Any]]]:
    done = edge("access", str(group), "--profile", "raspberry-pi-3", "--path", path, "--format", "json")
    (board,) = json.loads(done.stdout)["boards"]
    return done.exit_code, {row["function"]: row for row in board["access"]}


def test_a_path_in_an_attached_resource_is_expected_to_be_as_the_resource() -> None:
    status, rows = asked("/models/digits/weights.csv")
    assert status == 0
    for name in ("read-digits", "meter-log"):
        assert (rows[name]["resource"], rows[name]["expected"], rows[name]["ok"]) == ("digits-model", "ro", True)
    text = edge("access", EXAMPLE, "--profile", "raspberry-pi-3", "--path", "/mnt/meter").output
    assert [line.split()[2] for line in text.splitlines() if line.split()[:1] == ["sort-wine"]] == ["·"]


def test_a_file_that_a_package_lacks_is_not_judged_and_is_added_to_the_package() -> None:
    status, rows = asked("/models/digits/nothing.csv")
    assert status == 0
    for name in ("read-digits", "meter-log"):
        assert rows[name]["ok"] is None
        assert rows[name]["read"]["fix"] == "add nothing.csv to the package of ML_Model.S3_Object digits-model"


def test_a_file_in_a_package_that_nobody_gave_is_unknown(tmp_path: Path) -> None:
    for name in ("resources.json", "functions.json", "core.json"):
        shutil.copy(f"{EXAMPLE}/{name}", tmp_path)
    _, rows = asked("/models/digits/weights.csv", tmp_path)
    for name in ("read-digits", "meter-log"):
        assert rows[name]["unknown"] == "resource digits-model: contents unknown until the source is given"
        assert rows[name]["read"]["computed"] is None
