"""Updates on a board with real builds and processes: how they end, and that a cut at any point ends well."""

from __future__ import annotations

import errno
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_sim.agent import crashpoints, durable
from edge_sim.agent.mqtt import OfflineError
from edge_sim.agent.patience import TICK_S
from edge_sim.agent.update import phases
from edge_sim.agent.update.journal import NAME as JOURNAL
from edge_sim.agent.update.journal import Journal, Record, Report
from edge_sim.agent.update.preflight import BoardIdentity, objection
from edge_sim.agent.update.task import StoppingError
from edge_sim.emulation.corebuild import archive_of, core_build
from edge_sim.emulation.platform import Platform
from edge_sim.errors import UpdateError
from edge_sim.jobs.requests import Update
from edge_sim.jobs.update import MAX_STARTS, Phase, parse_document
from tests.factory import install_core
from tests.unit.update_board import BROKEN, GOOD, JOB, NEW, OLD, UpdateBoard, document
from tests.waiting import until

pytestmark = pytest.mark.process


@pytest.fixture
def boards(tmp_path: Path) -> Iterator[list[UpdateBoard]]:
    """Boards made by a test; their cores are ended behind it."""
    made: list[UpdateBoard] = []
    yield made
    for board in made:
        board.supervisor.stop(limit_s=2)


def new_board(boards: list[UpdateBoard], directory: Path, build: bytes = GOOD, **options: Any) -> UpdateBoard:
    board = UpdateBoard(directory, build, **options)
    boards.append(board)
    return board


def updated(boards: list[UpdateBoard], directory: Path, build: bytes = GOOD, **changes: Any) -> UpdateBoard:
    """A board on which one job was carried out."""
    board = new_board(boards, directory, build)
    board.jobs.queue(JOB, document(build, **changes))
    board.start()
    board.updater.work()
    return board


