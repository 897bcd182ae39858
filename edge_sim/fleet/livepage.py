"""Locust's live page, on loopback, with a table of the fleet's own: how many cores are in which state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from locust.env import Environment

_KEY = "fleet"
_STATS = "/stats/requests"


class LivePage:
    """The page at ``port``; ``states`` is what its table shows."""

    def __init__(self, environment: Environment, port: int) -> None:
        self.states: Mapping[str, int] = {}
        page: Any = environment.create_web_ui("127.0.0.1", port)
        columns = [{"key": "name", "title": "State"}, {"key": "cores", "title": "Cores"}]
        page.template_args |= {
            "extended_tabs": [{"title": "Cores", "key": _KEY}],
            "extended_tables": [{"key": _KEY, "structure": columns}],
        }
        page.app.after_request(self._add)

    def _add(self, response: Any) -> Any:
        """Put the table into the answer that the page asks for every two seconds."""
        from flask import request

        if request.path == _STATS:
            rows = [{"name": state, "safe_name": state, "cores": cores} for state, cores in self.states.items()]
            response.set_data(json.dumps({**response.json, "extended_stats": [{"key": _KEY, "data": rows}]}))
        return response
