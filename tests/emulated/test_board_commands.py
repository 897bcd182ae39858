"""``edge-sim board`` as a user types it, and what runs leave behind when they are interrupted or killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edge_sim.emulation.containers import boards, engine, storage
from edge_sim.emulation.corebuild import core_build
from edge_sim.emulation.drivers import reserved
from edge_sim.profiles import load_profile
from edge_sim.runs import aws
from tests.emulated.containers import EXAMPLE, LIMIT_S, edge_sim, image_of, ready
from tests.unit.test_completion import completed

pytestmark = pytest.mark.emulated


def left(client: Any, process: int) -> list[str]:
    """Return the names of everything that a run of a process has at the engine."""
    mark = f"edge-sim-run-{process}"
    names = [container.name for container in client.containers.list(all=True)]
    names += [volume.name for volume in client.volumes.list()]
    names += [network.name for network in client.networks.list()]
    return [name for name in names if name.startswith(mark)]


@pytest.mark.parametrize("profile", ["generic-x86_64", "raspberry-pi-3"])
def test_an_update_survives_a_restart_of_the_board(client: Any, cloud: dict[str, str], profile: str) -> None:
    ready(client, profile)
    name = f"test-{os.getpid()}-{profile}"
    try:
        up = edge_sim("board", "up", "--profile", profile, "--name", name, "--mqtt", cloud["mqtt"], "--format", "json")
        about = json.loads(up.stdout)
        assert re.search(rf"^… +[0-9]+ s  {name}: waiting for its agent to connect$", up.stderr, re.MULTILINE)
        assert completed("board", "logs", name[:-2]) == [name]
        assert about["uname"] == load_profile(profile).architecture
        (listed,) = [b for b in json.loads(edge_sim("board", "ls", "--format", "json").stdout) if b["name"] == name]
        assert (listed["state"], listed["thing"]) == ("running", name)
        assert edge_sim("board", "up", "--profile", profile, "--name", name, check=False).returncode == 2
        _update(cloud, name, profile)
        client.containers.get(f"edge-sim-{name}").restart()
        assert _until(lambda: '"running", "version": "1.11.6"' in edge_sim("board", "logs", name).stdout)
        core = edge_sim("board", "exec", name, "--", "readlink", "/greengrass/ggc/core")
        assert core.stdout.strip() == "packages/1.11.6"
        assert edge_sim("board", "exec", name, "--", "sh", "-c", "exit 5", check=False).returncode == 5
    finally:
        edge_sim("board", "down", name)
    assert not [v for v in client.volumes.list() if name in v.name]
    assert edge_sim("board", "down", name, check=False).returncode == 2


def test_ctrl_c_during_board_up_leaves_nothing(client: Any) -> None:
    ready(client, "generic-x86_64")
    name = f"test-{os.getpid()}-alone"
    argv = [sys.executable, "-m", "edge_sim.cli.main", "board", "up", "--profile", "generic-x86_64", "--name", name]
    process = subprocess.Popen([*argv, "--mqtt", "mqtt://192.0.2.1:1883"], stderr=subprocess.PIPE, text=True)
    assert _until(lambda: any(name in container.name for container in client.containers.list()))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    found = [c.name for c in client.containers.list(all=True)] + [v.name for v in client.volumes.list()]
    found += [network.name for network in client.networks.list()]
    assert not [one for one in found if name in one]


def test_what_is_left_of_a_board_is_a_board_to_up_and_down(client: Any) -> None:
    """Its volume alone: a new board would be given it, and nothing but its name would lead to its device."""
    ready(client, "generic-x86_64")
    name = f"test-{os.getpid()}-left"
    storage.make(client, f"edge-sim-{name}", "/greengrass", 16384, boards.labels(name))
    argv = ["board", "up", "--profile", "generic-x86_64", "--name", name, "--mqtt", "mqtt://192.0.2.1:1883"]
    try:
        refused = edge_sim(*argv, check=False)
        assert (refused.returncode, "board down" in refused.stderr) == (2, True), refused.stderr
    finally:
        edge_sim("board", "down", name)
    assert not [volume for volume in client.volumes.list() if name in volume.name]
    assert name not in subprocess.run(["losetup", "--all"], capture_output=True, text=True, check=True).stdout
    assert edge_sim("board", "down", name, check=False).returncode == 2


def test_one_name_is_for_one_board_up_at_a_time(client: Any) -> None:
    ready(client, "generic-x86_64")
    name = f"test-{os.getpid()}-twice"
    with reserved(name):
        argv = ["board", "up", "--profile", "generic-x86_64", "--name", name, "--mqtt", "mqtt://192.0.2.1:1883"]
        refused = edge_sim(*argv, check=False)
    assert (refused.returncode, "already being created" in refused.stderr) == (2, True), refused.stderr


@pytest.mark.parametrize("step", ["creating the board", "deploying", "updating the core"])
def test_ctrl_c_leaves_nothing_behind(client: Any, step: str) -> None:
    process = _run_until(client, step)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert left(client, process.pid) == []


def test_a_killed_run_stops_its_boards_and_the_next_one_removes_them(client: Any, tmp_path: Path) -> None:
    process = _run_until(client, "updating the core", tmp_path)
    process.kill()
    process.communicate(timeout=LIMIT_S)
    mark = f"edge-sim-run-{process.pid}"
    assert _until(lambda: not [c for c in client.containers.list() if c.name.startswith(mark)])
    assert left(client, process.pid)
    boards.remove_ownerless(client)
    assert left(client, process.pid) == []


def test_several_runs_that_begin_at_once_remove_what_a_killed_one_left(client: Any) -> None:
    """One removes it, the others wait."""
    image = image_of(client, "x86_64")
    ended = subprocess.Popen(["true"])
    marks = {boards.BOARD: "ended", boards.OWNER: f"{ended.pid}@{ended.wait()}@{boards._namespace()}"}
    name = f"edge-sim-test-{os.getpid()}-ended"
    storage.make(client, name, "/greengrass", 16384, marks)
    volumes = {name: {"bind": "/greengrass", "mode": "rw"}}
    client.containers.create(image, ["sleep", "600"], name=name, labels=marks, volumes=volumes).start()

    def begin() -> None:
        with engine.connected() as own:
            boards.remove_ownerless(own)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(begin) for _ in range(4)]:
            done.result()
    assert not [volume for volume in client.volumes.list() if name in volume.name]
    assert name not in subprocess.run(["losetup", "--all"], capture_output=True, text=True, check=True).stdout


def _run_until(client: Any, step: str, place: Path | None = None) -> subprocess.Popen[str]:
    """Return a run at its ``step``; ``place`` is for its temporary files, which a killed one leaves there."""
    ready(client, "generic-x86_64")
    argv = [sys.executable, "-m", "edge_sim.cli.main", "run", EXAMPLE, "--driver", "docker"]
    process = subprocess.Popen(
        [*argv, "--profile", "generic-x86_64", "--profile", "amazon-linux-x86_64"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **({"TMPDIR": str(place)} if place else {})},
    )
    assert process.stderr is not None
    for line in process.stderr:
        if step in line:
            return process
    process.communicate()
    raise AssertionError(f"the run ended before {step!r}")


def _update(cloud: dict[str, str], thing: str, profile_name: str) -> None:
    profile = load_profile(profile_name)
    where = (profile.operating_system, profile.architecture)
    path = "/".join(("/edge-sim/builds/core", *where, "1.11.6"))
    request = urllib.request.Request(cloud["http"] + path, data=core_build("1.11.6"), method="PUT")
    urllib.request.urlopen(request, timeout=60).close()
    clients = aws.Aws(cloud["http"], cloud["region"], lambda: None)
    arn = aws.create_thing(clients, thing)
    job, _ = aws.create_update(clients, arn, where[1], where[0])
    ended = aws.wait_for_update(clients, job, thing, alive=lambda: None)
    assert ended["status"] == "SUCCEEDED", ended


def _until(holds: Callable[[], bool], limit_s: float = 30.0) -> bool:
    deadline = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
