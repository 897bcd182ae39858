"""``edge-sim run`` as a user starts it: a real cloud, a real broker, a real board, and what happens when parts die."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import psutil
import pytest

from edge_sim.agent import cgroups
from edge_sim.limits import LINKS_COPIED
from tests import mounts, needs, sweeps
from tests.waiting import until

EXAMPLE = "examples/no-container-ml"

pytestmark = pytest.mark.network
STEPS = ["starting the local cloud", "creating the board", "deploying", "invoking meter-log", "updating the core"]
INTERRUPTIONS = [
    pytest.param(step, others, id=f"{step}-{boards}")
    for step in STEPS
    for boards, others in (("one board", ()), ("two at once", ("generic-x86_64",)))
]
"""Where in a run Ctrl-C comes, and which boards are there beside the first."""
needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto") is None, reason="the embedded broker cannot be killed alone: apt-get install mosquitto"
)


LIMIT_S = 600
"""For a whole run, which takes ten seconds on an idle machine."""


def edge_sim(*arguments: str, umask: int = -1) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "edge_sim.cli.main", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False, umask=umask)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The example's report, and its JUnit file; whoever runs it keeps files from others, which the board ignores."""
    file = tmp_path_factory.mktemp("run") / "report.xml"
    words = ("--profile", "raspberry-pi-3", "--format", "json", "--report", str(file))
    done = edge_sim("run", EXAMPLE, *words, umask=0o077)
    assert done.stdout, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, value["boards"][0]["problems"]
    return value, file


@pytest.fixture(scope="module")
def report(reports: tuple[dict[str, Any], Path]) -> dict[str, Any]:
    return reports[0]


@needs.mounts
@pytest.mark.root
def test_the_report_holds_what_the_documentation_names(report: dict[str, Any]) -> None:
    assert report["ok"]
    assert report["exit_status"] == 0
    assert report["parts"]["broker"] == ("mosquitto" if shutil.which("mosquitto") else "embedded")
    (board,) = report["boards"]
    assert board["ok"]
    assert board["standing_in"] == "x86_64 standing in for armv7l"
    assert {"path", "type", "uid", "gid", "mode", "target", "resource"} <= board["layout"][0].keys()
    assert {"function", "resource", "read", "write"} <= board["access"][0].keys()
    assert all(row["read"].keys() >= {"computed", "probed"} for row in board["access"])
    assert {"job_id", "from", "to", "status", "reason"} <= board["updates"][0].keys()


@needs.mounts
@pytest.mark.root
def test_the_umask_of_the_caller_is_not_the_boards(report: dict[str, Any]) -> None:
    (row,) = [row for row in report["boards"][0]["certificate"] if row["fact"] == "umask"]
    assert (row["found"], row["verdict"]) == ("0022", "true")


@needs.mounts
@pytest.mark.root
def test_the_models_lie_as_their_owner_settings_say(report: dict[str, Any]) -> None:
    rows = report["boards"][0]["layout"]
    modes = {
        (row["resource"], row["type"], row["gid"], row["mode"])
        for row in rows
        if row["resource"] in ("digits-model", "wine-model") and row["type"] != "link"
    }
    assert modes == {
        ("digits-model", "directory", 100, "0550"),
        ("digits-model", "file", 100, "0440"),
        ("wine-model", "directory", 44, "2770"),
        ("wine-model", "file", 44, "0660"),
    }


@needs.mounts
@pytest.mark.root
def test_the_good_update_stays_and_the_broken_one_is_rolled_back(report: dict[str, Any]) -> None:
    good, broken = report["boards"][0]["updates"]
    assert (good["from"], good["to"], good["status"], good["running"]) == ("1.10.0", "1.11.6", "SUCCEEDED", "1.11.6")
    assert (broken["from"], broken["to"], broken["status"], broken["running"]) == (
        "1.11.6",
        "1.11.7",
        "FAILED",
        "1.11.6",
    )
    assert "cannot start" in broken["reason"]
    assert "ROLL_BACK" in [step["phase"] for step in broken["timeline"]]
    assert {update["job_status"] for update in (good, broken)} == {"COMPLETED"}
    assert {update["stable_window_s"] for update in (good, broken)} == {3}
    guard = [[(event["status"], event["version"]) for event in update["core"]] for update in (good, broken)]
    assert ("running", "1.11.6") in guard[0]
    assert ("failed", "1.11.7") in guard[1]
    assert guard[1][-1] == ("running", "1.11.6")


@needs.mounts
@pytest.mark.root
def test_a_function_that_writes_where_it_may_not_is_refused(report: dict[str, Any]) -> None:
    answers = {row["function"]: row["result"] for row in report["boards"][0]["functions"]}
    assert answers["read-digits"]["write"] == {"existing file": "refused: EACCES", "new file": "refused: EACCES"}


