"""What a run's page holds beside its verdict: picture, timeline, fidelity and logs; and how much of it."""

from __future__ import annotations

import re
from dataclasses import replace

from edge_sim.greengrass.rows import Answer
from edge_sim.pages.html import render
from edge_sim.pages.page import Page, Picture, Timeline
from edge_sim.runs.page import page
from edge_sim.runs.rows import CoreEvent, JobMessage, JournalEntry, UpdateStep
from tests.reports import access_row, failed_board, run_report

MEBIBYTE = 1 << 20


def timelines(found: Page) -> list[Timeline]:
    return [block for section in found.sections for block in section.blocks if isinstance(block, Timeline)]


def test_the_timeline_has_every_message_phase_and_journal_entry_in_order() -> None:
    (update,) = failed_board().updates
    full = replace(
        update,
        timeline=(
            UpdateStep(phase="STAGE", detail=None, seconds=0.2),
            UpdateStep(phase="FAILED", detail="died", seconds=3.0),
        ),
        messages=(
            JobMessage(way="received", topic="$aws/things/t/jobs/notify", status=None, seconds=0.0),
            JobMessage(way="sent", topic="$aws/things/t/jobs/j/update", status="FAILED", seconds=3.2),
        ),
        journal=(
            JournalEntry(phase="STAGE", confirmed=False, report=None, seconds=0.1),
            JournalEntry(phase="ROLL_BACK", confirmed=False, report="FAILED", seconds=2.0),
        ),
        core=(CoreEvent(status="died", version="1.11.6", error="killed", next_try_s=1.5, seconds=1.0),),
    )
    (timeline,) = timelines(page(run_report(failed_board(updates=[full]))))
    assert [(one.seconds, one.kind, one.text, one.detail) for one in timeline.moments] == [
        (0.0, "message", "← $aws/things/t/jobs/notify", None),
        (0.1, "journal", "STAGE", None),
        (0.2, "phase", "STAGE", None),
        (1.0, "core", "core 1.11.6: died", "killed; next try in 1.5 s"),
        (2.0, "journal", "ROLL_BACK", "to report: FAILED"),
        (3.0, "phase", "FAILED", "died"),
        (3.2, "message", "→ $aws/things/t/jobs/j/update FAILED", None),
    ]
    shown = render(page(run_report(failed_board(updates=[full]))))
    assert all(one.text.replace("→ ", "") in shown for one in timeline.moments)


def test_the_picture_says_who_reaches_what_and_by_what_right() -> None:
    found = page(run_report(failed_board()))
    (picture,) = (block for section in found.sections for block in section.blocks if isinstance(block, Picture))
    assert (picture.functions, picture.groups) == (["reader", "writer"], ["users (100)"])
    assert picture.members == [("reader", "users (100)")]
    assert picture.owns == [("users (100)", "model")]
    assert [(one.function, one.resource, one.how, one.intended, one.state) for one in picture.reaches] == [
        ("reader", "model", "no access (expected ro)", True, "bad"),
        ("writer", "other", "read, by shared gid", False, "open"),
        ("writer", "model", "read, by attachment", True, "good"),
    ]
    shown = render(found)
    assert '<path class="unintended open"' in shown
    assert "<title>reader → model: no access (expected ro)</title>" in shown


def test_the_fidelity_of_a_board_is_in_words_and_its_failed_functions_log_is_there() -> None:
    found = page(run_report(failed_board()))
    assert found.boards[0].fidelity == "1 of 2 properties are as on the real board; libc is not faithful."
    shown = render(found)
    assert found.boards[0].fidelity in shown
    assert re.search(
        r"reader on raspberry-pi-3: result and log</summary>\s*<pre[^>]*>PermissionError\s+opening\s+failed", shown
    )


def test_at_the_apis_quotas_the_tables_are_summed_up_with_a_word_about_the_rest() -> None:
    """200 functions and 200 resources: what is wrong is shown first, wherever it stands."""
    yes, no = Answer(computed=True, probed=True, by="attachment"), Answer(computed=False, probed=False)
    rows = [access_row(f"f{f:03}", f"r{r:03}", "ro", yes, no) for f in range(200) for r in range(200)]
    rows[-1] = access_row("f199", "r199", "ro", no, no, ok=False, reasons=("nobody may read it",))
    shown = render(page(run_report(failed_board(access=rows, problems=[]))))
    assert len(shown) < MEBIBYTE
    assert "39700 more pairs of function and resource, none worse than those shown, of 40000 are omitted here" in shown
    assert "more lines are omitted here; the access matrix has them." in shown
    assert "nobody may read it" in shown
    assert "The data, " in shown
