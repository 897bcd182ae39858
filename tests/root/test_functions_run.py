"""Functions run for real on the example's board: identity, view, results, limits and faults."""

from __future__ import annotations

import os
import select
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from edge_sim.agent.functions.calls import InvocationOutcome, invoke
from edge_sim.errors import UsageError
from edge_sim.greengrass.rules.settings import Quotas
from edge_sim.runs.expected import differences
from tests import mounts, needs
from tests.root.functions_board import ADM, DIALOUT, GGC, USERS, VIDEO, Board
from tests.root.sdk_board import with_secrets

pytestmark = [pytest.mark.root, needs.mounts]

WHO = """
import os, json, sys, signal, subprocess, time
from pathlib import Path
def function_handler(event, context):
    status = Path("/proc/self/status").read_text() if os.path.exists("/proc/self/status") else ""
    return {"uid": os.getresuid(), "gid": os.getresgid(), "groups": sorted(os.getgroups()), "cwd": os.getcwd(),
            "pid": os.getpid(), "umask": os.umask(0o022), "env": dict(os.environ), "nnp": "NoNewPrivs:\\t1" in status,
            "caps": [l for l in status.splitlines() if l.startswith("CapEff")],
            "root": sorted(os.listdir("/")), "gg": os.path.exists("/greengrass"),
            "context": [context.function_name, context.function_version, context.invoked_function_arn]}
"""


def replace_code(made: Board, name: str, text: str) -> None:
    function = made.function(name)
    made.path(f"/greengrass/ggc/deployment/lambda/{function.arn}/{name.replace('-', '_')}.py").write_text(text)


def call(made: Board, name: str, event: object = None) -> InvocationOutcome:
    return invoke(made.group, name, event, made.root, made.facts)


@pytest.mark.parametrize("index", range(3))
def test_the_example_gives_what_it_expects(here: Board, index: int) -> None:
    with_secrets(here, next(str(source.value) for source in here.scenario.sources if source.kind == "secret"))
    wanted = here.scenario.invocations[index]
    outcome = call(here, wanted.function_id, wanted.event)
    assert outcome.ok, outcome.error
    assert differences(wanted.expect, outcome.result) == []


@pytest.mark.parametrize("name", ["read-digits", "sort-wine"])
def test_the_longest_variable_that_the_rule_takes_reaches_a_function_and_a_longer_one_does_not(
    here: Board, name: str
) -> None:
    replace_code(here, name, WHO)
    most = Quotas().argument_bytes - len("LONG=")
    outcome = call(here.with_function(name, variables={"LONG": "x" * most}), name)
    assert len(outcome.result["env"]["LONG"]) == most
    outcome = call(here.with_function(name, variables={"LONG": "x" * (most + 1)}), name)
    assert not outcome.ok
    assert "variable LONG with its name takes 131,072 bytes" in str(outcome.error)


def test_a_function_without_container_has_exactly_its_identity(here: Board) -> None:
    replace_code(here, "read-digits", WHO)
    got = call(here, "read-digits").result
    assert (got["uid"], got["gid"], got["groups"]) == ([GGC] * 3, [GGC] * 3, [USERS])
    assert got["umask"] == 0o022
    assert got["cwd"] == "/greengrass/ggc/deployment/workdir/read-digits" == got["env"]["AWS_GG_RESOURCE_PREFIX"]
    assert got["env"]["MY_FUNCTION_ARN"] == here.function("read-digits").arn
    assert "HOME" not in got["env"], "nothing of the starter's environment leaks in"
    assert "meter" not in got["root"]
    assert got["gg"] is True
    assert got["context"] == ["read-digits", "1", here.function("read-digits").arn]


