"""What a fleet is made of, without any process: models from a seed, seats, limits, the chart."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from click.testing import CliRunner

from edge_sim.cli.main import edge_sim
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError, UsageError
from edge_sim.fleet import crew, limits, model
from edge_sim.fleet.account import CoreAccount
from edge_sim.fleet.processes import Heard, Processes
from edge_sim.fleet.seats import Seats, source_address
from edge_sim.fleetkeys import Fleet, Range
from edge_sim.pages.page import Chart
from edge_sim.pages.plot import plot
from edge_sim.profiles import load_profiles
from edge_sim.scenario import load

ROOT = Path(__file__).parents[2]
FLEET = Fleet(
    version="1.11.6",
    weights={"raspberry-pi-3": 3, "raspberry-pi-4-raspbian": 1},
    bandwidth=Range(least=64, most=512),
    staging=Range(least=1, most=9),
    bad_percent=3,
    breaks=("raspberry-pi-4-raspbian",),
)
PROFILES = load_profiles(tuple(FLEET.weights))


def test_the_same_seed_gives_the_same_cores_and_another_one_others() -> None:
    assert model.cores(FLEET, PROFILES, 200, 7) == model.cores(FLEET, PROFILES, 200, 7)
    assert model.cores(FLEET, PROFILES, 200, 7) != model.cores(FLEET, PROFILES, 200, 8)


def test_profiles_and_bad_boards_have_exactly_their_shares_and_a_broken_build_its_profile() -> None:
    cores = model.cores(FLEET, PROFILES, 200, 1)
    assert Counter(core.profile for core in cores) == {"raspberry-pi-3": 150, "raspberry-pi-4-raspbian": 50}
    unbroken = [core for core in cores if core.profile == "raspberry-pi-3" and core.fault != "none"]
    broken = [core for core in cores if core.profile != "raspberry-pi-3"]
    assert all(core.fault != "none" for core in broken)
    bad_among_broken = sum(core.fault != "does not start" for core in broken)
    assert 6 - len(broken) <= len(unbroken) <= 6
    assert len(unbroken) + bad_among_broken <= 6
    assert all(40 * 1024 / 512 <= core.download_s <= 40 * 1024 / 64 and 1 <= core.staging_s <= 9 for core in cores)


@pytest.mark.parametrize(("weights", "count"), [({"a": 1, "b": 1, "c": 1}, 100), ({"a": 5}, 3), ({"a": 1, "b": 99}, 7)])
def test_shares_are_whole_and_leave_nothing_over(weights: dict[str, int], count: int) -> None:
    shares = model.shares(weights, count)
    assert sum(shares.values()) == count
    assert all(abs(shares[name] - count * weights[name] / sum(weights.values())) < 1 for name in weights)


def test_a_profile_that_the_fleet_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidDefinitionError, match="fleet: jetson-tx2 is not a board of this fleet"):
        model.check(Fleet(version="1.11.6", breaks=("jetson-tx2",)), PROFILES)


def test_seats_go_to_who_wants_and_come_back_from_who_is_lost() -> None:
    given: list[tuple[str, int]] = []
    seats = Seats(range(3), lambda process, number: given.append((process, number)))
    for process in ("one", "two", "one", "two"):
        seats.want(process)
    assert given == [("one", 0), ("two", 1), ("one", 2)]
    assert seats.lost("one") == [0, 2]
    assert given[3:] == [("two", 0)], "the seat that two still wants"
    seats.want("two")
    assert (given[4:], seats.runs) == ([("two", 2)], {0: "two", 1: "two", 2: "two"})


class Named(Processes):
    """Processes that are names alone: they run until they are taken away."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.running = [*names]

    @property
    def names(self) -> list[str]:
        return self.running

    def tell(self, name: str, line: Mapping[str, object]) -> None:
        assert name in self.running

    def kill(self, name: str) -> None:
        self.running.remove(name)
        self.heard.put(Heard(name, None, -9))


