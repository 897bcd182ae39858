"""The agent's dispatching and its questions to AWS IoT Jobs, over an in-memory channel."""

from __future__ import annotations

import errno
import json
import os
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent import inbox, loop, mqtt
from edge_sim.agent.archives import Limits
from edge_sim.agent.config import AgentConfig
from edge_sim.agent.configfile import read_config
from edge_sim.agent.lock import only_one
from edge_sim.agent.mqtt import OfflineError
from edge_sim.agent.update.installation import UpdateSettings
from edge_sim.agent.update.jobclient import JobClient, JobEndedError, RefusedError, clean
from edge_sim.agent.update.preflight import BoardIdentity
from edge_sim.agent.update.supervisor import Supervisor
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.jobs import shadow, topics
from edge_sim.jobs.requests import Update
from tests.fakes_mqtt import LoopbackChannel
from tests.waiting import until

JOBS = "$aws/things/board/jobs"
MINE = {"edgeSimUpdate": 1}
LIMIT_S = 60.0


class Script:
    """The other side: answers requests with what a test has put in, one after the other."""

    def __init__(self, *answers: tuple[str, dict[str, Any]] | None) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, topic: str, payload: bytes) -> list[tuple[str, bytes]]:
        asked = json.loads(payload)
        self.requests.append((topic.removeprefix(f"{JOBS}/"), asked))
        answer = self.answers.pop(0)
        if answer is None:
            return []
        verdict, body = answer
        body = {"clientToken": asked.get("clientToken"), "timestamp": 1, **body}
        return [(f"{topic}/{verdict}", json.dumps(body).encode())]


def client(script: Script, *, answer_limit_s: float = 0.05) -> JobClient:
    stop = threading.Event()
    stop.wait = lambda timeout=None: False  # type: ignore[method-assign]  # pauses take no time
    tokens = iter(range(1000))
    found = JobClient("board", stop=stop, new_token=lambda: f"t{next(tokens)}", answer_limit_s=answer_limit_s)
    channel = LoopbackChannel(script)
    found.attach(channel)
    for topic_filter in found.reply_filters:
        channel.subscribe(topic_filter, found.deliver)
    return found


def execution(job: str, document: dict[str, Any] | None = None, status: str = "QUEUED") -> dict[str, Any]:
    fields = {"jobId": job, "status": status, "queuedAt": 1, "lastUpdatedAt": 1, "versionNumber": 3}
    return {"execution": {**fields, "executionNumber": 1, "jobDocument": document}}


def update(jobs: JobClient, status: str = "SUCCEEDED") -> int:
    return jobs.update("j", Update(status=status, status_details={"a": "b"}, expected_version=3))


def test_nothing_pending_is_none() -> None:
    assert client(Script(("accepted", {}))).next() is None


def test_jobs_of_others_are_passed_over() -> None:
    ours = "GreengrassUpdateJob_1"
    summary = {"queuedAt": 1, "lastUpdatedAt": 1, "versionNumber": 1, "executionNumber": 1}
    script = Script(
        ("accepted", execution("someone-elses", {"operation": "reboot"})),
        ("accepted", {"inProgressJobs": [], "queuedJobs": [{"jobId": i, **summary} for i in ("someone-elses", ours)]}),
        ("accepted", execution(ours, MINE)),
    )
    found = client(script).next()
    assert found is not None
    assert found.job_id == ours
    assert [topic for topic, _ in script.requests] == ["$next/get", "get", f"{ours}/get"]


def test_an_update_returns_the_new_version() -> None:
    script = Script(("accepted", {"executionState": {"status": "IN_PROGRESS", "versionNumber": 9}}))
    assert update(client(script), "IN_PROGRESS") == 9
    assert script.requests[0][1]["expectedVersion"] == 3


@pytest.mark.parametrize("code", ["RequestThrottled", "InternalError"])
def test_later_is_tried_again_with_the_same_token(code: str) -> None:
    script = Script(("rejected", {"code": code, "message": ""}), None, ("accepted", {}))
    assert update(client(script)) == 4
    assert {asked["clientToken"] for _, asked in script.requests} == {"t0"}


