"""``edge-sim fleet`` whole: a cloud, a broker, Locust's processes; some of them killed, refused or interrupted."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import psutil
import pytest

from edge_sim.agent import mqtt
from edge_sim.cloud.brokers.broker import start_broker
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.fleet import jobs as api
from edge_sim.fleet import rollout
from edge_sim.fleet.account import STATES
from edge_sim.fleet.jobs import FleetJob, Progress
from edge_sim.fleet.rollout import FleetReport, Options
from edge_sim.profiles import load_profiles
from edge_sim.runs.aws import Aws
from edge_sim.runs.cloudprocess import CloudProcess
from edge_sim.scenario import load
from tests.ports import free_port
from tests.waiting import until

ROOT = Path(__file__).parents[2]
FLEET = [sys.executable, "-m", "edge_sim.cli.main", "fleet"]
EXAMPLE, BREAKS = ROOT / "examples/fleet", ROOT / "examples/fleet/breaks-one-profile.yaml"
LIMIT_S = 300

pytestmark = [pytest.mark.network, pytest.mark.slow]


@contextmanager
def started(*words: object, log: Path, form: str = "json") -> Iterator[subprocess.Popen[bytes]]:
    """Start a fleet with its progress in ``log``; it is ended with the block."""
    with log.open("wb") as file:
        argv = [*FLEET, *map(str, words), "--format", form]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=file)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=LIMIT_S)


def ended(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=LIMIT_S)
    document: dict[str, Any] = json.loads(output)
    return document


def said(process: subprocess.Popen[bytes], log: Path, words: bytes) -> None:
    """Wait until a fleet has said something of its progress."""
    until(lambda: words in log.read_bytes() or process.poll() is not None, log.read_text, limit_s=LIMIT_S)
    assert process.poll() is None, log.read_text()


def cores_processes(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the processes of a fleet, its master first."""
    children = psutil.Process(process.pid).children()
    return [child for child in children if "edge_sim.fleet.program" in child.cmdline()]


def test_both_accounts_of_a_rollout_are_equal_and_a_seed_repeats_it(tmp_path: Path) -> None:
    runs = []
    for number in range(2):
        words = (EXAMPLE, "--cores", 60, "--seed", 5, "--rollout-minute", 0.2)
        with started(*words, log=tmp_path / f"log{number}") as process:
            runs.append(ended(process))
            assert process.returncode == 0
    for report in runs:
        assert (report["differences"], report["trouble"]) == ([], [])
        assert report["statuses"] == {"SUCCEEDED": 58, "FAILED": 2}
    first, second = ({core["thing"]: core["state"] for core in report["cores"]} for report in runs)
    assert first == second


def test_a_build_that_breaks_one_profile_is_stopped_and_the_report_says_what_got_through(tmp_path: Path) -> None:
    html = tmp_path / "fleet.html"
    with started(BREAKS, "--cores", 120, "--rollout-minute", 1.5, "--report", html, log=tmp_path / "log") as process:
        report = ended(process)
    assert process.returncode == 0
    (job,), (abort,) = report["jobs"], report["aborts"]
    assert job["status"] == "CANCELED"
    assert abort["things"] == 120
    assert 0 < abort["begun"] < 120
    assert abort["failed"] * 10 >= abort["ended"] >= 20
    assert abort["spared"] == report["states"]["waiting"]
    assert f"{abort['spared']:,} never began" in html.read_text("utf-8")


def test_a_killed_workers_cores_go_on_elsewhere_and_the_accounts_are_equal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with started(EXAMPLE, "--cores", 80, "--workers", 2, "--rollout-minute", 2, log=log) as process:
        said(process, log, b" done")
        cores_processes(process)[-1].kill()
        report = ended(process)
    assert (process.returncode, report["differences"]) == (0, [])
    (note,) = report["notes"]
    assert re.fullmatch(r"worker 2 was killed by SIGKILL; its \d+ cores continue on other workers", note)
    assert sum(report["statuses"].values()) == 80


