"""What the cloud is told about a deployment, whatever became of it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent.deployments import Deploy, Deployments
from edge_sim.agent.events import Log
from edge_sim.errors import InvalidDefinitionError

MESSAGE = {"DeploymentId": "d", "DocumentUrl": "http://h/document", "StatusUrl": "http://h/status"}


class Told(Deployments):
    """Deployments whose two URLs are answered here."""

    def __init__(self, tmp_path: Path, deploy: Deploy, answer: bytes = b"{}") -> None:
        super().__init__(deploy, emit=lambda *_, **__: None, log=Log(tmp_path / "log"), stop=threading.Event())
        self.answer = answer
        self.statuses: list[dict[str, Any]] = []

    def _call(self, method: str, url: str, body: bytes | None) -> bytes:
        if method == "PUT":
            self.statuses.append(json.loads(body or b""))
        return self.answer


def raising(error: Exception) -> Deploy:
    def deploy(_: Mapping[str, Any]) -> tuple[bool, str | None]:
        raise error

    return deploy


@pytest.mark.parametrize(
    ("deploy", "answer", "error"),
    [
        (lambda _: (True, None), b"{}", None),
        (lambda _: (False, "no such group"), b"{}", "no such group"),
        (raising(InvalidDefinitionError("refused")), b"{}", "refused"),
        (raising(PermissionError(13, "Permission denied", "/x")), b"{}", "cannot be laid out: .*Permission denied"),
        (lambda _: (True, None), b"{", "the deployment document is not JSON"),
        (lambda _: (True, None), b"[]", "the deployment document is not a JSON object"),
    ],
)
def test_every_end_is_reported(tmp_path: Path, deploy: Deploy, answer: bytes, error: str | None) -> None:
    told = Told(tmp_path, deploy, answer)
    told.carry_out(MESSAGE)
    told.carry_out(MESSAGE)
    assert len(told.statuses) == 2, "the same deployment is carried out once and reported as often as it is asked for"
    assert told.statuses[0]["DeploymentStatus"] == ("Failure" if error else "Success")
    assert re.search(error or "^$", told.statuses[0].get("ErrorMessage", ""))


def test_a_bug_is_not_called_a_bad_document(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a bug"):
        Told(tmp_path, raising(ValueError("a bug"))).carry_out(MESSAGE)
