"""What images are made of, when they are built anew, and what is said where engine, QEMU or mmdebstrap is missing."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from edge_sim.arch import ARCHITECTURES
from edge_sim.emulation.containers import bases, boards, engine, images
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.profiles import list_profiles, load_profiles
from tests import needs
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]


def quiet(line: str) -> None:
    pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_SIM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bases"


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    """The images of the sources as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_SIM_CACHE", "/nonexistent")
        return tags()


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what images are made from, to change."""
    top = tmp_path / "clone"
    shutil.copytree(ROOT / "edge_sim", top / "edge_sim", ignore=shutil.ignore_patterns("__pycache__"))
    for file in (*ROOT.glob("Dockerfile.*"), ROOT / ".dockerignore"):
        shutil.copy(file, top)
    monkeypatch.setattr(images, "_ROOT", top)
    return top


def tags() -> dict[str, str]:
    return {architecture: images.image_for(architecture) for architecture in ARCHITECTURES}


def members(architecture: str) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(images.context(architecture))) as tar:
        return tar.getnames()


# What goes in


def test_the_four_dockerfiles_are_one_but_for_name_platform_and_processor() -> None:
    """Each comes to the same file once its own words are taken out."""
    common = set()
    for architecture, row in ARCHITECTURES.items():
        lines = images.dockerfile(architecture).read_text(encoding="utf-8").splitlines()
        assert f"`uname -m`: {architecture}" in lines[0]
        assert f"ARG PLATFORM={images.platform(architecture)}" in lines
        assert ("ENV QEMU_CPU=arm1176" in lines) == (row.qemu_cpu == "arm1176")
        common.add("\n".join(lines[lines.index("FROM --platform=${PLATFORM} ${BASE_IMAGE}") :]))
    plain = {text for text in common if "QEMU_CPU" not in text}
    (armv6,) = common - plain
    assert len(plain) == 1
    assert armv6.endswith(plain.pop().partition("\n\n")[2])


def test_an_image_says_the_platform_of_its_debian() -> None:
    platforms = {architecture: images.platform(architecture) for architecture in ARCHITECTURES}
    assert platforms == {
        "armv6l": "linux/arm/v5",  # armel; linux/arm/v6 runs it
        "armv7l": "linux/arm/v7",
        "aarch64": "linux/arm64",
        "x86_64": "linux/amd64",
    }


def test_the_context_holds_the_agent_and_nothing_of_the_simulator() -> None:
    names = members("armv7l")
    assert {"Dockerfile", "edge_sim/agent/loop.py", "edge_sim/greengrass/plan.py", "edge_sim/cli/main.py"} <= {*names}
    assert [
        name for name in names if name.startswith(("edge_sim/cloud", "edge_sim/emulation", "edge_sim/runs", "tests"))
    ] == ["edge_sim/emulation/containers/init.py"]
    assert not [name for name in names if not name.endswith(".py") and name != "Dockerfile"]


@pytest.mark.process
def test_what_goes_in_is_enough_for_every_module_of_it(tmp_path: Path) -> None:
    """Python sees only the context's edge_sim, and imports each of its modules; `agent run` reads its configuration."""
    with tarfile.open(fileobj=io.BytesIO(images.context("armv7l"))) as tar:
        tar.extraction_filter = lambda member, _: member
        tar.extractall(tmp_path)
    program = (
        "import importlib, pkgutil, sys; sys.path.insert(0, sys.argv[1]); import edge_sim\n"
        "for found in pkgutil.walk_packages(edge_sim.__path__, 'edge_sim.'):\n"
        "    importlib.import_module(found.name); print(found.name)\n"
        "for name, module in list(sys.modules.items()):\n"
        "    if name.startswith('edge_sim') and not module.__file__.startswith(sys.argv[1]):\n"
        "        sys.exit(f'{name} is not in the image: {module.__file__}')\n"
        "sys.argv = ['edge-sim', 'agent', 'run', '--config', '/nonexistent']\n"
        "from edge_sim.cli.main import main; main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "edge_sim.agent.loop" in done.stdout.splitlines()


# When it is built anew


def test_the_same_sources_give_the_same_image_whatever_their_times(before: dict[str, str], clone: Path) -> None:
    assert tags() == before
    for path in clone.rglob("*"):
        os.utime(path, (1, 1))
    (clone / "edge_sim/agent/__pycache__").mkdir()
    (clone / "edge_sim/agent/__pycache__/loop.cpython-311.pyc").write_bytes(b"x")
    assert tags() == before


def alter(source: Path) -> None:
    source.write_text(source.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")


@pytest.mark.parametrize("changed", ["edge_sim/agent/loop.py", "edge_sim/errors.py", "edge_sim/cli/agent.py"])
def test_a_source_of_the_agent_changes_all_four(before: dict[str, str], clone: Path, changed: str) -> None:
    alter(clone / changed)
    assert not set(before.values()) & set(tags().values())


@pytest.mark.parametrize("changed", ["cloud/app.py", "cli/run.py", "emulation/boardplan.py"])
def test_a_source_of_the_simulator_changes_none(before: dict[str, str], clone: Path, changed: str) -> None:
    alter(clone / "edge_sim" / changed)
    assert tags() == before


def test_a_dockerfile_changes_its_own_architecture_only(before: dict[str, str], clone: Path) -> None:
    alter(clone / "Dockerfile.armv6")
    after = tags()
    assert {a for a in before if after[a] != before[a]} == {"armv6l"}


def test_a_base_changes_the_image_by_its_content_not_its_name(tmp_path: Path) -> None:
    one, same, other = tmp_path / "one.tar", tmp_path / "same.tar", tmp_path / "other.tar"
    for file, content in ((one, b"1"), (same, b"1"), (other, b"2")):
        file.write_bytes(content)
    assert images.image_for("armv7l", one) == images.image_for("armv7l", same)
    assert len({images.image_for("armv7l", base) for base in (None, one, other)}) == 3


def test_boards_of_debian_11_stand_on_it_where_the_mirror_has_it() -> None:
    suites = {p.name: bases.suite_for(p.os_release, p.architecture) for p in load_profiles(list_profiles())}
    assert {name for name, suite in suites.items() if suite == "bullseye"} == {
        "raspberry-pi-3-bullseye",
        "raspberry-pi-4-bullseye",
        "raspberry-pi-zero-2-w",
    }
    assert bases.suite_for({"ID": "raspbian", "VERSION_ID": "11"}, "armv6l") == "bookworm", "it has no armel"


def test_an_image_of_debian_11_holds_the_bundle_for_the_agent() -> None:
    with tarfile.open(fileobj=io.BytesIO(images.context("armv7l", b"bundle"))) as tar:
        assert tar.getnames() == ["Dockerfile", "init.py", "bundle.tar.gz"]
        dockerfile = tar.extractfile("Dockerfile")
        assert dockerfile is not None
        assert b"bullseye" in dockerfile.read()
    kinds = (None, b"bundle", b"another")
    assert len({images.image_for("armv7l", bundle=bundle) for bundle in kinds}) == 3


# Bases that are none


def root_tar(path: Path, mode: Literal["w", "w:gz"], content: bytes, name: str = "./bin/busybox") -> Path:
    with tarfile.open(name=path, mode=mode) as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o755
        tar.addfile(member, io.BytesIO(content))
    return path


def elf(machine: int) -> bytes:
    return b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x02\x00" + machine.to_bytes(2, "little") + bytes(44)


def test_bases_that_cannot_be_are_refused_before_an_engine_is_asked(tmp_path: Path) -> None:
    text = tmp_path / "text.tar"
    text.write_text("no archive", encoding="utf-8")
    cut = root_tar(tmp_path / "cut.tar.gz", "w:gz", os.urandom(50_000))
    cut.write_bytes(cut.read_bytes()[:20_000])
    cases = {
        tmp_path / "missing.tar": "No such file",
        text: "not a root file system",
        cut: "not a root file system",
        root_tar(tmp_path / "data.tar", "w", b"x", "etc/passwd"): "holds no program",
        root_tar(tmp_path / "arm64.tar.gz", "w:gz", elf(183)): r"another processor \(ELF machine 183\)",
    }
    for file, message in cases.items():
        with pytest.raises(UsageError, match=message):
            images.build("armv7l", file, quiet)


# The engine


def test_no_engine_is_said_with_what_helps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(UnsupportedEnvironmentError, match="no Docker engine answers") as caught:
        engine.connect()
    assert caught.value.hint is not None
    assert ".ci/engine" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every socket")
def test_a_socket_that_is_not_ours_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        with pytest.raises(UnsupportedEnvironmentError, match="may not talk"):
            engine.connect()


def test_a_refused_permission_is_told_from_a_missing_engine() -> None:
    wrapped = RuntimeError("Error while fetching server API version", OSError(PermissionError(13, "Permission denied")))
    assert "docker" in (engine.explain(wrapped).hint or "")
    assert "may not talk" in str(engine.explain(wrapped))


@contextlib.contextmanager
def answering(tmp_path: Path, api: str) -> Iterator[str]:
    """A server that answers every request as a Docker of that API answers /version."""
    body = f'{{"Version": "20.10.24", "ApiVersion": "{api}", "MinAPIVersion": "1.12"}}'.encode()
    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "docker.sock"))
    listening.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(head + body)

    threading.Thread(target=serve, daemon=True).start()
    yield f"unix://{tmp_path}/docker.sock"
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