def test_no_answer_at_all_is_offline() -> None:
    with pytest.raises(OfflineError, match="no usable response"):
        update(client(Script(None, None, None)))


def test_an_answer_for_another_token_is_not_ours() -> None:
    script = Script(*[("accepted", {"clientToken": "someone else's"})] * 3)
    with pytest.raises(OfflineError):
        update(client(script))


def test_a_version_that_moved_on_is_taken_over_a_few_times() -> None:
    state = {"status": "IN_PROGRESS", "versionNumber": 7}
    moved = ("rejected", {"code": "VersionMismatch", "message": "", "executionState": state})
    script = Script(moved, ("accepted", {}))
    assert update(client(script)) == 8
    assert script.requests[1][1]["expectedVersion"] == 7
    with pytest.raises(OfflineError, match="its version changed 3 times"):
        update(client(Script(moved, moved, moved)))


@pytest.mark.parametrize("code", ["VersionMismatch", "InvalidStateTransition"])
def test_an_execution_that_is_over_says_how(code: str) -> None:
    state = {"status": "CANCELED", "versionNumber": 4}
    with pytest.raises(JobEndedError) as caught:
        update(client(Script(("rejected", {"code": code, "message": "", "executionState": state}))))
    assert caught.value.status == "CANCELED"


def test_a_deleted_job_is_over() -> None:
    with pytest.raises(JobEndedError, match="deleted"):
        update(client(Script(("rejected", {"code": "ResourceNotFound", "message": ""}))))


@pytest.mark.parametrize("code", ["InvalidRequest", "InvalidJson", "InvalidTopic"])
def test_a_request_that_will_never_be_taken_is_not_repeated(code: str) -> None:
    script = Script(("rejected", {"code": code, "message": "why"}))
    with pytest.raises(RefusedError, match=f"{code}: why"):
        update(client(script))


def test_details_fit_the_limits_and_hold_no_presigned_query() -> None:
    told = clean({"reason": "http://h/f?X-Amz-Signature=s\nnext\x00", "long": "x" * 5000, "none": ""})
    assert told == {"reason": "http://h/f?[redacted]\\nnext\\x00", "long": "x" * 1024}


# ---- the loop itself


class Running:
    """An agent without a core, on a loopback channel, its main loop in a thread."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ask_every_s: int = 86_400) -> None:
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.asked: queue.Queue[str] = queue.Queue()
        self.channel = channel = LoopbackChannel()
        channel.service = self._answer
        monkeypatch.setattr(mqtt, "connect", self._connect)
        config = AgentConfig(thing="board", broker="mqtt://127.0.0.1:1", ask_every_s=ask_every_s)
        board = BoardIdentity(architecture="armv7l", operating_system="raspbian")
        self.agent = loop._Agent(
            config, tmp_path, _no_deployment, board, Supervisor(tmp_path), self._emit, UpdateSettings()
        )
        self.thread = threading.Thread(target=self.agent.run, daemon=True)
        self.thread.start()
        self.expect("core")

    def expect(self, event: str) -> dict[str, Any]:
        """Return the next such event; the others wait to be expected."""
        passed = []
        while (found := self.events.get(timeout=LIMIT_S))["event"] != event:
            passed.append(found)
        for each in passed:
            self.events.put(each)
        return found

    def stop(self) -> None:
        self.agent.inbox.put(inbox.Stopped())
        self.thread.join(LIMIT_S)
        assert not self.thread.is_alive()

    def _connect(
        self, *_: object, subscriptions: dict[str, mqtt.Handler], on_connect: Callable[[], None], **__: object
    ) -> LoopbackChannel:
        for topic, handler in subscriptions.items():
            self.channel.subscribe(topic, handler)
        on_connect()
        return self.channel

    def _emit(self, event: str, /, **fields: object) -> None:
        self.events.put({"event": event, **fields})

    def _answer(self, topic: str, payload: bytes) -> list[tuple[str, bytes]]:
        self.asked.put(topic)
        if topic == topics.deployment_get("board"):
            return [(topics.deployment_get_accepted("board"), shadow.encode_accepted(None, version=1, timestamp=1))]
        token = json.loads(payload)["clientToken"]
        return [(f"{topic}/accepted", json.dumps({"timestamp": 1, "clientToken": token}).encode())]


def _no_deployment(_: Any, __: Any, ___: Any) -> tuple[str, ...]:
    raise AssertionError("there is nothing to deploy")


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    found = Running(tmp_path, monkeypatch)
    yield found
    found.stop()


def test_both_questions_are_asked_at_the_start_and_at_every_reconnect(running: Running) -> None:
    both = {f"{JOBS}/$next/get", topics.deployment_get("board")}
    assert {running.asked.get(timeout=LIMIT_S) for _ in range(2)} == both
    running.agent.inbox.put(inbox.Disconnected(reason="cut"))
    running.agent.inbox.put(inbox.Connected())
    assert running.expect("disconnected")["reason"] == "cut"
    running.expect("connected")
    assert {running.asked.get(timeout=LIMIT_S) for _ in range(2)} == both


@pytest.mark.parametrize("notice", [topics.notify("board"), topics.notify_next("board")])
def test_every_notice_of_a_job_makes_the_agent_ask(running: Running, notice: str) -> None:
    """A job behind another's is in ``notify`` alone."""
    for _ in range(2):
        running.asked.get(timeout=LIMIT_S)
    running.channel.receive(notice, b'{"timestamp": 1, "jobs": {}}')
    assert running.asked.get(timeout=LIMIT_S) == f"{JOBS}/$next/get"


