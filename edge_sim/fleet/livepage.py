"""Locust's live page, on loopback, with a table of the fleet's own: how many cores are in which state.

``/cores`` beside it has the state of each core.

Its buttons would take cores away, or add some, without the rollout's knowledge, which then waits for them until its
limit: STOP ends the rollout instead, and EDIT is refused.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from locust.env import Environment

from edge_sim.fleet.account import STATES

_KEY = "fleet"
_STATS, _STOP, _EDIT, _CORES = "/stats/requests", "/stop", "/swarm", "/cores"


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

        if request.path == _STATS:
            count = Counter(self._cores.values())
            rows = [{"name": at, "state": state, "cores": count[state]} for at, state in enumerate(STATES)]
            response.set_data(json.dumps({**response.json, "extended_stats": [{"key": _KEY, "data": rows}]}))
        return response