def test_an_old_engine_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with answering(tmp_path, "1.40") as place:
        monkeypatch.setenv("DOCKER_HOST", place)
        with pytest.raises(UnsupportedEnvironmentError, match=r"Docker is too old: its API is 1\.40"):
            engine.connect()


def test_an_engine_that_is_stopped_while_it_is_used_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    running = contextlib.ExitStack()
    monkeypatch.setenv("DOCKER_HOST", running.enter_context(answering(tmp_path, "1.41")))

    def stopped_in_the_middle() -> None:
        with engine.connected() as client:
            running.close()
            boards.records(client)

    with pytest.raises(UnsupportedEnvironmentError, match="no Docker engine answers"):
        stopped_in_the_middle()


# The interpreters


def registered(folder: Path, name: str, flags: str, state: str = "enabled") -> None:
    text = f"{state}\ninterpreter /usr/libexec/qemu-binfmt/arm-binfmt-P\nflags: {flags}\noffset 0\nmagic 7f45\n"
    (folder / name).write_text(text, encoding="ascii")


def test_interpreters_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    registered(tmp_path, "qemu-arm", "POF")
    registered(tmp_path, "qemu-aarch64", "POCF", "disabled")
    (tmp_path / "status").write_text("enabled\n", encoding="ascii")
    found = engine.interpreters(tmp_path)
    assert {*found} == {"qemu-arm", "qemu-aarch64"}
    assert (found["qemu-arm"].in_containers, found["qemu-arm"].honours_set_id) == (True, False)
    assert (found["qemu-aarch64"].honours_set_id, found["qemu-aarch64"].enabled) == (True, False)
    assert engine.interpreters(tmp_path / "not-mounted") == {}


