"""The access matrix on a real board: computed and probed agree, and both notice what is wrong."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

from edge_sim.agent.functions import access
from edge_sim.greengrass.access import Right
from edge_sim.greengrass.functions import RunAs
from edge_sim.greengrass.matrix import MAX_PATHS
from edge_sim.greengrass.plan import plan
from edge_sim.greengrass.rows import AccessRow
from tests import needs
from tests.root.functions_board import DIALOUT, Board, contents

pytestmark = [pytest.mark.root, needs.mounts]


def rows(made: Board) -> dict[tuple[str, str | None], AccessRow]:
    entries = plan(made.group, made.facts, contents(made.scenario, made.group))
    found = access.matrix(made.group, made.root, made.facts, {entry.path: entry.node for entry in entries})
    return {(row.function, row.resource): row for row in found}


def answers(row: AccessRow, right: Right) -> tuple[bool | None, bool | None]:
    return row.answers[right].computed, row.answers[right].probed


def test_the_example_is_as_the_definition_says(here: Board) -> None:
    found = rows(here)
    expected = {key: row.expected for key, row in found.items()}
    assert expected == {
        ("read-digits", "digits-model"): "ro",
        ("read-digits", "wine-model"): "none",
        ("read-digits", "meter-token"): "ro",
        ("sort-wine", "digits-model"): "none",
        ("sort-wine", "wine-model"): "rw",
        ("sort-wine", "meter-token"): "none",
        ("meter-log", "digits-model"): "ro",
        ("meter-log", "wine-model"): "none",
        ("meter-log", "meter-readings"): "ro",
        ("meter-log", "gps-receiver"): "ro",
        ("meter-log", "meter-token"): "none",
    }
    secrets = {key[0]: found.pop(key) for key in list(found) if key[1] == "meter-token"}
    assert {row.agree for row in secrets.values()} == {None}, "the board has no secrets yet"
    assert secrets["read-digits"].reasons == (access.NOT_STORED,)
    assert [key for key, row in found.items() if not (row.ok and row.agree)] == []
    assert found["sort-wine", "wine-model"].paths == 4
    assert not list(here.root.rglob(".edge-sim-probe-*")), "a probe leaves nothing behind"


def test_a_mode_that_is_not_the_plans_parts_the_two_answers(here: Board) -> None:
    weights = next(here.root.rglob("mlmodel_public/digits-model-uuid/weights.csv"))
    weights.chmod(0o666)
    row = rows(here)["read-digits", "digits-model"]
    assert (answers(row, "write"), row.agree, row.ok) == ((False, True), False, False)
    assert any("weights.csv: computed ro, probed rw" in reason for reason in row.reasons)


def test_an_unreadable_volume_is_not_ok_and_both_say_so(here: Board) -> None:
    here.path("/srv/meter/readings.csv").chmod(0o600)
    row = rows(here)["meter-log", "meter-readings"]
    assert (answers(row, "read"), row.agree, row.ok) == ((False, False), True, False)
    assert row.read.fix == "chmod g+r /srv/meter/readings.csv"
    assert any("EACCES" in reason for reason in row.reasons)


def test_sharing_a_models_group_opens_it_and_is_noticed(here: Board) -> None:
    row = rows(here.with_function("sort-wine", run_as=RunAs(gid=100)))["sort-wine", "digits-model"]
    assert (row.expected, row.read.probed, row.agree, row.ok) == ("none", True, True, False)


def test_root_reaches_everything_and_aws_lets_it(here: Board) -> None:
    row = rows(here.with_function("sort-wine", run_as=RunAs(uid=0, gid=0)))["sort-wine", "digits-model"]
    assert (row.read.probed, row.agree, row.ok) == (True, True, True)


def test_a_board_that_cannot_start_the_function_gives_no_access(here: Board) -> None:
    here.path("/srv/meter").rename(here.path("/srv/elsewhere"))
    found = rows(here)
    assert found["read-digits", "digits-model"].ok is True
    row = found["meter-log", "meter-readings"]
    assert (row.read.probed, row.ok) == (False, False)
    assert any("file doesn't exist: '/srv/meter'" in reason for reason in row.reasons)


def test_a_device_that_nothing_answers_for_is_not_ok_and_no_contradiction(here: Board) -> None:
    place = here.path("/dev/ttyUSB0")
    subprocess.run(["umount", place], check=True, timeout=30)
    place.unlink()
    os.mknod(place, 0o660 | stat.S_IFCHR, os.makedev(240, 99))  # a number for local use: no driver has it
    os.chown(place, 0, DIALOUT)
    place.chmod(0o660)
    row = rows(here)["meter-log", "gps-receiver"]
    assert (answers(row, "read"), row.agree, row.ok) == ((True, False), True, False)
    assert any("read: ENXIO" in reason for reason in row.reasons)


def test_a_large_resource_is_sampled_and_says_so(here: Board) -> None:
    for number in range(MAX_PATHS):
        here.path(f"/srv/meter/{number}").touch()
    row = rows(here)["meter-log", "meter-readings"]
    assert (row.paths, row.total) == (MAX_PATHS, MAX_PATHS + 2)