def test_when_the_only_process_is_killed_that_is_said_and_the_account_is_true(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with started(EXAMPLE, "--cores", 40, "--rollout-minute", 2, log=log) as process:
        said(process, log, b" done")
        (alone,) = cores_processes(process)
        alone.kill()
        report = ended(process)
    assert (process.returncode, report["differences"]) == (6, [])
    assert report["trouble"] == ["the process of all 40 cores was killed by SIGKILL"]


def test_ctrl_c_ends_everything_and_the_account_is_true(tmp_path: Path) -> None:
    log = tmp_path / "log"
    text = tmp_path / "text"
    words = (EXAMPLE, "--cores", 40, "--workers", 2, "--rollout-minute", 20, "-o", text)
    with started(*words, log=log, form="text") as process:
        said(process, log, b" done")
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, log.read_text()
    first, *_, last = text.read_text().splitlines()
    assert first == "The rollout was interrupted: both accounts are compared as they were then"
    assert last.startswith("the cores' account matches the Jobs API's, core by core")
    _, alive = psutil.wait_procs(family, timeout=LIMIT_S)
    assert alive == []


@pytest.mark.parametrize("workers", [(), ("--workers", 2)], ids=["alone", "workers"])
def test_the_live_page_shows_the_states_and_its_buttons_take_no_core_away(
    workers: Sequence[object], tmp_path: Path
) -> None:
    """STOP ends the rollout and EDIT is refused: as Locust has them, the rollout would wait for cores that are gone."""
    log, port = tmp_path / "log", free_port()
    words = (BREAKS, "--cores", 40, "--rollout-minute", 60, "--web-port", port, *workers)
    with started(*words, log=log) as process:
        said(process, log, b" rolled back")

        def shown() -> tuple[dict[str, int], dict[str, int], str]:
            stats = page(port, "stats/requests")
            (table,) = stats["extended_stats"]
            rows = sorted(table["data"], key=lambda row: row["name"])
            failures = {row["name"]: row["num_failures"] for row in stats["stats"]}
            return {row["state"]: row["cores"] for row in rows}, failures, str(stats["errors"])

        def agree() -> bool:
            states, failures, _ = shown()
            return failures["Aggregated"] == states["rolled back"] + states["failed"] > 0

        until(agree, lambda: f"each failed core fails once on the page: {shown()}", limit_s=LIMIT_S)
        states, failures, errors = shown()
        assert (tuple(states), sum(states.values())) == (STATES, 40)
        assert (failures["ROLL_BACK"], "ACTIVATE: core 1.11.6 ended" in errors) == (0, True), errors
        cores = page(port, "cores")
        assert (len(cores), set(cores.values()) <= set(STATES), "rolled back" in cores.values()) == (40, True, True)
        assert not page(port, "swarm", b"user_count=1&spawn_rate=1")["success"]
        assert page(port, "stats/requests")["user_count"] == 40
        assert page(port, "stop", b"")["success"]
        report = ended(process)
    assert (process.returncode, report["differences"]) == (6, [])
    assert report["trouble"] == ["stopped on Locust's page"]


def page(port: int, path: str, form: bytes | None = None) -> dict[str, Any]:
    """Return what Locust's page answers."""
    with urlopen(f"http://127.0.0.1:{port}/{path}", form, timeout=LIMIT_S) as answer:
        document: dict[str, Any] = json.load(answer)
    return document


def test_workers_join_a_master_from_elsewhere(tmp_path: Path) -> None:
    log, port = tmp_path / "log", free_port()
    words = (EXAMPLE, "--cores", 40, "--master", "--workers", 1, "--port", port, "--rollout-minute", 0.5)
    with started(*words, log=log) as process:
        said(process, log, b"waiting for")
        worker = subprocess.Popen([*FLEET, "--worker", "127.0.0.1", "--port", str(port)], stderr=subprocess.DEVNULL)
        report = ended(process)
        assert worker.wait(LIMIT_S) == 0
    assert (process.returncode, report["differences"]) == (0, [])


def test_each_core_shows_a_certificate_of_its_own(tmp_path: Path) -> None:
    with started(EXAMPLE, "--cores", 12, "--tls", "--rollout-minute", 0.5, log=tmp_path / "log") as process:
        report = ended(process)
    assert (process.returncode, report["differences"]) == (0, [])
    assert report["parts"]["mqtt"].startswith("mqtts://")


@pytest.mark.parametrize(("real", "thing"), [(0, "fleet-00003"), (1, "fleet-control-000")])
def test_a_core_whose_certificate_is_refused_is_named(real: int, thing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate is deactivated with the API between being made and being shown."""
    certify = api.certify

    def certify_and_deactivate(cloud: CloudProcess, client: Aws, models: Any, folder: Path) -> Iterator[int]:
        yield from certify(cloud, client, models, folder)
        deactivate(client, models[-1].thing)

    monkeypatch.setattr(api, "certify", certify_and_deactivate)
    with pytest.raises(UnsupportedEnvironmentError) as caught:
        in_process(Options(cores=4, control=real, tls=True, limit_s=LIMIT_S))
    assert re.fullmatch(rf"core {thing} cannot connect: (\S+: )?{re.escape(REFUSED)}", caught.value.brief)


REFUSED = "the broker refused the connection (Not authorized)"


def deactivate(client: Aws, thing: str) -> None:
    (arn,) = client.iot.list_thing_principals(thingName=thing)["principals"]
    client.iot.update_certificate(certificateId=arn.rpartition("/")[2], newStatus="INACTIVE")


@pytest.mark.parametrize("begun", [True, False], ids=["in its update", "before the rollout reaches it"])
def test_a_certificate_refused_in_mid_rollout_ends_the_run_once_nothing_else_is_left(
    begun: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The board goes on, and cannot say so; the others' updates end, and both accounts say what is known."""
    place = write_scenario(tmp_path, {"rollout": {"maximumPerMinute": 2}, "stableWindow": 8, "version": "1.11.6"})
    out: list[str] = []
    ask = api.progress

    def progress(client: Aws, job: FleetJob) -> Progress:
        running = client.iot.list_job_executions_for_job(jobId=job.job_id, status="IN_PROGRESS")["executionSummaries"]
        if running and not out:
            out.append(running[0]["thingArn"].rpartition("/")[2] if begun else "fleet-00003")
            deactivate(client, out[0])
        return ask(client, job)

    monkeypatch.setattr(api, "progress", progress)
    report = in_process(Options(cores=4, tls=True, minute_s=5.0, limit_s=LIMIT_S / 2), scenario=place)
    assert (report.exit_status, report.differences) == (6, [])
    assert report.trouble == [f"core {out[0]} cannot connect: {REFUSED}"]
    ends = {execution.thing: execution.status for execution in report.executions}
    assert ends.pop(out[0]) == ("IN_PROGRESS" if begun else "QUEUED")
    assert [*ends.values()] == ["SUCCEEDED"] * 3
    (core,) = (account for account in report.accounts if account.model.thing == out[0])
    assert (core.state == "waiting") is not begun
    assert not any(end.taken for end in core.ends), "whether its update is over by now is the board's"


def test_cores_beyond_an_addresss_ports_come_from_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "PORTS", 3)
    addresses: set[str] = set()

    def look(_: str) -> None:
        clients = [child for child in psutil.Process().children() if "edge_sim.fleet.program" in child.cmdline()]
        with suppress(psutil.Error):
            addresses.update(place.laddr.ip for child in clients for place in child.net_connections() if place.raddr)

    report = in_process(Options(cores=8, minute_s=0.5), look)
    assert (report.differences, report.exit_status) == ([], 0)
    assert {"127.0.0.1", "127.0.0.3", "127.0.0.4"} <= addresses


TAMPERED = {"rollout": {"maximumPerMinute": 4}, "rolloutMinute": 15, "stableWindow": 5, "version": "1.11.6"}
"""A core takes five seconds, in which somebody can speak for it; eight take two minutes of the rate, after which
somebody can have removed what the first ones did."""


def test_ends_that_only_one_account_knows_end_the_run_with_status_5(tmp_path: Path) -> None:
    """A second client reports a core's job as that core would, and the job's owner removes another one's execution."""
    place = write_scenario(tmp_path, TAMPERED)
    heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
    with start_broker() as broker, ExitStack() as stack:
        client = mqtt.connect(
            broker.url,
            "intruder",
            30,
            subscriptions={"$aws/things/+/jobs/notify": lambda *message: heard.put(message)},
            on_connect=lambda: None,
            on_disconnect=print,
        )
        stack.callback(client.close)
        words = (place, "--cores", 8, "--broker", broker.url)
        process = stack.enter_context(started(*words, log=tmp_path / "log"))
        topic, payload = heard.get(timeout=LIMIT_S)
        spoken_for = topic.split("/")[2]
        job = json.loads(payload)["jobs"]["QUEUED"][0]["jobId"]
        client.publish(f"$aws/things/{spoken_for}/jobs/{job}/update", b'{"status": "SUCCEEDED"}')
        iot = iot_of(process)
        removed: list[str] = []

        def is_removed() -> bool:
            for row in iot.list_job_executions_for_job(jobId=job, status="SUCCEEDED")["executionSummaries"]:
                thing = row["thingArn"].rpartition("/")[2]
                if thing != spoken_for:
                    number = row["jobExecutionSummary"]["executionNumber"]
                    iot.delete_job_execution(jobId=job, thingName=thing, executionNumber=number)
                    removed.append(thing)
                    return True
            return False

        until(is_removed, (tmp_path / "log").read_text, limit_s=LIMIT_S, every_s=0.2)
        report = ended(process)
    assert process.returncode == 5
    assert {row["thing"]: row["text"] for row in report["differences"]} == {
        spoken_for: "the cloud reports SUCCEEDED, which the core never did",
        removed[0]: "the core ended with SUCCEEDED, but the cloud has no such execution",
    }
    assert report["verdict"] == "2 differences between the cores' account and the Jobs API's"
    assert report["statuses"] == {"SUCCEEDED": 7}


def write_scenario(place: Path, fleet: dict[str, Any]) -> Path:
    (place / "core.json").write_text((EXAMPLE / "core.json").read_text())
    document = {"edgeSim": 1, "name": "f", "boards": ["raspberry-pi-3"], "group": {"core": "core.json"}, "fleet": fleet}
    (place / "edge-sim.yaml").write_text(json.dumps(document))
    return place


def iot_of(process: subprocess.Popen[bytes]) -> Any:
    """Return a client for the API of a fleet's cloud, which is found by where its process listens."""
    (cloud,) = (child for child in psutil.Process(process.pid).children() if "serve" in child.cmdline())
    ports = {place.laddr.port for place in cloud.net_connections() if place.status == psutil.CONN_LISTEN}
    (port,) = (port for port in ports if healthy(port))
    return boto3.session.Session().client(
        "iot",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def healthy(port: int) -> bool:
    with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/edge-sim/health") as answer:
        return "connected" in json.load(answer)
    return False


def in_process(options: Options, progress: Callable[[str], None] = print, *, scenario: Path = EXAMPLE) -> FleetReport:
    loaded = load(scenario)
    assert loaded.fleet is not None
    return rollout.run(loaded, load_profiles(tuple(loaded.fleet.weights) or loaded.boards), options, progress)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk: needs root")
def test_a_full_disk_under_the_state_is_said_and_the_account_is_true(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk], check=True)
    try:
        words = (EXAMPLE, "--cores", 200, "--rollout-minute", 0.3, "--state", disk / "state.db")
        with started(*words, log=tmp_path / "log") as process:
            report = ended(process)
    finally:
        subprocess.run(["umount", disk], check=True)
    assert (process.returncode, report["differences"]) == (6, [])
    assert report["trouble"] == ["edge-sim cannot write its state: database or disk is full."]
