"""The jobs service as a device meets it: real broker, real MQTT client that knows nothing of edge_sim."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from edge_sim.cloud.bridge import Bridge
from edge_sim.cloud.brokers.broker import Broker, start_broker, start_embedded
from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.service import JobSettings, JobsService
from edge_sim.cloud.store import Store
from edge_sim.errors import EdgeSimError, UnsupportedEnvironmentError
from tests import needs
from tests.integration.jobs_device import LIMIT_S, Device

pytestmark = pytest.mark.network

REGION, ACCOUNT, ROLE = "eu-west-1", "123456789012", "arn:aws:iam::123456789012:role/signer"
S3_URL = "https://s3.eu-west-1.amazonaws.com/eu-west-1-greengrass-updates/core/armv7l/a.tar.gz"
needs_mosquitto = needs.program("mosquitto")
_numbers = itertools.count(1)


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = 1_700_000_000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class World:
    """One service, bridged to one broker. ``thing`` is a new name for each test."""

    broker: Broker
    bridge: Bridge
    service: JobsService
    clock: Clock
    deployments: dict[str, dict[str, Any]] = field(default_factory=dict)
    thing: str = ""

    def job(self, job_id: str, document: dict[str, Any] | None = None, **more: Any) -> None:
        targets = [self.service.things.arn(self.thing)]
        text = json.dumps(document or {"do": job_id})
        self.service.create_job(f"{self.thing}-{job_id}", targets, text, **more)

    def id(self, job_id: str) -> str:
        return f"{self.thing}-{job_id}"


@pytest.fixture(scope="module", params=["embedded", pytest.param("mosquitto", marks=needs_mosquitto)])
def shared(request: pytest.FixtureRequest) -> Iterator[World]:
    presigns = itertools.count(1)

    def presign(url: str, expires_s: int, _thing: str) -> str:
        if "missing" in url:
            raise EdgeSimError("no such object")
        return f"http://127.0.0.1:1/{url.rpartition('/')[2]}?n={next(presigns)}&expires={expires_s}"

    clock = Clock()
    deployments: dict[str, dict[str, Any]] = {}
    device = DevicePlane(Store(), presign=presign, now=clock)
    start = start_broker if request.param == "mosquitto" else start_embedded
    with start() as broker, Bridge(broker.url, device, deployments.get) as bridge:
        service = JobsService(device, region=REGION, account=ACCOUNT)
        yield World(broker=broker, bridge=bridge, service=service, clock=clock, deployments=deployments)


@pytest.fixture
def world(shared: World) -> World:
    shared.thing = f"board-{next(_numbers)}"
    shared.service.things.create(shared.thing)
    return shared


@pytest.fixture
def device(world: World) -> Iterator[Device]:
    with Device(world.broker.url, world.thing) as found:
        yield found


class Sent:
    """A message that the broker has."""

    def is_published(self) -> bool:
        return True


Act = Callable[[World, Device], None]


def create(job_id: str) -> Act:
    return lambda world, device: world.job(job_id)


def send(topic: str, **body: Any) -> Act:
    """The device asks; what comes back is among the messages that the case expects."""
    return lambda world, device: device.send(topic.replace("{", f"{world.thing}-").replace("}", ""), body)


def cancel(job_id: str, *, force: bool = False) -> Act:
    return lambda world, device: world.service.cancel_job_execution(world.thing, world.id(job_id), force=force)


def timeout(world: World, device: Device) -> None:
    world.clock.at += 3600
    world.service.device.sweep()


def delete(job_id: str) -> Act:
    return lambda world, device: world.service.delete_job(world.id(job_id), force=True)


NOTIFY, NEXT = "jobs/notify", "jobs/notify-next"
STEP = {"stepTimeoutInMinutes": 1}

SEQUENCES: dict[str, tuple[list[Act], Act, list[tuple[str, str]]]] = {
    # case: what happened before, the event, the messages in order (topic, head of the queue or "")
    "queued, the queue was empty": ([], create("a"), [(NOTIFY, ""), (NEXT, "a QUEUED")]),
    "queued behind another": ([create("a")], create("b"), [(NOTIFY, "")]),
    "head started by start-next": ([create("a")], send("start-next"), [("jobs/start-next/accepted", "a IN_PROGRESS")]),
    "head started by update": (
        [create("a")],
        send("{a}/update", status="IN_PROGRESS"),
        [("jobs/{a}/update/accepted", "")],
    ),
    "progress": (
        [create("a"), send("start-next")],
        send("{a}/update", status="IN_PROGRESS", statusDetails={"p": "1"}),
        [("jobs/{a}/update/accepted", "")],
    ),
    "start-next hands the running one out again": (
        [create("a"), create("b"), send("start-next")],
        send("start-next"),
        [("jobs/start-next/accepted", "a IN_PROGRESS")],
    ),
    "another overtakes the head": (
        [create("a"), create("b")],
        send("{b}/update", status="IN_PROGRESS"),
        [("jobs/{b}/update/accepted", ""), (NEXT, "b IN_PROGRESS")],
    ),
    "another starts behind a running one": (
        [create("a"), create("b"), send("start-next")],
        send("{b}/update", status="IN_PROGRESS"),
        [("jobs/{b}/update/accepted", "")],
    ),
    "head succeeds, another waits": (
        [create("a"), create("b"), send("start-next")],
        send("{a}/update", status="SUCCEEDED"),
        [("jobs/{a}/update/accepted", ""), (NOTIFY, ""), (NEXT, "b QUEUED")],
    ),
    "head fails, none waits": (
        [create("a"), send("start-next")],
        send("{a}/update", status="FAILED"),
        [("jobs/{a}/update/accepted", ""), (NOTIFY, ""), (NEXT, "")],
    ),
    "head is rejected from the queue": (
        [create("a")],
        send("{a}/update", status="REJECTED"),
        [("jobs/{a}/update/accepted", ""), (NOTIFY, ""), (NEXT, "")],
    ),
    "another ends": (
        [create("a"), create("b")],
        send("{b}/update", status="FAILED"),
        [("jobs/{b}/update/accepted", ""), (NOTIFY, "")],
    ),
    "head times out": (
        [create("a"), create("b"), send("start-next", **STEP)],
        timeout,
        [(NOTIFY, ""), (NEXT, "b QUEUED")],
    ),
    "head is canceled": ([create("a")], cancel("a"), [(NOTIFY, ""), (NEXT, "")]),
    "running head is canceled by force": (
        [create("a"), create("b"), send("start-next")],
        cancel("a", force=True),
        [(NOTIFY, ""), (NEXT, "b QUEUED")],
    ),
    "another is canceled": ([create("a"), create("b")], cancel("b"), [(NOTIFY, "")]),
    "head is deleted": ([create("a"), create("b")], delete("a"), [(NOTIFY, ""), (NEXT, "b QUEUED")]),
    "a refused update tells nobody": (
        [create("a")],
        send("{a}/update", status="SUCCEEDED", expectedVersion=9),
        [("jobs/{a}/update/rejected", "")],
    ),
}


def head(body: dict[str, Any], thing: str) -> str:
    execution = body.get("execution")
    return f"{execution['jobId'].removeprefix(f'{thing}-')} {execution['status']}" if execution else ""


@pytest.mark.parametrize("case", SEQUENCES)
def test_who_hears_what_and_in_which_order(case: str, world: World, device: Device) -> None:
    before, event, expected = SEQUENCES[case]
    for act in before:
        act(world, device)
    device.send("get", {"clientToken": "ready"})
    while device.next()[1].get("clientToken") != "ready":
        pass
    event(world, device)
    named = [(topic.replace("{", f"{world.thing}-").replace("}", ""), told) for topic, told in expected]
    assert [(topic, head(body, world.thing)) for topic, body in (device.next() for _ in named)] == named
    assert device.quiet()


def test_the_main_path_field_by_field(world: World, device: Device) -> None:
    now = int(world.clock.at)
    world.job("a", {"v": 1})
    job_id = world.id("a")
    summary = {"jobId": job_id, "queuedAt": now, "lastUpdatedAt": now, "versionNumber": 1, "executionNumber": 1}
    queued = {**summary, "status": "QUEUED", "jobDocument": {"v": 1}}
    assert device.next() == (NOTIFY, {"timestamp": now, "jobs": {"QUEUED": [summary]}})
    assert device.next() == (NEXT, {"timestamp": now, "execution": queued})

    assert device.ask("get", {"clientToken": "t1"}) == (
        "accepted",
        {"inProgressJobs": [], "queuedJobs": [summary], "timestamp": now, "clientToken": "t1"},
    )
    assert device.ask("$next/get", raw=b"") == ("accepted", {"execution": queued, "timestamp": now})
    world.clock.at += 2
    body = {"statusDetails": {"step": "1"}, "stepTimeoutInMinutes": 5, "clientToken": "t2"}
    started = {
        **queued,
        "status": "IN_PROGRESS",
        "statusDetails": {"step": "1"},
        "startedAt": now + 2,
        "lastUpdatedAt": now + 2,
        "versionNumber": 2,
        "approximateSecondsBeforeTimedOut": 300,
    }
    accepted = {"execution": started, "timestamp": now + 2, "clientToken": "t2"}
    assert device.ask("start-next", body) == ("accepted", accepted)
    del started["jobDocument"]
    assert device.ask(f"{job_id}/get", {"includeJobDocument": False, "executionNumber": "1"}) == (
        "accepted",
        {"execution": started, "timestamp": now + 2},
    )
    update = {
        "status": "SUCCEEDED",
        "expectedVersion": "2",
        "executionNumber": "1",
        "includeJobExecutionState": True,
        "includeJobDocument": True,
        "clientToken": "t3",
    }
    assert device.ask(f"{job_id}/update", update) == (
        "accepted",
        {
            "timestamp": now + 2,
            "clientToken": "t3",
            "executionState": {"status": "SUCCEEDED", "versionNumber": 3, "statusDetails": {"step": "1"}},
            "jobDocument": {"v": 1},
        },
    )
    assert device.next() == (NOTIFY, {"timestamp": now + 2, "jobs": {}})
    assert device.next() == (NEXT, {"timestamp": now + 2})


def test_an_idle_thing_is_accepted_everywhere(world: World, device: Device) -> None:
    now = int(world.clock.at)
    assert device.ask("get") == ("accepted", {"inProgressJobs": [], "queuedJobs": [], "timestamp": now})
    assert device.ask("start-next") == ("accepted", {"timestamp": now})
    assert device.ask("$next/get") == ("accepted", {"timestamp": now})


def test_every_error_code(world: World, device: Device) -> None:
    world.job("a")
    world.job("b")
    for _ in range(3):
        device.next()
    a = world.id("a")

    def refused(topic: str, body: Any = None, raw: bytes | None = None) -> tuple[str, Any]:
        verdict, answer = device.ask(topic, body, raw=raw)
        assert verdict == "rejected"
        assert isinstance(answer["timestamp"], int)
        assert answer["message"]
        assert answer.get("clientToken") == (body or {}).get("clientToken")
        return answer["code"], answer.get("executionState")

    token = {"clientToken": "c"}
    assert refused(f"{a}/update", raw=b"not json") == ("InvalidJson", None)
    assert refused(f"{a}/update", {**token}) == ("InvalidRequest", None)
    assert refused(f"{a}/update", {**token, "status": "CANCELED"}) == ("InvalidStateTransition", None)
    assert refused("nothing/update", {**token, "status": "CANCELED"}) == ("InvalidStateTransition", None)
    assert refused("nothing/update", {**token, "status": "FAILED"}) == ("ResourceNotFound", None)
    assert refused("nothing/get", token) == ("ResourceNotFound", None)
    assert refused(f"{a}/get", {**token, "executionNumber": 2}) == ("ResourceNotFound", None)
    queued = {"status": "QUEUED", "versionNumber": 1}
    assert refused(f"{a}/update", {**token, "status": "FAILED", "expectedVersion": 2}) == ("VersionMismatch", queued)
    device.send(f"{a}/update", {"status": "FAILED", "statusDetails": {"r": "x"}})
    for _ in range(3):
        device.next()
    failed = {"status": "FAILED", "versionNumber": 2, "statusDetails": {"r": "x"}}
    assert refused(f"{a}/update", {**token, "status": "SUCCEEDED"}) == ("InvalidStateTransition", failed)
    assert refused(f"{a}/get", token) == ("TerminalStateReached", None)


def test_an_error_of_ours_is_an_internal_error_and_the_service_goes_on(
    world: World, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(world.service.device.records, "pending", lambda thing: 1 / 0)
        verdict, answer = device.ask("get", {"clientToken": "c"})
        assert (verdict, answer["code"], answer["clientToken"]) == ("rejected", "InternalError", "c")
    assert device.quiet()


def test_topics_of_no_call_and_replies_of_others_are_left_alone(world: World, device: Device) -> None:
    for topic in ("$next/update", "a/b/c/get", "get/accepted/get"):
        device.send(topic, {})
    device.send("$aws/things/x y/jobs/get", {})
    device.send("$aws/things/other/shadow/get", {})
    assert device.quiet()


def test_every_delivery_has_a_fresh_presigned_url(world: World, device: Device) -> None:
    document = {"files": [{"url": f"${{aws:iot:s3-presigned-url:{S3_URL}}}"}]}
    world.job("a", document, presigned_role_arn=ROLE, expires_s=77)
    device.next()
    handed_out = [device.next()[1]["execution"]]
    handed_out += [device.ask(topic)[1]["execution"] for topic in ("$next/get", "start-next")]
    update = {"status": "IN_PROGRESS", "includeJobDocument": True}
    handed_out.append(device.ask(f"{world.id('a')}/update", update)[1])
    urls = [content["jobDocument"]["files"][0]["url"] for content in handed_out]
    assert len(set(urls)) == 4
    assert all(url.startswith("http://127.0.0.1:1/a.tar.gz?n=") and url.endswith("&expires=77") for url in urls)


def test_a_url_that_cannot_be_presigned_stays_a_placeholder(world: World, device: Device) -> None:
    mark = "${aws:iot:s3-presigned-url:https://s3.amazonaws.com/b/missing}"
    world.job("a", {"url": mark}, presigned_role_arn=ROLE)
    device.next()
    assert device.next()[1]["execution"]["jobDocument"] == {"url": mark}


def test_at_most_ten_pending_ones_are_shown(world: World, device: Device) -> None:
    for number in range(12):
        world.job(f"n{number}")
    device.send("get", {"clientToken": "c"})
    shown: dict[str, Any] = {}
    while shown.get("clientToken") != "c":
        shown = device.next()[1]
    assert [s["jobId"] for s in shown["queuedJobs"]] == [world.id(f"n{n}") for n in range(10)]


def test_a_job_is_completed_by_its_last_execution(world: World, device: Device) -> None:
    world.job("a")
    assert world.service.job(world.id("a")).status == "IN_PROGRESS"
    device.send(f"{world.id('a')}/update", {"status": "SUCCEEDED"})
    while device.next()[0] != f"jobs/{world.id('a')}/update/accepted":
        pass
    job = world.service.job(world.id("a"))
    assert (job.status, job.completed_at) == ("COMPLETED", world.clock.at)


def test_the_sweeper_times_out_by_itself(tmp_path: Any) -> None:
    """With the real clock's thread: a deadline that a restart finds in the store still counts."""
    clock, store = Clock(), Store(tmp_path / "state.db")
    first = DevicePlane(store, presign=lambda url, *_: url, now=clock)
    service = JobsService(first, region=REGION, account=ACCOUNT)
    service.things.create("t")
    service.create_job("j", [service.things.arn("t")], "{}", settings=JobSettings(timeout_minutes=1))
    first.take([("$aws/things/t/jobs/start-next", b"")])
    clock.at += 61
    told, seen = threading.Event(), []

    def publish(topic: str, payload: bytes) -> Sent:
        seen.append(topic)
        if topic.endswith("notify-next") and "execution" not in json.loads(payload):
            told.set()
        return Sent()

    second = DevicePlane(store, presign=lambda url, *_: url, now=clock, publish=publish)
    second.start()
    try:
        assert told.wait(LIMIT_S)
    finally:
        second.stop()
    assert seen[-2:] == ["$aws/things/t/jobs/notify", "$aws/things/t/jobs/notify-next"]
    again = JobsService(second, region=REGION, account=ACCOUNT)
    assert (again.execution("t", "j").status, again.job("j").status) == ("TIMED_OUT", "COMPLETED")
    store.close()


