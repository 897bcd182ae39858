"""A sample of the message histories; ``make faults-messages`` plays 10,000."""

from __future__ import annotations

import pytest

from tests.faults import histories


@pytest.mark.slow
def test_a_sample_of_message_histories_ends_well() -> None:
    counts = histories.play(range(80))
    assert counts["histories"] == 80
    for fault in ("lost", "late", "twice", "answers lost", "answers twice", "disconnects", "restarts"):
        assert counts[fault], f"{fault}: never happened"
