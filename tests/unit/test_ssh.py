"""A board over ssh: its address, what its answers may do to us, and a profile made of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sim.cli.main import edge_sim
from edge_sim.cli.run import command
from edge_sim.emulation.ssh import address, connection
from edge_sim.emulation.ssh.address import Address
from edge_sim.emulation.ssh.connection import Connection, LostConnectionError
from edge_sim.emulation.ssh.text import harmless
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.offline import listing, remote
from edge_sim.offline.capture import as_yaml, profile_of
from edge_sim.profiles import load_profile
from edge_sim.runs.realboards import check_own
from tests.unit.test_images import program

EXAMPLE = Path(__file__).parents[2] / "examples/no-container-ml"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("ssh://bench-3", Address(host="bench-3")),
        ("ssh://pi@Bench_3.local/", Address(host="Bench_3.local", user="pi")),
        ("ssh://root@192.168.1.7:2222", Address(host="192.168.1.7", user="root", port=2222)),
        ("ssh://[fe80::1]:22", Address(host="fe80::1", port=22)),
        ("ssh://[fe80::1%eth0]", Address(host="fe80::1%eth0")),
    ],
    ids=str,
)
def test_an_address_is_read(text: str, meant: Address) -> None:
    assert address.parse(text) == meant
    assert address.parse(str(meant)) == meant


@pytest.mark.parametrize(
    "text",
    [
        *("bench-3", "http://bench-3", "ssh://", "ssh://pi@", "ssh://bench/x", "ssh://bench?x", "ssh://bench:0"),
        *("ssh://-oProxyCommand=reboot", "ssh://-l@bench", "ssh://a b", "ssh://$(reboot)", "ssh://a;b", "ssh://a:x"),
        *("ssh://pi:secret@bench", "ssh://[::1", "ssh://[nonsense]", "ssh://%2d", "ssh://bench:99999"),
        *("ssh://[fe80::1%$(reboot)]", "ssh://[fe80::1%;reboot]", "ssh://[fe80::1%-o]", "ssh://[fe80::1%]"),
        *("ssh://bench:22:33", "ssh://bench:", "ssh://@bench", "ssh://pi user@bench", "ssh://pi%20user@bench"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        address.parse(text)


def test_the_users_own_boards_are_those_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert address.own_boards() == frozenset()
    (tmp_path / "edge-sim").mkdir()
    (tmp_path / "edge-sim/boards").write_text("# mine\nssh://pi@bench-3  # the third\n\n", encoding="utf-8")
    assert address.own_boards() == {Address(host="bench-3", user="pi")}
    check_own(Address(host="bench-3", user="pi"), "the scenario")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"ssh://bench-3\nbench-4\n", "boards:2: bench-4: expected ssh://[USER@]HOST[:PORT]"),
        (b"\xff\xfe", "boards: not a text file (byte 0 is not UTF-8)"),
    ],
)
def test_a_wrong_line_of_the_users_own_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "edge-sim").mkdir()
    (tmp_path / "edge-sim/boards").write_bytes(content)
    with pytest.raises(UsageError) as error:
        address.own_boards()
    assert error.value.brief == f"{tmp_path}/edge-sim/{said}"


def test_a_board_that_only_a_stranger_names_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(
        UsageError, match=r"^the scenario names the real board ssh://bench-3, which you have not"
    ) as error:
        check_own(Address(host="bench-3"), "the scenario", instead="Name it with --board ssh://bench-3")
    file = tmp_path / "edge-sim/boards"
    assert error.value.hint == f"Name it with --board ssh://bench-3, or write it on a line of {file}."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--board", "ssh://bench", "--tls", "--broker", "mqtt://127.0.0.1:1"),
            "--tls and --broker cannot be combined",
        ),
        (("--board", "ssh://bench", "--tls", "--profile", "generic-x86_64"), "--tls is only for boards over ssh"),
        (("--profile", "generic-x86_64", "--tls"), "--tls is only for boards over ssh"),
        (("--board", "ssh://bench", "--bind", "/tmp:/srv"), "--bind is for simulated boards"),
        (("--board", "ssh://bench"), "there is no terminal to confirm it"),
    ],
)
def test_a_run_refuses_what_a_real_board_cannot_have_before_it_connects(arguments: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(command, [str(EXAMPLE), *arguments])
    assert isinstance(done.exception, UsageError)
    assert said in done.exception.brief


def test_what_moves_a_cursor_is_shown_as_an_escape_also_where_json_hides_it() -> None:
    assert harmless("a\x1b[2Jb\tc\n") == "a\\x1b[2Jb\tc\n"
    told = harmless('{"log": "\\u001b]0;title\\u0007", "\\u202e": ["\\u0000", 1]}\n')
    assert json.loads(told) == {"log": "\\x1b]0;title\\x07", "\\u202e": ["\\x00", 1]}
    assert harmless('{"a": ' * 100_000) in ("", '{"a": ' * 100_000)


@settings(max_examples=50)
@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda below: st.lists(below) | st.dictionaries(st.text(), below)
    )
)
def test_no_text_of_any_json_keeps_a_control_character(value: object) -> None:
    found: list[object] = [json.loads(harmless(json.dumps([value])))]
    while found:
        one = found.pop()
        if isinstance(one, str):
            assert all(c.isprintable() or c in "\n\t" for c in one)
        elif isinstance(one, dict):
            found += [*one, *one.values()]
        elif isinstance(one, list):
            found += one


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection by an ``ssh`` of ours, which runs commands on this machine; the file ``cut`` ends it."""
    program(
        tmp_path / "ssh",
        f"""while [ $# -gt 0 ]; do case $1 in
    -M) master=yes ;; -S) socket=$2; shift ;; -o|-l|-p) shift ;; --) shift; break ;; esac; shift; done
[ -z "$master" ] || {{ touch $socket; while [ ! -e {tmp_path}/cut ]; do sleep 0.02; done; exit 255; }}
[ ! -e {tmp_path}/cut ] || exit 255
exec sh -c "$2" """,
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with Connection(Address(host="bench")) as made:
        yield made


@pytest.mark.process
def test_a_command_reaches_the_board_word_by_word(board: Connection) -> None:
    done = board.run(["printf", "<%s>", "a b", "$(id)", "'", '"', "*", "\n"])
    assert done.stdout == """<a b><$(id)><'><"><*><\n>"""
    assert board.run(["sh", "-c", "exit 7"]).returncode == 7


@pytest.mark.process
def test_a_board_that_says_too_much_or_nothing_is_no_endless_run(
    board: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnsupportedEnvironmentError, match=r"ssh://bench: sleep timed out after 0\.1 s on the board"):
        board.run(["sleep", "60"], timeout=0.1)
    monkeypatch.setattr(connection, "MAX_OUTPUT", 100_000)
    with pytest.raises(UnsupportedEnvironmentError, match="printed more than"):
        board.run(["cat", "/dev/zero"])
    endless = board.start(["cat", "/dev/zero"])
    assert sum(len(line) for line in endless.stdout) <= 4 * (100_000 + connection.MAX_LINE)
    endless.kill()
    assert endless.wait(10) != 0
    for _ in endless.stderr:
        pass


@pytest.mark.process
def test_a_program_whose_pipes_stay_open_is_given_up(board: Connection, tmp_path: Path) -> None:
    """As with a real ssh, whose master holds the pipes of a command that was killed: a run never ended."""
    holder = f"setsid sh -c 'echo $$ >{tmp_path}/pid; exec sleep 600' & wait"
    with pytest.raises(UnsupportedEnvironmentError, match=r"sh timed out after 2 s on the board"):
        board.run(["sh", "-c", holder], timeout=2)
    os.kill(int((tmp_path / "pid").read_text("ascii")), signal.SIGKILL)  # it is still there


@pytest.mark.process
def test_a_board_that_complains_without_end_is_cut_short(board: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rescue printed 268 MB of escapes as one sentence."""
    noisy = ["sh", "-c", "head -c 300000 /dev/zero >&2; echo; printf '\\nlast words' >&2; exit 1"]
    with board.output(noisy, timeout=60) as output:
        pass
    for errors in (output.errors, board.run(noisy).stderr):
        assert errors.endswith("\nlast words\n")
        assert len(errors) < 1000
    monkeypatch.setattr(connection, "MAX_OUTPUT", 100_000)
    with (
        pytest.raises(UnsupportedEnvironmentError, match="sh printed more than"),
        board.output(noisy, timeout=60) as output,
    ):
        pass


@pytest.mark.process
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("echo '% Unrecognized command'", 'its answer begins with "% Unrecognized command"'),
        ("printf 'Welcome\\033[2J\\n'; sh -c \"$2\"", 'its answer begins with "Welcome\\x1b[2J"'),
        ("exit 137", "it printed nothing (status 137)"),
        ('sh -c "$2" | head -n 9', "the snapshot is truncated"),
        ("head -c 99999 /dev/zero", 'its answer begins with "' + "\\x00" * 20 + '"'),
    ],
    ids=["no shell", "greeting", "killed", "cut off", "binary"],
)
@pytest.mark.parametrize(
    "words",
    [
        ("profiles", "capture", "ssh://bench", "-o", "HERE/own.yaml"),
        ("drift", str(EXAMPLE), "--board", "ssh://bench"),
        ("access", str(EXAMPLE), "--board", "ssh://bench", "--probe"),
    ],
    ids=lambda words: words[0],
)
def test_a_board_that_does_not_answer_as_a_board_is_one_sentence_and_status_6(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], answer: str, said: str
) -> None:
    program(
        tmp_path / "ssh",
        f"""while [ $# -gt 0 ]; do case $1 in
    -M) master=yes ;; -S) socket=$2; shift ;; -o|-l|-p) shift ;; --) shift; break ;; esac; shift; done
