"""What the cloud is told about a deployment, whatever became of it."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent.archives.errors import ArchiveError
from edge_sim.agent.deployment.deployments import Deploy, Deployments
from edge_sim.agent.events import LogFile, Progress
from edge_sim.agent.http import HttpClient
from edge_sim.agent.http_error import HttpError, UnreachableError
from edge_sim.agent.patience import MESSAGE, Patience
from edge_sim.errors import InvalidDefinitionError

MESSAGE_BODY = {"DeploymentId": "d", "DocumentUrl": "http://h/document", "StatusUrl": "http://h/status"}


class Web(HttpClient):
    """Answers every request with ``answer`` and keeps the statuses."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self.answer = answer
        self.missing = 0
        self.statuses: list[dict[str, Any]] = []

    def message(
        self, method: str, url: str, body: bytes | None = None, *, most: int, patience: Patience = MESSAGE
    ) -> bytes:
        if self.missing:
            self.missing -= 1
            raise UnreachableError("http://h: the connection was lost (Connection refused)", retryable=True)
        if method == "PUT":
            self.statuses.append(json.loads(body or b""))
        return self.answer


class Told(Deployments):
    """Deployments whose two URLs are answered here."""

    def __init__(
        self, tmp_path: Path, deploy: Deploy, answer: bytes = b"{}", now: Callable[[], float] = time.monotonic
    ) -> None:
        self.events: list[dict[str, Any]] = []
        self.stop = threading.Event()
        self.web = web = Web(answer)
        self.statuses = web.statuses
        emit = lambda *_, **fields: self.events.append(fields)  # noqa: E731
        super().__init__(deploy, web, emit=emit, log=LogFile(tmp_path / "log"), stop=self.stop, now=now)


def raising(error: Exception) -> Deploy:
    def deploy(_: Mapping[str, Any], __: HttpClient, ___: Progress) -> Sequence[str]:
        raise error

    return deploy


@pytest.mark.parametrize(
    ("deploy", "answer", "error"),
    [
        (lambda *_: (), b"{}", None),
        (raising(InvalidDefinitionError("refused")), b"{}", "refused"),
        (raising(PermissionError(13, "Permission denied", "/x")), b"{}", "cannot be put in place: .*Permission denied"),
        (lambda *_: (), b"{", "the deployment document cannot be read: not JSON"),
        (lambda *_: (), b"[]", "the deployment document cannot be read: not a JSON object"),
    ],
)
def test_every_end_is_reported(tmp_path: Path, deploy: Deploy, answer: bytes, error: str | None) -> None:
    told = Told(tmp_path, deploy, answer)
    told.carry_out(MESSAGE_BODY)
    told.carry_out(MESSAGE_BODY)
    assert len(told.statuses) == 2, "the same deployment is carried out once and reported as often as it is asked for"
    assert told.statuses[0]["DeploymentStatus"] == ("Failure" if error else "Success")
    assert re.search(error or "^$", told.statuses[0].get("ErrorMessage", ""))


def test_a_server_that_is_not_there_is_asked_again_and_the_deployment_begins_once(tmp_path: Path) -> None:
    """With the cloud's server down the deployment had failed for good."""
    told = Told(tmp_path, lambda *_: ())
    told.web.missing = 2
    for _ in range(2):
        with pytest.raises(UnreachableError):
            told.carry_out(MESSAGE_BODY)
    told.carry_out(MESSAGE_BODY)
    assert [event["status"] for event in told.events] == ["InProgress", "Success"]
    assert [status["DeploymentStatus"] for status in told.statuses] == ["Success"]


def test_the_hint_and_what_could_not_be_proven_go_along(tmp_path: Path) -> None:
    failed = Told(tmp_path, raising(InvalidDefinitionError("no group x", hint="addgroup x")))
    failed.carry_out(MESSAGE_BODY)
    assert failed.statuses == [{"DeploymentStatus": "Failure", "ErrorMessage": "no group x", "Hint": "addgroup x"}]
    assert failed.events[-1] == {"id": "d", "status": "Failure", "error": "no group x", "hint": "addgroup x"}
    package = Told(tmp_path, raising(ArchiveError("LINK", "it holds a link", hint=None)))
    package.carry_out(MESSAGE_BODY)
    told = {"DeploymentStatus": "Failure", "ErrorMessage": "it holds a link", "Cause": "package"}
    assert package.statuses == [told], "the definition is not at fault"
    full = Told(tmp_path, raising(HttpError("/x: cannot be written: No space left on device", machine=True)))
    full.carry_out(MESSAGE_BODY)
    own = Told(tmp_path, raising(OSError(28, "No space left on device", "/x")))
    own.carry_out(MESSAGE_BODY)
    assert [full.events[-1]["cause"], own.statuses[-1]["Cause"]] == ["environment"] * 2
    stands = Told(tmp_path, lambda *_: ("owner of /x",))
    stands.carry_out(MESSAGE_BODY)
    assert stands.statuses == [{"DeploymentStatus": "Success", "NotProven": ["owner of /x"]}]
    assert stands.events[-1] == {"id": "d", "status": "Success", "not_proven": ["owner of /x"]}


def test_a_deployment_that_the_agent_s_end_cuts_off_is_not_called_failed(tmp_path: Path) -> None:
    def cut_off(_: Mapping[str, Any], __: HttpClient, ___: Progress) -> Sequence[str]:
        cut.stop.set()
        raise InvalidDefinitionError("the connection was lost")

    cut = Told(tmp_path, cut_off)
    cut.carry_out(MESSAGE_BODY)
    assert cut.statuses == []
    assert [event["status"] for event in cut.events] == ["InProgress"]


def test_a_slow_deployment_says_now_and_then_what_it_is_doing(tmp_path: Path) -> None:
    """Whoever waits for it goes by that, not by the time it takes."""
    seconds = [0.0]

    def deploy(_: Mapping[str, Any], __: HttpClient, progress: Progress) -> Sequence[str]:
        for second, step in enumerate(["look", *["unpack"] * 25, *["sync"] * 5, "start"]):
            seconds[0] = float(second)
            progress(step)
        return ()

    slow = Told(tmp_path, deploy, now=lambda: seconds[0])
    slow.carry_out(MESSAGE_BODY)
    assert [event.get("step") for event in slow.events] == [None, "unpack", "sync", None]
    assert {event["status"] for event in slow.events[:-1]} == {"InProgress"}


def test_a_bug_is_not_called_a_bad_document(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a bug"):
        Told(tmp_path, raising(ValueError("a bug"))).carry_out(MESSAGE_BODY)
