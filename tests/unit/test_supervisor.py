"""Starting, stopping and watching real core processes, well-behaved and otherwise."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from edge_sim.agent import cgroups
from edge_sim.agent.update.confinement import BuildLimits
from edge_sim.agent.update.software import CORE
from edge_sim.agent.update.supervisor import CoreError, Supervisor
from tests.daemons import EATS_96_MIB, FORKS_120, READY, trouble_of_forks
from tests.factory import install_core
from tests.processes import is_alive
from tests.waiting import LIMIT_S, until

pytestmark = pytest.mark.process

VERSION = "1.10.0"


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Supervisor]:
    install_core(tmp_path, "/greengrass", VERSION)
    supervisor = Supervisor(tmp_path, sleep=lambda _: None, start_limit_s=LIMIT_S, stop_limit_s=LIMIT_S)
    yield supervisor
    supervisor.kill()


def replace_daemon(core: Supervisor, body: str, name: str = "bin/daemon") -> None:
    (core.gg / "ggc/core" / name).write_text(f"#!/bin/sh\n{body}\n")


def test_a_core_starts_is_healthy_and_stops(core: Supervisor) -> None:
    running = core.start(VERSION)
    assert running.version == VERSION
    assert core.unhealthy(VERSION) is None
    assert (core.gg / "ggc/var/log/system/runtime.log").read_text().count("Greengrass Version: 1.10.0") == 1
    core.stop()
    assert core.running() is None
    assert not (core.gg / "ggc/var/state/core.json").exists()
    core.stop()


def test_a_core_behind_a_link_of_the_board_is_started_and_found(tmp_path: Path) -> None:
    install_core(tmp_path, "/mnt/data/gg", VERSION)
    (tmp_path / "greengrass").symlink_to("/mnt/data/gg")
    core = Supervisor(tmp_path, sleep=lambda _: None, start_limit_s=LIMIT_S, stop_limit_s=LIMIT_S)
    try:
        assert core.gg == tmp_path / "mnt/data/gg"
        assert core.start(VERSION).version == VERSION
        core.stop()
        assert core.running() is None
    finally:
        core.kill()


def test_another_version_than_expected_is_not_healthy(core: Supervisor) -> None:
    core.start(VERSION)
    assert core.unhealthy("1.11.6") == "version 1.10.0 is running, not 1.11.6 (health check 1 of 3)"


def test_a_core_that_dies_between_two_looks_is_not_healthy(core: Supervisor) -> None:
    core.start(VERSION)
    wrong = core.unhealthy(VERSION, on_pass=core.kill)
    assert wrong == "the core is not running (health check 2 of 3)"


def test_a_core_that_is_restarted_between_two_looks_is_not_healthy(core: Supervisor) -> None:
    def again() -> None:
        core.stop()
        core.start(VERSION)

    core.start(VERSION)
    wrong = core.unhealthy(VERSION, on_pass=again)
    assert wrong is not None
    assert "was restarted while it was watched" in wrong


def test_a_daemon_that_fails_is_an_error_with_its_own_words(core: Supervisor) -> None:
    replace_daemon(core, "echo 'no certificate' >&2; exit 1")
    with pytest.raises(CoreError, match=r"no certificate; The Greengrass daemon process with \[pid = \d+\] died\."):
        core.start(VERSION)


def test_a_daemon_that_fails_silently_is_not_given_older_words(core: Supervisor) -> None:
    replace_daemon(core, "echo 'no certificate' >&2; exit 1")
    with pytest.raises(CoreError):
        core.start(VERSION)
    replace_daemon(core, "exit 1")
    with pytest.raises(CoreError) as caught:
        core.start(VERSION)
    assert "no certificate" not in caught.value.brief


@pytest.mark.parametrize(
    ("timeout_ms", "limit_s"), [(None, "35"), (120_000, "125")], ids=["V1's limit", "the limit in config.json"]
)
def test_a_start_that_never_ends_is_ended_with_everything_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timeout_ms: int | None, limit_s: str
) -> None:
    started = tmp_path / "pid"
    # The time is up as soon as there is something to end.
    clock = SimpleNamespace(
        monotonic=lambda: 1000.0 if started.exists() and started.read_text() else 0.0, sleep=time.sleep
    )
    monkeypatch.setattr("edge_sim.agent.update.confinement.time", clock)
    install_core(tmp_path, "/greengrass", VERSION)
    core = Supervisor(tmp_path)
    if timeout_ms is not None:
        config = core.gg / "config/config.json"
        config.write_text(json.dumps({"runtime": {"postStartHealthCheckTimeout": timeout_ms}}))
    replace_daemon(core, f"echo $$ >{tmp_path}/pid; sleep 1000 & wait")
    with pytest.raises(CoreError, match=f"greengrassd start timed out after {limit_s} s"):
        core.start(VERSION)
    core.kill()
    assert not is_alive(int(started.read_text()))


def test_a_daemon_that_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    install_core(tmp_path, "/greengrass", VERSION)
    core = Supervisor(tmp_path, stop_limit_s=0.3)
    child = f"sleep 1000 & echo $! >{tmp_path}/child"
    replace_daemon(core, f"trap '' TERM; {child}; {READY}; while :; do wait; sleep 1; done")
    core.start(VERSION)
    core.stop()
    assert core.running() is None
    assert not is_alive(int((tmp_path / "child").read_text()))


def test_a_greengrassd_that_cannot_be_run_is_an_error(core: Supervisor) -> None:
    (core.gg / "ggc/core/greengrassd").unlink()
    with pytest.raises(CoreError, match="cannot be run: No such file"):
        core.start(VERSION)


def test_a_state_file_of_a_process_that_is_no_core_means_not_running(core: Supervisor) -> None:
    (core.gg / "ggc/var/state/core.json").write_text(f'{{"version": "{VERSION}", "pid": {os.getpid()}}}')
    assert core.running() is None
    for text in ("", "[]", "{}", '{"version": 1, "pid": "x"}', "[" * 3000):
        (core.gg / "ggc/var/state/core.json").write_text(text)
        assert core.running() is None


def test_what_a_dead_daemon_leaves_behind_is_killed_before_the_next_start(core: Supervisor, tmp_path: Path) -> None:
    pid_file = tmp_path / "child"
    loose = f"setsid sh -c 'echo $$ >{pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 1000' &"
    replace_daemon(core, f"{loose} while [ ! -e {pid_file} ]; do sleep 0.01; done; {READY}; sleep 1000 & wait")
    os.kill(core.start(VERSION).pid, signal.SIGKILL)
    child = psutil.Process(int(pid_file.read_text()))
    assert child.status() != psutil.STATUS_ZOMBIE
    core.stop()
    assert not is_alive(child.pid)
    assert core._confinement.processes() == []


LOOSE = """
env -i /bin/sh -c '
    (setsid /bin/sh -c "echo \\$\\$ >PIDS.new; mv PIDS.new PIDS; exec sleep 1000" </dev/null >/dev/null 2>&1 &)
