"""The agent's bundle: what is in it, that the same input gives the same bytes, and how it is installed and removed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from edge_sim.agent.configfile import read_config
from edge_sim.agent.functions import launch
from edge_sim.emulation.bundle import archive, content, packages
from edge_sim.emulation.bundle.packages import File
from edge_sim.emulation.containers import images
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.greengrass import tree
from edge_sim.greengrass.process import function_process
from tests.factory import install_core
from tests.unit.greengrass import build
from tests.unit.test_images import program

SHELLS = [
    pytest.param(argv, id=argv[0], marks=pytest.mark.skipif(not shutil.which(argv[0]), reason=f"no {argv[0]} here"))
    for argv in (["dash"], ["busybox", "ash"])
]
SCRIPTS = Path(content.__file__).parent
FILES = {
    "lib/loader": File(content=b"\x7fELF", mode=0o755),
    "bin/edge-sim": File(content=b"#!/bin/sh\n", mode=0o755),
    "licenses/libc6": File(content=b"LGPL"),
}


def test_the_agent_is_the_same_in_a_bundle_and_in_an_image() -> None:
    in_image = {name.removeprefix("edge_sim/") for name in images._sources()}
    assert content.sources().keys() == in_image - {"emulation/containers/init.py"}


@pytest.mark.process
def test_a_board_shows_its_versions_and_says_what_it_cannot_do(tmp_path: Path) -> None:
    for name, text in content.sources().items():
        (tmp_path / "edge_sim" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "edge_sim" / name).write_bytes(text)
    install_core(tmp_path / "root", "/greengrass", "1.10.0")

    def on_board(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", "from edge_sim.cli.main import main; main()", *words]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    shown = on_board("ota", "status", "--root", "root", "--format", "json")
    assert json.loads(shown.stdout)["current"] == "1.10.0", shown.stderr
    for words in (["validate", "group.json"], ["ota", "build", "--simulated", "good", "--version", "1.11.8"]):
        refused = on_board(*words)
        assert refused.returncode == 6
        assert refused.stderr.startswith(
            "error: this command does not run on a board; only edge-sim agent and edge-sim ota status do"
        )
    commands = on_board("--help").stdout.partition("Commands:\n")[2].split("\n\n")[0]
    assert [line.split()[0] for line in commands.splitlines() if not line.startswith("   ")] == ["agent", "ota"]


def test_the_same_files_give_the_same_bytes_whatever_their_order_and_rights() -> None:
    packed = archive.packed(FILES)
    assert archive.packed(dict(reversed(FILES.items()))) == packed
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        members = tar.getmembers()
    assert [(m.name, f"{m.mode:o}") for m in members] == [
        ("edge-sim", "755"),
        ("edge-sim/bin", "755"),
        ("edge-sim/lib", "755"),
        ("edge-sim/licenses", "755"),
        ("edge-sim/bin/edge-sim", "755"),
        ("edge-sim/lib/loader", "755"),
        ("edge-sim/licenses/libc6", "644"),
    ]
    assert {(m.uid, m.gid, m.mtime) for m in members} == {(0, 0, 1686355200)}
    assert packed[4:8] == bytes(4), "a gzip header without a time"
    assert len(gzip.decompress(packed)) % 512 == 0


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with an apt and a dpkg-deb of ours in front; ``mirror`` holds what their archive has."""
    tools, there = tmp_path / "tools", tmp_path / "mirror"
    tools.mkdir()
    there.mkdir()
    with tarfile.open(there / "libc6_2.36_armel.deb", "w") as tar:
        member = tarfile.TarInfo("./lib/libc.so.6")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"ELF"))
    program(
        tools / "apt-get",
        f"""cd {there}; case "$*" in
*indextargets*) echo 'http://mirror.invalid/debian/ bookworm main' ;;
*update) [ ! -e gone ] || {{ cat gone >&2; exit 100; }}
    for o; do case $o in *Dir::State::lists=*) touch "${{o#*lists=}}/x_Packages" ;; esac; done ;;
*--print-uris*) set -- $(sha256sum *.deb); echo "'http://mirror.invalid/l' $2 9 SHA256:$1" ;;
*download*) cp *.deb "$OLDPWD" ;;
esac""",
    )
    program(tools / "dpkg-deb", 'cat "$2"')
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("EDGE_SIM_CACHE", str(tmp_path / "cache"))
    return there


