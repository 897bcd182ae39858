"""One board's part of a run, without a board: what it asks the cloud for and what it tells of the answers."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_sim.definitions.definition import Definition
from edge_sim.emulation import boardplan
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.capabilities import Missing, Proves
from edge_sim.errors import Position, UnsupportedEnvironmentError
from edge_sim.facts import LISTINGS, HostFacts
from edge_sim.greengrass.group import Group
from edge_sim.pages.access import message
from edge_sim.profiles import load_profile
from edge_sim.runs.answers import undecided
from edge_sim.runs.aws import until_ended
from edge_sim.runs.boardrun import BoardRun
from edge_sim.runs.liveboard import LiveBoard
from edge_sim.runs.steps import BoardStep, StepCounter
from edge_sim.scenario import BoardFile, ExpectedUpdate, Scenario
from tests.unit.greengrass import build
from tests.unit.greengrass.build import access

LINE = Position(file=Path("edge-sim.yaml"), line=7)


class Cloud:
    """A cloud and a client for it: every call is noted, and each job is refused by the device at once."""

    def __init__(self) -> None:
        self.offering = threading.Lock()
        self.builds: list[str] = []
        self.jobs: list[dict[str, Any]] = []
        self.greengrass = self.iot = None

    def load_build(self, software: str, *rest: object) -> None:
        self.builds.append(software)

    def call(self, client: object, operation: str, **params: Any) -> Any:
        if operation == "create_software_update_job":
            self.jobs.append(params)
        return {
            "create_software_update_job": {"IotJobId": "j", "PlatformSoftwareVersion": "1.3.0"},
            "describe_job_execution": {"execution": {"status": "REJECTED"}},
            "describe_job": {"job": {"status": "COMPLETED"}},
        }[operation]

    def check(self) -> None:
        pass


def test_an_update_is_asked_for_of_the_software_that_the_scenario_names() -> None:
    cloud = Cloud()
    scenario = Scenario(name="s", definition=Definition(group=Group(), form="scenario"))
    driver = SimpleNamespace(name="fake")
    spec = BoardSpec(profile=load_profile("raspberry-pi-3"))
    entries: list[BoardStep] = []
    live: Any = SimpleNamespace(
        spec=spec,
        driver=driver,
        cloud=cloud,
        aws=cloud,
        thing="t",
        thing_arn="arn:aws:iot:eu-central-1:123456789012:thing/t",
        agent=SimpleNamespace(check=lambda: None, events=[]),
        board=SimpleNamespace(root="/", exec=lambda *_: SimpleNamespace(stdout="ota_agent_v1.2.0\n")),
        alive=lambda: None,
        steps=StepCounter("raspberry-pi-3", 5, entries.append),
    )
    run = BoardRun(scenario, live, {})
    run.update(ExpectedUpdate(version="1.3.0", starts=True, software="ota_agent", status="REJECTED", running="1.2.0"))
    assert cloud.builds == [job["SoftwareToUpdate"] for job in cloud.jobs] == ["ota_agent"]
    assert run.report.problems == []
    wrong = ExpectedUpdate(
        version="1.3.0", starts=True, software="ota_agent", status="SUCCEEDED", running="1.3.0", place=LINE
    )
    run.update(wrong)
    (problem,) = run.report.problems
    assert (problem.kind, problem.place) == ("update", LINE)
    assert "Correct the build" in str(problem.hint)
    assert [str(step) for step in entries[:1]] == ["raspberry-pi-3: updating the OTA agent to 1.3.0 (1 of 5)"]


def test_what_differs_from_a_real_board_is_told_in_its_report() -> None:
    """Of every driver's board: what it says of itself, what it cannot prove, and what stays behind."""
    lacking = Missing(claim="owners", reason="no root", help="Run as root.")
    proves = Proves(owners=False, identities=True, mounts=True, missing=(lacking,))
    board = SimpleNamespace(
        machine="armv7l", standing_in="x", notes=("a pseudo terminal",), left=("x stays",), proves=proves
    )
    live: Any = SimpleNamespace(
        spec=BoardSpec(profile=load_profile("raspberry-pi-3")),
        driver=SimpleNamespace(name="fake"),
        board=board,
        certificate=[],
        not_certified="it has no agent",
    )
    run = BoardRun(Scenario(name="s", definition=Definition(group=Group(), form="scenario")), live, {})
    run.introduce()
    assert run.report.notes == ["a pseudo terminal"]
    assert (run.report.machine, run.report.standing_in) == ("armv7l", "x")
    assert [text for text in run.report.not_proven if "no root. Run as root." in text or "no agent" in text]
    assert len(run.report.not_proven) == 2


