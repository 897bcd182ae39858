"""The journal: what is written is read back, and damage falls back to the copy before."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from edge_sim.agent.update.journal import NAME, PREVIOUS, Journal, Record, Report
from edge_sim.errors import UpdateError
from edge_sim.jobs.update import Phase

FIRST = Record(job="j", execution=1, version_number=2, phase=Phase.STAGE, old="1.10.0", new="1.11.6")
REPORT = Report(status="FAILED", details={"reason": "ä"})
SECOND = replace(FIRST, phase=Phase.ACTIVATE, reason="x", report=REPORT, token="t")


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    Journal(tmp_path / "state").write(SECOND)
    assert Journal(tmp_path / "state").read() == SECOND


def test_a_record_of_an_agent_that_knew_only_the_core_is_read_as_the_core(tmp_path: Path) -> None:
    fields = asdict(SECOND) | {"phase": "ACTIVATE", "activated": True}
    del fields["software"]
    text = json.dumps(fields, sort_keys=True)
    checksum = hashlib.sha256(text.encode()).hexdigest()
    (tmp_path / NAME).write_text(f'{{"format": 1, "checksum": "{checksum}", "record": {text}}}')
    assert Journal(tmp_path).read() == SECOND
    assert SECOND.software == "core"


def test_no_journal_is_no_record(tmp_path: Path) -> None:
    assert Journal(tmp_path).read() is None


def test_a_closed_journal_is_gone_with_its_previous_copy(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(FIRST)
    journal.write(SECOND)
    journal.close()
    assert journal.read() is None
    assert list(tmp_path.iterdir()) == []
    journal.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"ACTIVATE", b"CONFIRM"),
        lambda content: content.replace(b'"format": 1', b'"format": 2'),
        lambda content: b"\xff" * 10,
        lambda content: b"[" * 100_000,
        lambda content: b"{}",
        lambda content: b"[1]",
    ],
)
def test_a_damaged_record_is_passed_over_for_the_one_before(tmp_path: Path, damage: object) -> None:
    told: list[str] = []
    journal = Journal(tmp_path, on_trouble=told.append)
    journal.write(FIRST)
    journal.write(SECOND)
    content = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(damage(content))  # type: ignore[operator]
    assert journal.read() == FIRST
    assert NAME in told[0]


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(FIRST)
    journal.write(SECOND)
    content = (tmp_path / NAME).read_bytes()
    for position in range(len(content)):
        (tmp_path / NAME).write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert journal.read() in (FIRST, SECOND)  # blanks between members may differ


def test_a_damaged_record_does_not_push_out_the_good_copy(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(FIRST)
    journal.write(SECOND)
    (tmp_path / NAME).write_bytes(b"torn")
    journal.write(replace(SECOND, reason="again"))
    (tmp_path / NAME).write_bytes(b"torn")
    assert journal.read() == FIRST


def test_both_copies_damaged_is_no_record_and_told(tmp_path: Path) -> None:
    told: list[str] = []
    for name in (NAME, PREVIOUS):
        (tmp_path / name).write_bytes(b"?")
    assert Journal(tmp_path, on_trouble=told.append).read() is None
    assert len(told) == 2


def test_a_journal_that_cannot_be_written_is_an_update_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the directory should be")
    with pytest.raises(UpdateError, match="update journal cannot be written"):
        Journal(tmp_path / "state").write(FIRST)


def test_whose_the_job_is_stays_known_where_both_copies_are_lost(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.holder("j", 1) == ""
    for phase in (Phase.STAGE, Phase.VERIFY):
        journal.write(replace(FIRST, phase=phase, holder="me"))
    assert (journal.holder("j", 1), journal.holder("j", 2), journal.holder("k", 1)) == ("me", "", "")
    for copy in tmp_path.glob("update-journal*"):
        copy.write_bytes(b"{")
    assert (journal.read(), journal.holder("j", 1)) == (None, "me")
    journal.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["update-holder.json"]
    for damaged in (b"", b"[]", b"{}", b'["j", 1]', b"\xff", b"[" * 5000):
        (tmp_path / "update-holder.json").write_bytes(damaged)
        assert journal.holder("j", 1) == ""
    journal.close()
    assert [*tmp_path.iterdir()] == []