def test_a_core_hears_of_its_deployment_and_may_ask_again(world: World, device: Device) -> None:
    deployment = {"DeploymentId": "d1", "DocumentUrl": "http://127.0.0.1:1/x"}
    ask = f"$aws/things/{world.thing}-gda/shadow/get"
    device.send(ask, {})
    topic, body = device.next()
    assert (topic, body["state"]) == ("-gda/shadow/get/accepted", {"desired": {}})
    world.deployments[world.thing] = deployment
    world.bridge.announce(world.thing, deployment)
    topic, body = device.next()
    assert (topic, body["state"]) == ("-gda/shadow/update/delta", {"deployment": deployment})
    device.send(ask, {})
    topic, body = device.next()
    assert (topic, body["state"]) == ("-gda/shadow/get/accepted", {"desired": {"deployment": deployment}})


def test_the_bridge_comes_back_after_the_broker_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker goes and another takes its port: the bridge subscribes again, and what it had to say is said."""
    device = DevicePlane(Store(), presign=lambda url, *_: url)
    service = JobsService(device, region=REGION, account=ACCOUNT)
    service.things.create("t")
    with start_embedded() as first:
        port = int(first.url.rpartition(":")[2])
        bridge = Bridge(first.url, device, lambda thing: None)
    monkeypatch.setattr("edge_sim.cloud.brokers.embedded.PORT", port)
    with bridge, start_embedded() as second:
        assert second.url == first.url
        until = time.monotonic() + LIMIT_S
        while not bridge.connected and time.monotonic() < until:
            threading.Event().wait(0.05)
        with Device(second.url, "t") as found:
            service.create_job("j", [service.things.arn("t")], "{}")
            assert found.next()[0] == NOTIFY
            assert found.next()[0] == NEXT
            assert found.quiet()


def test_no_broker_is_a_clear_failure() -> None:
    with start_embedded() as broker:
        url = broker.url
    with pytest.raises(UnsupportedEnvironmentError, match="cannot be used"):
        Bridge(url, DevicePlane(Store(), presign=lambda url, *_: url), lambda thing: None)


def test_owner_and_device_at_once_neither_block_nor_lose_anything(world: World, device: Device) -> None:
    """Jobs are created while the device works them off; every notify tells of one more or one less."""
    count = 20

    def create_all() -> None:
        for number in range(count):
            world.job(f"c{number}")

    creator = threading.Thread(target=create_all)
    creator.start()
    done: set[str] = set()
    while len(done) < count:
        topic, body = device.next()
        if topic == NEXT and "execution" in body:
            device.send(f"{body['execution']['jobId']}/update", {"status": "SUCCEEDED"})
        if topic.endswith("/update/accepted"):
            done.add(topic)
        assert not topic.endswith("rejected")
    creator.join(LIMIT_S)
    assert not creator.is_alive()
    assert device.next()[0] == NOTIFY
    assert device.next() == (NEXT, {"timestamp": int(world.clock.at)})
    assert device.quiet()
