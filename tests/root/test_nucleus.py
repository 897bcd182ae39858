"""A V1 group, migrated and run on the stand-in for a V2 core: the same handler, called over the Greengrass IPC."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from edge_sim.profiles import load_profile
from tests.processes import is_alive
from tests.small_group import answer, edge, make_root, ml, write_group
from tests.unit.greengrass.build import function
from tests.unit.v2.build import F, subscription
from tests.waiting import until

pytestmark = [
    pytest.mark.root,
    pytest.mark.process,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: components run as other users"),
]
SENDS = ("--send", 'down/x={"to": ["a"]}', "--answers", "1")
BOARDS = ("--from-profile", "raspberry-pi-3", "--to-profile", "raspberry-pi-4")
HANDLER = """
import json, os
import greengrasssdk

MODEL = os.environ["AWS_GG_RESOURCE_PREFIX"] + "/models/m/net"

def handler(event, context):
    names = sorted(os.listdir(MODEL))
    with open(MODEL + "/labels.txt") as file:
        first = file.readline().strip()
    try:
        open(MODEL + "/labels.txt", "a").close()
        writes = "could"
    except OSError as error:
        writes = type(error).__name__
    who = [os.getuid(), os.getgid(), os.getgroups()]
    told = {"names": names, "first": first, "writes": writes, "who": who, "event": event}
    told["topic"] = context.client_context.custom["subject"]
    for to in event["to"]:
        try:
            greengrasssdk.client("iot-data").publish(topic="up/" + to, payload=json.dumps(told))
        except RuntimeError as error:
            print(error, flush=True)
"""


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that other accounts reach; pytest closes its own whenever a session of it begins."""
    with tempfile.TemporaryDirectory(prefix="edge-sim-test-") as place:
        Path(place).chmod(0o755)
        yield Path(place)


@pytest.fixture
def reached() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


def board(folder: Path) -> Path:
    """A board whose accounts board.sh has made."""
    root = make_root(folder / "root")
    with (root / "etc/passwd").open("a") as users, (root / "etc/group").open("a") as groups:
        users.write("gg_component:x:996:996::/:/bin/sh\n")
        groups.write("gg_component:x:996:\nggcore:x:995:\nvideo2:x:4400:ggc_user\n")
    return root


def scenario(folder: Path) -> Path:
    group = write_group(
        folder, [ml("m")], [function("f", ("m", None), Executable="main.handler")], code={"main.py": HANDLER}
    )
    routes = [subscription("cloud", F, "down/#"), subscription(F, "cloud", "up/a")]
    (group / "subscriptions.json").write_text(json.dumps({"Subscriptions": routes}))
    text = yaml.safe_load((group / "edge-sim.yaml").read_text())
    text["group"]["subscriptions"] = "subscriptions.json"
    (group / "edge-sim.yaml").write_text(yaml.safe_dump(text))
    return group


@pytest.mark.slow
@pytest.mark.parametrize(("target", "who"), [("classic", [998, 997, [4400]]), ("lite", [996, 996, []])])
def test_a_migrated_function_runs_as_its_account_hears_and_is_heard(reached: Path, target: str, who: list[Any]) -> None:
    root, out = board(reached), reached / "out"
    edge("migrate", scenario(reached / "group"), *BOARDS, "--target", target, "-o", out, status=3)
    told = answer("nucleus", out, "--root", root, "--target", target, *SENDS)
    assert any("stands in for the board" in note for note in told["notes"])
    assert [(one["component"], one["to"], one["topic"]) for one in told["sent"]] == [("f", "IoT Core", "up/a")]
    payload = json.loads(told["sent"][0]["payload"])
    assert payload["names"] == ["labels.txt", "weights.bin"]
    assert (payload["first"], payload["writes"], payload["topic"]) == ("cat", "PermissionError", "down/x")
    assert payload["who"] == who
    top = root / {"classic": "greengrass/v2", "lite": "var/lib/greengrass"}[target]
    model = top / "packages/artifacts-unarchived/f/1.0.0/models/models/m/net/labels.txt"
    assert model.stat().st_gid == {"classic": 997, "lite": 995}[target], "the component's group, or lite's own"
    assert (top / "work/f").stat().st_gid == who[1]
    assert (model.stat().st_uid, stat.S_IMODE(model.stat().st_mode)) == (who[0], 0o440)


def test_what_v1_let_nobody_hear_is_refused_and_a_missing_account_is_told(reached: Path) -> None:
    root, out = board(reached), reached / "out"
    edge("migrate", scenario(reached / "group"), *BOARDS, "--target", "classic", "-o", out, status=3)
    both = ("--send", 'down/x={"to": ["b", "a"]}', "--answers", "1")  # one message: two are handled in any order
    told = answer("nucleus", out, "--root", root, *both, "--wait", "120")
    assert [one["topic"] for one in told["sent"]] == ["up/a"]
    assert "no subscription of the V1 group lets this function publish on up/b" in told["logs"]["f"]
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    done = edge("nucleus", out, "--root", root, status=3)
    assert "no account ggc_user" in str(done.exception)