@pytest.mark.parametrize(
    ("workers", "begun", "killed", "notes", "trouble"),
    [
        (0, True, ["alone"], [], ["the process of all 4 cores was killed by SIGKILL"]),
        (2, True, ["master"], [], ["the workers' master was killed by SIGKILL"]),
        (2, False, ["worker 1"], [], ["worker 1 was killed by SIGKILL before the cores were connected"]),
        (2, True, ["worker 1"], ["worker 1 was killed by SIGKILL; its 2 cores continue on other workers"], []),
        (
            2,
            True,
            ["worker 1", "worker 2"],
            ["worker 1 was killed by SIGKILL; its 2 cores continue on other workers"],
            ["worker 2 was killed by SIGKILL, and no other is left to continue with its 4 cores"],
        ),
    ],
)
def test_a_killed_process_is_a_note_where_others_continue_and_else_the_end(
    workers: int, begun: bool, killed: Sequence[str], notes: list[str], trouble: list[str]
) -> None:
    there = Named("master", *(f"worker {number + 1}" for number in range(workers))) if workers else Named("alone")
    accounts = [CoreAccount(model=each) for each in model.cores(FLEET, PROFILES, 4, 1)]
    fleet = crew.Crew(crew.Shape(workers=workers), accounts, lambda number: {}, there)
    if begun:
        fleet.spawn(1)
    for name in [name for name in there.running if name != "master"] * 4:
        there.heard.put(Heard(name, {"say": "want"}))
    for name in killed:
        fleet.listen(1)
        there.kill(name)
    fleet.listen(1)
    assert (fleet.notes, fleet.trouble) == (notes, trouble)


def test_cores_beyond_one_addresss_ports_come_from_another_of_loopback() -> None:
    broker = "127.0.0.1"
    assert [source_address(number, broker, 100) for number in (0, 99, 100, 250)] == ["", "", "127.0.0.3", "127.0.0.4"]
    assert source_address(250, "10.0.0.1", 100) == ""


def test_too_few_descriptors_and_ports_are_said_before_anything_starts() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(UnsupportedEnvironmentError, match="a process of the fleet needs"):
        limits.check(most, 1, own_broker=False, tls=False, loopback=True)
    with pytest.raises(UnsupportedEnvironmentError, match="the broker needs"):
        limits.check(most, 10, own_broker=True, tls=False, loopback=True)
    with pytest.raises(UnsupportedEnvironmentError, match="28,000 ports"):
        limits.check(28_001, 100, own_broker=False, tls=False, loopback=False)
    (near,) = limits.check(int(most * 0.9), 10, own_broker=True, tls=False, loopback=True)
    assert "the broker needs" in near


@pytest.mark.parametrize("name", ["edge-sim.yaml", "breaks-one-profile.yaml"])
def test_an_example_has_a_fleet_that_its_boards_can_be(name: str) -> None:
    fleet = load(ROOT / "examples/fleet" / name).fleet
    assert fleet is not None
    model.check(fleet, load_profiles(tuple(fleet.weights)))


def test_a_rate_that_aws_refuses_is_refused_with_its_place(tmp_path: Path) -> None:
    text = (ROOT / "examples/fleet/edge-sim.yaml").read_text("utf-8")
    text = text.replace("baseRatePerMinute: 10", "baseRatePerMinute: 300")
    (tmp_path / "edge-sim.yaml").write_text(text)
    (tmp_path / "core.json").write_text((ROOT / "examples/fleet/core.json").read_text())
    (finding,) = load(tmp_path).definition.findings
    assert finding.message == "fleet.rollout: baseRatePerMinute must be between 1 and maximumPerMinute (200)."


def test_a_charts_areas_stand_on_each_other_and_end_at_the_whole() -> None:
    chart = Chart(caption="c", seconds=[0, 5, 10], series=[("a", [4, 2, 0]), ("b", [0, 2, 4]), ("none", [0, 0, 0])])
    drawn = plot(chart)
    assert [(area.name, area.last) for area in drawn.areas] == [("a", 0), ("b", 4)]
    upper, lower = "L500 0 L500 128 L1000 128 L1000 256", "L1000 256 L1000 256 L500 256 L500 256 L0 256"
    assert drawn.areas[0].path == f"M0 0 {upper} {lower} Z"
    upper, lower = "L500 0 L500 0 L1000 0 L1000 0", "L1000 256 L1000 128 L500 128 L500 0 L0 0"
    assert drawn.areas[1].path == f"M0 0 {upper} {lower} Z"


