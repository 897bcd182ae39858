"""The agent as a process, on a real broker with the real Jobs service, with real builds that really start."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.integration.agent_world import (
    LIMIT_S,
    NEW,
    OLD,
    THING,
    Agent,
    World,
    assert_kept,
    broken,
    good,
    kept,
    lay_shadow,
    world,
)
from tests.relay import Relay
from tests.scripted_server import Server, ok
from tests.waiting import until

pytestmark = pytest.mark.network


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


def packages(here: World) -> list[str]:
    return sorted(path.name for path in (here.root / "greengrass/ggc/packages").iterdir())


def cores(root: Path) -> list[str]:
    """Command lines of this board's core processes that are alive."""
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if process.status() != psutil.STATUS_ZOMBIE and any(str(root) in word for word in words[:2]):
                found[process.pid] = (process.ppid(), " ".join(words))
    # A core's child that is about to become another program still looks like its parent.
    return [words for parent, words in found.values() if parent not in found]


def test_a_good_update_is_downloaded_switched_to_and_reported(here: World) -> None:
    lay_shadow(here)
    with here.agent() as agent:
        agent.wait_for(event="core", status="running")
        assert agent.core()["version"] == OLD
        before = kept(here)
        job = here.cloud.update_job("good", good())
        status, details = here.cloud.end_of(job)
        agent.wait_for(event="reported", job=job)
        assert (status, details["from"], details["to"]) == ("SUCCEEDED", OLD, NEW)
        assert agent.core()["version"] == NEW
        assert agent.phases(job) == ["PREFLIGHT", "STAGE", "VERIFY", "ACTIVATE", "CONFIRM", "SUCCEEDED"]
        assert (agent.gg / "ggc/core").readlink() == Path("packages") / NEW
        assert packages(here) == [OLD, NEW]
        assert len(cores(here.root)) == 1
        assert_kept(before, here)
    assert cores(here.root) == []


def test_a_build_that_does_not_start_is_rolled_back_and_the_old_one_runs_again(here: World) -> None:
    with here.agent() as agent:
        agent.wait_for(event="connected")
        job = here.cloud.update_job("broken", broken())
        status, details = here.cloud.end_of(job)
        agent.wait_for(event="reported", job=job)
        assert status == "FAILED"
        assert "ACTIVATE: greengrassd start: " in details["reason"]
        assert "this build is broken on purpose" in details["reason"]
        assert agent.core()["version"] == OLD
        assert agent.phases(job)[-2:] == ["ROLL_BACK", "FAILED"]
        assert (agent.gg / "ggc/core").readlink() == Path("packages") / OLD
        assert packages(here) == [OLD]

        # and the next, good one works
        assert here.cloud.end_of(here.cloud.update_job("good", good()))[0] == "SUCCEEDED"
        assert agent.core()["version"] == NEW


def test_a_core_that_ends_is_started_again(here: World) -> None:
    with here.agent() as agent:
        agent.wait_for(event="core", status="running")
        first = agent.core()["pid"]
        os.kill(first, signal.SIGKILL)
        agent.wait_for(event="core", status="died", error="the core is not running")
        until(lambda: [e.get("status") for e in agent.events if e["event"] == "core"] == ["running", "died", "running"])
        assert agent.core()["pid"] != first
        assert len(cores(here.root)) == 1


def test_a_build_that_dies_within_its_stable_window_is_rolled_back(here: World) -> None:
    """It started and looked healthy: without the window the job had SUCCEEDED, and no core ran from then on."""
    settings = json.loads(here.config.read_text())
    here.config.write_text(json.dumps({**settings, "stableWindow": 600}))
    with here.agent() as agent:
        agent.wait_for(event="connected")
        job = here.cloud.update_job("dying", dying(after_s=1))
        agent.wait_for(event="update", job=job, phase="CONFIRM")
        status, details = here.cloud.end_of(job)
        agent.wait_for(event="reported", job=job)
        assert status == "FAILED"
        guard_was_first = "version 1.11.6 was restarted while it was watched"
        assert re.match(rf"CONFIRM: (the core is not running|{guard_was_first}) \(health check ", details["reason"])
        assert "; its log: daemon: fatal: no luck" in details["reason"]
        assert "is no longer running" not in details["reason"], "the agent's own words"
        assert here.cloud.stepped, "the cloud notices a board that falls silent"
        assert agent.core()["version"] == OLD
        assert agent.phases(job)[-2:] == ["ROLL_BACK", "FAILED"]


