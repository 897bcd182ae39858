"""A scenario on boards over ssh, each as it was afterwards, and what becomes of a run that goes wrong."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.containers import boards, networks
from edge_sim.emulation.containers.board import DockerBoard
from edge_sim.emulation.ssh.address import Address
from edge_sim.emulation.ssh.connection import Connection
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.profiles import load_profile
from edge_sim.scenario import load
from tests import needs, sweeps
from tests.emulated import ssh_boards
from tests.emulated.containers import EXAMPLE, LIMIT_S, edge_sim, image_of
from tests.emulated.ssh_boards import Ssh

Simulated = Callable[[str], dict[str, Any]]
pytestmark = [pytest.mark.emulated, needs.program("ssh"), needs.program("ssh-keygen")]
PROFILE = "generic-x86_64"
PROFILES = {
    "x86_64": PROFILE,
    "armv7l": "raspberry-pi-3",
    "armv6l": "raspberry-pi-zero-w",
    "aarch64": "raspberry-pi-4-bullseye",
}
OTHERS = ("armv7l", "armv6l", "aarch64")[: sweeps.size(whole=3, sample=1)]
"""Architectures under QEMU; all of them with ``EDGE_SIM_SWEEPS=whole make emulated``."""
ROOT = "/opt/edge-sim/run/greengrass"
KEPT = "/opt/edge-sim/bundle-of-runs"
LISTING = "find / -xdev -not -path '/proc/*' -not -path '/tmp/date*' 2>/dev/null | sort"


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Ssh:
    return ssh_boards.user(tmp_path_factory.mktemp("ssh"))


@contextlib.contextmanager
def _debian(client: Any, ssh: Ssh, profile_name: str, alias: str) -> Iterator[DockerBoard]:
    """A board like ``--driver docker`` makes it, without an agent; ``ssh://ALIAS`` leads to it."""
    scenario = load(Path(EXAMPLE))
    profile = load_profile(profile_name)
    image = image_of(client, profile.architecture)
    name = f"test-ssh-{os.getpid()}-{alias}"
    spec = BoardSpec(profile=profile, files=scenario.files, devices=scenario.devices)
    with (
        networks.temporary(client, boards.container_name(name), boards.labels(lasting=False)) as network,
        DockerBoard(spec, engine=client, image=image, network=network.name, name=name) as board,
    ):
        ssh.know(alias, ssh_boards.with_openssh(board._container, profile.architecture, ssh))
        yield board