def fetched() -> list[packages.DebianPackage]:
    return packages.packages("armv6l", ["libc6"], lambda text: None)


@pytest.mark.process
def test_packages_are_kept_and_do_without_the_mirror_afterwards(mirror: Path) -> None:
    first = fetched()
    assert first[0].files() == {"/lib/libc.so.6": File(content=b"ELF")}
    (mirror / "gone").write_text("Could not connect to mirror.invalid:80\n", encoding="utf-8")
    assert fetched() == first


@pytest.mark.process
def test_without_a_mirror_and_without_kept_packages_the_error_says_so(mirror: Path) -> None:
    (mirror / "gone").write_text("Could not connect to mirror.invalid:80\n", encoding="utf-8")
    with pytest.raises(UnsupportedEnvironmentError, match="list of packages for bookworm-armel cannot be fetched"):
        fetched()


@pytest.mark.process
def test_an_archive_with_a_wrong_signature_is_refused_although_packages_are_kept(mirror: Path) -> None:
    fetched()
    (mirror / "gone").write_text("W: GPG error: http://mirror.invalid: BADSIG\n", encoding="utf-8")
    with pytest.raises(UnsupportedEnvironmentError, match="cannot be fetched") as caught:
        fetched()
    assert "BADSIG" in str(caught.value.details)


