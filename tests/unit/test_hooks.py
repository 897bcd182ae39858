"""Updates on boards whose owners have scripts run around them (``managedRespawn``): real scripts, real cores."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_sim.agent import crashpoints, durable
from edge_sim.agent.update import hooks
from tests.unit.test_updater import configure
from tests.unit.update_board import GOOD, JOB, NEW, OLD, UpdateBoard, document

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the scripts must be owned by it"),
]

STOP = '"$GREENGRASS_ROOT/ggc/core/greengrassd" stop'
START = '"$GREENGRASS_ROOT/ggc/core/greengrassd" start'
NOTE = 'echo "$(basename "$0")" >>"$GREENGRASS_ROOT/ran"'


@pytest.fixture
def board(tmp_path: Path) -> Iterator[UpdateBoard]:
    """A board with the four scripts as they should be, and an update waiting for it."""
    made = UpdateBoard(tmp_path, GOOD, hook_limit_s=2)
    configure(made, managedRespawn=True)
    for name in hooks.NAMES:
        script(made, name, START if "post" in name else STOP)
    made.jobs.queue(JOB, document(GOOD))
    made.start()
    yield made
    made.supervisor.kill()


def script(board: UpdateBoard, name: str, body: str) -> Path:
    path = board.gg / "usr/scripts" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{NOTE}\n{body}\n")
    path.chmod(0o700)
    return path


def ran(board: UpdateBoard) -> list[str]:
    path = board.gg / "ran"
    return path.read_text().split() if path.exists() else []


def work(board: UpdateBoard) -> tuple[str, str | None]:
    """Carry the update out; return how it ended and why."""
    board.updater.work()
    job = board.jobs.get(JOB)
    return job["status"], job["details"].get("reason")


def test_the_scripts_stop_the_old_core_and_start_the_new_one(board: UpdateBoard) -> None:
    assert work(board) == ("SUCCEEDED", None)
    assert (board.running(), board.releases.current()) == (NEW, NEW)
    assert ran(board) == ["ggc_pre_update.sh", "ggc_post_update.sh"]


def test_the_first_script_runs_before_the_download_and_the_guard_waits_for_the_second(board: UpdateBoard) -> None:
    """core-ota-update.md: "Before starting the update, the agent runs the ggc_pre_update.sh script." """
    seen: list[tuple[str, str | None, list[str]]] = []

    def look(name: str) -> None:
        if name in ("P05 in-progress-acked", "P07 download-open", "P16 staged-recorded", "P21 new-started"):
            guard = threading.Thread(target=board.guard.look)
            guard.start()  # it waits where the scripts own the core
            if name.startswith(("P05", "P21")):
                guards.append(guard)
            else:
                guard.join(0.05)
                assert guard.is_alive()
                guards.append(guard)
            seen.append((name[:3], board.running(), ran(board)))

    guards: list[threading.Thread] = []
    with crashpoints.armed(look):
        assert work(board) == ("SUCCEEDED", None)
    for guard in guards:
        guard.join()
    first, both = ["ggc_pre_update.sh"], ["ggc_pre_update.sh", "ggc_post_update.sh"]
    assert seen == [("P05", OLD, []), ("P07", None, first), ("P16", None, first), ("P21", NEW, both)]


def test_the_first_script_may_make_a_read_only_disk_writable(
    board: UpdateBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """greengrass-v1: "a read-only root must be remounted by the scripts"; the journal is written from then on."""
    script(board, "ggc_pre_update.sh", f'{STOP}; touch "$GREENGRASS_ROOT/writable"')
    write = durable.write

    def refuse(path: Path, content: bytes, *, mode: int = 0o600) -> None:
        if not (board.gg / "writable").exists():
            raise OSError(errno.EROFS, "Read-only file system")
        write(path, content, mode=mode)

    monkeypatch.setattr(durable, "write", refuse)
    assert work(board) == ("SUCCEEDED", None)
    (board.gg / "writable").unlink()
    configure(board, managedRespawn=False)
    board.jobs.queue("GreengrassUpdateJob_2", document(GOOD, version="1.11.7"))
    board.updater.work()
    job = board.jobs.get("GreengrassUpdateJob_2")
    assert (job["status"], board.running()) == ("REJECTED", NEW)
    assert "the update journal cannot be written: Read-only file system" in job["details"]["reason"]


@pytest.mark.parametrize("end", ["no download", "cancelled", "late", "killed"])
def test_an_update_that_ends_before_the_switch_leaves_the_old_core_running(
    board: UpdateBoard, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script has stopped it, and the one that would start it is for completed updates."""
    reasons = {
        "no download": "STAGE: other size",
        "late": "STAGE: the build was still missing 900 s after ggc_pre_update.sh",
    }
    began = time.monotonic()
    if end == "no download":
        board.build = GOOD + b"x"

    def at(name: str) -> None:
        if end == "cancelled" and name == "P09 download-fsync":
            board.jobs.force(JOB, "CANCELED")
        if end == "late" and name == "P07 download-open":
            monkeypatch.setattr(time, "monotonic", lambda: began + hooks.RESPAWN_LIMIT_S + 60)

    if end == "killed":
        assert "P10 hash-ok" in board.die_at("P10 hash-ok")
        assert board.running() is None
        restarted = UpdateBoard(board.root.parent, GOOD)
        restarted.start()
        assert restarted.running() == OLD
        restarted.supervisor.kill()
        return
    with crashpoints.armed(at):
        status, why = work(board)
    assert (board.running(), board.releases.current()) == (OLD, OLD)
    assert status == ("CANCELED" if end == "cancelled" else "FAILED")
    assert str(why).startswith(reasons.get(end, "None"))
    assert ran(board) == ["ggc_pre_update.sh"]