def test_an_agent_that_comes_back_within_the_stable_window_is_connected_in_it(here: World) -> None:
    """It heard neither a cancellation nor anything else until the window was over."""
    settings = json.loads(here.config.read_text())
    here.config.write_text(json.dumps({**settings, "stableWindow": 600}))
    with here.agent() as agent:
        job = here.cloud.update_job("cut", good())
        agent.wait_for(event="update", job=job, phase="CONFIRM")
        agent.process.kill()
        agent.process.wait(LIMIT_S)
    with here.agent() as agent:
        agent.wait_for(event="update", job=job, phase="CONFIRM")
        agent.wait_for(event="connected")
        assert here.cloud.jobs.execution(THING, job).status == "IN_PROGRESS"
        here.cloud.jobs.cancel_job(job, force=True)
        agent.wait_for(event="update", job=job, phase="CANCELED")
        assert agent.core()["version"] == OLD


def dying(after_s: int) -> bytes:
    """A good build whose daemon ends by itself."""
    changed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(good())) as source,
        tarfile.open(fileobj=changed, mode="w:gz") as target,
    ):
        for member in source:
            file = source.extractfile(member)
            content = file.read() if file is not None else b""
            content = content.replace(
                b"sleep 3600 &", f"sleep {after_s}; echo daemon: fatal: no luck >&2; rm -f $STATE; exit 1".encode()
            )
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return changed.getvalue()


def test_what_the_board_cannot_take_is_rejected_before_it_is_started(here: World) -> None:
    with here.agent() as agent:
        agent.wait_for(event="connected")
        wrong = here.cloud.update_job("wrong", good(), architecture="x86_64")
        older = here.cloud.update_job("older", good("1.9.4"), version="1.9.4")
        other = here.cloud.update_job("other", good("1.3.0"), version="1.3.0", software="ota_agent")
        status, details = here.cloud.end_of(wrong)
        assert status == "REJECTED"
        assert "the build is for x86_64, but this board is armv7l" in details["reason"]
        assert "older than 1.10.0" in here.cloud.end_of(older)[1]["reason"]
        assert "this agent cannot replace the software ota_agent" in here.cloud.end_of(other)[1]["reason"]
        assert here.cloud.jobs.execution(THING, wrong).started_at is None
        assert here.files.asked == []
        assert agent.core()["version"] == OLD


def test_the_installed_version_needs_no_work(here: World) -> None:
    with here.agent() as agent:
        agent.wait_for(event="connected")
        status, details = here.cloud.end_of(here.cloud.update_job("same", good(OLD), version=OLD))
        assert (status, details["reason"]) == ("SUCCEEDED", "already-installed")
        assert here.files.asked == []


def test_a_download_of_other_bytes_fails_and_nothing_is_switched(here: World) -> None:
    with here.agent() as agent:
        agent.wait_for(event="core", status="running")
        pid = agent.core()["pid"]
        job = here.cloud.update_job("altered", good(), sha256="0" * 64)
        status, details = here.cloud.end_of(job)
        assert status == "FAILED"
        assert "SHA-256" in details["reason"]
        agent.wait_for(event="reported", job=job)
        assert agent.core()["pid"] == pid
        assert packages(here) == [OLD]


def test_an_expired_url_is_replaced_by_a_fresh_one(here: World) -> None:
    here.files.expired = 2
    with here.agent() as agent:
        agent.wait_for(event="connected")
        assert here.cloud.end_of(here.cloud.update_job("late", good()))[0] == "SUCCEEDED"
    assert len(set(here.files.asked)) == 3
    told = json.dumps(agent.events) + (here.root / "var/log/greengrass/ota/ggc_ota.txt").read_text()
    assert "secret" not in told