@pytest.fixture(scope="module")
def debian(client: Any, ssh: Ssh) -> Iterator[DockerBoard]:
    with _debian(client, ssh, PROFILE, "debian") as board:
        address = ssh_boards.answering(board._container)
        ssh.know("visitor", address, user="visitor")
        ssh.know("impostor", address, host_key=(ssh.folder / "other.pub").read_text(encoding="ascii"))
        yield board


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The example without its updates."""
    folder = tmp_path_factory.mktemp("quick") / "scenario"
    shutil.copytree(EXAMPLE, folder)
    text = (folder / "edge-sim.yaml").read_text(encoding="utf-8")
    (folder / "edge-sim.yaml").write_text(text.partition("\nupdates:")[0] + "\n", encoding="utf-8")
    return str(folder)


@pytest.fixture(scope="module")
def simulated(client: Any, quick: str) -> Simulated:
    """Runs the example without its updates on a simulated board of an architecture, once."""

    @cache
    def board(architecture: str) -> dict[str, Any]:
        image_of(client, architecture)
        argv = ("run", quick, "--driver", "docker", "--profile", PROFILES[architecture], "--format", "json")
        found: dict[str, Any] = json.loads(edge_sim(*argv).stdout)["boards"][0]
        return found

    return board


@pytest.fixture
def unchanged(debian: DockerBoard) -> Iterator[None]:
    """The board is as it was when the test has ended, but for the bundle: its files and its processes."""
    before, processes = _state(debian)
    yield
    after, left = _state(debian)
    assert sorted({*before} ^ {*after}) == []
    assert left == processes


def _state(board: DockerBoard) -> tuple[list[str], int]:
    listed = [line for line in ssh_boards.everything(board) if not re.search(rf" (/opt/edge-sim|{KEPT}.*)$", line)]
    ours = board.exec(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -c ^/opt/edge-sim"]).stdout
    return listed, int(ours)


def run(ssh: Ssh, scenario: str, board: str, *, status: int = 0) -> dict[str, Any]:
    done = ssh.edge_sim("run", scenario, "--board", board, "--yes", "--format", "json", status=status)
    found: dict[str, Any] = json.loads(done.stdout)["boards"][0]
    return found


def refused(ssh: Ssh, scenario: str, board: str) -> str:
    """Return the sentence of a run that ends with status 6."""
    err = ssh.edge_sim("run", scenario, "--board", board, "--yes", "--format", "json", status=6).stderr
    return next(line for line in err.splitlines() if line.startswith("error: "))


def rows(board: dict[str, Any]) -> dict[str, Any]:
    """Return what must be the same on every board, whatever its Greengrass root is."""
    told = ("function", "resource", "type", "path", "expected", "read", "write", "list", "execute", "agree", "ok")
    access = [{key: row[key] for key in told} for row in board["access"]]  # the chain of reasons names other folders
    found = {"layout": board["layout"], "access": access}
    same: dict[str, Any] = json.loads(json.dumps(found).replace(ROOT, "/greengrass"))
    return same


@pytest.mark.usefixtures("unchanged")
def test_a_board_over_ssh_gives_the_rows_of_a_simulated_one(ssh: Ssh, simulated: Simulated) -> None:
    over_ssh = _like_a_simulated_one(ssh, "ssh://debian", simulated("x86_64"))
    assert "/srv/meter is the board's own; it was not replaced by the scenario's" in over_ssh["notes"]


@pytest.mark.parametrize("architecture", OTHERS)
def test_a_board_of_another_architecture_over_ssh_gives_them_too(
    ssh: Ssh, client: Any, simulated: Simulated, architecture: str
) -> None:
    with _debian(client, ssh, PROFILES[architecture], architecture) as board:
        before = _state(board)
        _like_a_simulated_one(ssh, f"ssh://{architecture}", simulated(architecture))
        assert _state(board) == before


def _like_a_simulated_one(ssh: Ssh, address: str, there: dict[str, Any]) -> dict[str, Any]:
    """Run the example over ssh, hold it against ``there``, a simulated board's, and return what is reported."""
    over_ssh = run(ssh, EXAMPLE, address)
    assert rows(over_ssh) == rows(there)
    assert [row["result"] for row in over_ssh["functions"]] == [row["result"] for row in there["functions"]]
    assert [(row["from"], row["status"], row["running"]) for row in over_ssh["updates"]] == [
        ("1.10.0", "SUCCEEDED", "1.11.6"),
        ("1.11.6", "FAILED", "1.11.6"),
    ]
    assert {row["verdict"] for row in over_ssh["certificate"]} == {"true"}
    assert over_ssh["driver"] == "ssh"
    return over_ssh


@pytest.mark.usefixtures("unchanged")
def test_a_board_over_ssh_shows_a_certificate_of_its_own_to_a_cloud_with_tls(ssh: Ssh, debian: DockerBoard) -> None:
    process = ssh.start("run", EXAMPLE, "--board", "ssh://debian", "--yes", "--tls", "--format", "json")
    _until(lambda: debian.exec(["test", "-e", f"{ROOT}/ggc/core"]).returncode == 0)
    modes = debian.exec(["sh", "-c", "cd /opt/edge-sim/run && stat -c '%a %u %n' *.pem"]).stdout.splitlines()
    assert modes == ["400 0 cafile.pem", "400 0 certificate.pem", "400 0 key.pem"]
    config = json.loads(debian.exec(["cat", "/opt/edge-sim/run/agent.json"]).stdout)
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    report = json.loads(out)
    assert config["broker"] == report["parts"]["mqtt"]
    assert report["parts"]["mqtt"].startswith("mqtts://127.0.0.1:")
    assert report["parts"]["http"].startswith("https://127.0.0.1:")
    assert [row["status"] for row in report["boards"][0]["updates"]] == ["SUCCEEDED", "FAILED"]
    assert "PRIVATE KEY" not in out + err


@pytest.mark.usefixtures("unchanged")
def test_a_board_behind_a_jump_host_and_a_simulated_one_are_in_one_report(ssh: Ssh, quick: str) -> None:
    address = ssh.know("behind", "127.0.0.1")  # as the jump host sees it
    with (ssh.folder / "config").open("a", encoding="ascii") as file:
        file.write("Host behind\n ProxyJump debian\n")
    words = ("run", quick, "--board", address, "--profile", PROFILE, "--yes", "--format", "json")
    boards = json.loads(ssh.edge_sim(*words).stdout)["boards"]
    assert {board["profile"]: board["driver"] for board in boards} == {PROFILE: "local", "behind": "ssh"}
    assert rows(boards[0]) == rows(boards[1])