'
while [ ! -e PIDS ]; do sleep 0.01; done
"""
"""A child in a session of its own, with a cleared environment, whose parents have ended."""


@pytest.fixture(params=["cgroup", "subreaper"])
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a build's processes are found and limited: with cgroups where they can be made, and without."""
    if request.param == "subreaper":
        monkeypatch.setattr(cgroups, "make", lambda *_: None)
    elif (made := cgroups.make("pids", "probe", lambda group: group.limit_processes(9))) is None:
        pytest.skip("no cgroup can be made here")
    else:
        made.close()
    return str(request.param)


@pytest.mark.usefixtures("means")
def test_a_child_with_a_cleared_environment_is_found_by_another_agent_and_ended(
    core: Supervisor, tmp_path: Path
) -> None:
    replace_daemon(core, f"{LOOSE.replace('PIDS', str(tmp_path / 'pid'))} {READY}; sleep 1000 & wait")
    running = core.start(VERSION)
    child = psutil.Process(int((tmp_path / "pid").read_text()))
    assert child.environ() == {} or "GREENGRASS_ROOT" not in child.environ()
    assert running.pid not in {parent.pid for parent in child.parents()}
    os.kill(running.pid, signal.SIGKILL)
    assert is_alive(child.pid)
    another = Supervisor(tmp_path)
    assert child in another._confinement.processes()
    another.stop()
    assert not is_alive(child.pid)
    assert another._confinement.processes() == []


@pytest.mark.usefixtures("means")
def test_a_build_that_eats_memory_is_in_trouble(tmp_path: Path) -> None:
    install_core(tmp_path, "/greengrass", VERSION)
    core = Supervisor(tmp_path, limits=BuildLimits(memory=48 << 20))
    replace_daemon(core, f"{READY}; {EATS_96_MIB} & while :; do sleep 1000 & wait $!; done")
    core.start(VERSION)
    try:
        until(lambda: core.trouble(VERSION))
        assert core.trouble(VERSION) == "the core used more than its 48 MiB of memory"
    finally:
        core.kill()


