"""Updates of the OTA agent itself: real releases of the program that runs, started by a real supervisor."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from edge_sim.agent import supervise
from edge_sim.agent.update import hooks
from edge_sim.agent.version import VERSION
from edge_sim.emulation.agentbuild import agent_build
from tests.integration.agent_world import THING, Agent, World, assert_kept, good, kept, lay_shadow, world
from tests.processes import is_alive
from tests.waiting import until

pytestmark = [pytest.mark.network, pytest.mark.slow]

NEWER = "1.3.0"
ELSEWHERE = """sed 's#"broker": "[^"]*"#"broker": "mqtt://127.0.0.1:1"#' "$2" >"$HERE/config"
set -- "$1" "$HERE/config"
"""


class WholeAgent(Agent):
    """The agent as a board runs it, with nothing of the tests in it: a release has it too."""

    def __init__(self, root: Path, config: Path) -> None:
        start = [sys.executable, "-c", "from edge_sim.agent.program import main; main()"]
        super().__init__(root, config, [*start, str(root), str(config)])


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        settings = json.loads(found.config.read_text())
        found.config.write_text(json.dumps({**settings, "stableWindow": 1}))
        yield found


def test_the_running_agent_is_replaced_by_a_release_and_then_by_the_next_one(here: World) -> None:
    lay_shadow(here)
    with here.agent(WholeAgent) as agent:
        agent.wait_for(event="connected")
        agent.wait_for(event="core", status="running")
        core, pid, before = agent.core(), agent.process.pid, kept(here)
        job = here.cloud.update_job("agent", agent_build(NEWER), version=NEWER, software="ota_agent")
        status, details = here.cloud.end_of(job)
        agent.wait_for(event="reported", job=job)
        assert (status, details["from"], details["to"]) == ("SUCCEEDED", VERSION, NEWER), details
        order = [e.get("phase", "handed over") for e in agent.events if e["event"] in ("update", "handed over")]
        assert order[3:] == ["ACTIVATE", "handed over", "CONFIRM", "SUCCEEDED"], "a hand-over is no second start"
        assert (agent.gg / "ota/ota_agent").readlink() == Path(f"ota_agent_v{NEWER}")
        assert agent.core() == core, "the core has run all the while"
        assert_kept(before, here)
        assert not (agent.gg / supervise.TRIAL).exists()
        assert agent.process.pid == pid, "whoever started the agent still has it"

        # the release carries out updates: of the core, and of the agent
        assert here.cloud.end_of(here.cloud.update_job("core", good()))[0] == "SUCCEEDED"
        job = here.cloud.update_job("again", agent_build("1.4.0"), version="1.4.0", software="ota_agent")
        assert here.cloud.end_of(job)[0] == "SUCCEEDED"
        agent.wait_for(event="reported", job=job)
        assert agent.stop() == 0
    with here.agent(WholeAgent) as agent:  # the link decides at the next boot
        agent.wait_for(event="connected")
        same = here.cloud.update_job("same", agent_build("1.4.0"), version="1.4.0", software="ota_agent")
        assert here.cloud.end_of(same)[1]["reason"] == "already-installed"


@pytest.mark.parametrize("fault", ["ends at once", "dies in its window"])
def test_a_new_agent_that_fails_is_given_up_by_the_supervisor_and_the_old_one_says_so(here: World, fault: str) -> None:
    if fault == "ends at once":
        build, why = agent_build(NEWER, starts=False), "ended with status 1"
    else:
        build, why = agent_build(NEWER), "ended with status -9"
        settings = json.loads(here.config.read_text())
        here.config.write_text(json.dumps({**settings, "stableWindow": 600}))
    with here.agent(WholeAgent) as agent:
        agent.wait_for(event="connected")
        agent.wait_for(event="core", status="running")
        core = agent.core()
        job = here.cloud.update_job("agent", build, version=NEWER, software="ota_agent")
        if fault == "dies in its window":
            agent.wait_for(event="update", job=job, phase="CONFIRM")
            os.kill(child_of(agent.process.pid), signal.SIGKILL)
        status, details = here.cloud.end_of(job)
        agent.wait_for(event="reported", job=job)
        assert status == "FAILED"
        assert details["reason"].startswith(f"the OTA agent {NEWER} {why}")
        assert agent.core() == core
        assert not (agent.gg / "ota/ota_agent").is_symlink()
        assert not (agent.gg / supervise.TRIAL).exists()
        if fault == "ends at once":  # the other has a window of ten minutes
            assert here.cloud.end_of(here.cloud.update_job("next", good()))[0] == "SUCCEEDED"


def test_a_new_agent_that_does_not_connect_is_rolled_back_and_the_old_one_says_so(here: World) -> None:
    settings = json.loads(here.config.read_text())
    here.config.write_text(json.dumps({**settings, "connectLimit": 10}))
    with here.agent(WholeAgent) as agent:
        agent.wait_for(event="connected")
        agent.wait_for(event="core", status="running")
        core = agent.core()
        build = changed(agent_build(NEWER), lambda text: text.replace('exec "${EDGE', f'{ELSEWHERE}exec "${{EDGE'))
        job = here.cloud.update_job("agent", build, version=NEWER, software="ota_agent")
        status, details = here.cloud.end_of(job)
        agent.wait_for(event="reported", job=job)
        assert (status, details["reason"]) == ("FAILED", "CONFIRM: it was not connected within 10 s")
        assert agent.core() == core
        assert not (agent.gg / "ota/ota_agent").is_symlink()
        assert not (agent.gg / supervise.TRIAL).exists()


def test_an_agent_ends_with_its_supervisor_so_that_init_starts_one_of_both(here: World) -> None:
    """It lived on with the board's lock, and every agent that init started was refused."""
    with here.agent(WholeAgent) as agent:
        agent.wait_for(event="connected")
        job = here.cloud.update_job("agent", agent_build(NEWER), version=NEWER, software="ota_agent")
        assert here.cloud.end_of(job)[0] == "SUCCEEDED"
        agent.wait_for(event="reported", job=job)
        core, below = agent.core(), psutil.Process(child_of(agent.process.pid))
        agent.process.kill()
        try:
            until(lambda: not is_alive(below), "the agent lives on")
        finally:
            with suppress(psutil.NoSuchProcess):
                below.kill()
    with here.agent(WholeAgent) as agent:
        agent.wait_for(event="connected")
        assert agent.core() == core, "the core has run all the while"
        assert here.cloud.end_of(here.cloud.update_job("next", good()))[0] == "SUCCEEDED"
        again = here.cloud.update_job("again", agent_build("1.4.0"), version="1.4.0", software="ota_agent")
        assert here.cloud.end_of(again)[0] == "SUCCEEDED"