@pytest.mark.parametrize(
    ("flags", "state", "message", "help_"),
    [
        ("OCF", "enabled", None, ""),
        ("PO", "enabled", "without the flag F", ".ci/engine"),
        ("POF", "disabled", "is switched off", "echo 1 >"),
        (None, "", "is not registered", ".ci/engine"),
    ],
)
def test_an_interpreter_that_containers_cannot_use_is_refused(
    tmp_path: Path, flags: str | None, state: str, message: str | None, help_: str
) -> None:
    if flags:
        registered(tmp_path, "qemu-arm", flags, state)
    found = engine.interpreters(tmp_path)
    if message is None:
        assert engine.check("armv6l", found).name == "qemu-arm"
        return
    with pytest.raises(UnsupportedEnvironmentError, match=message) as caught:
        engine.check("armv6l", found)
    assert help_ in (caught.value.hint or "")


@pytest.mark.process
def test_qemu_tells_its_version_through_its_registered_name(tmp_path: Path) -> None:
    real = tmp_path / "qemu-arm-static"
    real.write_text("#!/bin/sh\necho 'qemu-arm version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)'\n", encoding="ascii")
    real.chmod(0o755)
    (tmp_path / "arm-binfmt-P").symlink_to(real)
    entry = engine.Interpreter(name="qemu-arm", program=str(tmp_path / "arm-binfmt-P"), flags="POF", enabled=True)
    assert engine.qemu_version(entry) == "7.2.22"
    real.unlink()
    assert engine.qemu_version(entry) is None


