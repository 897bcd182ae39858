"""A simulated core against the Jobs service itself: how each fault ends, and what a killed process leaves behind."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.service import JobsService
from edge_sim.cloud.store import Store
from edge_sim.fleet import lines
from edge_sim.fleet.account import CoreAccount, Execution, differences
from edge_sim.fleet.core import Core
from edge_sim.fleet.model import BAD, CoreModel, Fault
from edge_sim.jobs.update import UpdateDocument, build_document

JOB = "GreengrassUpdateJob_fleet"
MODEL = CoreModel(
    number=0, thing="core", profile="raspberry-pi-3", architecture="armv7l", operating_system="raspbian", start_s=1.0
)
ENDS: dict[Fault, tuple[str, str, str]] = {
    "none": ("SUCCEEDED", "done", "1.11.6"),
    "no space": ("FAILED", "failed", "1.10.0"),
    "bad download": ("FAILED", "failed", "1.10.0"),
    "does not start": ("FAILED", "rolled back", "1.10.0"),
    "dies": ("FAILED", "rolled back", "1.10.0"),
}
"""Fault → the execution's status, the core's state, the version that runs."""


class Killed(BaseException):
    """The core's process ends here."""


class Sent:
    def is_published(self) -> bool:
        return True


class World:
    """A Jobs service and one core, whose messages are handed over at once."""

    def __init__(self, model: CoreModel) -> None:
        self.device = DevicePlane(Store(), presign=lambda *_: "http://127.0.0.1/build", publish=self._send)
        self.service = JobsService(self.device, region="us-east-1", account="123456789012")
        self.account = CoreAccount(model=model)
        self.told = 0
        self.killed_at: int | None = None
        self.core: Core | None = None
        self.service.register("fleet", [model.thing])
        document = UpdateDocument(
            software="core",
            version="1.11.6",
            architecture="armv7l",
            operating_system="raspbian",
            log_level="INFO",
            url="https://s3.us-east-1.amazonaws.com/bucket/key",
            sha256="0" * 64,
            size=1000,
        )
        group = "arn:aws:iot:us-east-1:123456789012:thinggroup/fleet"
        role = "arn:aws:iam::123456789012:role/signer"
        self.service.create_job(JOB, [group], json.dumps(build_document(document)), presigned_role_arn=role)

    def live(self) -> None:
        """Run the core, from what its disk holds, until there is nothing more to do."""
        model, disk = self.account.model, self.account.disk
        found = lines.disk(disk) if disk else lines.Disk(version=model.version)
        self.core = Core(model, found, sleep=lambda _: None, stop=threading.Event(), tell=self._tell)
        self.core.attach(self)
        self.core.work()

    def executions(self) -> list[Execution]:
        rows, _ = self.service.executions_of_job(JOB, limit=10, position=0)
        return [Execution(job=JOB, thing=row.thing_name, number=row.number, status=row.status) for row in rows]

    def publish(self, topic: str, payload: bytes, /) -> None:
        self.device.take([(topic, payload)])

    def subscribe(self, topic_filter: str, handler: object, /) -> None:
        raise AssertionError

    def close(self) -> None: ...

    def _send(self, topic: str, payload: bytes) -> Sent:
        if self.core is not None:
            self.core.take(topic, payload)
        return Sent()

    def _tell(self, kind: str, /, **members: object) -> None:
        self.account.hear(float(self.told), kind, json.loads(json.dumps(members)))
        self.told += 1
        if self.told == self.killed_at:
            raise Killed


@pytest.mark.parametrize("fault", ENDS)
def test_each_fault_ends_as_on_a_board_and_both_accounts_say_so(fault: Fault) -> None:
    world = World(replace(MODEL, fault=fault))
    world.live()
    status, state, version = ENDS[fault]
    assert [row.status for row in world.executions()] == [status]
    assert (world.account.state, world.account.disk["version"]) == (state, version)
    assert [(end.status, end.taken) for end in world.account.ends] == [(status, True)]
    assert "ROLLBACK_FAILED" not in world.account.reason
    assert differences([world.account], world.executions()) == []


@pytest.mark.parametrize("fault", ENDS)
def test_a_core_whose_process_is_killed_at_any_line_ends_once_and_as_it_would_have(fault: Fault) -> None:
    """But for one cut off in the new version's start or window, which the agent itself may give up."""
    whole = World(replace(MODEL, fault=fault))
    whole.live()
    for at in range(1, whole.told + 1):
        world = World(replace(MODEL, fault=fault))
        world.killed_at = at
        with pytest.raises(Killed):
            world.live()
        world.live()
        assert [row.status for row in world.executions()] == [ENDS[fault][0]], at
        assert differences([world.account], world.executions()) == [], at
        assert world.account.disk["version"] == ENDS[fault][2], at


def test_an_end_that_only_one_side_knows_is_a_difference() -> None:
    world = World(MODEL)
    world.live()
    (row,) = world.executions()
    (lost,) = differences([CoreAccount(model=MODEL)], [row])
    assert lost.text == "the cloud says SUCCEEDED, and the core never said so"
    (unknown,) = differences([world.account], [])
    assert unknown.text == "the core ended with SUCCEEDED, and the cloud has no such execution"
    (otherwise,) = differences([world.account], [replace(row, status="FAILED")])
    assert otherwise.text == "the cloud says FAILED, the core SUCCEEDED"
    (open_still,) = differences([world.account], [replace(row, status="IN_PROGRESS")])
    assert open_still.text == "the core's SUCCEEDED was taken, and the cloud has not ended it"


def test_an_update_that_begins_again_after_its_end_was_done_twice() -> None:
    world = World(MODEL)
    world.live()
    record = {"job": JOB, "execution": 1, "phase": "PREFLIGHT", "report": None, "reason": None}
    world.account.hear(9.0, "journal", {"version": "1.11.6", "good": None, "record": record})
    (twice,) = differences([world.account], world.executions())
    assert twice.text == f"done twice: {JOB}, execution 1: PREFLIGHT after SUCCEEDED"


def test_every_fault_of_a_bad_board_has_an_end() -> None:
    assert set(BAD) == set(ENDS) - {"none"}