def test_a_killed_command_leaves_no_component(reached: Path) -> None:
    root, out = board(reached), reached / "out"
    edge("migrate", scenario(reached / "group"), *BOARDS, "--target", "classic", "-o", out, status=3)
    file = out / "components/f/recipe.yaml"
    recipe = yaml.safe_load(file.read_text())
    recipe["Manifests"][0]["Lifecycle"]["run"] = "setsid sleep 1000 & sleep 1000"  # not told of the stand-in's end
    file.write_text(yaml.safe_dump(recipe))
    argv = [sys.executable, "-m", "edge_sim", "nucleus", str(out), "--root", str(root), "--answers", "1"]
    temporary = reached / "temporary"
    temporary.mkdir(mode=0o755)
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen([*argv, "--wait", "600"], env=environment, stdout=subprocess.DEVNULL) as command:
        components: list[psutil.Process] = []

        def running() -> bool:
            components[:] = psutil.Process(command.pid).children(recursive=True)
            return [process.uids().real for process in components if process.name() == "sleep"] == [998, 998]

        try:
            until(running)
            command.kill()
            command.wait()
            until(lambda: not any(map(is_alive, components)), lambda: f"{[*filter(is_alive, components)]} run on")
        finally:
            command.kill()
            for process in filter(is_alive, components):
                process.kill()
    assert [*temporary.iterdir()] != []
    done = subprocess.run([*argv, "--wait", "0.1"], env=environment, capture_output=True, timeout=120, check=False)
    assert (done.returncode, [*temporary.iterdir()]) == (4, []), "the next one removes what a killed one has left"


def test_a_root_that_no_other_account_reaches_is_told(reached: Path) -> None:
    (reached / "shut").mkdir(mode=0o700)
    (reached / "shut/in").mkdir()
    root, out = board(reached / "shut/in"), reached / "out"
    edge("migrate", scenario(reached / "group"), *BOARDS, "--target", "classic", "-o", out, status=3)
    done = edge("nucleus", out, "--root", root, status=6)
    assert f"{reached}/shut is not accessible to other accounts" in str(done.exception)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["classic", "lite"])
def test_on_a_board_of_a_profile_its_accounts_hold_and_board_sh_is_run(reached: Path, target: str) -> None:
    out = reached / "out"
    edge("migrate", scenario(reached / "group"), *BOARDS, "--target", target, "-o", out, status=3)
    with (out / "board.sh").open("a") as script:
        script.write("\ngroupadd --gid 4567 extra\nusermod -aG extra ggc_user\n")
    sends = (*SENDS, "--wait", "90")
    told = answer("nucleus", out, "--profile", "raspberry-pi-3", "--driver", "local", "--target", target, *sends)
    payload = json.loads(told["sent"][0]["payload"])
    profile = load_profile("raspberry-pi-3")
    if target == "classic":
        user = profile.users["ggc_user"]
        assert payload["who"] == [user.uid, profile.groups["ggc_group"], sorted([4567, user.gid])]
    else:
        uid, gid, groups = payload["who"]
        assert (uid == gid, groups) == (True, [])
        assert uid not in {account.uid for account in profile.users.values()}
    assert (payload["first"], payload["writes"]) == ("cat", "PermissionError")
    assert any("programs, Python and kernel are this machine's" in note for note in told["notes"])
    assert not any("has no group ggcore" in note for note in told["notes"])


def test_what_fails_on_a_board_is_one_sentence_with_the_boards_name(reached: Path) -> None:
    out = reached / "out"
    edge("migrate", scenario(reached / "group"), *BOARDS, "--target", "classic", "-o", out, status=3)
    command = ("nucleus", out, "--driver", "local")
    done = edge(*command, "--profile", "raspberry-pi-zero-w", status=3)
    assert str(done.exception) == "raspberry-pi-zero-w: the new board is armv6l, which V2 does not support"
    done = edge(*command, "--profile", "openwrt-armv7", status=3)
    assert "musl, but nucleus classic needs glibc" in str(done.exception)
    recipe = (out / "components/f/recipe.yaml").read_text()
    (out / "components/f/recipe.yaml").write_text(recipe.replace("Unarchive: ZIP", "Unarchive: TAR"))
    done = edge(*command, "--profile", "raspberry-pi-3", status=3)
    assert str(done.exception).startswith("raspberry-pi-3: component f: Unarchive TAR")
    (out / "board.sh").write_text("echo no such thing >&2\nexit 7\n")
    done = edge(*command, "--profile", "raspberry-pi-3", status=3)
    assert str(done.exception) == "raspberry-pi-3: board.sh ended with status 7 on the board"
    assert getattr(done.exception, "details", None) == "no such thing"
    for words in ((), ("--root", reached, "--profile", "raspberry-pi-3")):
        assert "--root DIR or --profile NAME" in str(edge("nucleus", out, *words, status=2).exception)
