"""Screenshots of the report: ``python -m tests.screenshots FOLDER`` runs the example four ways, for Chromium.

A green run, a red one, four boards whose functions cannot open their models, a failed update; light, dark, and 400
pixels wide. It prints each page's size and what axe-core and the browser's console say of it, and ends with 1 where one
complains or a page has more than a mebibyte. The README's picture, ``docs/report.png``, is ``readme.png`` of that
folder: a red run's first screen.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from selenium import webdriver

from tests import browser

EXAMPLE = Path("examples/no-container-ml")
FOUR = ("raspberry-pi-zero-w", "raspberry-pi-3", "raspberry-pi-4-raspbian", "generic-x86_64")
README_WIDTH = 1000
MOST = 1 << 20
"""Bytes of a page that goes by mail."""
TALLEST = 6000
"""Pixels of a page that a screenshot shows."""


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Return what changes a file of the example."""

    def change(folder: Path) -> None:
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new), "utf-8")

    return change


READS = "def function_handler(event, context):\n"
RED = (
    replaced("functions/read_digits/read_digits.py", READS, f'{READS}    open("/models/digits/weights.csv")\n'),
    replaced("edge-sim.yaml", "accuracy: 0.9551,", "accuracy: 0.99,"),
)
HARDENED = replaced("edge-sim.yaml", "files:  ", 'files:\n  - {path: /greengrass, directory: true, mode: "0700"}\n  #')
"""A root directory of Greengrass's that the functions' user cannot search: red cells in the matrix."""
FAILED = replaced("edge-sim.yaml", "{status: FAILED, version: 1.11.6}", "{status: SUCCEEDED, version: 1.11.7}")
RUNS: Mapping[str, tuple[Sequence[str], Sequence[Callable[[Path], None]]]] = {
    "green": (FOUR[1:2], ()),
    "red": (FOUR[1:3], RED),
    "four-boards": (FOUR, (HARDENED,)),
    "failed-update": (FOUR[1:2], (FAILED,)),
}
SCREENS: Mapping[str, tuple[browser.Scheme, int]] = {
    "light": ("light", 1280),
    "dark": ("dark", 1280),
    "narrow": ("light", 400),
}


def made(folder: Path, name: str) -> Path:
    """Run the example, changed as the screenshot needs it; return its report."""
    boards, changes = RUNS[name]
    place = folder / f"{name}-run"
    scenario = place / EXAMPLE.name
    shutil.copytree(EXAMPLE, scenario, dirs_exist_ok=True)
    for change in changes:
        change(scenario)
    file = folder.resolve() / f"{name}.html"
    words = [word for board in boards for word in ("--profile", board)]
    argv = [
        sys.executable,
        "-m",
        "edge_sim.cli.main",
        "run",
        scenario.name,
        *words,
        "--format",
        "html",
        "-o",
        str(file),
    ]
    subprocess.run(argv, cwd=place, stderr=subprocess.DEVNULL, check=False)
    shutil.rmtree(place)
    return file


def shoot(driver: webdriver.Chrome, file: Path, scheme: browser.Scheme, width: int, into: Path) -> None:
    """Write one screenshot of the whole page."""
    browser.show(driver, file, scheme=scheme, width=width)
    height = int(driver.execute_script("return document.documentElement.scrollHeight"))
    browser.show(driver, file, scheme=scheme, width=width, height=min(height, TALLEST))
    driver.save_screenshot(str(into))


def picture(driver: webdriver.Chrome, file: Path, into: Path) -> None:
    """Write the README's picture: verdict, causes and what to do, without what is below them."""
    browser.show(driver, file, width=README_WIDTH)
    bottom = driver.execute_script("return document.querySelector('nav').getBoundingClientRect().top")
    browser.show(driver, file, width=README_WIDTH, height=int(bottom))
    driver.save_screenshot(str(into))


def main() -> None:
    """Write the reports and their screenshots into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    good = True
    with browser.browser() as driver:
        for name in RUNS:
            file = made(folder, name)
            faults = []
            for screen, (scheme, width) in SCREENS.items():
                shoot(driver, file, scheme, width, folder / f"{name}-{screen}.png")
                faults += [*browser.violations(driver), *browser.console(driver)]
            good = good and not faults and file.stat().st_size < MOST
            print(f"{file}: {file.stat().st_size / 1024:.0f} KiB, {len(faults)} complaints of axe-core and console")
            print("\n".join(faults), end="\n" * bool(faults))
            if name == "red":
                picture(driver, file, folder / "readme.png")
    sys.exit(not good)


if __name__ == "__main__":
    main()
