"""``edge-sim ota``: a build, a job of it on a cloud and on another endpoint, every core's way through it, a board."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from edge_sim.agent import supervise
from edge_sim.agent.archives import Limits, unpack
from edge_sim.agent.lock import only_one
from edge_sim.agent.update.journal import Journal, Record, Report
from edge_sim.agent.version import VERSION
from edge_sim.cli import running_cloud
from edge_sim.cli.ota import command
from edge_sim.cloud.server import REGION, Cloud
from edge_sim.emulation import catalogue
from edge_sim.errors import EdgeSimError, InvalidDefinitionError, InvalidPackageError, UsageError
from edge_sim.greengrass.plan import Modes
from edge_sim.jobs.requests import Update
from edge_sim.jobs.topics import Request
from edge_sim.jobs.update import Phase, parse_document
from edge_sim.runs import updatejobs
from tests.factory import install_core
from tests.integration.cloud_client import client

THINGS = ("core-1", "core-2")
WHERE = ("--for", "raspbian/armv7l")
NAMED = tuple(text for thing in THINGS for text in ("--thing", thing))


def ota(*words: str) -> Result:
    return CliRunner().invoke(command, words)


def refused(*words: str) -> EdgeSimError:
    error = ota(*words).exception
    assert isinstance(error, EdgeSimError), error
    return error


def core_folder(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    for name in ("greengrassd", "bin/daemon"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    (folder / "notes.txt").write_text("mine")
    return folder


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud(catalogue=catalogue.newest) as running:
        for thing in THINGS:
            client(running, "iot").create_thing(thingName=thing)
        yield running


@pytest.fixture
def running(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    note = {"http": cloud.http_url, "region": REGION, "cafile": None, "exports": cloud.exports()}
    monkeypatch.setattr(running_cloud, "note", lambda: note)
    for name, value in cloud.exports().items():  # what a user of another endpoint has
        if not name.startswith("AWS_ENDPOINT"):
            monkeypatch.setenv(name, value)
    return cloud


def report(cloud: Cloud, thing: str, job: str, status: str, **details: str) -> None:
    request = Request(thing=thing, call="update", job_id=job)
    cloud.parts.jobs.device.call(request, Update(status=status, status_details=details))


def test_a_folder_becomes_the_same_build_each_time(tmp_path: Path) -> None:
    folder = core_folder(tmp_path / "1.12.0")
    output = tmp_path / "core.tar.gz"
    about = json.loads(ota("build", str(folder), "-o", str(output), "--format", "json").output)
    content = output.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert about == {"file": str(output), "version": "1.12.0", "size": len(content), "sha256": digest}
    assert updatejobs.read_build(output) == updatejobs.BuildFile(version="1.12.0", size=len(content), sha256=digest)
    (tmp_path / "tree").mkdir()
    modes = Modes(uid=-1, gid=-1, file=0o644, executable=0o755, directory=0o755)
    unpack(output, tmp_path / "tree", file_name="build.tar.gz", limits=Limits(), modes=modes)
    assert (tmp_path / "tree/packages/1.12.0/greengrassd").stat().st_mode & 0o777 == 0o755
    (folder / "notes.txt").touch()
    assert ota("build", str(folder), "-o", str(output)).exit_code == 0
    assert output.read_bytes() == content


def test_a_build_of_the_ota_agent_is_one_of_a_folder_or_the_agent_itself(tmp_path: Path) -> None:
    folder = tmp_path / "ota_agent_v1.4.0"
    folder.mkdir()
    agent = ("build", "--software", "ota_agent")
    assert "ggc-ota: not an executable file" in refused(*agent, str(folder)).brief
    (folder / "ggc-ota").write_text("#!/bin/sh\n")
    (folder / "ggc-ota").chmod(0o755)
    output = tmp_path / "agent.tar.gz"
    for words in ((str(folder),), ("--simulated", "good", "--version", "1.4.0")):
        assert ota(*agent, *words, "-o", str(output)).output.startswith(f"{output}: ota_agent 1.4.0, ")
        assert updatejobs.read_build(output, "ota_agent").version == "1.4.0"
        with tarfile.open(output) as archive:
            assert archive.getmember("ota/ota_agent_v1.4.0/ggc-ota").mode == 0o755
    with pytest.raises(InvalidPackageError, match="holds nothing in packages/"):
        updatejobs.read_build(output)


def test_what_is_no_build_is_refused(tmp_path: Path) -> None:
    folder = core_folder(tmp_path / "1.12.0")
    assert isinstance(refused("build"), UsageError)
    assert isinstance(refused("build", "--simulated", "good"), UsageError)
    assert "'new' is not a version" in refused("build", str(folder), "--version", "new").brief
    (folder / "bin/daemon").chmod(0o644)
    assert isinstance(refused("build", str(folder)), InvalidDefinitionError)
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(InvalidPackageError, match=r"not a tar\.gz archive"):
        updatejobs.read_build(tmp_path / "junk")
    with tarfile.open(tmp_path / "two.tar.gz", "w:gz") as archive:
        for name in ("1.1.1", "2.2.2"):
            archive.addfile(tarfile.TarInfo(f"packages/{name}/x"))
    with pytest.raises(InvalidPackageError, match=r"holds 1\.1\.1, 2\.2\.2 in packages"):
        updatejobs.read_build(tmp_path / "two.tar.gz")


@pytest.mark.network
@pytest.mark.process
def test_a_job_is_created_and_every_core_is_watched(running: Cloud, tmp_path: Path) -> None:
    made = json.loads(ota("create", *NAMED, *WHERE, "--format", "json").output)
    assert made["version"] == "1.11.6"
    job = made["job"]
    steps: list[tuple[str, str, dict[str, str]]] = [
        ("core-1", "IN_PROGRESS", {"phase": "STAGE", "progress": "50%"}),
        ("core-2", "SUCCEEDED", {}),
        ("core-1", "FAILED", {"phase": "VERIFY", "reason": "no"}),
    ]
    seen: list[updatejobs.JobProgress] = []

    def wait(_: float) -> None:
        thing, status, details = steps.pop(0)
        report(running, thing, job, status, **details)

    endpoint = updatejobs.local(running_cloud.note())
    ended = updatejobs.watch(endpoint, job, seen.append, wait=wait)
    assert [(e.thing, e.status) for e in ended] == [("core-1", "FAILED"), ("core-2", "SUCCEEDED")]
    assert [(e.thing, e.status) for e in seen[2:]] == [
        ("core-1", "IN_PROGRESS"),
        ("core-2", "SUCCEEDED"),
        ("core-1", "FAILED"),
    ]
    shown = ota("watch", job)
    assert shown.exit_code == 5
    assert "core-1  FAILED  VERIFY  no" in shown.output
    assert shown.output.endswith("1 of 2 cores updated\n")
    lines = [json.loads(line) for line in ota("watch", job, "--format", "json").output.splitlines()]
    assert {line["thing"]: line["status"] for line in lines} == {"core-1": "FAILED", "core-2": "SUCCEEDED"}

    build = tmp_path / "broken.tar.gz"
    assert ota("build", "--simulated", "broken", "--version", "1.11.7", *WHERE, "-o", str(build)).exit_code == 0
    made = json.loads(ota("create", *NAMED, *WHERE, "--build", str(build), "--format", "json").output)
    assert made["version"] == "1.11.7"
    assert refused("watch", "none").brief == "list_job_executions_for_job was refused: Job none does not exist."
    unknown = refused("create", "--thing", "core-9", *WHERE)
    assert unknown.brief == "describe_thing was refused: Thing core-9 not found."
    assert "aws iot create-thing" in str(unknown.hint)


@pytest.mark.network
@pytest.mark.process
def test_a_group_is_named_and_gets_any_release_of_aws(running: Cloud) -> None:
    iot = client(running, "iot")
    iot.create_thing_group(thingGroupName="fleet")
    iot.add_thing_to_thing_group(thingGroupName="fleet", thingName="core-2")
    words = ("create", "--group", "fleet", *WHERE, "--format", "json")
    made = json.loads(ota(*words, "--version", "1.10.4").output)
    assert made["version"] == "1.10.4"
    assert made["targets"] == [iot.describe_thing_group(thingGroupName="fleet")["thingGroupArn"]]
    executions = iot.list_job_executions_for_job(jobId=made["job"])["executionSummaries"]
    assert [row["thingArn"].rpartition("/")[2] for row in executions] == ["core-2"]
    agent = json.loads(ota(*words, "--software", "ota_agent", "--version", "1.1.1").output)
    assert agent["version"] == "1.1.1"
    assert "AWS released no core 1.11.2 for raspbian/armv7l" in refused(*words, "--version", "1.11.2").brief
    assert "Thing group none not found" in refused("create", "--group", "none", *WHERE).brief
    away = ("--endpoint-url", running.http_url)
    assert "that the local cloud simulates" in refused(*words, *away, "--version", "1.10.4").brief


@pytest.mark.network
@pytest.mark.process
def test_a_plain_job_of_any_endpoint_is_one_that_a_board_takes(running: Cloud, tmp_path: Path) -> None:
    build = tmp_path / "core.tar.gz"
    assert ota("build", "--simulated", "good", "--version", "1.11.8", "-o", str(build)).exit_code == 0
    where = ("--thing", "core-1", *WHERE, "--endpoint-url", running.http_url, "--format", "json")
    made = ota("create", *where, "--build", str(build), "--url", "https://builds.example/core.tar.gz")
    about = json.loads(made.output)
    iot = client(running, "iot")
    document = parse_document(json.loads(iot.get_job_document(jobId=about["job"])["document"]))
    assert (document.version, document.url) == ("1.11.8", "https://builds.example/core.tar.gz")
    assert document.sha256 == hashlib.sha256(build.read_bytes()).hexdigest()
    role = ("--role", "arn:aws:iam::123456789012:role/signer")
    about = json.loads(ota("create", *where, "--build", str(build), "--url", "s3://b/core.tar.gz", *role).output)
    text = iot.get_job_document(jobId=about["job"])["document"]
    assert "${aws:iot:s3-presigned-url:https://s3.amazonaws.com/b/core.tar.gz}" in text
    for words in (("--build", str(build)), ("--build", str(build), "--url", "s3://b/k"), ("--url", "ftp://x")):
        assert isinstance(refused("create", *where, *words), UsageError)
    assert "V1 had no core software" in refused("create", "--thing", "x", "--for", "raspbian/x86_64").brief


def test_real_aws_is_not_touched_without_a_yes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    calls: list[str] = []
    monkeypatch.setattr(updatejobs, "call", lambda _, operation, *__: calls.append(operation))
    monkeypatch.setenv("AWS_ENDPOINT_URL_IOT", "")
    build = tmp_path / "core.tar.gz"
    assert ota("build", "--simulated", "good", "--version", "1.11.8", "-o", str(build)).exit_code == 0
    where = ("--build", str(build), "--url", "https://builds.example/core.tar.gz")
    words = ("create", "--aws", "--thing", "core-1", *WHERE, *where)
    assert "creates a job on AWS IoT in eu-west-1, and there is no terminal to confirm it" in refused(*words).brief
    assert calls == []


def test_what_is_wrong_here_is_said_before_anybody_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    create = ("create", "--thing", "core-1", *WHERE)
    assert refused("watch", "job", "--aws").hint == "Set AWS_DEFAULT_REGION."
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for url in ("banana", "ftp://host"):
        assert refused("watch", "job", "--endpoint-url", url).brief.endswith("neither an http:// nor an https:// URL")
    without = refused("watch", "job", "--aws")
    assert without.brief == "list_job_executions_for_job was not sent: Unable to locate credentials"
    assert "AWS_ACCESS_KEY_ID" in str(without.hint)
    assert "needs --build FILE" in refused(*create, "--aws").brief, "nobody is asked whether to create it"
    (tmp_path / "junk").write_bytes(b"junk")
    junk = ("--build", str(tmp_path / "junk"), "--url", "https://host/core.tar.gz")
    assert "not a tar.gz archive" in refused(*create, "--endpoint-url", "http://127.0.0.1:1", *junk).brief


def test_a_root_without_greengrass_is_refused(tmp_path: Path) -> None:
    assert "it has no directory /greengrass" in refused("status", "--root", str(tmp_path)).brief


def test_a_board_is_shown_with_its_ota_agent(tmp_path: Path) -> None:
    install_core(tmp_path, "/greengrass", "1.10.0")
    gg, shown = tmp_path / "greengrass", ("status", "--root", str(tmp_path))
    assert "agent     the one that came with the board, not running\n" in ota(*shown).output
    with only_one(gg):
        running = json.loads(ota(*shown, "--format", "json").output)["ota_agent"]["running"]
        assert running == {"version": VERSION, "pid": os.getpid()}
        text = f"agent     the one that came with the board, running {VERSION} as process {os.getpid()}\n"
        assert text in ota(*shown).output
        (gg / "ggc/var/state/agent.lock").write_text("1.2.0 4194305\n")  # of an earlier agent: a full disk kept it
        assert "agent     the one that came with the board, running\n" in ota(*shown).output
    (gg / "ota/ota_agent_v1.3.0").mkdir(parents=True)
    (gg / "ota/ota_agent").symlink_to("ota_agent_v1.3.0")
    assert "agent     1.3.0, not running; installed 1.3.0\n" in ota(*shown).output
    trial = supervise.new_trial("1.2.0", "1.3.0")
    supervise.write_trial(str(gg), {**trial, "starts": 2})
    assert "; 1.3.0 has not proven itself yet (start 2)\n" in ota(*shown).output
    supervise.write_trial(str(gg), {**trial, "failed": "the OTA agent 1.3.0 ended with status 1"})
    assert "; the OTA agent 1.3.0 ended with status 1, which the cloud does not know yet\n" in ota(*shown).output


def test_a_board_is_shown_with_its_open_update(tmp_path: Path) -> None:
    install_core(tmp_path, "/greengrass", "1.10.0")
    empty: dict[str, Any] = json.loads(ota("status", "--root", str(tmp_path), "--format", "json").output)
    assert (empty["current"], empty["running"], empty["agent"], empty["update"]) == ("1.10.0", None, False, None)
    assert empty["ota_agent"] == {"current": None, "installed": [], "last_good": None, "trial": None, "running": None}
    record = Record(
        job="j", execution=1, version_number=2, phase=Phase.CONFIRM, old="1.10.0", new="1.11.6",
        report=Report(status="FAILED", details={}), reason="it died",
    )  # fmt: skip
    Journal(tmp_path / "greengrass/ggc/var/state").write(record)
    before = sorted(tmp_path.rglob("*"))
    text = ota("status", "--root", str(tmp_path)).output
    assert "core      1.10.0, not running" in text
    assert "j: 1.10.0 → 1.11.6, CONFIRM, ended FAILED, which the cloud does not know yet (it died)" in text
    assert sorted(tmp_path.rglob("*")) == before
    assert isinstance(command, click.Group)
