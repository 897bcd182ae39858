"""A sample of the message histories; ``make faults-messages`` plays 10,000."""

from __future__ import annotations

import pytest

from tests import sweeps
from tests.faults import histories

COUNT = sweeps.size(whole=80, sample=30)


@pytest.mark.slow
@pytest.mark.sweep
def test_a_sample_of_message_histories_ends_well() -> None:
    counts = histories.play(range(COUNT))
    assert counts["histories"] == COUNT
    for fault in ("lost", "late", "twice", "answers lost", "answers twice", "disconnects", "restarts"):
        assert counts[fault], f"{fault}: never happened"
