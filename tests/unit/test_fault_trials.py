"""Which trials of a part of the fault tests are drawn."""

from __future__ import annotations

import pytest

from tests.faults.trials import draw

TRIALS = [f"{kind} {number}" for kind, count in (("rare", 1), ("usual", 3), ("much", 100)) for number in range(count)]


def kind(trial: str) -> str:
    return trial.split()[0]


@pytest.mark.parametrize("seed", range(20))
def test_one_of_each_kind_is_drawn_before_a_second_one(seed: int) -> None:
    drawn = [kind(trial) for trial in draw(TRIALS, ["5", str(seed)], kind=kind)]
    assert sorted(drawn[:3]) == ["much", "rare", "usual"]
    assert sorted(drawn[3:]) == ["much", "usual"]


def test_a_draw_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    draws = [tuple(draw(TRIALS, ["9", str(seed)], kind=kind)) for seed in (1, 1, 2, 3, 4)]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 4
    assert all(len(set(drawn)) == 9 for drawn in draws)


def test_without_a_count_and_with_words_all_that_hold_them_are_drawn() -> None:
    assert draw(TRIALS, []) == TRIALS
    assert draw(TRIALS, ["0", "1", "much", " 99"]) == ["much 99"]
    assert len(draw(TRIALS, [], 7)) == 7