def test_a_user_with_sudo_and_no_password_runs_as_root(ssh: Ssh, client: Any, quick: str, tmp_path: Path) -> None:
    image = image_of(client, "x86_64")  # without no-new-privileges, which a simulated board has
    container = client.containers.create(
        image, ["3600"], entrypoint="sleep", cap_add=["SYS_ADMIN"], security_opt=["apparmor=unconfined"]
    )
    try:
        container.start()
        ssh.know("admin", ssh_boards.with_openssh(container, "x86_64", ssh), user="admin")
        container.exec_run(["sh", "-c", _ACCOUNTS])
        before = container.exec_run(["sh", "-c", LISTING]).output
        text = (Path(quick) / "edge-sim.yaml").read_text(encoding="utf-8")
        shutil.copytree(quick, tmp_path / "scenario")  # without the function that needs somebody behind the device
        (tmp_path / "scenario/edge-sim.yaml").write_text(text.partition("  - function: meter-log\n    event")[0])
        board = run(ssh, str(tmp_path / "scenario"), "ssh://admin")
        ssh.edge_sim("board", "restore", "ssh://admin", "--bundle")
        assert container.exec_run(["sh", "-c", LISTING]).output == before
    finally:
        container.remove(force=True, v=True)
    assert all(row["ok"] is not False and row["agree"] is not False for row in board["access"])
    assert [row["identity"]["uid"] for row in board["functions"]] == [110, 110]


_ACCOUNTS = """mknod -m 660 /dev/ttyUSB0 c 1 3; groupadd -g 115 ggc_group; useradd -u 110 -g 115 ggc_user
chown root:dialout /dev/ttyUSB0"""


@pytest.mark.parametrize(
    ("architecture", "status"),
    [("x86_64", 6), ("armv7l", 5)],  # V1 updated raspbian on armv7l, not on x86_64
)
def test_a_board_of_busybox_alone_proves_all_but_functions(
    ssh: Ssh, client: Any, simulated: Simulated, architecture: str, status: int
) -> None:
    with ssh_boards.of_busybox(client, ssh, architecture) as container:
        name = f"busybox-{architecture}"
        ssh.know(name, ssh_boards.answering(container))
        container.exec_run(["sh", "-c", "mknod -m 660 /dev/ttyUSB0 c 1 3; chown 0:20 /dev/ttyUSB0"])
        before = container.exec_run(["sh", "-c", LISTING]).output
        board = run(ssh, EXAMPLE, f"ssh://{name}", status=status)
        assert f"{KEPT}/about" in str(container.exec_run(["sh", "-c", LISTING]).output)
        ssh.edge_sim("board", "restore", f"ssh://{name}", "--bundle")
        assert container.exec_run(["sh", "-c", LISTING]).output == before
    assert board["deployment"]["status"] == "Success"
    assert rows(board) == rows(simulated(architecture))
    functions = [
        f"function {id_}: could not be started: neither python3.7 nor another python3 is on the board's PATH"
        for id_ in ("read-digits", "sort-wine", "meter-log")
    ]
    if architecture == "x86_64":
        assert board["not_proven"] == [*functions, "updates of the core: Greengrass V1 had none for raspbian on x86_64"]
        return
    assert board["not_proven"] == functions
    assert {row["status"] for row in board["updates"]} == {"REJECTED"}
    assert all("the board lacks wget, " in problem["message"] for problem in board["problems"])


@pytest.mark.usefixtures("unchanged")
def test_the_bundle_is_brought_again_only_where_it_is_damaged(ssh: Ssh, debian: DockerBoard, quick: str) -> None:
    run(ssh, quick, "ssh://debian")
    first = debian.exec(["stat", "-c", "%i", f"{KEPT}/about"]).stdout
    assert not any(KEPT in note for note in run(ssh, quick, "ssh://debian")["notes"])
    assert debian.exec(["stat", "-c", "%i", f"{KEPT}/about"]).stdout == first
    debian.exec(["sh", "-c", f"echo damaged >>{KEPT}/lib/loader"])
    brought = f"the agent's bundle stays in {KEPT} for the next run; to remove it: "
    assert any(note.startswith(brought) for note in run(ssh, quick, "ssh://debian")["notes"])


