"""The runtime, run by an interpreter of its own as on a board, against the real endpoint and a core of our own."""

from __future__ import annotations

import ast
import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent.functions import launch
from edge_sim.agent.functions.endpoint import MAX_BODY_BYTES
from edge_sim.agent.functions.invocations import Invocation
from tests.fakes_core import TOKEN, FakeCore, serving

pytestmark = pytest.mark.process

SDK = Path(launch.__file__).with_name("sdk")
ARN = "arn:aws:lambda:us-east-1:123456789012:function:app:7"


def run(tmp_path: Path, code: str, *events: bytes, context: object = None, **variables: str) -> tuple[FakeCore, str]:
    """Let the runtime do the work of ``events``; return the core with what came of it, and the log."""
    (tmp_path / "app.py").write_text(code)
    core = FakeCore()
    given = base64.b64encode(json.dumps(context).encode()).decode() if context else ""
    core.work = [
        Invocation(function_id="app", payload=e, client_context=given, id=str(n)) for n, e in enumerate(events)
    ]
    with serving(core, tmp_path) as endpoint:
        environment = {
            "MY_FUNCTION_ARN": ARN,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": TOKEN,
            "GG_DAEMON_PORT": str(endpoint.port),
            "ENCODING_TYPE": "json",
            "PYTHONPATH": f"{tmp_path}/first:{SDK}",
            **variables,
        }
        done = subprocess.run(
            [sys.executable, "-B", str(SDK / "lambda_runtime.py"), "--handler=app.handle", f"--code={tmp_path}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
            env=environment,
        )
    return core, done.stdout.decode()


def results(core: FakeCore) -> list[Any]:
    return [json.loads(body) for _, (body, _) in sorted(core.finished.items())]


@pytest.mark.parametrize("path", sorted(SDK.rglob("*.py")), ids=lambda path: path.name)
def test_what_runs_on_the_board_is_python_3_7(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 7))
    names = [getattr(node, "module", None) or "" for node in ast.walk(tree)]
    assert not [name for name in names if name.startswith("edge_sim")]


def test_one_process_does_one_call_after_the_other(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "calls = []\n"
        "def handle(event, context):\n"
        "    calls.append(event)\n"
        "    return [len(calls), event, context.function_name, context.function_version,\n"
        "            context.invoked_function_arn, context.aws_request_id, context.client_context.custom,\n"
        "            sys.stdin.read()]\n"
    )
    core, log = run(tmp_path, code, b'{"x": [1, null]}', b"", context={"custom": {"subject": "a/b"}})
    rest = {"subject": "a/b"}
    assert results(core) == [
        [1, {"x": [1, None]}, "app", "7", ARN, "0", rest, ""],
        [2, {}, "app", "7", ARN, "1", rest, ""],
    ]
    assert core.loaded == [None]
    assert "[ERROR]-lambda_runtime.py" in log, "the end of the work is the end of the process, and is said"


def test_log_lines_are_v1s(tmp_path: Path) -> None:
    code = (
        "import logging\n"
        "def handle(event, context):\n"
        "    print('one')\n    logging.info('two')\n    logging.critical('three')\n    logging.debug('not shown')\n"
    )
    log = run(tmp_path, code, b"{}")[1]
    lines = [line.partition("]")[2] for line in log.splitlines()]
    assert lines[:3] == ["[DEBUG]-app.py:3,one", "[INFO]-app.py:4,two", "[FATAL]-app.py:5,three"]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("def handle(e, c):\n    raise KeyError('x')\n", "KeyError: 'x'"),
        ("def handle(e, c):\n    return {1}\n", "TypeError: Object of type set is not JSON serializable"),
    ],
)
def test_an_exception_is_the_calls_error_and_the_process_goes_on(tmp_path: Path, code: str, error: str) -> None:
    core, log = run(tmp_path, code, b"{}", b"{}")
    assert results(core) == [{"errorMessage": error}] * 2
    assert {kind for _, kind in core.finished.values()} == {"Handled"}
    assert "Traceback" in log