@pytest.mark.parametrize(
    ("end", "whole", "times", "levels"),
    [
        (10, 4, {0: "0 s", 20: "2 s", 40: "4 s", 60: "6 s", 80: "8 s", 100: "10 s"}, "0 1 2 3 4"),
        (22, 500, {0: "0 s", 22.73: "5 s", 45.45: "10 s", 68.18: "15 s", 90.91: "20 s"}, "0 100 200 300 400 500"),
        (0.4, 1, {0: "0 s", 25: "0.1 s", 50: "0.2 s", 75: "0.3 s", 100: "0.4 s"}, "0 1"),
        (1500, 20000, {0: "0 s", 33.33: "500 s", 66.67: "1,000 s", 100: "1,500 s"}, "0 5,000 10,000 15,000 20,000"),
    ],
)
def test_the_numbers_beside_a_chart_are_round(end: float, whole: int, times: dict[float, str], levels: str) -> None:
    drawn = plot(Chart(caption="c", seconds=[0, end], series=[("a", [whole, whole])]))
    assert {tick.at: tick.text for tick in drawn.times} == times
    assert " ".join(tick.text for tick in drawn.levels) == levels
    assert (drawn.levels[0].at, drawn.levels[-1].at) == (100, 0)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "a fleet needs a SCENARIO"),
        (
            ["examples/fleet", "--master", "--control-board=raspberry-pi-3"],
            "--control-board and --master cannot be combined",
        ),
        (
            ["examples/fleet", "--control-board=openwrt-armv7"],
            "--control-board openwrt-armv7: not a board of this fleet",
        ),
        (
            ["examples/fleet/breaks-one-profile.yaml", "--control-board=raspberry-pi-4-raspbian"],
            "--control-board raspberry-pi-4-raspbian: the scenario's build breaks it",
        ),
        (["examples/fleet", "--tls", "--master"], "--tls and --master cannot be combined"),
        (["examples/fleet", "--bind=10.0.0.1"], "--bind goes with --master"),
        (["examples/fleet", "--port=5558"], "--port goes with --master and --worker"),
        (["examples/fleet", "--master", "--bind=master"], "--bind master: not an IPv4 address"),
        (
            ["examples/fleet", "--master", "--bind=0.0.0.0"],
            "--bind 0.0.0.0: a worker cannot connect to this address",
        ),
        (["examples/fleet", "--broker=nonsense"], "--broker nonsense: expected mqtt://HOST:PORT"),
        (["examples/fleet", "--broker-cafile=pyproject.toml"], "--broker-cafile goes with --broker mqtts://HOST:PORT"),
        *(
            (["--worker=10.0.0.1", *more], f"{more[0]} and --worker cannot be combined")
            for more in (["--master"], ["--workers", "2"], ["--cores", "5"], ["--tls"], ["--profile", "raspberry-pi-3"])
        ),
        (["examples/fleet", "--worker=10.0.0.1"], "SCENARIO and --worker cannot be combined"),
        *(
            (
                ["examples/fleet", f"--profile={weight}"],
                f"--profile {weight}: not NAME:WEIGHT with a whole number from 1",
            )
            for weight in ("raspberry-pi-3:none", "raspberry-pi-3:", "raspberry-pi-3:0", "raspberry-pi-3:-1", ":1")
        ),
        (["examples/fleet", "--profile=raspberry-pi-3:NaN"], "--profile raspberry-pi-3:NaN: not NAME:WEIGHT"),
        (["examples/fleet", "--profile=raspberry-pi-3:1000001"], "a whole number from 1 to 1000000"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_starts(
    words: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(edge_sim, ["fleet", *words])
    assert isinstance(result.exception, UsageError)
    assert text in result.exception.brief


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--cores=0"], "0 is not in the range 1<=x<=100000"),
        (["--cores=1000000000"], "1000000000 is not in the range"),
        (["--rollout-minute=nan"], "'nan' is not a number of seconds."),
        (["--rollout-minute=0"], "0.0 is not in the range 0.1<=x<=60.0"),
        (["--limit=NaN"], "'NaN' is not a number of seconds."),
        (["--profile=no-such-board:1"], "no-such-board: no such device profile"),
    ],
)
def test_a_number_beyond_its_range_and_an_unknown_board_end_with_status_2(words: list[str], text: str) -> None:
    result = CliRunner().invoke(edge_sim, ["fleet", str(ROOT / "examples/fleet"), *words])
    shown = result.output if isinstance(result.exception, SystemExit) else str(result.exception)
    assert text in shown
    assert result.exit_code == 2 or isinstance(result.exception, UsageError)