@pytest.mark.usefixtures("unchanged")
def test_a_whole_bundle_of_another_version_alone_is_replaced(ssh: Ssh, debian: DockerBoard, quick: str) -> None:
    run(ssh, quick, "ssh://debian")
    about = ssh_boards.shell(debian, f"cat {KEPT}/about")
    ssh_boards.shell(
        debian,
        f"cd {KEPT} && sed -i 's/^version=.*/version=0.0.1/' about && cut -c67- sums | xargs sha256sum >sums.new &&"
        " mv sums.new sums && sha256sum -c sums >/dev/null && grep -qx version=0.0.1 about",
    )
    brought = f"the agent's bundle stays in {KEPT} for the next run; to remove it: "
    assert any(note.startswith(brought) for note in run(ssh, quick, "ssh://debian")["notes"])
    assert ssh_boards.shell(debian, f"cat {KEPT}/about") == about
    assert ssh_boards.shell(debian, "ls /opt/edge-sim") == "bundle-of-runs\n", "the other one has gone"


@contextlib.contextmanager
def agent_with(key: Path, socket: Path) -> Iterator[None]:
    """An ssh-agent of the test's own that has a key."""
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as agent:
        try:
            _until(socket.exists)
            environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
            subprocess.run(["ssh-add", "-q", key], env=environment, check=True, timeout=60)
            yield
        finally:
            agent.terminate()


