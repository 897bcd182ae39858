"""Pages in Debian's Chromium without a window, by selenium; axe-core from PyPI looks for what keeps people out."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from axe_core_python.selenium import Axe
from selenium import webdriver

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
Scheme = Literal["light", "dark"]


@contextlib.contextmanager
def browser(*arguments: str) -> Iterator[webdriver.Chrome]:
    """A browser of its own, with its own folder for what it keeps; ``arguments`` are Chromium's, beside ours."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    for argument in arguments:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(prefix="edge-sim-browser-", ignore_cleanup_errors=True) as place:
        service = webdriver.ChromeService(DRIVER, env={**os.environ, "TMPDIR": place})
        driver = webdriver.Chrome(options=options, service=service)
        try:
            yield driver
        finally:
            driver.quit()


def show(
    driver: webdriver.Chrome, file: Path, *, scheme: Scheme = "light", width: int = 1280, height: int = 900
) -> None:
    """Load a page as on a screen of ``width`` pixels, in light or dark."""
    scheme_feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme_feature]})
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get(file.resolve().as_uri())


def console(driver: webdriver.Chrome) -> list[str]:
    """What the page made the browser complain about; a policy that was broken is among it."""
    return [str(entry["message"]) for entry in driver.get_log("browser")]  # type: ignore[no-untyped-call]


def violations(driver: webdriver.Chrome) -> list[str]:
    """What axe-core finds, a line a rule and element."""
    found: Any = Axe().run(driver)
    return [
        f"{one['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