def test_a_scenario_without_a_fleet_is_refused() -> None:
    result = CliRunner().invoke(edge_sim, ["fleet", str(ROOT / "examples/no-container-ml")])
    assert isinstance(result.exception, InvalidDefinitionError)
    assert "describes no fleet" in result.exception.brief


def test_an_address_of_another_machine_is_said_before_anything_starts() -> None:
    result = CliRunner().invoke(edge_sim, ["fleet", str(ROOT / "examples/fleet"), "--master", "--bind=192.0.2.1"])
    assert isinstance(result.exception, UnsupportedEnvironmentError)
    where = "cannot listen on 192.0.2.1, port 5557: Cannot assign requested address"
    assert result.exception.brief == f"--bind 192.0.2.1: {where}"


def test_a_port_that_is_in_use_is_said_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for words in (["--master", f"--port={port}"], [f"--web-port={port}"]):
            result = CliRunner().invoke(edge_sim, ["fleet", str(ROOT / "examples/fleet"), *words])
            assert isinstance(result.exception, UnsupportedEnvironmentError)
            text = (
                f"{words[-1].partition('=')[0]} {port}: cannot listen on 127.0.0.1, port {port}: Address already in use"
            )
            assert result.exception.brief == text


@pytest.mark.parametrize("host", ["no..host", "127.0.0.1"])
def test_a_worker_whose_master_never_answers_says_so_and_ends(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(crew, "MASTER_S", 0)
    result = CliRunner().invoke(edge_sim, ["fleet", "--worker", host, f"--port={port}"])
    assert isinstance(result.exception, UnsupportedEnvironmentError)
    assert f"no master at {host}, port {port}: " in result.exception.brief


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"], ids=["waits to be asked", "says something else"])
def test_a_worker_at_another_services_port_says_so_at_once(says: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        done = Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(says)
                done.wait()

        serving = pool.submit(serve)
        port = server.getsockname()[1]
        result = CliRunner().invoke(edge_sim, ["fleet", "--worker", "127.0.0.1", f"--port={port}"])
        done.set()
        serving.result()
    assert isinstance(result.exception, UnsupportedEnvironmentError)
    assert result.exception.brief == f"no master at 127.0.0.1, port {port}: another service listens there"


def test_a_master_that_is_about_to_listen_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in front of it takes connections, and hangs up as long as nothing is behind it."""
    monkeypatch.setattr(crew, "RETRY_S", 0)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def serve() -> None:
            for greeting in (b"", b"", crew.GREETING):
                connection, _ = server.accept()
                with connection:
                    connection.sendall(greeting)

        serving = pool.submit(serve)
        said: list[str] = []
        crew.await_master("127.0.0.1", port := server.getsockname()[1], said.append)
        serving.result()
    assert said == [f"no master at 127.0.0.1, port {port}: the connection was closed at once; trying again for 300 s"]


@pytest.mark.process
def test_no_command_imports_locust_or_gevent_into_this_program() -> None:
    words = "import sys; from edge_sim.cli import fleet; from edge_sim.fleet import page, rollout, text"
    look = f"{words}; print([name for name in ('locust', 'gevent') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, check=True).stdout == b"[]\n"
