"""Locust's live page, on loopback, with a table of the fleet's own: how many cores are in which state.

``/cores`` beside it has the state of each core.

Its buttons would take cores away, or add some, without the rollout's knowledge, which then waits for them until its
limit: STOP ends the rollout instead, and EDIT is refused.

Any page in a browser of this machine can send requests here, and Locust lets it read the answers (CORS). What other
pages ask for is refused: a browser names the page in ``Origin`` or ``Sec-Fetch-Site``. So is what comes under another
machine's name, by which a page could pass as this one (DNS rebinding). No other page may show this one in a frame, to
have its buttons clicked.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from locust.env import Environment

from edge_sim.cloud.hosts import is_local
from edge_sim.fleet.account import STATES

_KEY = "fleet"
_PAGE, _STATS, _STOP, _EDIT, _CORES = "/", "/stats/requests", "/stop", "/swarm", "/cores"
_OWN_SITES = ("same-origin", "none")
"""``Sec-Fetch-Site`` of what this page asks for, and of what the user has typed."""
_UNFRAMED = {"X-Frame-Options": "DENY", "Content-Security-Policy": "frame-ancestors 'none'"}


class LivePage:
    """The page at ``port``; ``stop`` ends the rollout."""

    def __init__(self, environment: Environment, port: int, stop: Callable[[], None]) -> None:
        self._environment = environment
        self._stop = stop
        self._cores: Mapping[str, str] = {}
        page: Any = environment.create_web_ui("127.0.0.1", port)
        columns = [{"key": "state", "title": "State"}, {"key": "cores", "title": "Cores"}]
        page.template_args |= {
            "extended_tabs": [{"title": "Cores", "key": _KEY}],
            "extended_tables": [{"key": _KEY, "structure": columns}],
        }
        page.app.before_request(self._answer)
        page.app.after_request(self._add)

    def show(self, broker: str, cores: Mapping[str, str]) -> None:
        """Have the page show the broker in its head, and the state of each core."""
        self._environment.host = broker
        self._cores = cores

    def _answer(self) -> Any:
        """Answer where a button is pressed, or each core's state is asked for; None: Locust may answer."""
        from flask import jsonify, request

        refusal = _refusal(request.method, request.path, dict(request.headers))
        if refusal:
            return jsonify({"success": False, "message": refusal}), HTTPStatus.FORBIDDEN
        if request.path == _STOP:
            self._stop()
            return jsonify({"success": True, "message": "The rollout is being stopped."})
        if request.path == _EDIT:
            message = "The number of cores is fixed for the whole rollout: edge-sim fleet --cores."
            return jsonify({"success": False, "message": message})
        if request.path == _CORES:
            return jsonify(self._cores)
        return None

    def _add(self, response: Any) -> Any:
        """Put the table into the answer that the page asks for every two seconds: it sorts the rows by ``name``."""
        from flask import request

        response.headers.update(_UNFRAMED)
        if request.path == _STATS and response.status_code == HTTPStatus.OK:
            count = Counter(self._cores.values())
            rows = [{"name": at, "state": state, "cores": count[state]} for at, state in enumerate(STATES)]
            response.set_data(json.dumps({**response.json, "extended_stats": [{"key": _KEY, "data": rows}]}))
        return response


def _refusal(method: str, path: str, headers: Mapping[str, str]) -> str:
    """Return why a request is refused, empty where it is not. A link on another page may lead to this one."""
    host = headers.get("Host", "localhost")
    if not is_local(host):
        return f"edge-sim does not answer for the host {host[:100]}: use its address, or localhost."
    origin = headers.get("Origin")
    foreign = headers.get("Sec-Fetch-Site", "none") not in _OWN_SITES and (method, path) != ("GET", _PAGE)
    if foreign or (origin is not None and origin.lower() != f"http://{host.lower()}"):
        return "edge-sim does not answer other web pages."
    return ""
