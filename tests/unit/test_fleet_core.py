"""A simulated core against the Jobs service itself: how each fault ends, and what a killed process leaves behind."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.service import JobsService
from edge_sim.cloud.store import Store
from edge_sim.fleet import facts, lines
from edge_sim.fleet.account import CoreAccount, Execution, differences, held_up, kept_out
from edge_sim.fleet.core import FleetCore
from edge_sim.fleet.jobs import FleetJob, Progress
from edge_sim.fleet.model import BAD, CoreModel, Fault
from edge_sim.fleet.page import page
from edge_sim.fleet.rollout import FleetReport, Options
from edge_sim.fleetkeys import Fleet, Storm
from edge_sim.jobs.update import UpdateDocument, build_document
from edge_sim.pages import html, markdown

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
        self.on_report: Callable[[], object] = lambda: None
        """Called when the core has written down how its update ended, before it reports it."""
        self.core: FleetCore | None = None
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
        found = lines.disk(disk) if disk else lines.ModelDisk(version=model.version)
        self.core = FleetCore(model, found, sleep=lambda _: None, stop=threading.Event(), tell=self._tell)
        self.core.attach(self)
        self.core.work()

    def executions(self) -> list[Execution]:
        rows, _ = self.service.executions_of_job(JOB, limit=10, position=0)
        return [Execution(job=JOB, thing=row.thing_name, number=row.number, status=row.status) for row in rows]

    def publish(self, topic: str, payload: bytes, /) -> None:
        self.device.take([(topic, payload)])

    def _send(self, topic: str, payload: bytes) -> Sent:
        if self.core is not None:
            self.core.take(topic, payload)
        return Sent()

    def _tell(self, kind: str, /, **members: object) -> None:
        self.account.hear(float(self.told), kind, json.loads(json.dumps(members)))
        self.told += 1
        record: Any = members.get("record")
        if kind == "journal" and record and record["report"]:
            self.on_report()
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
    assert lost.text == "the cloud reports SUCCEEDED, which the core never did"
    (unknown,) = differences([world.account], [])
    assert unknown.text == "the core ended with SUCCEEDED, but the cloud has no such execution"
    (otherwise,) = differences([world.account], [replace(row, status="FAILED")])
    assert otherwise.text == "the cloud reports FAILED, the core SUCCEEDED"
    (open_still,) = differences([world.account], [replace(row, status="IN_PROGRESS")])
    assert open_still.text == "the core's SUCCEEDED was accepted, but the cloud has not ended the execution"


def test_an_end_that_the_cloud_does_not_take_is_no_difference_and_needs_no_more_waiting() -> None:
    world = World(MODEL)
    world.on_report = lambda: world.service.cancel_job(JOB, force=True)
    world.live()
    assert [(end.status, end.taken, end.refused) for end in world.account.ends] == [("SUCCEEDED", False, True)]
    assert "the cloud says CANCELED" in world.account.reason
    assert [row.status for row in world.executions()] == ["CANCELED"]
    assert differences([world.account], world.executions()) == []


def test_an_update_that_begins_again_after_its_end_was_done_twice() -> None:
    world = World(MODEL)
    world.live()
    record = {"job": JOB, "execution": 1, "phase": "PREFLIGHT", "report": None, "reason": None}
    world.account.hear(9.0, "journal", {"version": "1.11.6", "good": None, "record": record})
    (twice,) = differences([world.account], world.executions())
    assert twice.text == f"done twice: {JOB}, execution 1: PREFLIGHT after SUCCEEDED"


def test_cores_that_cannot_connect_are_named_until_they_can() -> None:
    accounts = [CoreAccount(model=replace(MODEL, thing=f"core-{number}")) for number in range(3)]
    assert kept_out(accounts) == ""
    for account, final in zip(accounts, (False, True, True), strict=True):
        account.hear(1.0, "down", {"text": "the broker refused the connection (Not authorized)", "final": final})
    why = "cannot connect: the broker refused the connection (Not authorized)"
    assert kept_out(accounts) == f"core core-1 and 1 more {why}"
    accounts[1].hear(2.0, "up", {})
    assert kept_out(accounts) == f"core core-2 {why}"


@pytest.mark.parametrize(
    ("statuses", "timed", "over"),
    [
        (("SUCCEEDED", "QUEUED"), False, True),
        (("SUCCEEDED", "IN_PROGRESS"), False, True),
        (("SUCCEEDED", "IN_PROGRESS"), True, False),
        (("SUCCEEDED", "QUEUED"), True, True),
        (("QUEUED", "QUEUED"), False, False),
        (("SUCCEEDED", "TIMED_OUT"), False, False),
    ],
)
def test_a_rollout_is_held_up_where_only_a_core_that_cannot_connect_is_left(
    statuses: tuple[str, str], timed: bool, over: bool
) -> None:
    accounts = [CoreAccount(model=replace(MODEL, thing=thing)) for thing in ("there", "out")]
    accounts[1].hear(1.0, "down", {"text": "refused", "final": True})
    rows = [
        Execution(job=JOB, thing=account.model.thing, number=1, status=status)
        for account, status in zip(accounts, statuses, strict=True)
    ]
    assert held_up(accounts, rows, timed=timed) is over


def test_every_fault_of_a_bad_board_has_an_end() -> None:
    assert set(BAD) == set(ENDS) - {"none"}


def report(*faults: Fault, stopped_at: float | None = None) -> FleetReport:
    """Return what a fleet of such cores comes to; the last of them never heard of the job."""
    worlds = [World(replace(MODEL, number=at, thing=f"core-{at}", fault=fault)) for at, fault in enumerate(faults)]
    for world in worlds[:-1]:
        world.live()
    found = FleetReport(scenario="s", fleet=Fleet(version="1.11.6"), options=Options(cores=len(faults)))
    found.accounts = [world.account for world in worlds]
    found.jobs = [FleetJob(job_id=JOB, group="fleet", pair=MODEL.pair, things=len(faults))]
    found.ends = {JOB: Progress(status="CANCELED", pending=0, comment="<b>why</b>", stopped_at=stopped_at)}
    found.created_at = 0.0
    return found


def test_a_report_says_how_many_an_abort_let_through_and_draws_the_states() -> None:
    found = report("none", "does not start", "dies", "none", stopped_at=100.0)
    (abort,) = facts.aborts(found)
    assert (abort.things, abort.begun, abort.ended, abort.failed, abort.later, abort.spared) == (4, 3, 3, 2, 0, 1)
    text = html.render(page(found))
    assert "3 of 4 cores had begun and 2 of 3 ended cores had failed" in text
    assert "<b>why</b>" not in text
    drawn = re.findall(r'<path class="part-\d+" d="[^"]+"><title>([a-z ]+)</title>', text)
    assert {"waiting", "done", "rolled back"} <= set(drawn)
    assert "failed" not in drawn
    assert "rolled back: 2 at the end" in markdown.render(page(found))
    assert json.loads(json.dumps(facts.as_json(found)))["aborts"][0]["spared"] == 1


def test_a_report_says_of_each_storm_how_many_sessions_went_and_when_the_last_was_back() -> None:
    found = report("none", "none", "none")
    found.storms = [
        (10.0, Storm(kind="lost sessions", after_s=10)),
        (20.0, Storm(kind="cloud restart", after_s=20)),
    ]
    links: list[list[tuple[float, str]]] = [
        [(1, "up"), (10.5, "down"), (12, "up")],
        [(2, "up"), (11, "down"), (15.5, "up"), (30, "down")],
        [(3, "up")],
    ]
    for account, changes in zip(found.accounts, links, strict=True):
        for at, kind in changes:
            account.hear(at, kind, {"text": "", "final": False})
            account.hear(at + 0.1, kind, {"text": "again", "final": False})
    first, second = facts.storms(found)
    assert first.endswith("down for 1 s; 2 sessions lost, the last was back 5.5 s after it")
    assert second.endswith("down for 1 s; 1 session lost, 1 of them not back at the end")
    found.storms = found.storms[:1]
    found.accounts = found.accounts[2:]
    assert facts.storms(found)[0].endswith("; no session was lost")
    (row,) = json.loads(json.dumps(facts.as_json(found)))["storms"]
    assert row["sessions"] == {"lost": 0, "back": 0, "last_back_s": None}


def test_a_report_without_an_abort_is_complete_or_not_at_its_end() -> None:
    found = report("none", "none")
    assert facts.aborts(found) == []
    assert facts.verdict(found).startswith("The rollout is complete; ")
    found.trouble.append("the disk is full")
    assert (found.exit_status, facts.verdict(found)) == (6, "The rollout did not finish: the disk is full")
    found.interrupted = True
    assert found.exit_status == 130