def test_an_event_that_is_no_json_is_the_calls_error(tmp_path: Path) -> None:
    core, _ = run(tmp_path, "def handle(e, c):\n    return e\n", b"{", b"1")
    assert core.finished["0"][1] == "Handled"
    assert core.finished["1"] == (b"1", "")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("import nowhere\n", "ModuleNotFoundError: No module named 'nowhere'"),
        ("x = 1\n", "AttributeError: module 'app' has no attribute 'handle'"),
        ("import sys; sys.exit(4)\n", "SystemExit: 4"),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_said_in_v1s_words(tmp_path: Path, code: str, reason: str) -> None:
    core, log = run(tmp_path, code, b"{}")
    assert core.loaded == [reason]
    assert not core.finished
    first = log.splitlines()[0].partition("]")[2]
    assert first.startswith("[FATAL]-lambda_runtime.py:")
    assert ',Failed to import handler function "app.handle" due to exception: ' in first
    assert "Failed to initialize Lambda runtime due to exception: " in log


def test_the_process_ends_with_its_core_whatever_threads_a_handler_left(tmp_path: Path) -> None:
    start = "    threading.Thread(target=threading.Event().wait).start()\n"
    code = f"import threading\ndef handle(e, c):\n{start}    return 1\n"
    assert results(run(tmp_path, code, b"{}")[0]) == [1]  # run has a limit


def test_the_users_python_path_comes_before_the_code_and_the_core_before_both(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first/helper.py").write_text("WHO = 'user'\n")
    (tmp_path / "helper.py").write_text("WHO = 'code'\n")
    (tmp_path / "greengrass_common").mkdir()
    (tmp_path / "greengrass_common/__init__.py").write_text("raise RuntimeError('an old copy')\n")
    code = "import helper, greengrass_common\ndef handle(e, c):\n    return helper.WHO\n"
    assert results(run(tmp_path, code, b"{}")[0]) == ["user"]


def test_a_binary_function_gets_and_gives_bytes(tmp_path: Path) -> None:
    code = "def handle(e, c):\n    return bytes(reversed(e))\n"
    core, _ = run(tmp_path, code, b"\x00\x01\xff", ENCODING_TYPE="binary")
    assert core.finished["0"] == (b"\xff\x01\x00", "")


def test_an_sdk_of_a_higher_interface_than_the_cores_is_refused(tmp_path: Path) -> None:
    (tmp_path / "greengrasssdk.py").write_text("INTERFACE_VERSION = '1.5'\n")
    code = "import greengrasssdk\ndef handle(e, c):\n    return 1\n"
    assert run(tmp_path, code, b"{}", GGC_MAX_INTERFACE_VERSION="1.5")[0].loaded == [None]
    (refused,) = run(tmp_path, code, b"{}", GGC_MAX_INTERFACE_VERSION="1.3")[0].loaded
    assert refused is not None
    assert "greengrasssdk has interface version 1.5" in refused


def test_a_result_that_is_too_large_is_told_and_ends_only_this_call(tmp_path: Path) -> None:
    code = f"def handle(e, c):\n    return 'x' * {MAX_BODY_BYTES}\n"
    core, log = run(tmp_path, code.replace("return", "return 1 if e else"), b"{}", b"1")
    assert (core.too_large_for, core.finished) == (["0"], {"1": (b"1", "")})
    assert "HTTP 413" in log


def test_a_fake_token_is_of_no_use(tmp_path: Path) -> None:
    core, log = run(tmp_path, "def handle(e, c):\n    return 1\n", b"{}", AWS_CONTAINER_AUTHORIZATION_TOKEN="guess")
    assert (core.loaded, core.finished) == ([], {})
    assert "HTTP 403" in log
    assert os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN") is None