@needs.program("ssh-agent")
def test_a_key_that_only_the_users_ssh_agent_has_is_enough(
    ssh: Ssh, debian: DockerBoard, quick: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = ssh.know("by-agent", ssh_boards.answering(debian._container), key="none")
    socket = tmp_path / "agent"
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    assert refused(ssh, quick, board) == "error: ssh://by-agent: it accepts none of your keys"
    with agent_with(ssh.folder / "id", socket):
        assert run(ssh, quick, board)["ok"]


@pytest.mark.usefixtures("unchanged")
def test_a_run_is_kept_on_the_board_until_it_is_put_back(ssh: Ssh, debian: DockerBoard, quick: str) -> None:
    done = ssh.edge_sim("run", quick, "--board", "ssh://debian", "--yes", "--keep", "--format", "json")
    notes = json.loads(done.stdout)["boards"][0]["notes"]
    assert any(note.startswith("the run stays in /opt/edge-sim/run, with its journal; to restore ") for note in notes)
    assert debian.exec(["test", "-e", f"{ROOT}/ggc/deployment/group/group.json"]).returncode == 0
    assert _state(debian)[1] == 0, "none of its processes"
    assert "is in progress on the board or was interrupted there" in refused(ssh, quick, "ssh://debian")
    ssh.edge_sim("board", "restore", "ssh://debian")


def _account(profile: DeviceProfile, name: str) -> tuple[object, ...]:
    account = profile.users[name]
    return account.uid, account.gid, account.home, account.shell, frozenset(account.groups)


@pytest.mark.usefixtures("unchanged")
def test_a_board_is_captured_and_held_against_a_plan_without_a_change(
    ssh: Ssh, debian: DockerBoard, tmp_path: Path
) -> None:
    ssh.edge_sim("profiles", "capture", "ssh://debian", "-o", str(tmp_path / "own.yaml"))
    captured, given = load_profile(str(tmp_path / "own.yaml")), load_profile(PROFILE)
    assert captured.groups == given.groups
    assert captured.facts().mount_flags("/greengrass") == frozenset()
    assert {name: _account(captured, name) for name in given.users} == {n: _account(given, n) for n in given.users}
    assert {device.path for device in captured.devices} >= {"/dev/ttyUSB0"}
    drift = json.loads(ssh.edge_sim("drift", EXAMPLE, "--board", "ssh://debian", "--format", "json", status=7).stdout)
    assert {row["kind"] for row in drift["differences"]} == {"missing"}
    access = json.loads(ssh.edge_sim("access", EXAMPLE, "--board", "ssh://debian", "--format", "json").stdout)
    assert access["unknown"] == 0


def _applied(board: DockerBoard, root: Path) -> None:
    """Apply the example to a copy of a board below ``root``, and lay what that made on the board itself."""
    root.mkdir()
    for place in ("/etc", "/greengrass", "/srv"):
        chunks, _ = board._container.get_archive(place)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            tar.extraction_filter = lambda member, _: member  # devices and owners as well
            tar.extractall(root, numeric_owner=True)
    for name in ("dev", "proc", "tmp", "sys"):
        (root / name).mkdir()
    os.mknod(root / "dev/ttyUSB0", 0o020660, os.makedev(1, 3))
    os.chown(root / "dev/ttyUSB0", 0, 20)
    (root / "dev/ttyUSB0").chmod(0o660)
    edge_sim("apply", EXAMPLE, "--root", str(root))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(root / "greengrass", "greengrass")
    board._container.put_archive("/", packed.getvalue())


@needs.mounts
def test_a_probe_over_ssh_is_that_of_the_same_root_here(ssh: Ssh, client: Any, tmp_path: Path) -> None:
    for place in (tmp_path, *tmp_path.parents):  # the functions' users pass through
        if place.stat().st_uid == os.geteuid() and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)
    with _debian(client, ssh, PROFILE, "probed") as board:
        argv = ("access", EXAMPLE, "--probe", "--format", "json")
        said = ssh.edge_sim(*argv, "--board", "ssh://probed", status=3).stderr
        assert "does not exist on the board: nothing to probe" in said
        _applied(board, tmp_path / "root")
        before = _state(board)
        over_ssh = json.loads(ssh.edge_sim(*argv, "--board", "ssh://probed").stdout)["boards"][0]
        assert _state(board) == before
        assert board.exec(["test", "-e", "/opt/edge-sim"]).returncode == 1
        here = json.loads(edge_sim(*argv, "--root", str(tmp_path / "root")).stdout)["boards"][0]
        assert (over_ssh["access"], over_ssh["blast_radius"]) == (here["access"], here["blast_radius"])
        assert not any("is in the way" in note for note in over_ssh["notes"]), "a core's own deployment"
        assert {row["agree"] for row in over_ssh["access"] if row["path"]} == {True}
        board.exec(["sh", "-c", "chmod -R g= /greengrass/ggc/deployment/mlmodel_public/*/*"])
        disagreeing = json.loads(ssh.edge_sim(*argv, "--board", "ssh://probed", status=1).stdout)["boards"][0]
        assert False in {row["agree"] for row in disagreeing["access"]}
        ssh.know("guest", ssh_boards.answering(board._container), user="visitor")
        assert "guest: the account is neither root" in ssh.edge_sim(*argv, "--board", "ssh://guest", status=6).stderr


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("board", "said"),
    [
        ("impostor", "error: ssh://impostor: its host key is not the one that you know"),
        ("visitor", "error: ssh://visitor: the account is neither root nor allowed passwordless sudo"),
    ],
)
def test_a_board_that_cannot_be_trusted_or_changed_is_left_alone(
    ssh: Ssh, debian: DockerBoard, quick: str, board: str, said: str
) -> None:
    assert refused(ssh, quick, f"ssh://{board}").startswith(said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tmpfs": {"/opt": "size=5m"}}, "the board has 5 MiB free, but a run needs "),
        (
            {"read_only": True},
            "nothing can be created on the board: mkdir: can't create ",
        ),
    ],
    ids=["full disk", "read-only root"],
)
def test_a_board_without_room_is_left_alone(
    ssh: Ssh, client: Any, quick: str, options: dict[str, Any], said: str
) -> None:
    image_of(client, "x86_64")
    with ssh_boards.of_busybox(client, ssh, "x86_64", **options) as container:
        address = ssh_boards.answering(container)
        name = f"small-{len(options)}"
        ssh.know(name, address)
        container.exec_run(["sh", "-c", "mknod -m 660 /dev/ttyUSB0 c 1 3; chown 0:20 /dev/ttyUSB0"])
        before = container.exec_run(["sh", "-c", LISTING]).output
        assert refused(ssh, quick, f"ssh://{name}").startswith(f"error: ssh://{name}: {said}")
        assert container.exec_run(["sh", "-c", LISTING]).output == before


def _until(question: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.05)


_KILL = """for place in /proc/[0-9]*; do
tr '\\0' ' ' <$place/cmdline | grep -q 'edge_sim.cli.main agent run' && kill -9 ${place#/proc/} && echo killed
done 2>/dev/null"""


@pytest.mark.usefixtures("unchanged")
def test_two_runs_on_one_board_do_not_meet_and_a_killed_agent_is_told(
    ssh: Ssh, debian: DockerBoard, quick: str
) -> None:
    first = ssh.start("run", quick, "--board", "ssh://debian", "--yes", "--format", "json")
    _until(lambda: debian.exec(["test", "-e", "/opt/edge-sim/run/greengrass/ggc/var/state/agent.lock"]).returncode == 0)
    first.send_signal(signal.SIGSTOP)
    assert "another run, by " in refused(ssh, quick, "ssh://debian")
    _until(lambda: "killed" in debian.exec(["sh", "-c", _KILL]).stdout)
    first.send_signal(signal.SIGCONT)
    out, err = first.communicate(timeout=120)
    assert first.returncode == 6, (out, err)
    assert "error: the agent exited during the run (status 137)" in err


