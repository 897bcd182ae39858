"""A local board, looked at from inside with real processes of real users, and what is left of it afterwards.

The same tests run as root and, in a process of their own, as a plain user with subordinate ids.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import select
import shutil
import signal
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_sim.emulation import capabilities
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.local.board import LocalBoard
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError, UsageError
from edge_sim.profiles import load_profile
from edge_sim.scenario import BoardFile, DeviceBacking
from tests import mounts, needs
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.root

PI = load_profile("raspberry-pi-zero-w")
REPO = Path(__file__).resolve().parents[2]
MADE_USER = "edgesim"
LSTAT = """
import json, os, stat, sys
kinds = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link", stat.S_IFCHR: "char"}
def look(path):
    s = os.lstat(path)
    return [kinds[stat.S_IFMT(s.st_mode)], s.st_uid, s.st_gid, stat.S_IMODE(s.st_mode)]
print(json.dumps({path: look(path) for path in sys.argv[1:]}))
"""
OPEN = """
import os, sys
try:
    os.close(os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY if sys.argv[2] == "rw" else os.O_RDONLY | os.O_NOCTTY))
    print("opened")
except OSError as error:
    print(error.strerror)
"""
DRIVER = """
import os, sys, time
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.local.board import LocalBoard
from edge_sim.profiles import load_profile
with LocalBoard(BoardSpec(profile=load_profile("raspberry-pi-zero-w")), only=sys.argv[2:] or None) as board:
    sleep = "echo up; exec sleep " + sys.argv[1]
    daemon = board.popen(["sh", "-c", f"setsid sh -c '{sleep}' &"])
    assert daemon.stdout.readline() == "up\\n" and daemon.wait(60) == 0
    program = board.popen(["sh", "-c", f"sh -c '{sleep}' & (setsid sh -c '{sleep}' &); {sleep}"])
    assert [program.stdout.readline() for _ in range(3)] == ["up\\n"] * 3
    print(board.root, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def board() -> Iterator[LocalBoard]:
    if reason := needs.no_whole_board():
        pytest.skip(reason)
    with LocalBoard(BoardSpec(profile=PI)) as made:
        assert made.proves.everything, made.proves.missing
        yield made


def as_user(uid: int, gid: int, *groups: int) -> list[str]:
    extra = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    return ["setpriv", "--reuid", str(uid), "--regid", str(gid), *extra]


def test_the_board_is_what_its_facts_say(board: LocalBoard) -> None:
    # What is bound from the host, and the board's own proc, are the kernel's and the host's.
    ours = [p for p in board.facts.paths if not p.startswith(("/usr", "/proc", "/etc/alternatives", "/etc/ld.so"))]
    pythons = (sys.prefix, sys.base_prefix, REPO)
    ours = [p for p in ours if not any(Path(p).is_relative_to(top) for top in pythons)]
    # Without root the standard nodes are the host's as well, and a note says so.
    shown = [note.partition(": ")[0].split(", ") for note in board.notes if "shown as owned by nobody" in note]
    ours = [p for p in ours if p not in [name for names in shown for name in names]]
    result = board.exec([sys.executable, "-c", LSTAT, *ours], inside=True)
    assert result.returncode == 0, result.stderr
    for path, (kind, uid, gid, mode) in json.loads(result.stdout).items():
        node = board.facts.paths[path]
        assert (kind, uid, gid) == (node.type, node.uid, node.gid), path
        assert node.type == "link" or mode == node.mode, path
    assert {"/dev/gpiomem", "/etc/group", "/tmp", "/home/pi"} <= set(ours)


@pytest.mark.parametrize(
    ("path", "wanted", "groups", "answer"),
    [
        ("/dev/gpiomem", "rw", (997,), "opened"),
        ("/dev/gpiomem", "rw", (998,), "Permission denied"),
        ("/dev/gpiomem", "ro", (), "Permission denied"),
        ("/dev/ttyAMA0", "rw", (20,), "opened"),
        ("/dev/ttyAMA0", "rw", (44,), "Permission denied"),
        ("/dev/null", "rw", (), "opened"),
        ("/root", "ro", (), "Permission denied"),
        ("/etc/passwd", "ro", (), "opened"),
        ("/etc/passwd", "rw", (), "Permission denied"),
    ],
)
def test_groups_open_doors(board: LocalBoard, path: str, wanted: str, groups: tuple[int, ...], answer: str) -> None:
    argv = [*as_user(110, 996, *groups), sys.executable, "-c", OPEN, path, wanted]
    assert board.exec(argv, inside=True).stdout.strip() == answer


def test_a_program_is_the_boards_root_without_the_callers_groups(board: LocalBoard) -> None:
    assert board.exec(["sh", "-c", "id -u; id -G"]).stdout.split() == ["0", "0"]


def test_a_function_finds_python_and_edge_sim_below_the_boards_root(board: LocalBoard) -> None:
    code = "import edge_sim.facts, os; print(os.getuid(), os.getgid(), os.getgroups())"
    result = board.exec([*as_user(110, 996, 44), sys.executable, "-c", code], inside=True)
    assert result.stdout == "110 996 [44]\n", result.stderr


def test_the_hosts_directories_are_read_only(board: LocalBoard) -> None:
    points = [bind.path for bind in board._plan.binds if (board.root / bind.path.lstrip("/")).is_dir()]
    assert "/usr" in points
    for point in points:
        result = board.exec(["sh", "-c", f"touch {point}/edge-sim-was-here"], inside=True)
        assert "Read-only file system" in result.stderr, point


def test_a_file_that_the_host_may_replace_is_the_boards_own(board: LocalBoard) -> None:
    cache = Path("/etc/ld.so.cache")
    copy = board.root / "etc/ld.so.cache"
    mounted = [line.split()[4] for line in board.exec(["cat", "/proc/self/mountinfo"]).stdout.splitlines()]
    assert str(board.root / "usr") in mounted
    assert str(copy) not in mounted
    assert board.exec(["cmp", str(cache), str(copy)]).returncode == 0


def test_the_board_has_its_own_processes_and_name(board: LocalBoard) -> None:
    result = board.exec(["sh", "-c", "hostname; umask; ls -d /proc/[0-9]* | wc -l"], inside=True)
    name, umask, processes = result.stdout.split()
    assert (name, umask) == ("raspberrypi", "0022")
    assert int(processes) < 8
    assert board.exec(["sh", "-c", "ls -d /proc/[0-9]* | wc -l"]).stdout.strip() in "34567"
    assert os.uname().nodename != "raspberrypi"


def test_a_gps_answers_at_the_serial_port(board: LocalBoard) -> None:
    code = "f = open('/dev/ttyS0', 'rb'); print(f.readline().decode(), f.readline().decode())"
    result = board.exec([*as_user(110, 996, 20), sys.executable, "-c", code], inside=True)
    assert "$GPGGA,0000" in result.stdout
    assert "$GPRMC,0000" in result.stdout


@needs.whole_board
def test_a_scenarios_lines_and_files_are_there(tmp_path: Path) -> None:
    said, data = tmp_path / "said.txt", tmp_path / "data"
    said.write_text("21.5 C\n")
    data.mkdir()
    (data / "one.csv").write_text("1,2\n")
    files = [
        BoardFile(path="/srv/data", copy=data, owner="pi", group="gpio", mode=0o640),
        BoardFile(path="/srv/out", group="video", mode=0o770),
    ]
    with LocalBoard(
        BoardSpec(profile=PI, files=files, devices=[DeviceBacking(path="/dev/ttyUSB0", lines=said)])
    ) as board:
        script = "stat -c '%u:%g %a' /srv/data /srv/data/one.csv /srv/out; cat /srv/data/one.csv; head -n1 /dev/ttyUSB0"
        result = board.exec([*as_user(110, 996, 997, 20), "sh", "-c", script], inside=True)
        assert result.stdout.splitlines() == ["1000:997 750", "1000:997 640", "0:44 770", "1,2", "21.5 C"]
        assert board.facts.paths["/srv/out"].gid == 44


@needs.whole_board
def test_frames_and_a_device_of_this_machine_are_there(tmp_path: Path) -> None:
    for name in ("1", "2", "3"):
        (tmp_path / name).write_bytes(name.encode() * 5000)
    devices = [
        DeviceBacking(path="/dev/video0", frames=tmp_path),
        DeviceBacking(path="/dev/gpiomem", host=Path("/dev/full")),
    ]
    with LocalBoard(BoardSpec(profile=PI, devices=devices)) as board:
        heard = board.exec(["sh", "-c", "head -c 20000 /dev/video0 | md5sum; cp /etc/passwd /dev/gpiomem"], inside=True)
        wanted = b"1" * 5000 + b"2" * 5000 + b"3" * 5000 + b"1" * 5000
        assert heard.stdout.split()[0] == hashlib.md5(wanted).hexdigest(), heard.stderr
        assert "No space left" in heard.stderr
        assert any("this machine's /dev/full" in note for note in board.notes)


def test_only_a_board_in_a_container_has_a_block_device() -> None:
    with pytest.raises(UnsupportedEnvironmentError, match="only a board in a container") as caught:
        LocalBoard(BoardSpec(profile=PI, devices=[DeviceBacking(path="/dev/mmcblk0", size_kib=1024)]))
    assert "--driver docker" in (caught.value.hint or "")


@needs.whole_board
def test_a_bind_is_the_hosts_directory_writable(tmp_path: Path) -> None:
    with LocalBoard(BoardSpec(profile=PI, binds={"/srv/shared": tmp_path})) as board:
        assert board.exec(["sh", "-c", "echo hello > /srv/shared/a"], inside=True).returncode == 0
    assert (tmp_path / "a").read_text() == "hello\n"


@needs.whole_board
def test_the_factory_core_is_installed() -> None:
    with LocalBoard(BoardSpec(profile=PI, core="1.10.0")) as board:
        core = board.root / "greengrass" / "ggc" / "core"
        assert core.is_symlink()
        assert core.resolve().is_dir()
        assert board.exec(["stat", "-c", "%u:%g", "/greengrass/ggc/core"], inside=True).stdout == "0:0\n"


@needs.whole_board
def test_the_callers_umask_changes_nothing_on_the_board() -> None:
    before = os.umask(0o077)
    try:
        with LocalBoard(BoardSpec(profile=PI, core="1.10.0", files=[BoardFile(path="/srv/a/b")])) as board:
            paths = [path for path in board.facts.paths if path.startswith(("/greengrass", "/srv", "/etc/passwd"))]
            done = board.exec([sys.executable, "-c", LSTAT, *paths], inside=True)
            key = board.exec(["stat", "-c", "%u %a", "/greengrass/certs/core.private.key"], inside=True)
    finally:
        os.umask(before)
    found = json.loads(done.stdout)
    assert {"/greengrass/ggc", "/greengrass/ggc/packages/1.10.0/bin/daemon", "/srv/a", "/srv/a/b"} <= set(found)
    for path, (kind, *_, mode) in found.items():
        assert kind == "link" or mode == board.facts.paths[path].mode, path
    assert key.stdout == "0 600\n"


def test_a_file_in_the_way_of_the_core_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    laid = BoardFile(path="/greengrass/ggc/deployment/group/group.json", copy=tmp_path / "folder")
    with pytest.raises(InvalidDefinitionError, match=f"^{laid.path}: cannot place a directory where"):
        LocalBoard(BoardSpec(profile=PI, files=[laid], core="1.10.0")).__enter__()


def test_signals_reach_the_program_and_its_end_comes_back(board: LocalBoard) -> None:
    program = board.popen(["sh", "-c", "trap 'echo asked; exit 7' TERM; echo up; while :; do sleep 0.02; done"])
    assert program.stdout is not None
    assert program.stdout.readline() == "up\n"
    program.terminate()
    assert (program.communicate(timeout=LIMIT_S)[0], program.returncode) == ("asked\n", 7)
    assert board.exec(["sh", "-c", "kill -SEGV $$"]).returncode == -signal.SIGSEGV


def test_killing_a_program_leaves_nothing_of_it(board: LocalBoard) -> None:
    program = board.popen(["sh", "-c", "echo up; exec sleep 1234"])
    assert program.stdout is not None
    assert program.stdout.readline() == "up\n"
    program.kill()
    assert program.wait(timeout=LIMIT_S) == -signal.SIGKILL
    found = board.exec(["sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/comm | tr '\\0' ' '"]).stdout
    assert "1234" not in found.replace("cat /proc", "")
    assert "sleep" not in found


def test_a_program_that_does_not_exist_or_end_is_told(board: LocalBoard) -> None:
    assert board.exec(["/no/such/program"]).returncode == 127
    with pytest.raises(UnsupportedEnvironmentError, match="timed out after"):
        board.exec(["sleep", "1000"], timeout=0.2)


@needs.whole_board
def test_nothing_is_left_after_close() -> None:
    with LocalBoard(BoardSpec(profile=PI)) as board:
        program = board.popen(["sh", "-c", "(setsid sleep 1000 &); sleep 1000 & echo up; exec sleep 1000"])
        assert program.stdout is not None
        assert program.stdout.readline() == "up\n"
        # Files of another user in a directory that only it may open.
        script = "mkdir -m 0700 /tmp/mine /tmp/mine/deep && echo x > /tmp/mine/deep/file && chmod 0500 /tmp/mine/deep"
        assert board.exec([*as_user(4242, 4242), "sh", "-c", script], inside=True).returncode == 0
        watched = watch(board_processes(board))
        assert len(watched) >= 4
    assert ended(watched)
    assert program.returncode is not None
    assert not board.root.exists()
    assert mounts.below(board.root) == []
    board.close()


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param((), marks=needs.whole_board, id="best"),
        pytest.param(("single",), marks=needs.user_namespace, id="single"),
        pytest.param(("plain",), id="plain"),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_outlives_the_driver(mode: tuple[str, ...], number: signal.Signals) -> None:
    token = f"100{os.getpid()}"
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, token, *mode], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert driver.stdout is not None
        root = driver.stdout.readline().strip()
        assert Path(root).is_dir()
        sleeping = [pid for pid, line in command_lines() if token in line.split() and pid != driver.pid]
        assert len(sleeping) >= 4, "one of them a daemon whose starter has ended"
        watched = watch([*descendants(driver.pid), *sleeping])
        # As a terminal does it: to the whole group.
        os.killpg(driver.pid, number)
        assert driver.wait(timeout=LIMIT_S) != 0
        assert ended(watched)
        assert not Path(root).exists()
        assert mounts.below(Path(root)) == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
        driver.wait(timeout=LIMIT_S)
        driver.stdout.close() if driver.stdout else None