def test_a_quiet_agent_asks_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = Running(tmp_path, monkeypatch, ask_every_s=1)
    both = {f"{JOBS}/$next/get", topics.deployment_get("board")}
    for _ in range(2):
        assert {quiet.asked.get(timeout=LIMIT_S) for _ in range(2)} == both
    quiet.stop()


def test_a_fleet_that_was_switched_on_together_does_not_ask_together(running: Running) -> None:
    waits = [running.agent._idle_s() for _ in range(100)]
    assert len(set(waits)) > 50
    assert all(0.75 * 86_400 <= wait <= 1.25 * 86_400 for wait in waits)


def test_a_question_that_was_not_answered_is_asked_again_soon_though_another_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cloud that was away for a minute heard of an update's end only at the next idle question, minutes later."""
    monkeypatch.setattr(loop, "RETRY_MOST_S", 0.1)
    jobs = f"{JOBS}/$next/get"
    asking = Running(tmp_path, monkeypatch)
    answer = asking.channel.service
    for _ in range(2):
        asking.asked.get(timeout=LIMIT_S)
    offline = OfflineError("the cloud is away")

    def silent(topic: str, payload: bytes) -> list[tuple[str, bytes]]:
        answers = answer(topic, payload)
        if topic == jobs:
            raise offline
        return answers

    asking.channel.service = silent
    asking.channel.receive(topics.notify("board"), b'{"timestamp": 1, "jobs": {}}')
    while asking.asked.get(timeout=LIMIT_S) != topics.deployment_get("board"):  # which is answered
        pass
    asking.channel.service = answer
    until(lambda: asking.asked.get(timeout=LIMIT_S) == jobs)
    asking.stop()


def test_messages_that_cannot_be_read_do_no_harm(running: Running) -> None:
    for topic in (
        topics.deployment_delta("board"),
        topics.deployment_get_accepted("board"),
        f"{JOBS}/x/update/accepted",
    ):
        for payload in (b"", b"{", b"[]", b'{"state": 1}', b"\xff", b'{"state": {"deployment": {}}}'):
            running.channel.receive(topic, payload)
    running.agent.inbox.put(inbox.Disconnected(reason="cut"))
    running.agent.inbox.put(inbox.Connected())
    running.expect("disconnected")
    running.expect("connected")


def test_many_notifications_ask_only_once_while_they_wait() -> None:
    work = inbox.Work()
    for _ in range(100):
        work.ask("jobs")
        work.ask("deployment")
    assert [work.tasks.get_nowait() for _ in range(work.tasks.qsize())] == ["jobs", "deployment"]


def test_a_second_agent_is_refused_and_the_lock_ends_with_the_first(tmp_path: Path) -> None:
    with (
        only_one(tmp_path),
        pytest.raises(UnsupportedEnvironmentError, match="another agent is running on this board"),
        only_one(tmp_path),
    ):
        pass
    with only_one(tmp_path):
        pass


