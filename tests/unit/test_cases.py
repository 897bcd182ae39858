"""Every small input of tests/cases gets its right answer from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests import cases_table
from tests.cases_table import FOLDER, Row

ROWS = [row for row in cases_table.rows() if not row.board]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Path]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(FOLDER)
        yield cases_table.make(tmp_path_factory.mktemp("cases"))


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_the_right_answer(row: Row, made: Mapping[str, Path]) -> None:
    wrong = cases_table.run(row, made)
    assert not wrong, "\n".join([row.right, *wrong])


def test_every_case_is_in_the_table(made: Mapping[str, Path]) -> None:
    used = {word.rpartition("=")[2] for row in cases_table.rows() for word in row.argv}
    assert {path.name for path in FOLDER.iterdir()} | made.keys() <= used


def test_the_table_is_printed_with_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(FOLDER)
    good = Row(right="taken", argv=("validate", "plain.json"))
    bad = Row(right="refused", argv=("validate", "plain.json"), status=3, says=("not there",), never=("note",))
    monkeypatch.setattr(cases_table, "rows", lambda: iter([good, bad]))
    with pytest.raises(SystemExit) as end:
        cases_table.main()
    told = capsys.readouterr().out
    assert end.value.code == 1
    assert [line.split()[0] for line in told.splitlines() if line.endswith("validate plain.json")] == ["right", "WRONG"]
    for part in ("status 0, not 3", "does not say 'not there'", "says 'note'", "1 wrong"):
        assert part in told