@pytest.mark.usefixtures("means")
def test_a_build_that_forks_without_end_is_in_trouble_and_all_of_it_is_ended(tmp_path: Path) -> None:
    install_core(tmp_path, "/greengrass", VERSION)
    core = Supervisor(tmp_path, limits=BuildLimits(processes=40))
    replace_daemon(core, f"{READY}; {FORKS_120}; sleep 1000 & wait")
    try:
        assert "the core started more than its 40 processes" in trouble_of_forks(core, VERSION)
    finally:
        core.kill()
    assert core._confinement.processes() == []


def test_another_software_is_started_and_found_beside_the_core(core: Supervisor, tmp_path: Path) -> None:
    software = replace(CORE, name="agent", packages="ota/packages", link="ota/agent", state="ota/state.json")
    (core.gg / "ota").mkdir()
    (core.gg / "ggc/core").resolve().rename(core.gg / "ota" / "version")
    (core.gg / "ota/packages").mkdir()
    (core.gg / "ota/version").rename(core.gg / f"ota/packages/{VERSION}")
    (core.gg / "ota/agent").symlink_to(f"packages/{VERSION}")
    agent = Supervisor(tmp_path, software=software, start_limit_s=LIMIT_S)
    (core.gg / "ota/agent/greengrassd").write_text(
        "#!/bin/sh\n"
        'DIR=$(cd "$(dirname "$0")" && pwd -P)\n'
        '[ "$1" = start ] || exit 1\n'
        'setsid "$DIR/bin/daemon" >/dev/null 2>&1 &\n'
        'while [ ! -e "$GREENGRASS_ROOT/ota/state.json" ]; do sleep 0.01; done\n'
    )
    (core.gg / "ota/agent/bin/daemon").write_text(
        "#!/bin/sh\n"
        f"""printf '{{"version": "{VERSION}", "pid": %s}}' $$ >"$GREENGRASS_ROOT/ota/state.json.new"\n"""
        'mv "$GREENGRASS_ROOT/ota/state.json.new" "$GREENGRASS_ROOT/ota/state.json"\n'
        "sleep 1000 & wait\n"
    )
    try:
        assert agent.start(VERSION).version == VERSION
        assert agent.unhealthy(VERSION, interval_s=0) is None
        assert (core.running(), core._confinement.processes()) == (None, [])
        core.kill()
        assert agent.trouble(VERSION) is None
    finally:
        agent.kill()
    assert agent.running() is None
    assert not (core.gg / "ota/state.json").exists(), "what it said of itself goes with it"


def test_only_the_cores_of_this_board_are_stopped(core: Supervisor, tmp_path: Path) -> None:
    install_core(tmp_path / "other", "/greengrass", VERSION)
    other = Supervisor(tmp_path / "other")
    other.start(VERSION)
    core.start(VERSION)
    core.kill()
    assert other.unhealthy(VERSION, interval_s=0) is None
    other.stop()


def test_an_agent_that_is_stopping_starts_no_core(core: Supervisor) -> None:
    core.stopping.set()
    with pytest.raises(CoreError, match="the agent is stopping"):
        core.start(VERSION)


def test_a_killed_daemon_is_noticed(core: Supervisor) -> None:
    pid = core.start(VERSION).pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid))
    assert core.trouble(VERSION) == "the core is not running"


@pytest.fixture
def unwritable(core: Supervisor) -> Iterator[Path]:
    """The core's state directory, where nothing can be written, by root neither, as on a disk that turned read-only."""
    state = core.gg / "ggc/var/state"
    state.rmdir()
    state.write_text("")
    yield state
    state.unlink()


def test_a_core_runs_where_nothing_can_be_written(core: Supervisor, unwritable: Path) -> None:
    running = core.start(VERSION)
    assert running.version == VERSION
    assert core.unhealthy(VERSION, interval_s=0) is None
    os.kill(running.pid, signal.SIGKILL)
    until(lambda: not is_alive(running.pid))
    assert core.trouble(VERSION) == "the core is not running"
    core.start(VERSION)
    core.stop()
    assert core.running() is None


def test_a_build_that_cannot_start_is_no_core_where_nothing_can_be_written(core: Supervisor, unwritable: Path) -> None:
    replace_daemon(core, "exit 1")
    with pytest.raises(CoreError, match=r"The Greengrass daemon process with \[pid = \d+\] died\."):
        core.start(VERSION)