def test_a_disk_that_cannot_be_written_is_no_reason_not_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The lock is held on what can be opened, and a second agent is refused there too."""
    real = os.open

    def read_only(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, "Read-only file system")
        return real(path, flags, *more, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", read_only)
        with (
            only_one(tmp_path),
            pytest.raises(UnsupportedEnvironmentError, match="another agent is running on this board"),
            only_one(tmp_path),
        ):
            pass

    def nothing(*_: Any, **__: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", nothing)
        with only_one(tmp_path):
            pass
    assert "agent.lock: cannot be locked: Input/output error" in capfd.readouterr().err


def test_a_journal_that_cannot_be_read_stops_neither_the_core_nor_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "greengrass/ggc/var/state/update-journal.json").mkdir(parents=True)  # EISDIR for EIO
    agent = Running(tmp_path, monkeypatch)
    assert "the update journal cannot be read" in agent.expect("error")["error"]
    assert agent.asked.get(timeout=LIMIT_S) == topics.deployment_get("board")
    agent.stop()


# ---- its configuration


def test_a_configuration_is_read(tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    path.write_text('{"thing": "board", "broker": "mqtt://h:1", "keepAlive": 30, "architecture": "armv6l"}')
    config = read_config(path)
    assert config == AgentConfig(thing="board", broker="mqtt://h:1", keep_alive_s=30, architecture="armv6l")
    assert (config.ask_every_s, config.stable_window_s) == (300, 60)


def test_limits_of_packages_are_settings(tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    path.write_text('{"thing": "b", "broker": "x", "packages": {"links": "copy", "file_bytes": 1000, "depth": 3}}')
    assert read_config(path).packages == Limits(links="copy", file_bytes=1000, depth=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"thing": "b", "broker": "x", "brokr": 1}', "unknown key 'brokr'"),
        ('{"broker": "x"}', "thing is missing"),
        ('{"thing": "a b", "broker": "x"}', "thing is 'a b'"),
        ('{"thing": "b"}', "broker is missing"),
        (
            '{"thing": "b", "broker": "x", "greengrassRoot": "gg"}',
            "greengrassRoot is 'gg', not an absolute path below /",
        ),
        ('{"thing": "b", "broker": "x", "greengrassRoot": "/"}', "greengrassRoot is '/', not an absolute path below /"),
        ('{"thing": "b", "broker": "x", "greengrassRoot": "/a/../../b"}', "greengrassRoot is '/a/../../b', not"),
        ('{"thing": "b", "broker": 1}', "broker is 1, not plain text"),
        ('{"thing": "b", "broker": "x", "keepAlive": 0}', "keepAlive is 0"),
        ('{"thing": "b", "broker": "x", "stableWindow": 0}', "stableWindow is 0, not a number of seconds from 1"),
        ('{"thing": "b", "broker": "x", "connectLimit": 9}', "connectLimit is 9, not a number of seconds from 10"),
        ('{"thing": "b", "broker": "x", "askEvery": true}', "askEvery is True, not a number of seconds from 1"),
        ('{"thing": "b", "broker": "x", "allowLoopback": 1}', "allowLoopback is 1, not true or false"),
        ('{"thing": "b", "broker": "x", "architecture": "arm"}', "not one of armv6l"),
        ('{"thing": "b", "broker": "x", "packages": []}', "not an object of limits"),
        ('{"thing": "b", "broker": "x", "packages": {"links": "keep"}}', "packages.links is 'keep'"),
        ('{"thing": "b", "broker": "x", "packages": {"bytes": 1}}', "no limit is named 'bytes'"),
        (
            '{"thing": "b", "broker": "x", "packages": {"entries": true}}',
            "limit entries: expected a whole number, not 'True'",
        ),
    ],
)
def test_a_wrong_configuration_names_the_file_and_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "agent.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_config(path)
    assert str(path) in caught.value.brief


def test_a_pipe_that_nobody_writes_to_is_no_configuration(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "agent.json")
    with pytest.raises(UsageError, match=r"agent\.json: cannot be read: not a file"):
        read_config(tmp_path / "agent.json")


def test_a_missing_configuration_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_config(tmp_path / "none.json")