def test_a_lost_connection_is_told_and_the_board_put_back_afterwards(
    ssh: Ssh, debian: DockerBoard, client: Any, quick: str
) -> None:
    before = _state(debian)
    first = ssh.start("run", quick, "--board", "ssh://debian", "--yes", "--format", "json")
    _until(lambda: debian.exec(["test", "-e", "/opt/edge-sim/run/greengrass/ggc/core"]).returncode == 0)
    attached = debian._container.attrs["NetworkSettings"]["Networks"]
    network, address = next((client.networks.get(name), about["IPAddress"]) for name, about in attached.items())
    network.disconnect(debian.container, force=True)
    _, err = first.communicate(timeout=120)
    assert first.returncode == 6
    assert "error: the connection to ssh://debian is lost" in err
    assert "edge-sim board restore ssh://debian" in err
    network.connect(debian.container)
    debian._container.reload()
    config = ssh.folder / "config"
    config.write_text(config.read_text("ascii").replace(address, ssh_boards.answering(debian._container)), "ascii")
    assert _state(debian) != before, "nobody could undo it yet"
    said = ssh.edge_sim("board", "restore", "ssh://debian").stdout
    assert said.endswith("ssh://debian: no run is in progress on the board\n")
    assert _state(debian) == before
    assert (
        ssh.edge_sim("board", "restore", "ssh://debian").stdout == "ssh://debian: no run is in progress on the board\n"
    )


@pytest.mark.usefixtures("unchanged")
def test_an_interrupted_run_puts_the_board_back_and_a_clock_of_1970_is_told(
    ssh: Ssh, debian: DockerBoard, quick: str
) -> None:
    first = ssh.start("run", quick, "--board", "ssh://debian", "--yes")
    _until(lambda: debian.exec(["test", "-e", "/opt/edge-sim/run/agent.json"]).returncode == 0)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=120)
    assert first.returncode == 130
    debian.exec(["sh", "-c", "printf '#!/bin/sh\\necho 86400\\n' >/usr/local/bin/date; chmod 755 /usr/local/bin/date"])
    try:
        notes = run(ssh, quick, "ssh://debian")["notes"]
        with_tls = ssh.edge_sim("run", quick, "--board", "ssh://debian", "--yes", "--tls", status=6).stderr
    finally:
        debian.exec(["rm", "/usr/local/bin/date"])
    assert any(note.startswith("the board's clock says 1970-01-02") for note in notes)
    assert "error: ssh://debian: the board's clock says 1970-01-02" in with_tls


@pytest.mark.usefixtures("debian")
def test_a_program_that_does_not_end_is_given_up(ssh: Ssh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{ssh.folder}/bin:{os.environ['PATH']}")
    endless = ["sh", "-c", "trap '' PIPE HUP; sleep 3600"]
    with Connection(Address(host="debian")) as connection:
        with pytest.raises(UnsupportedEnvironmentError, match="ssh://debian: sh timed out after 2 s on the board"):
            connection.run(endless, timeout=2)
        assert connection.run(["true"]).returncode == 0, "the board can still be put back"
        with (
            pytest.raises(UnsupportedEnvironmentError, match="ssh://debian: sh timed out after 2 s on the board"),
            connection.output(endless, timeout=2) as output,
        ):
            output.file.read()


@pytest.mark.usefixtures("unchanged")
def test_a_strangers_scenario_reaches_no_board_that_the_user_has_not_named(
    ssh: Ssh, quick: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(quick) / "edge-sim.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("boards: ", "boards: [ssh://debian] # ", 1), encoding="utf-8")
    try:
        done = ssh.edge_sim("run", quick, "--yes", status=2)
        assert "the scenario names the real board ssh://debian, which you have not" in done.stderr
        done = ssh.edge_sim("run", quick, "--board", "ssh://debian", status=2)
        assert "there is no terminal to confirm it" in done.stderr
        (tmp_path / "edge-sim").mkdir()
        (tmp_path / "edge-sim/boards").write_text("ssh://debian\n", encoding="utf-8")
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        done = ssh.edge_sim("run", quick, "--yes", "--format", "json")
        assert [board["profile"] for board in json.loads(done.stdout)["boards"]] == ["debian"]
    finally:
        file.write_text(text, encoding="utf-8")
