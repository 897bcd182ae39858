"""A report as Markdown: what a stranger's words cannot do in it, and that it stays within the code hosts' limits."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from edge_sim.facts import Node
from edge_sim.greengrass.rows import LayoutRow
from edge_sim.pages.markdown import LIMIT, code, render, words
from edge_sim.runs.page import page
from edge_sim.runs.results import Problem
from tests.reports import PAYLOADS, failed_board, run_report, with_texts

OURS = frozenset(
    {"heading", "paragraph", "table", "thead", "tbody", "tr", "th", "td", "bullet_list", "list_item", "strong", "em"}
)
LEAVES = frozenset({"inline", "text", "code_inline", "fence", "softbreak", "text_special"})


def tokens(text: str) -> list[Token]:
    """What a CommonMark reader that is not ours makes of it, with HTML and GitHub's tables and strikethrough."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    top = reader.parse(text)
    return [*top, *(child for token in top for child in token.children or ())]


@pytest.mark.parametrize("number", range(len(PAYLOADS)))
def test_a_strangers_words_make_no_markup(number: int) -> None:
    payload = PAYLOADS[number]
    for change in (lambda _: payload, lambda text: f"{text}{payload}"):
        text = render(page(with_texts(run_report(failed_board(), failed_board("b")), change)))
        found = tokens(text)
        assert {token.type.removesuffix("_open").removesuffix("_close") for token in found} <= OURS | LEAVES
        assert not any("@e" in token.content for token in found if token.type == "text")


@pytest.mark.parametrize("number", range(len(PAYLOADS)))
def test_what_is_escaped_is_shown_as_it_was(number: int) -> None:
    plain = PAYLOADS[number].encode("ascii", "ignore").decode()
    plain = "".join(character for character in plain if character.isprintable()).strip()
    (paragraph,) = (token for token in tokens(words(plain)) if token.type == "inline")
    shown = "".join(child.content for child in paragraph.children or ())
    assert shown.replace("\u200b", "") == plain


@pytest.mark.parametrize("text", ["- a", "1. a", "1) a", "+ a", "=== a", "# a", "> a", "--- ", ": a"])
def test_no_text_begins_a_block(text: str) -> None:
    assert {token.type for token in tokens(words(text))} <= {
        "paragraph_open",
        "inline",
        "paragraph_close",
        "text",
        "text_special",
    }


def test_a_code_span_holds_backticks_and_bars() -> None:
    row = f"| a |\n|---|\n| {code('`x``|y')} |\n"
    assert [token.content for token in tokens(row) if token.type == "code_inline"] == ["`x``|y"]


def test_the_worst_board_and_its_first_remedy_come_first() -> None:
    text = render(page(run_report(failed_board("fine", problems=[], not_proven=[]), failed_board("broken"))))
    assert text.index("broken") < text.index("fine")
    assert text.splitlines()[0] == "## ✗ 1 of 2 boards is not as the scenario says"
    assert "→ To allow read: chmod g\\+r /m" in text.replace("g+r", "g\\+r")
    assert "`resources.json:3:5`" in text


@pytest.mark.parametrize("limit", [LIMIT, 5_000])
def test_what_does_not_fit_is_left_out_and_named(limit: int) -> None:
    rows = [
        LayoutRow(path=f"/m/ü{number:05}", node=Node(type="file", uid=0, gid=0, mode=0o644)) for number in range(3000)
    ]
    problems = [Problem(kind="access", where=f"f{number}", message="ü" * 300) for number in range(200)]
    text = render(page(run_report(failed_board(layout=rows, problems=problems))), limit)
    assert limit - 1500 < len(text.encode()) <= limit
    assert "Omitted here" in text
    assert " issues" in text.splitlines()[-1]
    assert sum(token.type == "fence" for token in tokens(text)) == text.count("```text")


def test_a_small_report_is_whole() -> None:
    assert "Omitted here" not in render(page(run_report(failed_board())))
