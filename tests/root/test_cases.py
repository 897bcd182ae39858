"""The rows of the table of cases for which a simulated board is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import cases_table, needs
from tests.cases_table import Row

pytestmark = [pytest.mark.root, needs.whole_board]

ROWS = [row for row in cases_table.rows() if row.board]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_the_right_answer(row: Row, tmp_path: Path) -> None:
    wrong = cases_table.run(row, cases_table.make(tmp_path))
    assert not wrong, "\n".join([row.right, *wrong])