SLOW_KEEPER = """
import time
from edge_sim.emulation.local import init
send = init.KeeperSocket.send
def late(line, event, **values):
    time.sleep(event == "board")
    send(line, event, **values)
init.KeeperSocket.send = late
init.main()
"""


@needs.whole_board
def test_a_board_is_not_ready_before_its_first_process_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    popen = subprocess.Popen

    def slowed(argv: list[str], **options: Any) -> subprocess.Popen[Any]:
        keeper = "edge_sim.emulation.local.init" in argv
        return popen([argv[0], "-c", SLOW_KEEPER, argv[-1]] if keeper else argv, **options)

    monkeypatch.setattr(subprocess, "Popen", slowed)
    with LocalBoard(BoardSpec(profile=PI)) as board:
        assert board.exec(["hostname"], inside=True).stdout == "raspberrypi\n"


@needs.whole_board
def test_a_thread_that_ends_does_not_take_the_board_with_it() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        board = pool.submit(LocalBoard(BoardSpec(profile=PI)).__enter__).result()
        program = pool.submit(board.popen, ["sh", "-c", "read line; echo $line"], stdin=subprocess.PIPE).result()
    try:
        assert program.communicate("still here\n", timeout=LIMIT_S)[0] == "still here\n"
    finally:
        board.close()