def altered(build: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """A build whose files are what ``change`` makes of them."""
    with tarfile.open(fileobj=io.BytesIO(build)) as archive:
        files = [(member, archive.extractfile(member)) for member in archive]
        members = [(m.name, m.mode, None if f is None else change(m.name, f.read())) for m, f in files]
    return archive_of(members)


def configure(board: UpdateBoard, **changes: Any) -> None:
    """Change the core's config.json."""
    path = board.gg / "config/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_good_build_replaces_the_old_one(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = updated(boards, tmp_path)
    job = board.jobs.get(JOB)
    assert (job["status"], board.running(), board.releases.current()) == ("SUCCEEDED", NEW, NEW)
    assert job["history"][0] == "IN_PROGRESS"
    assert [shown["phase"] for shown in job["shown"]][:4] == ["STAGE", "VERIFY", "ACTIVATE", "CONFIRM"]
    assert job["shown"][-1]["progress"] == "healthy for the whole stable window"
    assert "Software update: CONFIRM. from=1.10.0 to=1.11.6" in job["details"]["log"]
    assert len(job["details"]) <= 10
    assert board.releases.installed() == [OLD, NEW]
    assert board.releases.last_known_good() == NEW
    assert board.journal.read() is None


def test_a_build_that_does_not_start_ends_on_the_old_one(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = updated(boards, tmp_path, BROKEN)
    job = board.jobs.get(JOB)
    assert (job["status"], board.running(), board.releases.current()) == ("FAILED", OLD, OLD)
    assert job["details"]["reason"].count("broken on purpose") == 1
    assert job["details"]["core"].startswith(f"{NEW} failed (greengrassd start: greengrass daemon {NEW}: fatal: ")
    assert job["details"]["core"].endswith(f"; {OLD} running")
    assert board.releases.installed() == [OLD]


def test_a_build_that_dies_without_a_word_has_the_last_lines_of_its_log_in_the_reason(
    boards: list[UpdateBoard], tmp_path: Path
) -> None:
    words = b'echo "cannot open the spooler" >>"$GREENGRASS_ROOT/ggc/var/log/system/runtime.log"'
    daemon = b"#!/bin/sh\n" + words + b"\nexit 1\n"
    build = altered(GOOD, lambda name, text: daemon if name.endswith("bin/daemon") else text)
    reason = updated(boards, tmp_path, build).jobs.get(JOB)["details"]["reason"]
    assert reason.endswith("died.; its log: cannot open the spooler"), reason


def test_a_build_that_dies_while_it_is_watched_ends_on_the_old_one(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    board.start()
    with crashpoints.armed(lambda name: board.supervisor.kill() if name == "P22 health-pass" else None):
        board.updater.work()
    job = board.jobs.get(JOB)
    assert (job["status"], board.running()) == ("FAILED", OLD)
    assert "CONFIRM: the core is not running (health check 2 of 2)" in job["details"]["reason"]
    seen = [(event["status"], event["version"]) for event in board.events if event["event"] == "core"]
    assert seen == [("running", OLD), ("running", NEW), ("died", NEW), ("running", OLD)]
    order = [event.get("phase") or event["status"] for event in board.events if event["event"] != "reported"]
    assert order[-5:] == ["CONFIRM", "died", "ROLL_BACK", "running", "FAILED"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"architecture": "aarch64"}, "the build is for aarch64, but this board is armv7l"),
        ({"operatingSystem": "openwrt"}, "the build is for openwrt, but this board runs raspbian"),
        ({"version": "1.9.4"}, "version 1.9.4 is older than 1.10.0"),
        ({"version": "1.10.0-RC4"}, "is older than 1.10.0"),
        ({"software": "ota_agent"}, "this agent cannot replace the software ota_agent"),
        ({"surprise": 1}, "unknown member"),
    ],
)
def test_what_the_board_cannot_take_is_rejected(
    boards: list[UpdateBoard], tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    job = updated(boards, tmp_path, **changes).jobs.get(JOB)
    assert job["status"] == "REJECTED"
    assert reason in job["details"]["reason"]
    assert job["history"] == ["REJECTED"]


def test_a_job_that_another_board_of_this_name_has_is_left_alone(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    board.jobs.update(JOB, Update(status="IN_PROGRESS", status_details={"holder": "other"}, step_timeout_minutes=60))
    board.start()
    for _ in range(2):
        board.updater.work()
    job = board.jobs.get(JOB)
    assert (job["status"], job["history"], board.running()) == ("IN_PROGRESS", ["IN_PROGRESS"], OLD)
    errors = [event["error"] for event in board.events if event["event"] == "error"]
    assert errors == [f"job {JOB} is carried out by another board with this thing's name"]


def test_a_board_without_the_update_agents_commands_rejects_updates_in_aws_words() -> None:
    lacking = BoardIdentity(architecture="armv7l", operating_system="raspbian", missing_tools=("wget", "pidof"))
    said = objection(parse_document(document(GOOD)), lacking, OLD)
    assert said is not None
    assert said.startswith(
        "the board lacks wget, pidof. The following shell commands (not the BusyBox variants) are required by the "
        "over-the-air (OTA) update agent: wget, realpath, "
    )
    assert objection(parse_document(document(GOOD)), replace(lacking, missing_tools=()), OLD) is None


@pytest.mark.parametrize(
    ("architecture", "operating_system", "wrong"),
    [
        ("x86_64", "raspbian", "is for x86_64, but this board is armv7l"),
        ("aarch64", "openwrt", "is for aarch64, but this board is armv7l"),
        ("armv7l", "openwrt", "needs musl (/lib/ld-musl-armhf.so.1), but this board has glibc"),
    ],
)
def test_a_build_of_another_processor_or_c_library_is_refused_before_the_old_core_is_stopped(
    boards: list[UpdateBoard], tmp_path: Path, architecture: str, operating_system: str, wrong: str
) -> None:
    """The job says that it is for this board; its programs say otherwise."""
    build = core_build(NEW, Platform(architecture=architecture, operating_system=operating_system))
    board = new_board(boards, tmp_path, build)
    board.jobs.queue(JOB, document(build))
    board.start()
    pid = board.supervisor.running()
    board.updater.work()
    job = board.jobs.get(JOB)
    name = f"packages/{NEW}/bin/platform in the build"
    assert (job["status"], job["details"]["reason"]) == ("FAILED", f"VERIFY: {name} {wrong}")
    assert (board.supervisor.running(), board.releases.installed()) == (pid, [OLD])


def test_a_build_with_programs_for_the_board_is_installed(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = updated(boards, tmp_path, core_build(NEW, Platform(architecture="armv7l", operating_system="raspbian")))
    assert (board.jobs.get(JOB)["status"], board.running()) == ("SUCCEEDED", NEW)


def test_what_was_started_already_is_failed_not_rejected(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD, architecture="aarch64"))
    board.jobs.force(JOB, "IN_PROGRESS")
    board.updater.work()
    assert board.jobs.get(JOB)["status"] == "FAILED"


def test_what_aws_requires_of_a_board_fails_before_anything_is_touched(
    boards: list[UpdateBoard], tmp_path: Path
) -> None:
    board = new_board(boards, tmp_path, free_bytes_needed=1 << 60)
    board.jobs.queue(JOB, document(GOOD))
    board.start()
    pid = board.supervisor.running()
    board.updater.work()
    assert board.jobs.get(JOB)["status"] == "FAILED"
    reason = board.jobs.get(JOB)["details"]["reason"]
    assert re.match(r"STAGE: NO_SPACE: [\d,]+ bytes are free, but an update needs [\d,]+\. ", reason)
    assert reason.endswith("The Greengrass core must have at least 400 MB of disk space available in local storage.")
    board = new_board(boards, tmp_path)
    configure(board, coreThing={"networkProxy": {"proxy": {"url": "https://proxy:1100"}}})
    board.jobs.queue("GreengrassUpdateJob_2", document(GOOD))
    board.updater.work()
    assert board.jobs.get("GreengrassUpdateJob_2")["details"]["reason"] == (
        "STAGE: config.json has a networkProxy. The Greengrass core can't be configured to use a network proxy."
    )
    assert board.supervisor.running() == pid


def test_an_installed_version_that_does_not_run_is_no_success(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD, version=OLD))
    board.updater.work()  # the core was never started
    job = board.jobs.get(JOB)
    assert job["status"] == "FAILED"
    assert "already installed, but the core is not running" in job["details"]["reason"]


def test_urls_are_renewed_a_few_times_only(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    board.start()
    board.expired = 100
    board.updater.work()
    assert "also with 5 fresh URLs" in board.jobs.get(JOB)["details"]["reason"]
    assert board.expired == 94


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (lambda content: content[:-1] + b"!", "VERIFY: the download's SHA-256 is not the one in the job"),
        (lambda content: content + b"!", "the job says"),
    ],
)
def test_what_was_altered_after_the_download_is_noticed(
    boards: list[UpdateBoard], tmp_path: Path, alter: Callable[[bytes], bytes], reason: str
) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    board.start()
    staged = board.releases.staging / "build.tar.gz"

    def disturb(name: str) -> None:
        if name == "P09 download-fsync":
            staged.write_bytes(alter(staged.read_bytes()))

    with crashpoints.armed(disturb):
        board.updater.work()
    assert reason in board.jobs.get(JOB)["details"]["reason"]
    assert (board.running(), board.releases.installed()) == (OLD, [OLD])


