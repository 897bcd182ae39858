"""``python3 -m edge_sim.offline.nucleus.program FILE``: a session on a simulated board, whose root is this system's.

Standard library and PyYAML only. FILE is the session as JSON; printed is the outcome as JSON, or ``{"error", "hint"}``
with the error's exit status.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edge_sim.errors import EdgeSimError
from edge_sim.jsonobject import JsonObject
from edge_sim.offline.nucleus.session import NucleusSession, hold


def main() -> int:
    session = NucleusSession.from_json(JsonObject.parse(Path(sys.argv[1]).read_text(encoding="utf-8"), "the session"))
    try:
        answer, status = hold(session).as_json(), 0
    except EdgeSimError as error:
        answer, status = {"error": error.brief, "hint": error.hint}, error.exit_status
    print(json.dumps(answer))
    return status


if __name__ == "__main__":
    sys.exit(main())