def test_an_error_in_the_run_cleans_up_too() -> None:
    with pytest.raises(RuntimeError, match="mid-run"), LocalBoard(BoardSpec(profile=PI)) as board:
        raise RuntimeError("mid-run")
    assert not board.root.exists()


@needs.whole_board
def test_a_kept_directory_stays(tmp_path: Path) -> None:
    where = tmp_path / "board"
    with LocalBoard(BoardSpec(profile=PI), where, keep=True) as board:
        board.exec(["touch", "/home/pi/file"], inside=True)
    assert (where / "home" / "pi" / "file").exists()
    assert not list((where / "usr").iterdir()), "a mount is still there"
    with pytest.raises(UsageError, match="empty or new directory"):
        LocalBoard(BoardSpec(profile=PI), where)
    # Its root owns files of subordinate ids.
    with LocalBoard(BoardSpec(profile=PI, binds={"/srv/kept": tmp_path})) as board:
        assert board.exec(["rm", "-rf", "/srv/kept/board"], inside=True).returncode == 0
    assert not where.exists()


@needs.user_namespace
def test_one_id_only_is_said_and_cannot_prove_owners() -> None:
    if os.geteuid() == 0:
        pytest.skip("root has every id; runs as a plain user in test_the_same_as_a_plain_user")
    with LocalBoard(BoardSpec(profile=PI), only=["single"]) as board:
        assert (board.proves.owners, board.proves.identities, board.proves.mounts) == (False, False, True)
        assert board.exec(["id", "-u"], inside=True).stdout == "0\n"