@pytest.mark.parametrize("at", ["P10 hash-ok", "P17 old-stopped", "P21 new-started", "P22 health-pass"])
def test_a_job_that_the_cloud_ends_leaves_the_old_version_running(
    boards: list[UpdateBoard], tmp_path: Path, at: str
) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    board.start()
    with crashpoints.armed(lambda name: board.jobs.force(JOB, "TIMED_OUT") if name == at else None):
        board.updater.work()
    assert board.jobs.get(JOB)["status"] == "TIMED_OUT"
    assert (board.running(), board.releases.current(), board.releases.installed()) == (OLD, OLD, [OLD])
    assert board.journal.read() is None
    assert board.events[-1]["phase"] == "CANCELED"


def test_a_forced_cancellation_is_heard_within_five_seconds_of_a_download_that_stands_still(
    boards: list[UpdateBoard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0]

    def stall(board: UpdateBoard, *_: object, on_progress: Callable[[int], None], **__: object) -> None:
        board.jobs.force(JOB, "CANCELED")
        while seconds[0] < 100:
            seconds[0] += TICK_S  # as often as the HTTP client looks up
            on_progress(0)

    monkeypatch.setattr(UpdateBoard, "_fetch", stall)
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    board.start()
    monkeypatch.setattr(phases, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    board.updater.work()
    assert board.events[-1]["phase"] == "CANCELED"
    assert 0 < seconds[0] <= 5


def test_a_confirmed_update_stays_whatever_the_cloud_says_then(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    board.start()
    with crashpoints.armed(lambda name: board.jobs.force(JOB, "TIMED_OUT") if name == "P24 report-queued" else None):
        board.updater.work()
    assert board.running() == NEW
    assert "the cloud says TIMED_OUT" in (tmp_path / "ggc_ota.txt").read_text()
    assert board.journal.read() is None


def test_the_report_waits_for_a_cloud_that_does_not_answer(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    board.start()

    def cut(name: str) -> None:
        if name == "P05 in-progress-acked":
            board.jobs.online = False

    with crashpoints.armed(cut), pytest.raises(OfflineError):
        board.updater.work()
    assert board.running() == NEW
    assert board.jobs.get(JOB)["status"] == "IN_PROGRESS"

    restarted = new_board(boards, tmp_path)
    restarted.start()
    restarted.updater.work()
    assert restarted.jobs.get(JOB)["status"] == "SUCCEEDED"


def test_nothing_is_done_before_the_cloud_has_agreed(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    board.start()

    def cut(name: str) -> None:
        if name == "P06 preflight":
            board.jobs.online = False

    with crashpoints.armed(cut), pytest.raises(OfflineError):
        board.updater.work()
    assert board.releases.installed() == [OLD]
    board.jobs.online = True
    board.updater.work()
    assert board.jobs.get(JOB)["status"] == "SUCCEEDED"


def test_an_agent_that_stops_leaves_the_rest_to_the_next_start(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    board.start()

    def stop(name: str) -> None:
        if name == "P21 new-started":
            board.stop.set()

    with crashpoints.armed(stop), pytest.raises(StoppingError):
        board.updater.work()
    restarted = new_board(boards, tmp_path)
    restarted.start()
    assert restarted.running() == NEW
    restarted.updater.work()
    job = restarted.jobs.get(JOB)
    assert (job["status"], "reason" in job["details"]) == ("SUCCEEDED", False)


@pytest.mark.parametrize("name", ["P16 staged-recorded", "P21 new-started", "P22 health-pass"])
def test_a_board_that_goes_down_again_and_again_in_an_update_goes_back_after_three_starts(
    boards: list[UpdateBoard], tmp_path: Path, name: str
) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    for _ in range(MAX_STARTS):
        assert name in new_board(boards, tmp_path).die_at(name)
        board.supervisor.kill()
        assert board.jobs.get(JOB)["status"] == "IN_PROGRESS"
    restarted = new_board(boards, tmp_path)
    restarted.start()
    restarted.updater.work()
    job = restarted.jobs.get(JOB)
    assert (job["status"], restarted.running(), restarted.releases.current()) == ("FAILED", OLD, OLD)
    assert re.fullmatch(r"interrupted in (ACTIVATE|CONFIRM) 3 times", job["details"]["reason"])


def test_a_commit_that_the_disk_reported_as_failed_is_rolled_back_and_said_to_have_failed(
    boards: list[UpdateBoard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record with the commit lies there, only its directory could not be synced; nor can anything after it."""
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    board.start()
    sync, write = durable.sync_directory, durable.write

    def failing_write(path: Path, content: bytes, *, mode: int = 0o600) -> None:
        if path.name == JOURNAL and (b'"confirmed": true' in content or armed):
            if not armed:
                armed.append(True)
                armed_with.append(content)
                write(path, content, mode=mode)
            raise OSError(errno.EIO, "Input/output error")
        write(path, content, mode=mode)

    armed: list[bool] = []
    armed_with: list[bytes] = []
    with monkeypatch.context() as patched:
        patched.setattr(durable, "write", failing_write)
        board.updater.work()
    assert durable.sync_directory is sync
    assert (board.running(), board.releases.current()) == (OLD, OLD)
    assert board.jobs.get(JOB)["status"] == "FAILED", "the cloud hears it, though it could not be written down"
    [error] = [event["error"] for event in board.events if event["event"] == "error"]
    assert error.endswith("the update journal cannot be written: Input/output error")
    write(board.gg / "ggc/var/state" / JOURNAL, armed_with[0])
    board.jobs.force(JOB, "IN_PROGRESS")  # as if it had not heard it
    record = board.journal.read()
    assert record is not None
    assert record.confirmed
    restarted = new_board(boards, tmp_path)
    restarted.start()
    restarted.updater.work()
    job = restarted.jobs.get(JOB)
    assert (job["status"], restarted.running(), restarted.releases.last_known_good()) == ("FAILED", OLD, None)


def test_a_link_that_is_right_is_not_made_anew_before_the_old_core_starts(
    boards: list[UpdateBoard], tmp_path: Path
) -> None:
    board = new_board(boards, tmp_path)
    board.start()
    link = board.gg / "ggc/core"
    made = link.lstat().st_ino
    board.journal.write(
        Record(job=JOB, execution=1, version_number=2, phase=Phase.ROLL_BACK, old=OLD, new=NEW, reason="x")
    )
    board.supervisor.kill()
    board.updater.resolve()
    assert (board.running(), link.lstat().st_ino) == (OLD, made)


@pytest.mark.parametrize(
    ("build", "before"), [(GOOD, b'"confirmed": true'), (BROKEN, b"")], ids=["confirmed", "rolled back"]
)
def test_what_a_killed_agent_did_to_the_link_is_on_the_disk_before_the_update_is_over(
    boards: list[UpdateBoard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: bytes, before: bytes
) -> None:
    """Where the disk keeps no order of its own, a power cut had brought the other version back after the report."""
    board = new_board(boards, tmp_path, build)
    board.jobs.queue(JOB, document(build))
    point = "R04 link-back" if before == b"" else "P19 link-renamed"
    assert point in board.die_at(point)
    board.supervisor.kill()
    done: list[str] = []
    sync, write, close = durable.sync_directory, durable.write, Journal.close

    def noted(path: Path) -> None:
        sync(path)
        done.append(path.name)

    def written(path: Path, content: bytes, *, mode: int = 0o600) -> None:
        if before and before in content:
            done.append("over")
        write(path, content, mode=mode)

    def closed(journal: Journal) -> None:
        done.append("over")
        close(journal)

    monkeypatch.setattr(durable, "sync_directory", noted)
    monkeypatch.setattr(durable, "write", written)
    monkeypatch.setattr(Journal, "close", closed)
    restarted = new_board(boards, tmp_path, build)
    restarted.start()
    restarted.updater.work()
    assert restarted.releases.current() == (NEW if before else OLD)
    assert "ggc" in done[: done.index("over")]


@pytest.mark.parametrize("target", [None, "packages/1.11.6", "/elsewhere/ggc/packages/1.10.0"])
def test_a_board_whose_link_is_lost_runs_what_its_disk_says(
    boards: list[UpdateBoard], tmp_path: Path, target: str | None
) -> None:
    """A factory board in the middle of its first update: no version was ever written down as good."""
    board = new_board(boards, tmp_path)
    install_core(board.root, "/elsewhere", OLD)
    foreign = board.root / f"elsewhere/ggc/packages/{OLD}/greengrassd"
    foreign.write_text(f"#!/bin/sh\ntouch {tmp_path}/foreign-was-run\n")
    board.jobs.queue(JOB, document(GOOD))
    assert "P15 unpack-fsync" in board.die_at("P15 unpack-fsync")
    board.supervisor.kill()
    (board.gg / "ggc/core").unlink()
    if target is not None:
        (board.gg / "ggc/core").symlink_to(target)
    restarted = new_board(boards, tmp_path)
    restarted.guard.look()
    assert (restarted.running(), restarted.releases.current()) == (OLD, OLD)
    assert not (tmp_path / "foreign-was-run").exists()
    restarted.start()
    restarted.updater.work()
    assert restarted.jobs.get(JOB)["status"] == "SUCCEEDED"


def test_a_roll_back_that_fails_says_so(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = new_board(boards, tmp_path, BROKEN)
    board.jobs.queue(JOB, document(BROKEN))
    board.start()
    with crashpoints.armed(
        lambda name: (board.gg / f"ggc/packages/{OLD}/bin/daemon").unlink() if name == "P17 old-stopped" else None
    ):
        board.updater.work()
    reason = board.jobs.get(JOB)["details"]["reason"]
    assert "broken on purpose" in reason
    assert "ROLLBACK_FAILED: the build holds no file" in reason


def test_a_roll_back_whose_version_does_not_start_brings_up_the_last_good_one(
    boards: list[UpdateBoard], tmp_path: Path
) -> None:
    older = "1.9.4"
    board = new_board(boards, tmp_path, BROKEN)
    install_core(board.root, "/greengrass", older)
    board.releases.remember_good(older)
    board.releases.switch(OLD)
    board.jobs.queue(JOB, document(BROKEN))
    board.start()
    daemon = board.gg / f"ggc/packages/{OLD}/bin/daemon"
    with crashpoints.armed(
        lambda name: daemon.write_text("#!/bin/sh\nexit 1\n") if name == "P17 old-stopped" else None
    ):
        board.updater.work()
    job = board.jobs.get(JOB)
    assert (job["status"], board.running(), board.releases.current()) == ("FAILED", older, older)
    assert job["details"]["reason"].endswith(f"ROLLBACK_FAILED: {OLD} does not start; {older} runs instead")
    assert f"{OLD} failed (" in job["details"]["core"]
    assert job["details"]["core"].endswith(f"{older} running")
    board.guard.look()
    assert board.running() == older


def test_a_disk_that_turns_read_only_in_an_update_keeps_no_core_from_running(
    boards: list[UpdateBoard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the link nor the journal can be moved back: the old version runs all the same, and stays."""
    board = new_board(boards, tmp_path, GOOD)
    board.jobs.queue(JOB, document(GOOD))
    board.start()

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as disk:

        def turn(name: str) -> None:
            if name == "P21 new-started":
                disk.setattr(durable, "write", refuse)
                disk.setattr(board.releases, "switch", refuse)
                disk.setattr(board.releases, "sweep", refuse)

        with crashpoints.armed(turn), pytest.raises(UpdateError, match="Read-only"):
            board.updater.work()
        job = board.jobs.get(JOB)
        assert (job["status"], board.running(), board.releases.current()) == ("IN_PROGRESS", OLD, NEW)
        assert "ROLLBACK_FAILED: Read-only file system" in job["details"]["reason"]
        assert job["details"]["progress"].startswith("FAILED, which could not be stored: "), "a restart may end well"
        started = board.supervisor.running()
        with pytest.raises(UpdateError, match="Read-only"):
            board.updater.work()
        assert board.supervisor.running() == started, "what is known is not done again"
    board.updater.work()
    assert (board.jobs.get(JOB)["status"], board.running(), board.releases.current()) == ("FAILED", OLD, OLD)
    for _ in range(3):
        board.guard.look()
    assert board.running() == OLD
    assert board.journal.read() is None


def test_a_disk_that_turns_read_only_before_the_switch_hides_no_end(
    boards: list[UpdateBoard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever the board comes back it finds nothing begun, and the cloud has its word."""
    board = new_board(boards, tmp_path, GOOD)
    board.jobs.queue(JOB, document(GOOD))
    board.start()

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with crashpoints.armed(
        lambda name: monkeypatch.setattr(durable, "write", refuse) if name == "P09 download-fsync" else None
    ):
        board.updater.work()
    job = board.jobs.get(JOB)
    assert (job["status"], board.running(), board.releases.current()) == ("FAILED", OLD, OLD)
    assert "the update journal cannot be written: Read-only file system" in job["details"]["reason"]


def test_what_befell_the_core_while_a_job_ran_is_in_its_details(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    board.start()

    def kill(name: str) -> None:
        if name == "P09 download-fsync":
            board.supervisor.kill()
            until(lambda: board.guard.look() and board.running())

    with crashpoints.armed(kill):
        board.updater.work()
    core = board.jobs.get(JOB)["details"]["core"]
    assert core == f"{OLD} died (the core is not running); {OLD} running; {NEW} running"


def test_a_broken_core_link_is_repaired_from_the_last_good_version(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = updated(boards, tmp_path)
    board.supervisor.stop()
    (board.gg / "ggc/core").unlink()
    (board.gg / "ggc/core").symlink_to("/etc")
    board.start()
    assert (board.releases.current(), board.running()) == (NEW, NEW)


@pytest.mark.parametrize(
    ("at", "status", "running"),
    [("P10 hash-ok", "SUCCEEDED", NEW), ("P17 old-stopped", "FAILED", OLD), ("P22 health-pass", "SUCCEEDED", NEW)],
)
def test_a_board_that_lost_its_journal_ends_its_job_as_the_link_says(
    boards: list[UpdateBoard], tmp_path: Path, at: str, status: str, running: str
) -> None:
    """Left alone as another board's, it would have waited for the step timer."""
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    assert at in board.die_at(at)
    board.supervisor.kill()
    for copy in (board.gg / "ggc/var/state").glob("update-journal*.json"):
        copy.write_bytes(copy.read_bytes()[:-40])
    restarted = new_board(boards, tmp_path)
    restarted.start()
    restarted.updater.work()
    job = restarted.jobs.get(JOB)
    assert (job["status"], restarted.running(), restarted.releases.current()) == (status, running, running)
    if status == "FAILED":
        assert job["details"]["reason"] == f"the update's journal was lost in ACTIVATE, and the link leads to {OLD}"
    assert not any((board.gg / "ggc/var/state").glob("update-*"))


def test_a_bad_build_whose_journal_is_lost_has_no_start_but_this_one(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    for _ in range(2):
        assert "P22 health-pass" in new_board(boards, tmp_path).die_at("P22 health-pass")
        board.supervisor.kill()
        for copy in (board.gg / "ggc/var/state").glob("update-journal*.json"):
            copy.unlink()
    new_board(boards, tmp_path).die_at("P22 health-pass")
    board.supervisor.kill()
    restarted = new_board(boards, tmp_path)
    restarted.start()
    restarted.updater.work()
    assert (restarted.jobs.get(JOB)["status"], restarted.running()) == ("FAILED", OLD)


def test_an_update_that_aws_would_not_show_yet_says_so(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = new_board(boards, tmp_path)
    board.jobs.queue(JOB, document(GOOD))
    board.start()
    found = board.jobs.next
    board.jobs.next = lambda: (job := found()) and replace(job, passed_over=12)  # type: ignore[method-assign]
    board.updater.work()
    note = "found behind 12 pending jobs with edgeSimSkip: on AWS IoT it waits until all but nine have ended"
    assert board.jobs.get(JOB)["details"]["note"] == note
    assert next(e.get("detail") for e in board.events if e["event"] == "update") == note


def test_an_older_copy_of_the_journal_does_not_hide_a_switch(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = updated(boards, tmp_path)
    board.jobs.queue("GreengrassUpdateJob_2", document(GOOD))
    board.jobs.force("GreengrassUpdateJob_2", "IN_PROGRESS")
    board.journal.write(
        Record(job="GreengrassUpdateJob_2", execution=1, version_number=2, phase=Phase.VERIFY, old=OLD, new=NEW)
    )
    board.start()
    board.updater.work()
    assert (board.running(), board.jobs.get("GreengrassUpdateJob_2")["status"]) == (OLD, "FAILED")


def test_a_report_taken_before_the_cut_is_not_an_error(boards: list[UpdateBoard], tmp_path: Path) -> None:
    board = updated(boards, tmp_path)
    report = Report(status="SUCCEEDED", details={"phase": "CONFIRM"})
    board.journal.write(
        Record(job=JOB, execution=1, version_number=2, phase=Phase.CONFIRM, old=OLD, new=NEW,
               confirmed=True, report=report, token="t")
    )  # fmt: skip
    board.start()
    board.updater.work()
    assert board.journal.read() is None
    assert not [e for e in board.events if e["event"] == "error"]


@pytest.mark.slow
def test_every_named_point_is_passed_by_one_of_the_two_ways(boards: list[UpdateBoard], tmp_path: Path) -> None:
    passed = _passed(boards, tmp_path / "a", GOOD) | _passed(boards, tmp_path / "b", BROKEN)
    assert passed - {"P25 report-taken"} == set(crashpoints.UPDATE_POINTS)


def _passed(boards: list[UpdateBoard], directory: Path, build: bytes) -> set[str]:
    """The points that an update passes."""
    directory.mkdir()
    board = new_board(boards, directory, build)
    board.jobs.queue(JOB, document(build))
    return set(board.die_at(None))
