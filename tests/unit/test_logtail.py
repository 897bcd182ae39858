"""What a core wrote before it died, and what an update wrote last."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from edge_sim.agent.events import RECENT_LINES, LogFile
from edge_sim.agent.update.logtail import LogTail


def test_only_what_was_added_is_told_and_only_its_end(tmp_path: Path) -> None:
    crash, runtime, none = tmp_path / "crash.log", tmp_path / "runtime.log", tmp_path / "none.log"
    crash.write_text("an older crash\n")
    tail = LogTail([crash, runtime, none])
    assert tail.last_words() == ""
    with crash.open("a") as file:
        file.write("x" * 10_000 + "\n one\n\ntwo \nthree")
    runtime.write_bytes(b"\xffnew\n")
    assert tail.last_words() == "one | two | three | \ufffdnew"
    crash.write_text("new\n")  # set aside meanwhile
    assert tail.last_words() == "new | \ufffdnew"


def test_the_last_lines_of_a_log_fit_into_a_detail_and_hold_no_key(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log", now=lambda: datetime(2026, 11, 29, 9, 8, 7, tzinfo=timezone.utc))
    log.write("DEBUG", "not wanted")
    log.write("INFO", "Fetching.", job="j", url="http://h/f?X-Amz-Signature=s", reason=None)
    assert log.recent(1024) == "09:08:07 INFO Fetching. url=http://h/f?[redacted]"
    for number in range(RECENT_LINES):
        log.write("ERROR", f"line {number}")
    assert log.recent(30) == "…e 18 | 09:08:07 ERROR line 19"
    log.forget()
    assert log.recent(30) == ""