@needs.mounts
@pytest.mark.root
def test_the_boards_unpack_with_the_limits_of_the_scenario(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "scenario"))
    (folder / "models/digits/newest.csv").symlink_to("weights.csv")
    text = (folder / "edge-sim.yaml").read_text().replace("boards:", "packages: {links: copy}\nboards:", 1)
    (folder / "edge-sim.yaml").write_text(text[: text.index("invocations:")])
    done = edge_sim("run", str(folder), "--profile", "raspberry-pi-3", "--format", "json")
    assert done.returncode == 0, done.stderr
    (board,) = json.loads(done.stdout)["boards"]
    assert LINKS_COPIED in board["notes"]
    rows = {row["path"].rpartition("/")[2]: row for row in board["layout"]}
    assert (rows["newest.csv"]["type"], rows["newest.csv"]["gid"], rows["newest.csv"]["mode"]) == ("file", 100, "0440")


@pytest.mark.slow
@needs.mounts
@pytest.mark.root
def test_a_handler_that_leaves_the_prefix_out_is_warned_of_and_its_failure_says_what_to_open(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "scenario"))
    text = (folder / "edge-sim.yaml").read_text()
    (folder / "edge-sim.yaml").write_text(text[: text.index("updates:")])
    handler = folder / "functions/read_digits/read_digits.py"
    handler.write_text(handler.read_text().replace('os.environ["AWS_GG_RESOURCE_PREFIX"] + ', ""))
    done = edge_sim("run", str(folder), "--profile", "raspberry-pi-3", "--format", "json")
    assert done.returncode == 4, done.stderr
    (board,) = json.loads(done.stdout)["boards"]
    (note,) = [note for note in board["notes"] if note.startswith("model-prefix: function read-digits ")]
    assert "open os.environ['AWS_GG_RESOURCE_PREFIX'] + '/models/digits'" in note
    (problem,) = board["problems"]
    assert (problem["kind"], problem["where"]) == ("function", "read-digits")
    assert "No such file or directory: '/models/digits/" in problem["message"]
    assert "open os.environ['AWS_GG_RESOURCE_PREFIX'] + '/models/digits/" in problem["hint"]


@needs.mounts
@pytest.mark.root
def test_updates_are_not_proven_where_this_machine_lacks_the_room(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "scenario"))
    text = (folder / "edge-sim.yaml").read_text()
    before, after = text.split("invocations:")
    (folder / "edge-sim.yaml").write_text(before + after[after.index("updates:") :])
    (tmp_path / "small").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(tmp_path / "small")], check=True)
    try:
        argv = [sys.executable, "-m", "edge_sim.cli.main", "run", str(folder), "--profile", "raspberry-pi-3"]
        environment = {**os.environ, "TMPDIR": str(tmp_path / "small")}
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=environment)
    finally:
        subprocess.run(["umount", str(tmp_path / "small")], check=True)
    assert done.returncode == 6, done.stdout + done.stderr
    assert "updates of the core: this machine has" in done.stdout
    assert "Name another place with TMPDIR" in done.stdout


@pytest.mark.slow
@needs.mounts
@pytest.mark.root
def test_the_log_of_a_function_that_fails_is_in_the_report(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "scenario"))
    scenario = folder / "edge-sim.yaml"
    scenario.write_text(scenario.read_text().split("updates:")[0])
    code = folder / "functions" / "read_digits" / "read_digits.py"
    code.write_text(
        code.read_text()
        + "\n\ndef function_handler(event, context):\n    print('asked for', event)\n    raise KeyError('nothing')\n"
    )
    done = edge_sim("run", str(folder), "--profile", "raspberry-pi-3", "--format", "json")
    assert done.returncode == 4, done.stdout + done.stderr
    (problem,) = json.loads(done.stdout)["boards"][0]["problems"]
    assert problem["where"] == "read-digits"
    assert any("asked for" in line for line in problem["log"]), problem["log"]
    assert "KeyError: 'nothing'" in "\n".join(problem["log"])


@needs.mounts
@pytest.mark.root
def test_junit_has_a_case_for_every_claim(reports: tuple[dict[str, Any], Path]) -> None:
    suite = ET.parse(reports[1]).find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "0"
    assert len(suite.findall("testcase")) == int(suite.get("tests", "0")) > 10