def test_a_contained_function_has_its_own_view(here: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    replace_code(here, "meter-log", WHO)
    before = mounts.below(here.root)
    assert before, "the board has mounts of its own"
    got = call(here, "meter-log").result
    assert (got["uid"], got["groups"]) == ([GGC] * 3, sorted([ADM, DIALOUT, USERS]))
    assert VIDEO not in got["groups"]
    assert got["pid"] == 1
    assert got["nnp"] is True
    assert got["caps"] == ["CapEff:\t0000000000000000"]
    assert got["gg"] is False, "the Greengrass root is hidden"
    assert {"lambda", "models"} <= set(got["root"])
    assert (got["cwd"], got["env"]["AWS_GG_RESOURCE_PREFIX"]) == ("/lambda", "/")
    assert not here.path("/lambda").exists(), "mount points are never made in the board's tree"
    assert not here.path("/models").exists()
    assert mounts.below(here.root) == before
    assert not list(tmp_path.glob("edge-sim-container-*"))


def test_what_a_function_writes_to_its_volume_is_live_and_what_it_writes_elsewhere_is_gone(here: Board) -> None:
    policies = tuple(
        type(p)(resource_id=p.resource_id, permission="rw" if p.resource_id == "meter-readings" else p.permission)
        for p in here.function("meter-log").policies
    )
    here.path("/srv/meter").chmod(0o770)
    replace_code(
        here,
        "meter-log",
        "def function_handler(event, context):\n"
        "    for path in ('/mnt/meter/new.txt', '/tmp/gone.txt'):\n        open(path, 'w').write('x')\n",
    )
    assert call(here.with_function("meter-log", policies=policies), "meter-log").ok
    assert here.path("/srv/meter/new.txt").read_text() == "x"
    assert not here.path("/tmp/gone.txt").exists()
    refused = call(here, "meter-log")
    assert not refused.ok
    assert "Read-only file system" in str(refused.error)


def test_a_read_only_device_cannot_be_opened_for_writing(here: Board) -> None:
    replace_code(here, "meter-log", "def function_handler(e, c):\n    open('/dev/ttyUSB0', 'wb', 0).write(b'x')\n")
    assert "PermissionError" in str(call(here, "meter-log").error)


def test_time_is_up_for_the_whole_process_group(here: Board, tmp_path: Path) -> None:
    replace_code(
        here,
        "sort-wine",
        "import os, subprocess, time\nfrom pathlib import Path\n"
        "def function_handler(event, context):\n"
        "    child = subprocess.Popen(['sleep', '600'])\n"
        "    Path(os.environ['AWS_GG_RESOURCE_PREFIX'] + '/models/wine/pid').write_text(str(child.pid))\n"
        "    time.sleep(600)\n",
    )
    outcome = call(here.with_function("sort-wine", timeout_s=5), "sort-wine")
    assert outcome.error == "sort-wine: no answer within its Timeout of 5 s; the process was killed"
    pid = next(here.root.rglob("mlmodel_public/*/pid")).read_text()
    with suppress(ProcessLookupError):  # a killed process may need a moment to end
        ended, _, _ = select.select([os.pidfd_open(int(pid))], [], [], 60)
        assert ended


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("def function_handler(e, c):\n    raise ValueError('no')\n", "read-digits: ValueError: no"),
        ("import nowhere\n", "read-digits: ModuleNotFoundError: No module named 'nowhere'"),
        ("x = 1\n", "has no attribute 'function_handler'"),
        ("def function_handler(e, c):\n    return {1, 2}\n", "Object of type set is not JSON serializable"),
        (
            "import os, signal\ndef function_handler(e, c):\n    os.kill(os.getpid(), signal.SIGKILL)\n",
            "read-digits: the process was killed by SIGKILL before it answered",
        ),
        (
            "import os\ndef function_handler(e, c):\n    os._exit(3)\n",
            "read-digits: the process ended with status 3 before it answered",
        ),
        ("def function_handler(e, c):\n    return 'x' * (7 << 20)\n", "the response is larger than"),
    ],
)
def test_faults_are_told_in_one_sentence(here: Board, code: str, error: str) -> None:
    replace_code(here, "read-digits", code)
    outcome = call(here, "read-digits")
    assert not outcome.ok
    assert error in str(outcome.error)
    assert "\n" not in str(outcome.error)


@pytest.mark.parametrize(
    ("path", "hinted"),
    [("/models/digits/weights.csv", True), ("/models/digits", True), ("/models/wine/x", False), ("/models", False)],
)
def test_a_model_that_is_opened_without_the_prefix_is_hinted_at(here: Board, path: str, hinted: bool) -> None:
    replace_code(here, "read-digits", f"def function_handler(e, c):\n    return open('{path}').read()\n")
    outcome = call(here, "read-digits")
    assert path in str(outcome.error)
    told = f"open os.environ['AWS_GG_RESOURCE_PREFIX'] + '{path}'" in str(outcome.hint)
    assert told is hinted
    assert (outcome.hint is None) is not hinted


def test_the_log_has_v1s_lines_and_belongs_to_root(here: Board) -> None:
    replace_code(
        here,
        "read-digits",
        "import logging\ndef function_handler(e, c):\n    print('hello')\n    logging.warning('care')\n",
    )
    first, second = call(here, "read-digits").log, call(here, "read-digits").log
    assert "][DEBUG]-read_digits.py:3,hello\n" in first
    assert "][WARN]-read_digits.py:4,care\n" in first
    assert second.count("hello") == 1, "the outcome holds this call's part"
    log = here.path("/greengrass/ggc/var/log/user/us-east-1/123456789012/read-digits.log")
    assert log.read_text() == first + second
    assert (log.stat().st_uid, stat.S_IMODE(log.stat().st_mode)) == (0, 0o600)


def test_run_as_and_what_is_not_simulated(here: Board) -> None:
    replace_code(here, "read-digits", WHO)
    run_as = type(here.function("read-digits").run_as)(uid=61000, gid=61001)
    got = call(here.with_function("read-digits", run_as=run_as), "read-digits").result
    assert (got["uid"], got["gid"], got["groups"]) == ([61000] * 3, [61001] * 3, [USERS])
    node = call(here.with_function("read-digits", runtime_override="nodejs12.x"), "read-digits")
    assert node.error == "read-digits: runtime nodejs12.x is not simulated yet (python3.x is)"
    notes = call(here, "meter-log").notes
    assert any("stands in for python3.7" in note for note in notes)
    assert any(note.startswith("MemorySize 65536 KB is ") for note in notes)
    with pytest.raises(UsageError, match="no function nobody"):
        call(here, "nobody")


def test_a_missing_source_is_said(here: Board) -> None:
    here.path("/srv/meter").rename(here.path("/srv/elsewhere"))
    outcome = call(here, "meter-log")
    assert "could not be started" in str(outcome.error)
    assert "/srv/meter" in str(outcome.error)
