"""Reports in a real browser: no complaint, no script, links that lead somewhere, nothing that keeps people out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from edge_sim.cli.main import edge_sim
from edge_sim.fleet.account import STATES, CoreAccount, Disagreement
from edge_sim.fleet.jobs import FleetJob, Progress
from edge_sim.fleet.model import cores
from edge_sim.fleet.page import page as fleet_page
from edge_sim.fleet.rollout import FleetReport, Options
from edge_sim.fleetkeys import Fleet, Storm
from edge_sim.pages.html import render
from edge_sim.profiles import load_profiles
from edge_sim.runs.page import page
from tests import browser
from tests.reports import PAYLOADS, failed_board, run_report, with_texts

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        not (browser.CHROMIUM and browser.DRIVER), reason="needs a browser: apt-get install chromium chromium-driver"
    ),
]
EXAMPLE = "examples/no-container-ml"
PI = ("--profile", "raspberry-pi-3", "--profile", "openwrt-armv7")


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    with browser.browser() as driver:
        yield driver


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of every command; those of a run by hand."""
    folder = tmp_path_factory.mktemp("pages")
    commands = {
        "validate": (EXAMPLE, *PI),
        "matrix": (EXAMPLE, *PI, "--ggc", "1.9,1.11"),
        "access": (EXAMPLE, *PI[:2]),
        "plan": (EXAMPLE, *PI[:2]),
        "drift": (EXAMPLE, "--root", str(folder)),
    }
    files = {command: folder / f"{command}.html" for command in commands}
    for command, words in commands.items():
        CliRunner().invoke(edge_sim, [command, *words, "--format", "html", "-o", str(files[command])])
    red = run_report(failed_board(), failed_board("b", layout=failed_board().layout[:1]))
    files["run"] = folder / "run.html"
    files["run"].write_text(render(page(red)), "utf-8")
    other, files["compare"] = folder / "other.html", folder / "compare.html"
    other.write_text(render(page(run_report(failed_board(layout=[]), failed_board("b")))), "utf-8")
    files["fleet"] = folder / "fleet.html"
    files["fleet"].write_text(render(fleet_page(fleet_report())), "utf-8")
    compared = ["compare", str(files["run"]), str(other), "--report", str(files["compare"])]
    CliRunner().invoke(edge_sim, compared)
    return files


def fleet_report() -> FleetReport:
    """A report with everything in it: a core in each state, an abort, a storm, real agents, differences, notes."""
    fleet = Fleet(version="1.11.6", weights={"raspberry-pi-3": 1})
    models = cores(fleet, load_profiles(("raspberry-pi-3",)), len(STATES), 1)
    accounts = [
        CoreAccount(model=model, state=state, real=state == "done", changes=[(1000 + number * 60.0, state)])
        for number, (model, state) in enumerate(zip(models, STATES, strict=True))
    ]
    job = "GreengrassUpdateJob_fleet-raspbian-armv7l"
    return FleetReport(
        scenario="everything",
        fleet=fleet,
        options=Options(cores=len(STATES)),
        accounts=accounts,
        jobs=[FleetJob(job_id=job, group="fleet", pair=models[0].pair, things=len(STATES))],
        ends={job: Progress(status="CANCELED", pending=0, comment="Abort criterion met", stopped_at=1400.0)},
        differences=[Disagreement(thing=models[0].thing, job=job, execution=1, text="the cloud says SUCCEEDED")],
        findings=["staging: longer on real agents"],
        storms=[(1100.0, Storm(kind="lost sessions", after_s=100, down_s=2, spread_s=3))],
        notes=["worker 1 was killed by SIGKILL; its 6 cores continue on other workers"],
        created_at=1000.0,
    )


@pytest.mark.parametrize("command", ["run", "validate", "matrix", "access", "plan", "drift", "compare", "fleet"])
def test_a_page_is_for_everybody(driver: webdriver.Chrome, pages: dict[str, Path], command: str) -> None:
    screens: tuple[tuple[browser.Scheme, int], ...] = (("light", 1280), ("dark", 400))
    for scheme, width in screens:
        browser.show(driver, pages[command], scheme=scheme, width=width)
        driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.violations(driver) == []
        assert browser.console(driver) == []


def test_a_narrow_screen_shows_the_first_boards_answer_beside_its_question(
    driver: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    browser.show(driver, pages["run"], width=400)
    cell = driver.find_element(By.CSS_SELECTOR, "td.bad.code a")
    assert cell.rect["x"] + cell.rect["width"] < 400


def test_the_tools_see_a_page_that_is_not(driver: webdriver.Chrome, tmp_path: Path) -> None:
    """What finds nothing must be able to find something."""
    file = tmp_path / "bad.html"
    file.write_text("<html><body><p style='color:#ccc;background:#fff'>pale</p><img src='missing.png'>", "utf-8")
    browser.show(driver, file)
    assert {line.partition(":")[0] for line in browser.violations(driver)} >= {"color-contrast", "image-alt"}
    assert "missing.png" in " ".join(browser.console(driver))


def test_links_lead_where_they_say(driver: webdriver.Chrome, pages: dict[str, Path]) -> None:
    browser.show(driver, pages["run"])
    links = driver.find_elements(By.CSS_SELECTOR, "main a")
    assert len(links) > 10
    for link in links:
        target = str(link.get_dom_attribute("href"))[1:]
        driver.execute_script("arguments[0].click()", link)
        assert driver.find_elements(By.CSS_SELECTOR, f"[id='{target}']")
        assert driver.current_url.endswith(f"#{target}")


def test_the_keyboard_reaches_the_results_first(driver: webdriver.Chrome, pages: dict[str, Path]) -> None:
    browser.show(driver, pages["run"])
    driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert driver.switch_to.active_element.text == "Skip to the results"


def test_no_payload_runs_or_loads_anything(driver: webdriver.Chrome, tmp_path: Path) -> None:
    for number, payload in enumerate(PAYLOADS):
        report = with_texts(run_report(failed_board()), lambda _, payload=payload: payload)  # type: ignore[misc]
        file = tmp_path / f"{number}.html"
        file.write_text(render(page(report)), "utf-8")
        browser.show(driver, file)
        assert browser.console(driver) == []
        assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0
        assert driver.execute_script("return document.scripts.length") == 1


def test_a_printed_page_holds_what_is_folded_on_the_screen(driver: webdriver.Chrome, pages: dict[str, Path]) -> None:
    browser.show(driver, pages["run"])
    drawn = (
        "const done = arguments[0], chain = document.querySelector('.chain');"
        "requestAnimationFrame(() => requestAnimationFrame(() => done(chain.checkVisibility())))"
    )
    assert driver.execute_async_script(drawn) is False
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert driver.execute_async_script(drawn) is True
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
