"""Event lines and log files: their format, and what never reaches them."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge_sim.agent.events import LogFile, emit
from edge_sim.redaction import redact

NOON = datetime(2020, 8, 3, 23, 7, 31, 85_900, tzinfo=timezone.utc)


def test_an_event_is_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    emit("update", job="j", detail="a\nb")
    assert capsys.readouterr().out == '{"event": "update", "job": "j", "detail": "a\\nb"}\n'


def test_presigned_queries_are_redacted_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "https://h:1/a/b.tar.gz?X-Amz-Signature=secret&X=1"
    emit("error", error=f'GET "{url}"\n{url}')
    log = LogFile(tmp_path / "log")
    log.write("ERROR", f"failed: {url}", url=url)
    told = capsys.readouterr().out + (tmp_path / "log").read_text()
    assert "secret" not in told
    assert json.loads(told.splitlines()[0])["error"] == 'GET "{0}"\n{0}'.format("https://h:1/a/b.tar.gz?[redacted]")
    assert redact("what? http://h/x") == "what? http://h/x"


def test_a_log_line_has_v1s_format(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "deep/runtime.log", now=lambda: NOON)
    log.write("INFO", "message.", json="context")
    log.write("INFO", "two\nlines")
    assert (tmp_path / "deep/runtime.log").read_text() == (
        '[2020-08-03T23:07:31.085Z][INFO]-message.\t{"json": "context"}\n[2020-08-03T23:07:31.085Z][INFO]-two lines\n'
    )
    assert (tmp_path / "deep/runtime.log").stat().st_mode & 0o777 == 0o600


def test_a_full_log_is_set_aside(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log", space=100)
    for number in range(20):
        log.write("INFO", f"line {number}")
    assert (tmp_path / "log").stat().st_size < 200
    assert "line 19" in (tmp_path / "log").read_text()
    assert len(list(tmp_path.iterdir())) == 2


def test_the_jobs_log_level_decides_what_is_written(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log")
    log.threshold = "ERROR"
    log.write("WARN", "quiet")
    log.write("ERROR", "loud")
    log.threshold = "NONE"
    log.write("FATAL", "quiet")
    assert [line.rsplit("-", 1)[1] for line in (tmp_path / "log").read_text().splitlines()] == ["loud"]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    LogFile(tmp_path / "file/log").write("INFO", "x")
