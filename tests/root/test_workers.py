"""Workers on a real board: on demand and pinned, used again, ended, and held to their memory."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_sim.agent import cgroups
from edge_sim.agent.functions import launch, memory, workers
from edge_sim.agent.functions.endpoint import Refusal
from edge_sim.agent.functions.invocations import InvocationOutcome
from tests import needs
from tests.root.functions_board import Board
from tests.root.sdk_board import daemon, runtime_log, with_code, with_config
from tests.waiting import until

pytestmark = [pytest.mark.root, needs.mounts]

NO_CGROUP = "no memory cgroup can be made here: mount /sys/fs/cgroup writable"
PID = "calls = []\ndef function_handler(event, context):\n    calls.append(1)\n    return [os.getpid(), len(calls)]\n"
MEET = (
    "def function_handler(event, context):\n"
    "    Path(f'/tmp/{os.getpid()}.here').touch()\n"
    "    end = time.monotonic() + 30\n"
    "    while len(list(Path('/tmp').glob('*.here'))) < event and time.monotonic() < end:\n"
    "        time.sleep(0.02)\n"
    "    return [os.getpid(), time.monotonic() < end]\n"
)


def test_an_idle_worker_takes_the_next_call(here: Board) -> None:
    with_code(here, "read-digits", PID)
    with daemon(here) as core:
        (first, one), (second, two) = (core.run("read-digits", b"{}").result for _ in range(2))
    assert (first, one, two) == (second, 1, 2)
    assert runtime_log(here).count("[INFO]-Created worker.\t{") == 1
    assert "ungracefully" not in runtime_log(here)
    assert not Path(f"/proc/{first}").exists()


def test_calls_at_the_same_time_have_workers_of_their_own(here: Board) -> None:
    with_code(here, "read-digits", MEET)
    made, results = here.with_function("read-digits", timeout_s=60), []
    with daemon(made) as core:
        calls = [
            threading.Thread(target=lambda: results.append(core.run("read-digits", b"2").result)) for _ in range(2)
        ]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
    assert [met for _, met in results] == [True, True], "each waited for the other"
    assert results[0][0] != results[1][0]


def test_no_more_workers_than_allowed_and_an_idle_one_makes_room(here: Board) -> None:
    with_config(here, '{"runtime": {"maxConcurrentLimit": 1}}')
    for name in ("read-digits", "sort-wine"):
        with_code(here, name, PID)
    with daemon(here) as core:
        first = core.run("read-digits", b"{}").result[0]
        core.run("sort-wine", b"{}")
        until(lambda: not Path(f"/proc/{first}").exists())
        assert [w.process.function.id for w in core._workers.everyone()] == ["sort-wine"]


def test_too_many_waiting_calls_are_refused(here: Board) -> None:
    with_config(here, '{"runtime": {"maxWorkItemCount": 1, "maxConcurrentLimit": 1}}')
    with_code(here, "read-digits", MEET)
    results: list[InvocationOutcome] = []
    with daemon(here.with_function("read-digits", timeout_s=60)) as core:
        calls = [threading.Thread(target=lambda: results.append(core.run("read-digits", b"1"))) for _ in range(3)]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
    assert any("maxWorkItemCount" in str(r.error) for r in results)
    assert any(r.ok for r in results)


def test_an_idle_worker_ends_after_a_while(here: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_LIMIT_S", 0.0)
    with_code(here, "read-digits", PID)
    with daemon(here) as core:
        first = core.run("read-digits", b"{}").result
        until(lambda: not core._workers.everyone())
        until(lambda: not Path(f"/proc/{first[0]}").exists())
        assert core.run("read-digits", b"{}").result != first


def test_a_token_is_good_for_its_own_function_only(here: Board) -> None:
    for name in ("read-digits", "sort-wine"):
        with_code(here, name, PID)
    with daemon(here) as core:
        core.run("read-digits", b"{}")
        (worker,) = core._workers.everyone()
        own, other = here.function("read-digits").arn, here.function("sort-wine").arn
        guest = core.environment_of(here.function("read-digits"))["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
        number = core.invoke(worker.token, other, b"{}", "", "RequestResponse")
        attempts: dict[str, Callable[[], object]] = {
            "another function's work": lambda: core.take(worker.token, other),
            "another caller's result": lambda: core.result(guest, number),
            "work without being a worker": lambda: core.take(guest, own),
            "a result that nobody asked for": lambda: core.finish(worker.token, own, number, b"{}", ""),
            "functions' calls with the outside's token": lambda: core.invoke(core.token, own, b"", "", "Event"),
            "the outside's calls with a function's token": lambda: core.call(worker.token, "sort-wine", b"{}"),
        }
        for attempt in attempts.values():
            with pytest.raises(Refusal) as raised:
                attempt()
            assert raised.value.status in (403, 404)
        assert json.loads(core.result(worker.token, number).result)[1] == 1
        with pytest.raises(Refusal):
            core.result(worker.token, number)


def test_a_pinned_function_runs_from_the_start_in_one_process(here: Board) -> None:
    with_code(here, "meter-log", PID)
    with daemon(here.with_function("meter-log", pinned=True)) as core:
        assert core.start_pinned(30) is None
        (worker,) = core._workers.everyone()
        assert worker.state == "Waiting"
        results = [core.run("meter-log", b"{}").result for _ in range(2)]
        states = {row.arn.split(":")[6]: row.state for row in core.health()}
    assert [count for _, count in results] == [1, 2]
    # The on-demand functions have no worker before the first call.
    assert states == {"meter-log": "Waiting", "GGShadowService": "Waiting", "GGSecretManager": "Waiting"}


def test_a_pinned_function_that_dies_is_started_again(here: Board) -> None:
    with_code(here, "read-digits", "def function_handler(e, c):\n    return os.getpid() if e else os._exit(3)\n")
    with daemon(here.with_function("read-digits", pinned=True)) as core:
        assert core.start_pinned(30) is None
        first = core.run("read-digits", b"1").result
        dead = core.run("read-digits", b"0")
        assert dead.error == "read-digits: the process ended with status 3 before it answered"
        second = core.run("read-digits", b"1")
        assert second.ok, second.error
        assert second.result != first


def test_a_pinned_function_that_cannot_be_loaded_fails_the_deployment(here: Board) -> None:
    with_code(here, "read-digits", "import nowhere\n")
    with daemon(here.with_function("read-digits", pinned=True)) as core:
        why = core.start_pinned(30)
        # On a slow machine the next attempt, a second later, may have begun.
        states = {row.state for row in core.health() if row.arn.split(":")[6] == "read-digits"}
    assert why is not None
    assert "failed to initialize: read-digits: ModuleNotFoundError: No module named 'nowhere'" in why.brief
    assert states in ({"NotStarted"}, {"Starting"}, {"FailedInitialization"})
    log = here.path("/greengrass/ggc/var/log/user/us-east-1/123456789012/read-digits.log").read_text()
    assert "[FATAL]-lambda_runtime.py:" in log


def test_a_pinned_function_without_an_interpreter_is_not_proven(here: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "BESIDE_V1", str(Path(sys.prefix).parent))  # as a bundle, whose Python is no function's
    for name in ("read-digits", "sort-wine"):
        with_code(here, name, PID)
    board = here.with_function("read-digits", pinned=True, variables={"PATH": "/nowhere"})
    with daemon(board.with_function("sort-wine", pinned=True)) as core:
        assert core.start_pinned(30) is None
        assert core.not_proven() == [
            "function read-digits: could not be started: neither python3.7 nor another python3 is on the board's PATH"
        ]
        assert core.run("sort-wine", b"{}").ok


def test_a_pinned_function_that_opens_a_model_without_the_prefix_is_told_where_it_is(here: Board) -> None:
    with_code(here, "read-digits", "weights = open('/models/digits/weights.csv').read()\n")
    with daemon(here.with_function("read-digits", pinned=True)) as core:
        why = core.start_pinned(30)
    assert why is not None
    assert "No such file or directory: '/models/digits/weights.csv'" in why.brief
    assert "open os.environ['AWS_GG_RESOURCE_PREFIX'] + '/models/digits/weights.csv'" in str(why.hint)


def test_a_pinned_function_may_loop_while_it_is_loaded(here: Board) -> None:
    with_code(here, "read-digits", "print('started')\nwhile True:\n    time.sleep(0.1)\n")
    log = here.path("/greengrass/ggc/var/log/user/us-east-1/123456789012/read-digits.log")
    with daemon(here.with_function("read-digits", pinned=True)) as core:
        assert core.start_pinned(0.1) is None
        until(lambda: log.exists() and "started" in log.read_text())
        assert [worker.state for worker in core._workers.everyone()] == ["Starting"]


def test_a_log_is_set_aside_when_it_is_full(here: Board) -> None:
    with_code(here, "read-digits", "def function_handler(e, c):\n    print('x' * e)\n")
    with daemon(here) as core:
        for size in (140_000, 10):
            assert core.run("read-digits", json.dumps(size).encode()).ok
    folder = here.path("/greengrass/ggc/var/log/user/us-east-1/123456789012")
    assert (folder / "read-digits.log.1").stat().st_size > 140_000
    assert (folder / "read-digits.log").read_text().endswith("x" * 10 + "\n")


EAT = (
    "def function_handler(event, context):\n"
    "    kept = []\n"
    "    for _ in range(event):\n"
    "        kept.append(bytearray(os.urandom(1)) * (1 << 20))\n"
    "        time.sleep(0.005)\n"
    "    return len(kept)\n"
)


@pytest.mark.parametrize("how", ["cgroup", "watch"])
def test_memory_is_enforced_and_its_end_told_in_v1s_words(
    here: Board, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "watch":
        monkeypatch.setattr(cgroups, "hierarchies", lambda _: iter(()))
    made_cgroups: list[Path] = []
    limit = memory.limit

    def remembered(size_kb: int, name: str) -> memory.MemoryLimit:
        made_limit = limit(size_kb, name)
        made_cgroups.extend([made_limit.group.directory] if isinstance(made_limit, memory.Enforced) else [])
        return made_limit

    monkeypatch.setattr(memory, "limit", remembered)
    with_code(here, "meter-log", EAT)
    made = here.with_function("meter-log", memory_size_kb=64 * 1024, timeout_s=60)
    with daemon(made) as core:
        small = core.run("meter-log", b"8")
        assert (small.ok, small.result) == (True, 8), small.error
        enforced = {"cgroup": "is enforced by a memory cgroup", "watch": "is only sampled"}[how]
        if how == "cgroup" and not any(enforced in note for note in small.notes):
            pytest.skip(f"{NO_CGROUP}: {small.notes}")
        assert any(note.startswith(f"MemorySize 65536 KB {enforced}") for note in small.notes)
        large = core.run("meter-log", b"400")
        assert not large.ok
        assert "its MemorySize is 65536 KB; the process was killed" in str(large.error)
        again = core.run("meter-log", b"8")
        assert again.ok, "the next call has a new worker"
    log = runtime_log(here)
    warning = next(line for line in log.splitlines() if "Worker consumed all allocated memory!" in line)
    head, _, context = warning.partition("\t")
    assert head.endswith("[WARN]-Worker consumed all allocated memory! Memory Usage (KB).")
    told = json.loads(context)
    assert set(told) == {"workerId", "funcArn", "memSize", "memUsed"}
    assert told["memSize"] == 65536
    killed = log.splitlines()[log.splitlines().index(warning) + 1]
    assert "[ERROR]-Worker is ungracefully killed.\t" in killed
    assert json.loads(killed.partition("\t")[2])["state"] == "signal: killed"
    assert [str(d) for d in made_cgroups if d.exists()] == [], "no cgroup is left behind"


def test_the_cgroup_of_a_killed_agent_is_swept_and_one_in_use_is_not() -> None:
    used = memory.limit(64 * 1024, "in-use")
    left = memory.limit(64 * 1024, "left-behind")
    if not isinstance(used, memory.Enforced) or not isinstance(left, memory.Enforced):
        pytest.skip(NO_CGROUP)
    os.close(left.group.lock)  # as the kernel does when an agent is killed
    cgroups.sweep()
    assert (used.group.directory.exists(), left.group.directory.exists()) == (True, False)
    used.close()
    assert not used.group.directory.exists()


def test_the_sweep_waits_for_processes_that_are_being_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    left = memory.limit(64 * 1024, "left-behind")
    if not isinstance(left, memory.Enforced):
        pytest.skip(NO_CGROUP)
    pause = time.sleep
    with subprocess.Popen(["sleep", "1000"]) as dying:

        def end_in_the_pause(seconds: float) -> None:
            dying.kill()
            pause(seconds)

        monkeypatch.setattr(time, "sleep", end_in_the_pause)
        Path(left.procs).write_text(str(dying.pid))
        os.close(left.group.lock)
        cgroups.sweep()
        assert not left.group.directory.exists()
        dying.kill()


def test_a_cgroup_that_another_agent_sweeps_away_as_it_is_made_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[Path] = []
    flock = fcntl.flock

    def swept_before(descriptor: int, operation: int) -> None:
        if operation & fcntl.LOCK_SH and not swept:
            swept.append(Path(f"/proc/self/fd/{descriptor}").readlink())
            swept[0].rmdir()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", swept_before)
    made = memory.limit(64 * 1024, "made-twice")
    if not swept:
        pytest.skip(NO_CGROUP)
    assert isinstance(made, memory.Enforced)
    made.close()
    assert made.group.directory == swept[0]


def test_v1s_smallest_usual_memory_is_enough_for_a_small_function(here: Board) -> None:
    with_code(here, "meter-log", PID)
    small = here.with_function("meter-log", memory_size_kb=16384)
    with daemon(small) as core:
        got = core.run("meter-log", b"{}")
    assert got.ok, got.error


def test_under_an_emulator_memory_is_not_enforced_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "running_emulator", lambda: "qemu-arm-static")
    made = memory.limit(16384, "x")
    assert (
        made.note
        == "MemorySize 16384 KB is not enforced: the memory of qemu-arm-static cannot be separated from the function's"
    )
    assert (made.procs, made.exceeded(os.getpid())) == (None, None)