[ -z "$master" ] || {{ touch $socket; exec sleep 60; }}
[ "$2" != "id -u" ] || {{ echo 0; exit; }}
{answer}""",
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    error = CliRunner().invoke(edge_sim, [word.replace("HERE", str(tmp_path)) for word in words]).exception
    assert isinstance(error, UnsupportedEnvironmentError)
    assert error.brief == f"ssh://bench: the board cannot be listed: {said}"
    assert (error.exit_status, error.details) == (6, None)


@pytest.mark.process
def test_a_program_ends_with_its_input(board: Connection) -> None:
    running = board.start(["sh", "-c", "echo ready; cat >&2; exit 3"])
    assert next(running.stdout) == "ready\n"
    assert running.poll() is None
    running.terminate()
    assert running.wait(10) == 3
    assert [*running.stdout, *running.stderr] == []


@pytest.mark.process
def test_a_lost_connection_is_said_with_the_way_back(board: Connection, tmp_path: Path) -> None:
    (tmp_path / "cut").touch()
    with pytest.raises(LostConnectionError, match="the connection to ssh://bench is lost") as caught:
        _run_on(board)
    assert caught.value.hint == "When it is back: edge-sim board restore ssh://bench"


def _run_on(board: Connection) -> None:
    while True:
        board.run(["true"])


@pytest.mark.process
@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @", "its host key is not the one that you know"),
        ("No ED25519 host key is known\nHost key verification failed.", "its host key is unknown and was not"),
        ("pi@bench: Permission denied (publickey).", "it accepts none of your keys"),
        ("kex: \x1b[2J", "ssh cannot connect"),
    ],
    ids=["changed", "unknown", "no key", "else"],
)
def test_why_there_is_no_connection_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, said: str
) -> None:
    (tmp_path / "told").write_text(told, encoding="utf-8")
    program(tmp_path / "ssh", f"cat {tmp_path}/told >&2; exit 255")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with (
        pytest.raises(UnsupportedEnvironmentError, match=f"ssh://pi@bench:22: {said}") as caught,
        Connection(Address(host="bench", user="pi", port=22)),
    ):
        pass
    assert "\x1b" not in str(caught.value.details)
    assert caught.value.hint == "Nothing was changed on the board. This must work first: ssh -p 22 pi@bench true"


SEEN = """# edge-sim snapshot 1
m armv7l
g /greengrass
t /etc/passwd
| root:x:0:0:root:/root:/bin/bash
| ggc_user:x:110:115::/home/ggc_user:/usr/sbin/nologin
| stray:x:120:999::/:/bin/sh
t /etc/group
| root:x:0:
| dialout:x:20:ggc_user
| ggc_group:x:115:
t /etc/os-release
| ID=raspbian
| PRETTY_NAME="Raspbian 10"
t /proc/self/mounts
| /dev/root / ext4 rw,noatime 0 0
| cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
| tmpfs /tmp tmpfs rw,nosuid,nodev,noexec,relatime 0 0
t /proc/meminfo
| MemTotal:  926416 kB
t /proc/cpuinfo
| processor : 0
| processor : 1
f kernel 5.10.63-v7+
f clock 86400
f libc glibc 2.28
f storage 15000000
f free 800
f protected_symlinks 1
f python3.7 /usr/bin/python3.7
f java8 -
n crw-rw---- 0 20 /dev/ttyUSB0
n lrwxrwxrwx 0 0 /dev/serial0
> ttyUSB0
n brw-rw---- 0 20 /dev/mmcblk0
n crw-rw-rw- 0 0 /dev/null
n crw-rw-rw- 0 4711 /dev/odd
# end
"""


def test_a_profile_made_of_a_board_can_be_read_and_says_what_was_seen(tmp_path: Path) -> None:
    seen = listing.parse_text(Path("board"), SEEN)
    profile = profile_of(seen, "bench")
    (tmp_path / "bench.yaml").write_text(as_yaml(profile), encoding="utf-8")
    assert load_profile(str(tmp_path / "bench.yaml")) == profile
    assert (profile.architecture, profile.operating_system, profile.libc_version) == ("armv7l", "raspbian", "2.28")
    assert (profile.memory_kib, profile.cpus, profile.storage_kib) == (926416, 2, 15000000)
    assert profile.cgroups == "v1"
    assert profile.cgroup_subsystems == frozenset({"memory"})
    assert profile.mounts == {"/": frozenset(), "/tmp": frozenset({"nosuid", "nodev", "noexec"})}
    assert profile.facts().mount_flags("/tmp/x") == frozenset({"nosuid", "nodev", "noexec"})
    assert profile.facts().mount_flags("/greengrass") == frozenset()
    assert profile.programs == {"python3.7": True, "java8": False}
    assert [(d.path, d.type, d.group, d.backing) for d in profile.devices] == [
        ("/dev/mmcblk0", "block", "dialout", "none"),
        ("/dev/serial0", "char", "dialout", "null"),
        ("/dev/ttyUSB0", "char", "dialout", "pty"),
    ]
    assert profile.users["ggc_user"].groups == ("dialout",)
    assert "stray" not in profile.users, "its group has no name"
    assert remote.clock_note(seen) == (
        "the board's clock says 1970-01-02: its logs carry that date, and a broker's certificate is not yet valid"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("m armv7l", "m mips", "Greengrass V1 had no core for mips"),
        ("ID=raspbian", "ID=poky", "Greengrass V1 had no poky on armv7l"),
        ("ggc_user:x:110", "other:x:110", "the board has no user ggc_user"),
    ],
)
def test_of_a_board_that_v1_never_had_there_is_no_profile(old: str, new: str, said: str) -> None:
    with pytest.raises(UnsupportedEnvironmentError, match=said):
        as_yaml(profile_of(listing.parse_text(Path("board"), SEEN.replace(old, new)), "bench"))


@pytest.mark.process
def test_this_machine_seen_by_the_script_is_this_machine() -> None:
    done = subprocess.run(["sh", "-c", listing.script(), "sh"], capture_output=True, text=True, check=True)
    seen = listing.parse_text(Path("here"), done.stdout)
    assert seen.system["kernel"] == os.uname().release
    assert seen.system["uid"] == str(os.getuid())
    assert remote.clock_note(seen) is None