def test_a_job_that_waited_for_the_agent_is_found_and_jobs_of_others_are_left_alone(here: World) -> None:
    target = [here.cloud.jobs.things.arn(THING)]
    here.cloud.jobs.create_job("someone-elses", target, '{"operation": "reboot"}')
    here.cloud.jobs.create_job("GreengrassUpdateJob_without-mark", target, '{"operation": "reboot"}')
    job = here.cloud.update_job("waiting", good())
    with here.agent():
        assert here.cloud.end_of(job)[0] == "SUCCEEDED"
    for other in ("someone-elses", "GreengrassUpdateJob_without-mark"):
        assert here.cloud.jobs.execution(THING, other).status == "QUEUED"


def test_a_job_cancelled_during_the_download_leaves_the_old_version_alone(here: World) -> None:
    """Though the server says nothing from then on."""
    go_on = threading.Event()

    def cancel() -> None:
        here.cloud.jobs.cancel_job(job, force=True)
        go_on.wait(LIMIT_S)

    here.files.on_get = cancel
    with here.agent() as agent:
        agent.wait_for(event="core", status="running")
        pid = agent.core()["pid"]
        job = "GreengrassUpdateJob_canceled"
        here.cloud.update_job("canceled", good())
        agent.wait_for(event="update", phase="CANCELED")
        assert not go_on.is_set()
        go_on.set()
        assert here.cloud.jobs.execution(THING, job).status == "CANCELED"
        assert agent.core()["pid"] == pid
        assert packages(here) == [OLD]
        here.files.on_get = lambda: None
        assert here.cloud.end_of(here.cloud.update_job("next", good()))[0] == "SUCCEEDED"


def test_two_jobs_are_done_one_after_the_other(here: World) -> None:
    with here.agent() as agent:
        first = here.cloud.update_job("first", good("1.11.0"), version="1.11.0")
        second = here.cloud.update_job("second", good())
        assert here.cloud.end_of(second)[0] == here.cloud.end_of(first)[0] == "SUCCEEDED"
        agent.wait_for(event="reported", job=second)
        order = [e["job"] for e in agent.events if e["event"] == "reported"]
        assert order == [first, second]
        assert agent.core()["version"] == NEW


def test_deployments_are_fetched_carried_out_and_reported(here: World) -> None:
    files = here.files
    for id_, wish in (("d1", "work"), ("d2", "break")):
        files.content[f"/{id_}/document"] = json.dumps({"Group": {"wish": wish}, "Artifacts": {}}).encode()

    def deployment(id_: str) -> dict[str, str]:
        urls = {
            "DocumentUrl": f"{files.url}/{id_}/document?X-Amz-Signature=secret",
            "StatusUrl": f"{files.url}/{id_}/status?s",
        }
        return {"DeploymentId": id_, "DeploymentType": "NewDeployment", **urls}

    here.cloud.deployment = deployment("d1")  # made while the core was away
    with here.agent() as agent:
        assert files.puts.get(timeout=LIMIT_S) == ("/d1/status", {"DeploymentStatus": "Success"})
        here.cloud.deployment = None
        here.cloud.bridge.announce(THING, deployment("d2"))
        path, status = files.puts.get(timeout=LIMIT_S)
        assert (path, status["DeploymentStatus"]) == ("/d2/status", "Failure")
        assert status["ErrorMessage"] == "the group says break"
        agent.wait_for(event="deployment", id="d2", status="Failure", error="the group says break")


def test_a_killed_agent_leaves_its_work_to_the_next_one(here: World) -> None:
    with here.agent() as agent:
        here.files.on_get = agent.process.kill
        job = here.cloud.update_job("cut", good())
        agent.process.wait(LIMIT_S)
    here.files.on_get = lambda: None
    with here.agent() as agent:
        assert here.cloud.end_of(job)[0] == "SUCCEEDED"
        agent.wait_for(event="reported", job=job)
        assert agent.core()["version"] == NEW
        assert len(cores(here.root)) == 1


def test_a_second_agent_on_the_same_board_is_refused(here: World) -> None:
    with here.agent() as first:
        first.wait_for(event="core", status="running")
        with here.agent() as second:
            second.process.wait(LIMIT_S)
        assert second.process.returncode == 6
        assert "another agent is running on this board" in second.errors
        assert first.core()["version"] == OLD