# Making bases


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with an apt-get and a mmdebstrap of ours in front."""
    folder = tmp_path / "tools"
    folder.mkdir()
    program(folder / "apt-get", "echo 'http://mirror.invalid/debian/ bookworm main'")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.process
@needs.namespaces_of_root
def test_a_base_is_made_once_and_kept_by_its_content(tools: Path, cache: Path) -> None:
    program(
        tools / "mmdebstrap",
        'echo "I: extracting archives..." >&2; echo "$QEMU_CPU $SOURCE_DATE_EPOCH ${@: -1}" >"${@: -2:1}"',
    )
    said: list[str] = []
    made = bases.make("armv6l", said.append)
    text = f"arm1176 {bases.NEWEST_FILE} deb http://mirror.invalid/debian bookworm main\n"
    assert made.path.read_text(encoding="utf-8") == text
    assert made.content == bases.digest(made.path)
    assert made.path.name.startswith("armel-")
    assert [line.partition("(")[0] for line in said] == ["armv6l: extracting archives... "]
    assert images.image_for("armv6l") == images.image_for("armv6l", made.path)

    older = bases.make("armv6l", said.append, bases.OLDER)
    assert older.path.read_text(encoding="utf-8").endswith("deb http://mirror.invalid/debian bullseye main\n")
    assert (bases.cached("armv6l"), bases.cached("armv6l", bases.OLDER)) == (made, older)

    (tools / "mmdebstrap").unlink()
    assert bases.make("armv6l", said.append) == made
    assert "already exists" in said[-1]
    assert {path.name for path in cache.iterdir()} == {made.path.name, older.path.name}


def test_bases_are_kept_for_every_clone_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGE_SIM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert bases.cache_directory() == tmp_path / "edge-sim" / "bases"


def test_a_user_without_a_cache_is_told_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGE_SIM_CACHE")
    monkeypatch.setattr(bases, "user_cache", lambda: None)
    assert bases.cached("armv6l") is None
    with pytest.raises(UnsupportedEnvironmentError, match="cannot keep base images") as caught:
        bases.make("armv6l", quiet)
    assert "EDGE_SIM_CACHE" in (caught.value.hint or "")


@pytest.mark.process
@needs.namespaces_of_root
def test_two_clones_at_once_make_a_base_once(tools: Path, cache: Path, tmp_path: Path) -> None:
    """The second waits for the first, then takes what it made; what a killed third left is removed."""
    (cache / ".making-killed").mkdir(parents=True)
    go, calls = tmp_path / "go", tmp_path / "calls"
    program(tools / "mmdebstrap", f'echo >>{calls}; until [ -e {go} ]; do sleep 0.01; done; echo x >"${{@: -2:1}}"')
    said: list[str] = []
    made: list[bases.Base] = []
    clones = [
        threading.Thread(target=lambda tell=tell: made.append(bases.make("armv6l", tell)))
        for tell in (quiet, said.append)
    ]
    clones[0].start()
    until(calls.exists)
    clones[1].start()
    until(lambda: said != [])
    go.touch()
    for clone in clones:
        clone.join()
    assert "waiting for another process" in said[0]
    assert made[0] == made[1]
    assert calls.read_text() == "\n"
    assert [path.name for path in cache.iterdir()] == [made[0].path.name]


@pytest.mark.process
@needs.namespaces_of_root
def test_a_strict_umask_of_the_caller_does_not_get_into_a_base(tools: Path) -> None:
    program(tools / "mmdebstrap", 'umask >"${@: -2:1}"')
    before = os.umask(0o077)
    try:
        made = bases.make("armv6l", quiet)
    finally:
        os.umask(before)
    assert made.path.read_text(encoding="utf-8") == "0022\n"


@pytest.mark.process
@needs.namespaces_of_root
def test_a_base_that_fails_leaves_nothing_and_says_why(tools: Path, cache: Path) -> None:
    program(tools / "mmdebstrap", 'echo half >"${@: -2:1}"; echo "E: Unable to fetch some archives" >&2; exit 25')
    with pytest.raises(UnsupportedEnvironmentError, match="built no base for armv7l") as caught:
        bases.make("armv7l", quiet)
    assert "Unable to fetch" in (caught.value.details or "")
    assert not [*cache.iterdir()]


@pytest.mark.process
@needs.namespaces_of_root
def test_a_base_that_hangs_is_ended_with_all_it_started(
    tools: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TimerFromTheStart(threading.Timer):
        """Its time does not run before the program has started."""

        def run(self) -> None:
            until((tmp_path / "started").exists)
            super().run()

    monkeypatch.setattr(threading, "Timer", TimerFromTheStart)
    monkeypatch.setattr(bases, "LIMIT_S", 0.5)
    mark = f"300.{os.getpid()}"
    program(tools / "mmdebstrap", f"sleep {mark} & echo >{tmp_path}/started; wait")
    with pytest.raises(UnsupportedEnvironmentError, match=r"within 0\.5 s"):
        bases.make("armv7l", quiet)
    assert not [*cache.iterdir()]
    assert (tmp_path / "started").exists()
    until(lambda: not living(mark))


def living(argument: str) -> list[str]:
    """Return the processes with this argument; one that has ended and waits for its parent has none any more."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if argument.encode() in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
    return found


