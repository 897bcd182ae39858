"""The worker, run by an interpreter of its own as on a board, without any isolation."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent import worker

WORKER = Path(worker.__file__).read_text()


def run(tmp_path: Path, code: str, event: object = None, **changes: Any) -> tuple[list[dict[str, Any]], str]:
    (tmp_path / "app.py").write_text(code)
    reading, writing = os.pipe()
    job = {
        "handler": "app.handle",
        "code": str(tmp_path),
        "arn": "arn:aws:lambda:us-east-1:1:function:app:7",
        "name": "app",
        "version": "7",
        "requestId": "id",
        "custom": {"subject": "a/b"},
        "event": event,
        "resultFd": writing,
        **changes,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-B", "-c", WORKER],
            input=json.dumps(job).encode(),
            pass_fds=[writing],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=30,
            check=True,
            env={"PYTHONPATH": f"{tmp_path}/first:{tmp_path}"},
        )
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as answers:
        return [json.loads(line) for line in answers], done.stdout.decode()


def test_the_worker_is_python_3_7() -> None:
    ast.parse(WORKER, feature_version=(3, 7))
    assert "edge_sim" not in [getattr(n, "module", None) for n in ast.walk(ast.parse(WORKER))]


def test_event_context_and_result(tmp_path: Path) -> None:
    messages, _ = run(
        tmp_path,
        "import sys\n"
        "def handle(event, context):\n"
        "    return [event, context.function_name, context.function_version, context.invoked_function_arn,\n"
        "            context.aws_request_id, context.client_context.custom['subject'], sys.stdin.read()]\n",
        {"x": [1, None]},
    )
    arn = "arn:aws:lambda:us-east-1:1:function:app:7"
    assert messages == [{"started": True}, {"result": [{"x": [1, None]}, "app", "7", arn, "id", "a/b", ""]}]


def test_log_lines_are_v1s(tmp_path: Path) -> None:
    _, log = run(
        tmp_path,
        "import logging\n"
        "def handle(event, context):\n"
        "    print('one')\n    logging.info('two')\n    logging.critical('three')\n    logging.debug('not shown')\n",
    )
    lines = [line.partition("]")[2] for line in log.splitlines()]
    assert lines == ["[DEBUG]-app.py:3,one", "[INFO]-app.py:4,two", "[FATAL]-app.py:5,three"]


@pytest.mark.parametrize(
    ("code", "kind", "started"),
    [
        ("def handle(e, c):\n    raise KeyError('x')\n", "KeyError", True),
        ("1 / 0\n", "ZeroDivisionError", False),
        ("def handle(e, c):\n    import sys; sys.exit(4)\n", "SystemExit", True),
        ("def other(e, c):\n    pass\n", "AttributeError", False),
    ],
)
def test_errors_have_type_message_and_trace(tmp_path: Path, code: str, kind: str, started: bool) -> None:
    messages, log = run(tmp_path, code)
    assert ({"started": True} in messages) is started
    assert messages[-1]["error"]["type"] == kind
    assert "Traceback" in messages[-1]["error"]["trace"]
    assert "[ERROR]-Traceback" in log


def test_threads_left_behind_do_not_keep_the_process(tmp_path: Path) -> None:
    start = "    threading.Thread(target=threading.Event().wait).start()\n"
    code = f"import threading\ndef handle(e, c):\n{start}    return 1\n"
    assert run(tmp_path, code)[0][-1] == {"result": 1}


def test_the_users_python_path_comes_first(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first/helper.py").write_text("WHO = 'user'\n")
    (tmp_path / "helper.py").write_text("WHO = 'code'\n")
    messages, _ = run(tmp_path, "import helper\ndef handle(e, c):\n    return helper.WHO\n")
    assert messages[-1]["result"] == "user"