def test_without_managed_respawn_no_script_is_run(board: UpdateBoard) -> None:
    configure(board, managedRespawn=False)
    assert work(board) == ("SUCCEEDED", None)
    assert ran(board) == []


@pytest.mark.parametrize(
    ("name", "fault", "wrong"),
    [
        ("ggc_pre_update.sh", "missing", "is missing"),
        ("ota_post_update.sh", "missing", "is missing"),
        ("ggc_post_update.sh", "owner", "is owned by uid 1234, not by root"),
        ("ggc_pre_update.sh", "plain", "is not executable by root"),
        ("ggc_pre_update.sh", "everybody", "has mode 0755: it must be executable by root only"),
        ("ggc_pre_update.sh", "directory", "is not a file"),
    ],
)
def test_scripts_that_are_not_as_they_must_be_fail_the_update_before_anything_is_touched(
    board: UpdateBoard, name: str, fault: str, wrong: str
) -> None:
    path, pid = board.gg / "usr/scripts" / name, board.supervisor.running()
    if fault in ("missing", "directory"):
        path.unlink()
    if fault == "directory":
        path.mkdir()
    if fault == "owner":
        os.chown(path, 1234, 0)
    if fault in ("plain", "everybody"):
        path.chmod(0o600 if fault == "plain" else 0o755)
    assert work(board) == ("FAILED", f"STAGE: managedRespawn is true, and /greengrass/usr/scripts/{name} {wrong}")
    assert (board.supervisor.running(), board.releases.installed(), ran(board)) == (pid, [OLD], [])


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("ggc_pre_update.sh", "echo no backup; exit 3", "ggc_pre_update.sh ended with status 3: no backup"),
        ("ggc_pre_update.sh", "sleep 1000", "ggc_pre_update.sh timed out after 2 s"),
        ("ggc_pre_update.sh", "exit 0", "ggc_pre_update.sh ended, but the core is still running"),
        ("ggc_post_update.sh", f"{START}; exit 1", "ggc_post_update.sh ended with status 1: "),
        ("ggc_post_update.sh", "exit 0", "ggc_post_update.sh ended, and the core is not running"),
        ("ggc_post_update.sh", f"{START}; sleep 1000", "ggc_post_update.sh timed out after 2 s"),
    ],
)
def test_a_script_that_fails_hangs_or_does_not_do_its_work_ends_on_the_old_version(
    board: UpdateBoard, name: str, body: str, reason: str
) -> None:
    script(board, name, body)
    status, why = work(board)
    assert (status, board.running(), board.releases.current()) == ("FAILED", OLD, OLD)
    assert str(why).startswith(f"{'STAGE' if 'pre' in name else 'ACTIVATE'}: {reason}")
    assert ran(board) == ["ggc_pre_update.sh", "ggc_post_update.sh"][: 1 + ("post" in name)], "none on the way back"
    assert "ROLLBACK_FAILED" not in str(why)
    assert board.supervisor._confinement.processes() != []
    board.supervisor.stop()
    assert board.supervisor._confinement.processes() == [], "a script that hung is ended too"