def test_the_agent_ends_on_sigterm_and_takes_the_core_with_it(here: World) -> None:
    with here.agent() as agent:
        agent.wait_for(event="connected")
        assert agent.stop() == 0
        assert agent.events[-1] == {"event": "stopped"}
        assert cores(here.root) == []


def test_sigterm_in_a_stalled_download_ends_the_agent_and_the_next_one_finishes_the_job(here: World) -> None:
    stalled, go_on = threading.Event(), threading.Event()

    def stall() -> None:
        stalled.set()
        go_on.wait(LIMIT_S)

    here.files.on_get = stall
    try:
        with here.agent() as agent:
            job = here.cloud.update_job("stalled", good())
            assert stalled.wait(LIMIT_S)
            agent.process.terminate()
            assert agent.process.wait(LIMIT_S / 2) == 0  # the stall lasts longer
    finally:
        go_on.set()
        here.files.on_get = lambda: None
    assert cores(here.root) == []
    with here.agent():
        assert here.cloud.end_of(job)[0] == "SUCCEEDED"


def test_a_download_goes_on_where_a_killed_agent_left_it(here: World) -> None:
    build = good()
    half = len(build) // 2
    server = Server()
    head = f'Content-Range: bytes {half}-{len(build) - 1}/{len(build)}\r\nETag: "build"\r\n'
    server.script = [
        ok(build[:half] + b"<hang>", length=len(build), headers='ETag: "build"\r\n'),
        ok(build[half:], headers=head, status="206 Partial Content"),
    ]
    here.files.url = server.url.partition("/artifacts")[0]
    try:
        with here.agent() as agent:
            job = here.cloud.update_job("cut", build)
            part = agent.gg / "ggc/packages/.staging/.build.tar.gz.part"
            until(lambda: part.is_file() and part.stat().st_size == half)
            agent.process.kill()
            agent.process.wait(LIMIT_S)
        server.linger.set()
        with here.agent():
            assert here.cloud.end_of(job)[0] == "SUCCEEDED"
        assert f"Range: bytes={half}-".encode() in server.requests[1]
        assert b'If-Match: "build"' in server.requests[1]
    finally:
        server.close()


def test_a_core_runs_without_a_broker_and_its_agent_connects_when_there_is_one(here: World) -> None:
    """It ended with status 6 after 30 s, and the core with it."""
    config = json.loads(here.config.read_text())
    broker = int(config["broker"].rsplit(":", 1)[1])
    relay = Relay(broker)
    relay.cut()
    here.config.write_text(json.dumps(config | {"broker": f"mqtt://127.0.0.1:{relay.port}"}))
    with here.agent() as agent:
        agent.wait_for(event="disconnected", reason=f"no MQTT broker at 127.0.0.1:{relay.port}: Connection refused")
        agent.wait_for(event="core", status="running")
        assert agent.core()["version"] == OLD
        relay.start()
        agent.wait_for(event="connected")
        assert [e["event"] for e in agent.events].count("disconnected") == 1
        assert here.cloud.end_of(here.cloud.update_job("good", good()))[0] == "SUCCEEDED"
    relay.cut()
    assert cores(here.root) == []


@pytest.mark.parametrize("redirected", [">/dev/full 2>/dev/full", ">&- 2>&-"], ids=["full", "closed"])
def test_an_agent_whose_output_cannot_be_written_works_on(here: World, redirected: str) -> None:
    """With its output in a file on the full disk it ended, and no core ran from then on."""
    program = [sys.executable, "-m", "tests.integration.agent_program", str(here.config), str(here.root)]
    agent = Agent(here.root, here.config, ["sh", "-c", f'exec "$@" {redirected}', "-", *program])
    try:
        job = here.cloud.update_job("good", good())
        until(lambda: agent.process.poll() is not None or here.cloud.jobs.execution(THING, job).status == "SUCCEEDED")
        assert agent.process.poll() is None
        assert agent.core()["version"] == NEW
    finally:
        agent.stop()
    assert cores(here.root) == []
