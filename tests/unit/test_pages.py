"""A report as one HTML file: what a stranger's words cannot do in it, and what a reader finds."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace

import pytest

from edge_sim.facts import Node
from edge_sim.greengrass.rows import LayoutRow
from edge_sim.pages.html import DATA_MOST, embedded, render
from edge_sim.pages.page import Cell, Lines, Moment, Page, Section, Table, from_first
from edge_sim.printing import printable
from edge_sim.runs.page import page
from edge_sim.runs.results import BoardReport, RunReport
from edge_sim.strictjson import loads
from tests.reports import PAYLOADS, RESOURCES, Elements, failed_board, run_report, with_texts

TAGS = frozenset(
    re.findall(
        r"\S+",
        "html head meta title style body a header main footer section nav article h1 h2 h3 p span small b dl div dt dd "
        "ol ul li table caption thead tbody tr th td details summary figure figcaption svg g path rect text pre mark "
        "code script",
    )
)
ATTRIBUTES = frozenset(
    re.findall(
        r"\S+",
        "lang charset http-equiv content name class href id aria-labelledby aria-label role tabindex scope open title "
        "type viewbox width height x y rx d",
    )
)


def whole(text: str) -> str:
    return text.replace("\ud800", "\ufffd")


def parsed(report: RunReport) -> Elements:
    return Elements(render(page(report)))


@pytest.mark.parametrize("number", range(len(PAYLOADS)))
def test_a_strangers_words_stay_words(number: int) -> None:
    """Every text of a run's report is the payload, or holds it: no element, attribute or script comes of it."""
    payload = PAYLOADS[number]
    for change in (lambda _: payload, lambda text: f"{text}{payload}"):
        report = with_texts(run_report(failed_board(), failed_board("b")), change)
        found = parsed(report)
        assert found.tags <= TAGS
        assert found.attributes <= ATTRIBUTES
        assert len(found.scripts) == 1
        assert loads(found.scripts[0].encode()) == json.loads(json.dumps(with_texts(report.as_json(), whole)))
        assert printable(payload) in found.text
        assert all(link.startswith("#") for link in found.values["href"])


def test_every_link_leads_to_something_in_the_page() -> None:
    found = parsed(run_report(failed_board(), failed_board("b")))
    assert {link[1:] for link in found.values["href"]} <= {*found.values["id"]}
    assert len(found.values["id"]) == len({*found.values["id"]})


def test_the_policy_allows_the_style_sheet_and_nothing_else() -> None:
    text = render(page(run_report(failed_board())))
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert policy == [f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"]
    assert " style=" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert "url(" not in style[0]


def test_a_red_cell_leads_to_reason_remedy_and_the_line_of_the_users_file() -> None:
    text = render(page(run_report(failed_board())))
    (anchor,) = re.findall(r'<td class="bad code"><a href="#([^"]*)">✗ --', re.sub(r">\s+<", "><", text))
    issue = text[text.index(f'id="{anchor}"') :]
    issue = issue[: issue.index("</article>")]
    for words in (
        "expected ro, but reader cannot read it",
        "/m is 0550 0:100",
        "To allow read: chmod g+r /m",
        str(RESOURCES),
    ):
        assert words in issue


def test_the_first_screen_says_what_to_do_on_each_board() -> None:
    found = page(run_report(failed_board(), fine("b")))
    assert [board.verdict for board in found.boards] == ["3 problems", "as the scenario says"]
    assert found.verdict == "1 of 2 boards is not as the scenario says"
    assert found.boards[0].issues[0].remedies == ("To allow read: chmod g+r /m",)


def test_every_problem_on_the_first_screen_says_what_to_do() -> None:
    found = page(run_report(failed_board()))
    assert all(issue.remedies for issue in found.boards[0].issues if issue.state == "bad")
    assert "correct the build" in str([issue.remedies for issue in found.boards[0].issues])


def test_a_timeline_counts_from_its_first_moment() -> None:
    early = [Moment(seconds=0.5, kind="phase", text="b"), Moment(seconds=-1.5, kind="message", text="a")]
    assert [(moment.text, moment.seconds) for moment in from_first(early)] == [("a", 0.0), ("b", 2.0)]


def fine(name: str) -> BoardReport:
    return failed_board(name, problems=[], not_proven=[])


def test_bits_that_differ_on_another_board_are_marked() -> None:
    other = [LayoutRow(path="/m", node=Node(type="directory", uid=0, gid=44, mode=0o750), resource="model")]
    text = render(page(run_report(failed_board(), failed_board("b", layout=other))))
    assert "dr<mark>w</mark>xr-x---" in text
    assert "gid 44, there 100, mode 0750, there 0550" in text
    assert "not on this board" in text


def test_equal_layouts_and_pictures_are_shown_once() -> None:
    text = render(page(run_report(failed_board(), failed_board("b"))))
    assert "b: the same 3 paths, owners, groups and modes as raspberry-pi-3." in text
    assert text.count("<svg") == 1


def test_long_tables_say_what_they_leave_out() -> None:
    rows = [
        LayoutRow(path=f"/m/{number:05}", node=Node(type="file", uid=0, gid=0, mode=0o644)) for number in range(3000)
    ]
    text = render(page(run_report(failed_board(layout=rows))))
    assert "2600 more paths of 3000 are omitted here" in text


def test_an_embedded_document_ends_no_element() -> None:
    data = {"</script>": "<!-- & \u2028"}
    assert not {*embedded(data)} & {*"<>&\u2028"}
    assert json.loads(embedded(data)) == data


def test_a_page_without_boards_or_blocks_has_no_empty_heading() -> None:
    table = Table(caption="c", columns=["a"], rows=[[Cell(text="x", link="here")]], left_out="rest")
    sections = [Section(title="Empty", blocks=[]), Section(title="Full", blocks=[table, Lines(lines=["l"])])]
    bare = Page(command="c", subject="s", state="good", verdict="v", about={}, boards=[], sections=sections, data={})
    text = render(bare)
    assert "Empty" not in text
    assert "<nav" not in text
    assert 'id="full"' in text
    assert render(replace(bare, sections=[])).count("<h2") == 0


def test_data_that_would_burden_a_browser_is_left_out_and_the_file_says_so() -> None:
    text = render(replace(page(run_report(failed_board())), data={"rows": "x" * (DATA_MOST + 1)}))
    assert len(text) < 64 * 1024
    assert "The data, 8 MB of JSON, is not included in this file: --report FILE.json writes it." in text
    assert [*json.loads(Elements(text).scripts[0])] == ["left_out"]