def test_a_row_that_nothing_was_computed_for_does_not_differ_from_what_was_computed() -> None:
    row = access(agree=None, reasons=("it may write",))
    assert message(row) == "the definition says ro: it may write"


def test_a_board_that_cannot_have_a_scenarios_file_ends_its_own_part_only() -> None:
    scenario = Scenario(name="s", definition=Definition(group=Group(), form="scenario"))
    spec = BoardSpec(profile=load_profile("docker-core"), files=(BoardFile(path="/srv/x", group="netdev"),))
    driver: Any = SimpleNamespace(name="fake", board=boardplan.plan)
    cloud: Any = Cloud()
    live = LiveBoard(spec, driver, cloud, cloud, StepCounter("docker-core", 5, lambda step: None))
    (problem,) = BoardRun(scenario, live, {}).run().problems
    assert (problem.kind, problem.message) == ("definition", "/srv/x: the board docker-core has no group netdev")


PI = load_profile("raspberry-pi-3")
GROUP = build.group([build.device(source=path) for path in ("/dev/vcsm", "/dev/mmcblk0", "/dev/gpiomem")], [])


def simulated(*files: BoardFile) -> HostFacts:
    return boardplan.facts(PI, boardplan.plan(BoardSpec(profile=PI, files=files)))


def test_a_deployment_that_fails_for_what_the_profile_leaves_open_proves_nothing() -> None:
    pi, board = PI.facts(), simulated()
    assert "the profile does not say whether /dev/vcsm" in str(
        undecided(GROUP, pi, board, "file doesn't exist: /dev/vcsm")
    )
    assert undecided(GROUP, pi, board, "no such group") is None
    assert undecided(GROUP, pi, board, "no rw permission on the file: /dev/gpiomem") is None
    whole = replace(pi, whole=frozenset(LISTINGS))
    assert undecided(GROUP, whole, board, "file doesn't exist: /dev/vcsm") is None


def test_a_device_that_only_the_real_board_has_proves_nothing() -> None:
    why = undecided(GROUP, PI.facts(), simulated(), "file doesn't exist: /dev/mmcblk0")
    assert why == "no simulated board has /dev/mmcblk0, which the profile lists"


def test_what_a_scenario_lays_on_the_board_is_known() -> None:
    made = build.group([build.volume(source="/srv/data")], [])
    why = "user or group doesn't have permission on the file, filePath: /srv/data"
    assert undecided(made, PI.facts(), simulated(), why)
    assert undecided(made, PI.facts(), simulated(BoardFile(path="/srv/data")), why) is None


def waited(signs: list[int], *, ends_after: int | None, quiet_s: float) -> float:
    """Wait for something on a board that reports ``signs``, one a second; return how long that took."""
    clock = {"s": 0.0}

    def pause(_: float) -> None:
        clock["s"] += 1

    def ask() -> dict[str, Any] | None:
        return {} if ends_after is not None and clock["s"] >= ends_after else None

    def alive() -> int:
        return signs[min(int(clock["s"]), len(signs) - 1)]

    until_ended(ask, "deployment d", quiet_s, alive, now=lambda: clock["s"], pause=pause)
    return clock["s"]


def test_a_board_that_reports_progress_is_waited_for_and_another_is_not() -> None:
    """Every board had 120 s for a deployment, however slow it was."""
    assert waited([second // 9 for second in range(500)], ends_after=400, quiet_s=10) == 400
    assert waited([0], ends_after=10, quiet_s=10) == 10
    with pytest.raises(UnsupportedEnvironmentError, match=r"deployment d has not ended.* no progress for 10 s"):
        waited([0] * 5 + [1], ends_after=None, quiet_s=10)
