"""What the guide says of a container, seen by a function: /proc, /dev, /dev/shm, /sys, groups, volumes."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from typing import Any

import pytest

from edge_sim.agent import linux
from edge_sim.agent.probe import probe
from edge_sim.greengrass.functions import ResourceAccessPolicy
from edge_sim.greengrass.plan import paths_of_interest
from edge_sim.greengrass.resources import GroupOwnerSetting, LocalDevice, LocalVolume, Resource
from tests import needs
from tests.root.functions_board import ADM, DIALOUT, GGC, Board
from tests.root.sdk_board import daemon, with_code

pytestmark = [pytest.mark.root, needs.mounts]


def attached(made: Board, *given: tuple[Resource, str]) -> Board:
    """Attach these resources to the containerised function, and nothing else."""
    policies = tuple(ResourceAccessPolicy(resource_id=r.id, permission=p) for r, p in given)  # type: ignore[arg-type]
    group = replace(made.group, resources=(*made.group.resources, *(r for r, _ in given)))
    facts = replace(made.facts, paths=probe(made.root, paths_of_interest(group, "/greengrass")).paths)
    return replace(made, group=group, facts=facts).with_function("meter-log", policies=policies)


def volume(source: str, destination: str, setting: GroupOwnerSetting = GroupOwnerSetting()) -> Resource:  # noqa: B008
    data = LocalVolume(source_path=source, destination_path=destination, group_owner=setting)
    return Resource(id="volume", name="volume", data=data)


def run(made: Board, code: str) -> Any:
    """Return what ``code``, a function's body, returns in the containerised function."""
    with_code(made, "meter-log", f"def function_handler(event, context):\n    {code}\n")
    with daemon(made) as core:
        outcome = core.run("meter-log", json.dumps({}).encode())
    assert outcome.ok, outcome.error
    return outcome.result


def test_proc_shows_the_function_alone(here: Board) -> None:
    seen = run(here, "return sorted(n for n in os.listdir('/proc') if n.isdigit())")
    assert seen == ["1"]


def test_proc_of_the_board_comes_as_a_read_only_volume_elsewhere(here: Board) -> None:
    linux.mount("proc", here.path("/proc"), "proc")
    made = attached(here, (volume("/proc", "/host-proc"), "ro"))
    code = (
        "return [len([n for n in os.listdir('/host-proc') if n.isdigit()]) > 1, os.path.exists('/proc/2'),"
        " os.statvfs('/host-proc').f_flag & os.ST_RDONLY]"
    )
    assert run(made, code) == [True, False, os.ST_RDONLY]


def test_dev_holds_the_usual_nodes_and_what_is_attached_and_no_shm(here: Board) -> None:
    os.mknod(here.path("/dev/fuse"), 0o666 | stat.S_IFCHR, os.makedev(10, 229))
    listing = "return sorted(p.name for p in Path('/dev').iterdir() if not p.is_symlink())"
    usual = ["full", "null", "random", "tty", "urandom", "zero"]
    assert run(attached(here), listing) == usual
    camera = Resource(id="camera", name="camera", data=LocalDevice(source_path="/dev/fuse"))
    assert run(attached(here, (camera, "ro")), listing) == sorted([*usual, "fuse"])


def test_shm_is_there_when_it_is_attached_and_live_both_ways(here: Board) -> None:
    here.path("/dev/shm").mkdir()
    linux.mount("tmpfs", here.path("/dev/shm"), "tmpfs", 0, "mode=1777")
    here.path("/dev/shm/in").write_text("from the board")
    made = attached(here, (volume("/dev/shm", "/dev/shm"), "rw"))
    got = run(made, "Path('/dev/shm/out').write_text('x'); return Path('/dev/shm/in').read_text()")
    assert got == "from the board"
    assert here.path("/dev/shm/out").read_text() == "x"


@pytest.mark.parametrize("access", [True, False, None])
def test_sys_is_the_boards_read_only_or_not_there(here: Board, access: bool | None) -> None:
    made = attached(here).with_function("meter-log", access_sysfs=access)
    code = "return [os.path.isdir('/sys/kernel'), os.statvfs('/sys').f_flag & os.ST_RDONLY]"
    assert run(made, code) == ([True, os.ST_RDONLY] if access else [False, 0])


@pytest.mark.parametrize(
    ("setting", "groups"),
    [
        (GroupOwnerSetting(), []),
        (GroupOwnerSetting(auto_add_group_owner=True), [ADM]),
        (GroupOwnerSetting(auto_add_group_owner=True, group_owner="dialout"), [ADM]),
        (GroupOwnerSetting(auto_add_group_owner=True, group_owner=""), [ADM]),
        (GroupOwnerSetting(group_owner="dialout"), [DIALOUT]),
    ],
)
def test_the_groups_that_a_volume_lends(here: Board, setting: GroupOwnerSetting, groups: list[int]) -> None:
    here.path("/srv/meter").chmod(0o755)  # so that who it belongs to does not matter for the deployment
    made = attached(here, (volume("/srv/meter", "/mnt/meter", setting), "ro"))
    assert run(made, "return [os.getuid(), os.getgid(), os.getgroups()]") == [GGC, GGC, groups]


def test_the_code_the_runtime_and_the_masked_core(here: Board) -> None:
    code = (
        "return [os.getcwd(), os.path.exists('/lambda/meter_log.py'), os.path.exists('/runtime/python'),"
        " os.path.exists('/greengrass'), [os.access(p, os.W_OK) for p in ('/lambda', '/runtime')]]"
    )
    assert run(here, code) == ["/lambda", True, True, False, [False, False]]