@pytest.mark.process
def test_a_kept_package_that_was_changed_is_fetched_again(mirror: Path, tmp_path: Path) -> None:
    first = fetched()
    kept = next((tmp_path / "cache").rglob("*.deb"))
    kept.write_bytes(b"another")
    assert fetched() == first
    assert hashlib.sha256(kept.read_bytes()).digest() == hashlib.sha256((mirror / kept.name).read_bytes()).digest()


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A root directory, and beside it an unpacked bundle."""
    (tmp_path / "board/greengrass/ggc/core").mkdir(parents=True)
    (tmp_path / "board/etc/init.d").mkdir(parents=True)
    unpacked = tmp_path / "edge-sim"
    (unpacked / "bin").mkdir(parents=True)
    (unpacked / "about").write_text("version=0.1.0-abc\narchitecture=armv7l\n", encoding="ascii")
    for name in ("install.sh", "edge-sim-agent.service"):
        shutil.copy(SCRIPTS / name, unpacked)
    return tmp_path / "board"


def installed(shell: list[str], board: Path, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [*shell, str(board.parent / "edge-sim/install.sh"), *options]
    return subprocess.run(argv, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "DESTDIR": str(board)})


def texts(board: Path) -> dict[str, str]:
    found = sorted(path for path in board.rglob("*") if path.is_file())
    return {path.relative_to(board).as_posix(): path.read_text(encoding="utf-8") for path in found}


NAMED = ("--thing", "a-core", "--broker", 'mqtt://"127.0.0.1":1883')


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("init", "service"),
    [
        ("run/systemd/system/", "etc/systemd/system/edge-sim-agent.service"),
        ("sbin/procd", "etc/init.d/edge-sim-agent"),
        ("", None),
    ],
    ids=["systemd", "procd", "neither"],
)
def test_a_bundle_is_installed_anew_and_taken_away_without_a_trace(
    shell: list[str], board: Path, init: str, service: str | None
) -> None:
    if init.endswith("/"):
        (board / init).mkdir(parents=True)
    elif init:
        (board / "sbin").mkdir()
        program(board / init, "")
    before = texts(board)
    for _ in range(2):  # the second time over the first
        done = installed(shell, board, *NAMED)
        assert (done.returncode, done.stderr) == (0, "")
    assert "installed 0.1.0-abc" in done.stdout
    made = texts(board)
    assert made.keys() - before.keys() == {
        "opt/edge-sim/agent.json",
        "opt/edge-sim/bundle/about",
        "opt/edge-sim/bundle/edge-sim-agent.service",
        "opt/edge-sim/bundle/install.sh",
        "opt/edge-sim/made",
        *([service] if service else []),
    }
    assert made["opt/edge-sim/agent.json"] == (
        '{"thing": "a-core", "broker": "mqtt://\\"127.0.0.1\\":1883", "greengrassRoot": "/opt/edge-sim/greengrass"}\n'
    )
    assert ((board / "opt/edge-sim/agent.json").stat().st_mode & 0o777) == 0o600
    if service:
        assert "/opt/edge-sim/bundle/bin/edge-sim agent run" in made[service]
    done = installed(shell, board, "--remove")
    assert (done.returncode, done.stderr) == (0, "")
    assert texts(board) == before
    assert not (board / "opt").exists()


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
def test_a_things_certificate_is_copied_for_root_alone_and_replaced(shell: list[str], board: Path) -> None:
    files = {"--cafile": "ca.pem", "--certificate": "certificate.pem", "--key": "key.pem"}
    options = ["--thing", "core", "--broker", "mqtts://192.168.1.10:8883"]
    options += [word for option, name in files.items() for word in (option, str(board.parent / name))]
    for made in ("first", "second"):
        for name in files.values():
            (board.parent / name).write_text(f"{made} {name}", encoding="ascii")
        done = installed(shell, board, *options)
        assert (done.returncode, done.stderr) == (0, "")
    top = board / "opt/edge-sim"
    assert {(top / name).stat().st_mode & 0o777 for name in files.values()} == {0o400}
    assert (top / "key.pem").read_text(encoding="ascii") == "second key.pem"
    config = read_config(board / "opt/edge-sim/agent.json", board)
    assert (config.certificate, config.key) == ("/opt/edge-sim/certificate.pem", "/opt/edge-sim/key.pem")
    assert config.cafile == "/opt/edge-sim/ca.pem"
    before = texts(board)
    (board.parent / "key.pem").unlink()
    done = installed(shell, board, *options)
    assert (done.returncode, done.stderr) == (
        2,
        f"install.sh: {board.parent}/key.pem: no such file, or it cannot be read\n",
    )
    assert texts(board) == before


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
def test_an_older_version_is_replaced_whole_and_what_it_deployed_stays(shell: list[str], board: Path) -> None:
    (board.parent / "edge-sim/only-in-the-old").touch()
    assert installed(shell, board, *NAMED).returncode == 0
    deployed = board / "opt/edge-sim/greengrass/ggc/deployment/group/group.json"
    deployed.parent.mkdir(parents=True)
    deployed.write_text("{}", encoding="ascii")
    (board.parent / "edge-sim/only-in-the-old").unlink()
    (board.parent / "edge-sim/about").write_text("version=0.2.0-def\narchitecture=armv7l\n", encoding="ascii")
    done = installed(shell, board, "--thing", "another", "--broker", "mqtt://127.0.0.1:1883")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"installed 0.2.0-def in {board}/opt/edge-sim\n")
    assert sorted(path.name for path in (board / "opt/edge-sim/bundle").iterdir()) == [
        *("about", "bin", "edge-sim-agent.service", "install.sh")
    ]
    assert deployed.read_text(encoding="ascii") == "{}"
    assert '"thing": "another"' in (board / "opt/edge-sim/agent.json").read_text(encoding="utf-8")


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
def test_an_agent_that_no_service_has_started_is_not_pulled_from_under_itself(shell: list[str], board: Path) -> None:
    assert installed(shell, board, *NAMED).returncode == 0
    loader = board / "opt/edge-sim/bundle/lib/loader"
    loader.parent.mkdir()
    shutil.copy(shutil.which("sleep") or "", loader)
    before = sorted(board.rglob("*"))
    with subprocess.Popen([loader, "60"]) as agent:
        try:
            for options in (NAMED, ("--remove",)):
                done = installed(shell, board, *options)
                assert done.returncode == 6
                assert f"edge-sim is running; stop it first: kill {agent.pid}\n" in done.stderr
        finally:
            agent.kill()
    assert sorted(board.rglob("*")) == before
    assert installed(shell, board, "--remove").returncode == 0


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
def test_a_debian_package_is_replaced_by_dpkg_alone(shell: list[str], board: Path) -> None:
    unit = board / "lib/systemd/system/edge-sim-agent.service"
    unit.parent.mkdir(parents=True)
    unit.touch()
    for options in (NAMED, ("--remove",)):
        done = installed(shell, board, *options)
        assert done.returncode == 2
        assert "the agent is installed as a Debian package" in done.stderr
    assert not (board / "opt").exists()


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--thing", "my core", "--broker", "mqtt://x:1"), "--thing my core: the name of a thing may hold only a-z"),
        (("--thing", "core", "--broker", "10.0.0.1:1883"), "--broker 10.0.0.1:1883: neither mqtt://HOST:PORT nor"),
        (("--config", "/nothing/here.json"), "/nothing/here.json: no such file, or it cannot be read"),
        ((*NAMED, "--cafile", "/etc"), "/etc: no such file, or it cannot be read"),
    ],
)
def test_what_an_agent_could_not_start_with_is_refused_before_anything_is_written(
    shell: list[str], board: Path, options: tuple[str, ...], said: str
) -> None:
    done = installed(shell, board, *options)
    assert done.returncode == 2
    assert done.stderr.startswith(f"install.sh: {said}")
    assert done.stderr.count("\n") == 1
    assert not (board / "opt").exists()


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
def test_without_root_nothing_is_tried(shell: list[str], board: Path) -> None:
    script = board.parent / "edge-sim/install.sh"
    argv = [*shell, "-c", script.read_text(encoding="utf-8"), "install.sh", *NAMED]
    somebody = 65534 if os.geteuid() == 0 else None
    done = subprocess.run(argv, cwd="/", capture_output=True, text=True, user=somebody, env={"PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stderr) == (6, "install.sh: root is needed: sudo sh install.sh …\n")


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
def test_procds_script_says_to_procd_how_the_agent_is_started_restarted_and_ended(
    shell: list[str], board: Path
) -> None:
    """With a stand-in for ``/etc/rc.common``, which reads the script and calls what it defines (procd.sh, "procd API").

    respawn: a run of less than 3600 s is a failure, it starts anew after 10 s, and no number of failures is the last.
    term_timeout: procd kills after 5 s what was not given more, and the agent ends a core and its functions first.
    """
    (board / "sbin").mkdir()
    program(board / "sbin/procd", "")
    assert installed(shell, board, *NAMED).returncode == 0
    script = board / "etc/init.d/edge-sim-agent"
    first, uses = script.read_text(encoding="utf-8").splitlines()[:2]
    assert (first, uses) == ("#!/bin/sh /etc/rc.common", "USE_PROCD=1")
    assert script.stat().st_mode & 0o111 == 0o111
    names = ("procd_open_instance", "procd_set_param", "procd_close_instance")
    common = "".join(f'{name}() {{ printf "<%s>" {name} "$@"; echo; }}\n' for name in names)
    common += 'initscript=$1; . "$1"; start_service; echo "S$START K$STOP"\n'
    (board.parent / "rc.common").write_text(common, encoding="ascii")
    argv = [*shell, "-eu", str(board.parent / "rc.common"), str(script), "start"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    agent = ["/opt/edge-sim/bundle/bin/edge-sim", "agent", "run", "--root", "/"]
    agent += ["--config", "/opt/edge-sim/agent.json"]
    calls = [["procd_open_instance"]]
    calls += [["procd_set_param", *words] for words in (["command", *agent], ["respawn", "3600", "10", "0"])]
    calls += [
        ["procd_set_param", name, value] for name, value in (("term_timeout", "30"), ("stdout", "1"), ("stderr", "1"))
    ]
    calls += [["procd_close_instance"]]
    assert done.stdout.splitlines() == [*("".join(f"<{word}>" for word in call) for call in calls), "S95 K05"]


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('{"greengrassRoot": "/greengrass"}', "greengrassRoot /greengrass may be a V1 core's"),
        ('{"thing": "x"}', "greengrassRoot /greengrass may be a V1 core's"),
        ('{"greengrassRoot": "/opt/edge-sim/../../greengrass"}', "must contain neither .. nor \\"),
        ('{"greengrassRoot": "/opt/edge-sim/\\u002e./../greengrass"}', "must contain neither .. nor \\"),
    ],
    ids=["v1", "default", "upwards", "escaped"],
)
def test_a_v1_core_s_root_is_not_shared(shell: list[str], board: Path, config: str, said: str) -> None:
    (board.parent / "agent.json").write_text(config, encoding="utf-8")
    before = texts(board)
    done = installed(shell, board, "--config", str(board.parent / "agent.json"))
    assert done.returncode == 2
    assert said in done.stderr
    assert texts(board) == before
    assert not (board / "opt").exists()


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
def test_a_board_with_a_run_on_it_is_put_back_first(shell: list[str], board: Path) -> None:
    (board / "opt/edge-sim/run").mkdir(parents=True)
    done = installed(shell, board, "--remove")
    assert done.returncode == 6
    assert "edge-sim board restore" in done.stderr
    assert (board / "opt/edge-sim/run").is_dir()


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "options", [(), ("--thing",), ("--thing", "x"), ("--wrong",), (*NAMED, "--key", "/etc/passwd")], ids=str
)
def test_a_wrong_command_line_shows_the_usage(shell: list[str], board: Path, options: tuple[str, ...]) -> None:
    done = installed(shell, board, *options)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: sh install.sh --thing NAME")
    shown = installed(shell, board, "--help")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, done.stderr, "")


@pytest.mark.process
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed: apt-get install shellcheck")
def test_the_scripts_are_plain_posix_sh() -> None:
    done = subprocess.run(["shellcheck", *sorted(map(str, SCRIPTS.glob("*.sh")))], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_beside_a_v1_core_the_log_and_the_pid_file_are_the_agents_own() -> None:
    own = "/opt/edge-sim/greengrass"
    assert (tree.ota_log("/greengrass"), tree.pid_directory("/greengrass")) == (
        "/var/log/greengrass/ota/ggc_ota.txt",
        "/var/run",
    )
    assert all(path.startswith(f"{own}/ggc/var/") for path in (tree.ota_log(own), tree.pid_directory(own)))


def test_a_function_runs_with_the_boards_interpreter_and_never_with_the_bundles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", "/opt/edge-sim/bundle")
    facts, deployed = build.board(), build.group([], [build.function("f")])
    process, code = function_process(deployed, deployed.functions[0], facts), deployed.code["f"]
    with pytest.raises(UnsupportedEnvironmentError, match=r"neither python3\.7 nor another python3 is on the board's"):
        launch.command(process, code, tmp_path, facts)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3.9").touch()
    (tmp_path / "usr/bin/python3").symlink_to("python3.9")
    argv, notes = launch.command(process, code, tmp_path, facts)
    assert argv[0] == "/usr/bin/python3"
    assert notes == ("python3.9 stands in for python3.7, which is not on the board's PATH",)
    (tmp_path / "usr/bin/python3.7").touch()
    argv, notes = launch.command(process, code, tmp_path, facts)
    assert (argv[0], notes) == ("/usr/bin/python3.7", ())
