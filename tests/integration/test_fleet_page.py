"""The live page of a fleet, over HTTP and in a real browser: other pages change nothing and learn nothing."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from selenium.webdriver.common.by import By

from tests import browser
from tests.ports import free_port
from tests.waiting import until

pytestmark = [pytest.mark.network, pytest.mark.process]
PROGRAM = """
from gevent import monkey
monkey.patch_all()
import sys, threading
from locust.env import Environment
from edge_sim.fleet.livepage import LivePage

environment = Environment()
environment.create_local_runner()
page = LivePage(environment, int(sys.argv[1]), lambda: print("stop", flush=True))
page.show("mqtt://broker", {"fleet-00000": "done"})
threading.Event().wait()
"""


class Page:
    """A live page in a process of its own, which says ``stop`` when it is to end the rollout."""

    def __init__(self) -> None:
        self.port = free_port()
        self.stops: list[str] = []
        argv = [sys.executable, "-c", PROGRAM, str(self.port)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        threading.Thread(target=self._read, daemon=True).start()
        until(self._answers, "the page does not answer")

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = b"user_count=1&spawn_rate=1" if method == "POST" else None
        form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {**form, **given})
        answer = connection.getresponse()
        raw = answer.read()
        connection.close()
        kind = answer.headers.get_content_type()
        return answer.status, dict(answer.headers), json.loads(raw) if kind == "application/json" else raw

    def _answers(self) -> bool:
        try:
            return bool(self.ask("GET", "/cores")[2] == {"fleet-00000": "done"})
        except OSError:
            return False

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.stops.extend(self.process.stdout)


@pytest.fixture
def page() -> Iterator[Page]:
    page = Page()
    try:
        yield page
    finally:
        page.process.kill()
        page.process.wait()


CROSS = {"Sec_Fetch_Site": "cross-site"}
CHANGES = ("/stop", "/swarm", "/stats/reset", "/user")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "evil.example:80", "Origin": "http://evil.example:80", "Sec_Fetch_Site": "same-origin"},
    ],
    ids=str,
)
def test_what_another_page_sends_is_refused_and_changes_nothing(page: Page, headers: dict[str, str]) -> None:
    for path in CHANGES:
        status, _, answer = page.ask("POST", path, **headers)
        assert (status, answer["success"]) == (403, False), path
        assert answer["message"].startswith("edge-sim does not answer "), path
    for path in ("/cores", "/stats/requests"):
        assert page.ask("GET", path, **headers)[0] == 403, path
    assert page.stops == []


def test_its_own_page_a_script_and_a_link_from_elsewhere_are_answered(page: Page) -> None:
    own = {"Host": f"localhost:{page.port}", "Origin": f"http://localhost:{page.port}", "Sec_Fetch_Site": "same-origin"}
    assert page.ask("POST", "/swarm", **own)[2]["message"].startswith("The number of cores is fixed")
    assert page.ask("GET", "/stats/requests", **own)[2]["extended_stats"]
    status, headers, _ = page.ask("GET", "/", **CROSS)
    assert (status, headers["X-Frame-Options"]) == (200, "DENY")
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert page.stops == []
    assert page.ask("POST", "/stop", **own)[2]["success"]
    assert page.ask("POST", "/stop")[2]["success"], "curl"
    until(lambda: page.stops == ["stop\n"] * 2)


EVIL = """<!doctype html><title>evil</title>
<form method=post action="http://127.0.0.1:PORT/stop" target=result><button>go</button></form>
<iframe name=result></iframe><iframe src="http://127.0.0.1:PORT/"></iframe>
<script>
const stop = "http://127.0.0.1:PORT/stop";
Promise.allSettled([
  fetch(stop, {method: "POST", mode: "no-cors"}),
  fetch(stop, {method: "POST", mode: "no-cors", credentials: "include", headers: {"Content-Type": "text/plain"}}),
  fetch("http://127.0.0.1:PORT/cores").then(answer => answer.text()).then(text => document.title = text),
]).then(() => { navigator.sendBeacon(stop); document.body.dataset.done = "yes"; });
</script>"""


@contextmanager
def evil(port: int) -> Iterator[str]:
    """Serve another page on this machine, and yield its address."""
    content = EVIL.replace("PORT", str(port)).encode()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.skipif(
    not (browser.CHROMIUM and browser.DRIVER), reason="needs a browser: apt-get install chromium chromium-driver"
)
def test_in_a_browser_only_its_own_page_stops_the_rollout(page: Page) -> None:
    with browser.browser("--host-resolver-rules=MAP evil.example 127.0.0.1") as driver, evil(page.port) as address:
        driver.get(address)
        body = driver.find_element(By.TAG_NAME, "body")
        until(lambda: body.get_attribute("data-done") == "yes")
        assert "fleet-00000" not in driver.title, "it has read the states, as Locust lets every page"
        driver.find_element(By.TAG_NAME, "button").click()
        driver.switch_to.frame("result")
        until(lambda: str(driver.execute_script("return location.href")).startswith("chrome-error:"))  # no frame of it
        driver.get(f"http://evil.example:{page.port}/")
        assert "does not answer for the host evil.example" in driver.page_source
        post = "return fetch('/stop', {method: 'POST'}).then(answer => answer.status)"
        assert driver.execute_script(post) == 403
        assert page.stops == []
        driver.get(f"http://127.0.0.1:{page.port}/")
        until(lambda: "Locust" in driver.title)
        assert driver.execute_script(post) == 200
        until(lambda: page.stops == ["stop\n"])
