"""What the cloud is told about a deployment, whatever became of it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent.archives.errors import ArchiveError
from edge_sim.agent.deployment.deployments import Deploy, Deployments
from edge_sim.agent.events import Log
from edge_sim.errors import InvalidDefinitionError

MESSAGE = {"DeploymentId": "d", "DocumentUrl": "http://h/document", "StatusUrl": "http://h/status"}


class Told(Deployments):
    """Deployments whose two URLs are answered here."""

    def __init__(self, tmp_path: Path, deploy: Deploy, answer: bytes = b"{}") -> None:
        self.events: list[dict[str, Any]] = []
        emit = lambda *_, **fields: self.events.append(fields)  # noqa: E731
        super().__init__(deploy, emit=emit, log=Log(tmp_path / "log"), stop=threading.Event())
        self.answer = answer
        self.statuses: list[dict[str, Any]] = []

    def _call(self, method: str, url: str, body: bytes | None) -> bytes:
        if method == "PUT":
            self.statuses.append(json.loads(body or b""))
        return self.answer


def raising(error: Exception) -> Deploy:
    def deploy(_: Mapping[str, Any]) -> Sequence[str]:
        raise error

    return deploy


@pytest.mark.parametrize(
    ("deploy", "answer", "error"),
    [
        (lambda _: (), b"{}", None),
        (raising(InvalidDefinitionError("refused")), b"{}", "refused"),
        (raising(PermissionError(13, "Permission denied", "/x")), b"{}", "cannot be laid out: .*Permission denied"),
        (lambda _: (), b"{", "the deployment document is not JSON"),
        (lambda _: (), b"[]", "the deployment document is not a JSON object"),
    ],
)
def test_every_end_is_reported(tmp_path: Path, deploy: Deploy, answer: bytes, error: str | None) -> None:
    told = Told(tmp_path, deploy, answer)
    told.carry_out(MESSAGE)
    told.carry_out(MESSAGE)
    assert len(told.statuses) == 2, "the same deployment is carried out once and reported as often as it is asked for"
    assert told.statuses[0]["DeploymentStatus"] == ("Failure" if error else "Success")
    assert re.search(error or "^$", told.statuses[0].get("ErrorMessage", ""))


def test_the_hint_and_what_could_not_be_proven_go_along(tmp_path: Path) -> None:
    failed = Told(tmp_path, raising(InvalidDefinitionError("no group x", hint="addgroup x")))
    failed.carry_out(MESSAGE)
    assert failed.statuses == [{"DeploymentStatus": "Failure", "ErrorMessage": "no group x", "Hint": "addgroup x"}]
    assert failed.events[-1] == {"id": "d", "status": "Failure", "error": "no group x", "hint": "addgroup x"}
    package = Told(tmp_path, raising(ArchiveError("LINK", "it holds a link", hint=None)))
    package.carry_out(MESSAGE)
    told = {"DeploymentStatus": "Failure", "ErrorMessage": "it holds a link", "Cause": "package"}
    assert package.statuses == [told], "the definition is not at fault"
    stands = Told(tmp_path, lambda _: ("owner of /x",))
    stands.carry_out(MESSAGE)
    assert stands.statuses == [{"DeploymentStatus": "Success", "NotProven": ["owner of /x"]}]
    assert stands.events[-1] == {"id": "d", "status": "Success", "not_proven": ["owner of /x"]}


def test_a_bug_is_not_called_a_bad_document(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a bug"):
        Told(tmp_path, raising(ValueError("a bug"))).carry_out(MESSAGE)