def test_without_namespaces_a_board_says_what_it_cannot_prove() -> None:
    with LocalBoard(BoardSpec(profile=PI), only=["plain"]) as board:
        assert not board.proves.mounts
        assert board.exec(["pwd"]).stdout == "/\n"
        assert (board.root / "etc" / "passwd").is_file()
        with pytest.raises(UnsupportedEnvironmentError, match="without mounts"):
            board.exec(["true"], inside=True)
        missing = next(m for m in board.proves.missing if m.claim == "mounts")
        assert missing.help
    assert not board.root.exists()


def test_a_place_mounted_noexec_is_refused_and_stays_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts a file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "tmpfs", str(tmp_path)], check=True)
    try:
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        with pytest.raises(UnsupportedEnvironmentError) as caught, LocalBoard(BoardSpec(profile=PI)):
            pass
        assert "mounted noexec; choose another place with TMPDIR" in str(caught.value.details)
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_what_stands_in_is_said() -> None:
    assert LocalBoard(BoardSpec(profile=PI)).standing_in == f"{os.uname().machine} standing in for armv6l"
    router = LocalBoard(BoardSpec(profile=load_profile("openwrt-armv7")))
    assert "with glibc standing in for armv7l with musl" in str(router.standing_in)


def test_without_subordinate_ids_the_command_that_helps_is_named() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become a user without subordinate ids")
    code = (
        "from edge_sim.emulation.board import BoardSpec\nfrom edge_sim.emulation.local.board import LocalBoard\n"
        "from edge_sim.profiles import load_profile\n"
        "with LocalBoard(BoardSpec(profile=load_profile('raspberry-pi-zero-w'))) as b:\n"
        "    print(b.mode, b.proves.owners, b.proves.missing[0].help)\nprint(b.root.exists())"
    )
    python, environment = python_for(65534, 65534)
    done = subprocess.run(
        [*as_user(65534, 65534), python, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        cwd="/",
    )
    first, second = done.stdout.splitlines()
    assert first.split()[0] in ("single", "plain"), done.stderr
    assert "False As root: " in first or "False apt-get install uidmap" in first
    assert second == "False"


@needs.whole_board
def test_a_python_that_functions_cannot_read_is_told(tmp_path: Path) -> None:
    for name in ("edge_sim", "device_profiles"):
        shutil.copytree(REPO / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "edge_sim").chmod(0o700)
    code = (
        "from edge_sim.emulation.board import BoardSpec\nfrom edge_sim.emulation.local.board import LocalBoard\n"
        "from edge_sim.profiles import load_profile\n"
        "from edge_sim.errors import EdgeSimError\n"
        "try:\n    LocalBoard(BoardSpec(profile=load_profile('raspberry-pi-3'))).__enter__()\n"
        "except EdgeSimError as error:\n    print(error.exit_status, error.hint)"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=LIMIT_S, cwd="/"
    )
    assert done.stdout == f"6 chmod -R go+rX {tmp_path}/edge_sim\n", done.stderr


@needs.whole_board
def test_the_same_as_a_plain_user() -> None:
    """Run this file again as a user with subordinate ids: one of this machine's, else one made for the test."""
    if os.geteuid() != 0:
        pytest.skip("this is the plain user")
    if not (shutil.which("newuidmap") and shutil.which("useradd")):
        pytest.skip("the same as a plain user is not tried: apt-get install uidmap")
    if reason := needs.no_user_namespace():
        pytest.skip(reason)
    with user_with_subordinate_ids() as user, tempfile.TemporaryDirectory() as place:
        os.chown(place, user.pw_uid, user.pw_gid)
        python, environment = python_for(user.pw_uid, user.pw_gid)
        argv = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={place}/t", __file__]
        done = subprocess.run(
            [*as_user(user.pw_uid, user.pw_gid, 20, 44), *argv, f"--rootdir={REPO}"],
            cwd=REPO,
            env={**environment, "HOME": place, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=900,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def python_for(uid: int, gid: int) -> tuple[str, dict[str, str]]:
    """Return a Python that this user can run these tests with, and its environment; skip when there is none.

    The running one where it can be reached, else the system's with the running one's packages.
    """
    packages = os.pathsep.join([str(REPO), *site.getsitepackages()])
    told = ""
    for python, more in ((sys.executable, {}), ("/usr/bin/python3", {"PYTHONPATH": packages})):
        environment = {**os.environ, **more}
        argv = [python, "-c", "import pytest, yaml, edge_sim.emulation.local.board"]
        try:
            tried = subprocess.run(
                argv,
                user=uid,
                group=gid,
                extra_groups=[],
                env=environment,
                cwd="/",
                capture_output=True,
                timeout=LIMIT_S,
            )
        except OSError as error:
            told = str(error)
            continue
        if tried.returncode == 0:
            return python, environment
        told = tried.stderr.decode().strip().rpartition("\n")[2]
    pytest.skip(
        f"no Python here that uid {uid} can run {REPO} with, neither {sys.executable} nor /usr/bin/python3 ({told}): "
        "put the checkout where every user may read it"
    )


@contextlib.contextmanager
def user_with_subordinate_ids() -> Iterator[pwd.struct_passwd]:
    for line in Path("/etc/subuid").read_text().splitlines() if Path("/etc/subuid").exists() else []:
        name, _, count = line.split(":")
        with contextlib.suppress(KeyError):
            if int(count) >= capabilities.IDS and name != "root" and not name.startswith(MADE_USER):
                yield pwd.getpwnam(name)
                return
    name = f"{MADE_USER}{os.getpid()}"
    first = 2_000_000 + os.getpid() % 10_000 * 65_536  # not those of another run beside this one
    ids = f"{first}-{first + 65_535}"
    subprocess.run(["useradd", "--no-create-home", name], check=True, timeout=LIMIT_S)
    try:
        subprocess.run(["usermod", "--add-subuids", ids, "--add-subgids", ids, name], check=True, timeout=LIMIT_S)
        yield pwd.getpwnam(name)
    finally:
        # Its last processes may be just ending.
        subprocess.run(["userdel", "--force", name], check=True, timeout=LIMIT_S)


def descendants(pid: int) -> list[int]:
    children = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [one for child in children for one in (child, *descendants(child))]


def command_lines() -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                yield int(entry.name), (entry / "cmdline").read_text().replace("\0", " ").strip()


def board_processes(board: LocalBoard) -> list[int]:
    """Return the host's pids of every process in the board's process namespace."""
    assert board._keeper is not None
    first = descendants(board._keeper.process.pid)[0]
    namespace = Path(f"/proc/{first}/ns/pid").readlink()
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "ns" / "pid").readlink() == namespace:
                found.append(int(entry.name))
    return found


def watch(pids: list[int]) -> list[int]:
    """Open a handle on each process, so that its end can be waited for and its pid cannot be another's."""
    handles = []
    for pid in set(pids):
        with contextlib.suppress(ProcessLookupError):
            handles.append(os.pidfd_open(pid))
    return handles


def ended(handles: list[int]) -> bool:
    """Wait until every process has ended; False after a long while."""
    waiting = select.poll()
    for handle in handles:
        waiting.register(handle, select.POLLIN)
    left = set(handles)
    while left:
        ready = {fd for fd, _ in waiting.poll(1000 * LIMIT_S)}
        if not ready:
            return False
        for fd in ready & left:
            waiting.unregister(fd)
            os.close(fd)
        left -= ready
    return True