def test_an_agent_whose_supervisor_is_killed_before_it_asks_to_end_with_it_ends(here: World) -> None:
    """The kernel says nothing of a parent that has ended already: the agent lived on with the board's lock."""
    gg, fifo = here.root / "greengrass", here.root / "fifo"
    os.mkfifo(fifo)
    subprocess.run(["tar", "-xz", "-C", gg], input=agent_build(NEWER), check=True)
    (gg / "ota/ota_agent").symlink_to(f"ota_agent_v{NEWER}")
    program = gg / f"ota/ota_agent_v{NEWER}/ggc-ota"
    program.rename(program.with_name("agent"))
    program.write_text(f'#!/bin/sh\nread _ <{fifo}\nexec "${{0%/*}}/agent" "$@"\n')
    program.chmod(0o755)
    with here.agent(WholeAgent) as agent:
        with fifo.open("w"):  # it is opened once the program reads it
            below = psutil.Process(child_of(agent.process.pid))
            agent.process.kill()
            agent.process.wait()

        def ended() -> bool:
            return not is_alive(below)

        try:
            until(lambda: ended() or agent.events, "nothing comes of the agent")
            assert not agent.events, "the agent does its work without a supervisor"
        finally:
            with suppress(psutil.NoSuchProcess):
                below.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the owner's scripts must be owned by it")
def test_a_power_cut_in_a_new_agents_window_begins_it_again_and_the_owners_scripts_are_run(here: World) -> None:
    gg = here.root / "greengrass"
    config = gg / "config/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "managedRespawn": True}))
    for name in hooks.NAMES:
        script = gg / "usr/scripts" / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f"#!/bin/sh\necho {name} >>{gg}/ran\n")
        script.chmod(0o700)
    settings = json.loads(here.config.read_text())
    here.config.write_text(json.dumps({**settings, "stableWindow": 5}))
    with here.agent(WholeAgent) as agent:
        agent.wait_for(event="connected")
        job = here.cloud.update_job("agent", agent_build(NEWER), version=NEWER, software="ota_agent")
        agent.wait_for(event="update", job=job, phase="CONFIRM")
        new = child_of(agent.process.pid)
        agent.process.kill()
        os.kill(new, signal.SIGKILL)
    assert here.cloud.jobs.execution(THING, job).status == "IN_PROGRESS"
    with here.agent(WholeAgent) as agent:
        status, details = here.cloud.end_of(job)
        agent.wait_for(event="reported", job=job)
        assert (status, details["to"]) == ("SUCCEEDED", NEWER)
        agent.wait_for(event="update", job=job, phase="ACTIVATE", detail="start 2 of 3")
    ran = (gg / "ran").read_text().split()
    assert ran == ["ota_pre_update.sh", "ota_post_update.sh", "ota_post_update.sh"], "after each start of the new agent"


def changed(build: bytes, change: Callable[[str], str]) -> bytes:
    """Return a release whose program is another one."""
    result = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(build)) as source, tarfile.open(fileobj=result, mode="w:gz") as target:
        for member in source:
            file = source.extractfile(member)
            content = file.read() if file is not None else b""
            if member.name.endswith("/ggc-ota"):
                text = change(content.decode())
                assert text != content.decode()
                content = text.encode()
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return result.getvalue()


def child_of(pid: int) -> int:
    """The agent below a supervisor."""
    children = psutil.Process(pid).children()
    (found,) = (child.pid for child in children if "keeper.py" not in " ".join(child.cmdline()))
    return found