def hear_hangups() -> None:
    """Undo nohup for a child: what a closed terminal does is tested under nohup, too."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a run and hand it over when it has reached a step; kill what is left at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(step: str, *others: str) -> subprocess.Popen[str]:
        options = [word for word in others if word.startswith("--")]
        names = ["raspberry-pi-3", *(word for word in others if word not in options)]
        profiles = [*options, *(word for name in names for word in ("--profile", name))]
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_sim.cli.main", "run", EXAMPLE, *profiles],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
            preexec_fn=hear_hangups,
        )
        started.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            if step in line:
                return process
        raise AssertionError(f"the run ended before {step!r}")

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def of_command(process: subprocess.Popen[str], *words: str) -> psutil.Process:
    """Return the child that was started with these words, the path of a program aside."""
    for child in children(process):
        with contextlib.suppress(psutil.NoSuchProcess):  # others may be ending
            if {*words} <= {word.rpartition("/")[2] for word in child.cmdline()}:
                return child
    raise AssertionError(f"no child of the run was started with {words}")


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=LIMIT_S)
    return process.returncode, errors


def nothing_left(before: list[psutil.Process]) -> bool:
    """Processes end with the run; give the kernel a moment to collect them."""
    _, alive = psutil.wait_procs(before, timeout=LIMIT_S)
    return not alive


@needs.mounts
@pytest.mark.root
def test_killing_the_cloud_ends_the_run_with_a_sentence(
    running: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = running("deploying")
    everything = children(process)
    of_command(process, "cloud", "serve").kill()
    status, errors = finish(process)
    assert status == 6
    assert "error: the local cloud stopped during the run" in errors
    assert "Traceback" not in errors
    assert nothing_left(everything)


@pytest.mark.slow
@needs.mounts
@pytest.mark.root
def test_one_boards_end_ends_the_other_too(running: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    process = running("updating the core to 1.11.6", "generic-x86_64")
    everything = children(process)
    of_command(process, "agent", "run").kill()
    status, errors = finish(process)
    assert status == 6
    assert "error: the agent exited during the run" in errors
    assert "Traceback" not in errors
    assert nothing_left(everything)
    assert not list(tmp_path.iterdir())


@needs.mounts
@pytest.mark.root
def test_killing_the_agent_ends_the_run_with_a_sentence(running: Callable[[str], subprocess.Popen[str]]) -> None:
    process = running("deploying")
    of_command(process, "agent", "run").kill()
    status, errors = finish(process)
    assert status == 6
    assert "error: the agent exited during the run" in errors
    assert "Traceback" not in errors


@needs.mounts
@needs_mosquitto
@pytest.mark.root
def test_killing_the_broker_ends_the_run_with_a_sentence(running: Callable[[str], subprocess.Popen[str]]) -> None:
    process = running("deploying")
    of_command(process, "mosquitto").kill()
    status, errors = finish(process)
    assert status == 6
    assert "error: the local cloud stopped during the run" in errors
    assert "broker" in errors
    assert "Traceback" not in errors


@needs.mounts
@pytest.mark.root
def test_a_run_that_is_interrupted_says_what_it_kept(
    running: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = running("deploying", "--keep")
    process.send_signal(signal.SIGINT)
    status, errors = finish(process)
    assert status == 130
    (kept,) = tmp_path.iterdir()
    assert f"kept: {kept}" in errors
    assert (kept / "raspberry-pi-3" / "greengrass").is_dir()


def ownerless_cgroups() -> set[Path]:
    """Return the cgroups of agents that have ended; another run's on this machine are locked."""
    found = set()
    parents = {parent for controller in cgroups.CONTROLLERS for _, parent in cgroups.hierarchies(controller)}
    for place in (place for parent in parents for place in parent.glob("edge-sim-*")):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), open_directory(place) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.add(place)
    return found


@contextlib.contextmanager
def open_directory(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@needs.mounts
@pytest.mark.root
def test_a_terminal_that_is_closed_leaves_nothing_behind(
    running: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = running("deploying")
    everything = children(process)
    process.send_signal(signal.SIGHUP)
    status, errors = finish(process)
    assert status == 129, errors
    assert nothing_left(everything)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.sweep
@needs.mounts
@pytest.mark.root
@pytest.mark.parametrize(("step", "others"), sweeps.points(INTERRUPTIONS, every=3))
def test_ctrl_c_leaves_nothing_behind(
    running: Callable[..., subprocess.Popen[str]], step: str, others: tuple[str, ...], tmp_path: Path
) -> None:
    before = ownerless_cgroups()
    process = running(step, *others)
    time.sleep(0.2)  # into the step
    everything = children(process)
    process.send_signal(signal.SIGINT)
    status, errors = finish(process)
    assert status == 130, errors
    assert "Traceback" not in errors
    assert nothing_left(everything)
    left = ownerless_cgroups() - before
    # What an agent of another run leaves is swept at that run's end, what ours has left stays.
    until(lambda: not left & ownerless_cgroups(), f"left: {left}")
    assert mounts.below(tmp_path) == []
    assert not list(tmp_path.iterdir())