@pytest.mark.process
def test_a_machine_without_a_mirror_or_mmdebstrap_is_told_so(
    tools: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(UnsupportedEnvironmentError, match="mmdebstrap is not installed"):
        bases.make("x86_64", quiet)
    program(tools / "apt-get", "echo 'http://archive.invalid/ubuntu/ jammy main'")
    with pytest.raises(UnsupportedEnvironmentError, match="no mirror for Debian bookworm"):
        bases.make("x86_64", quiet)
    assert not [*cache.iterdir()]


def _engine_process(processes: Path, name: str, *arguments: str) -> None:
    (processes / "7").mkdir(parents=True)
    (processes / "7/comm").write_text(f"{name}\n")
    (processes / "7/cmdline").write_bytes(b"\0".join(word.encode() for word in (name, *arguments)) + b"\0")


@pytest.mark.parametrize(
    ("name", "arguments", "settings", "sets"),
    [
        ("dockerd", ("--iptables=false",), None, False),
        ("dockerd", (), '{"iptables": false}', False),
        ("dockerd", (), '{"iptables": true}', True),
        ("dockerd", (), "not JSON", True),
        ("grep", ("--iptables=false",), None, True),
    ],
)
def test_an_engine_without_firewall_rules_is_seen(
    tmp_path: Path, name: str, arguments: tuple[str, ...], settings: str | None, sets: bool
) -> None:
    _engine_process(tmp_path / "proc", name, *arguments)
    if settings:
        (tmp_path / "daemon.json").write_text(settings)
    assert engine.sets_firewall(tmp_path / "proc", tmp_path / "daemon.json") is sets


@pytest.mark.process
@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--help"], 0, "Build the bases of boards in containers"),
        (["sparc"], 2, "'sparc' is not one of 'armv6l', 'armv7l', 'aarch64', 'x86_64'"),
        (["armv7l"], 6, "error: unix:///nowhere: no Docker engine answers"),
    ],
)
def test_the_command_that_makes_the_bases_has_a_help_and_makes_nothing_for_it(
    words: list[str], status: int, says: str
) -> None:
    """--help made all four bases."""
    argv = [sys.executable, "-m", "edge_sim.emulation.containers.baseimages", *words]
    environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, says in done.stdout + done.stderr) == (status, True), done
