"""The agent as a process of its own, with a deployer that only looks at the document.

``… CONFIG ROOT``
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_sim.agent.config import STABLE_WINDOW_S
from edge_sim.agent.configfile import read_config
from edge_sim.agent.events import Progress
from edge_sim.agent.http import HttpClient
from edge_sim.agent.loop import run
from edge_sim.agent.update.installation import UpdateSettings
from edge_sim.agent.update.preflight import BoardIdentity
from edge_sim.errors import EdgeSimError, InvalidDefinitionError


def deploy(document: Mapping[str, Any], http: HttpClient, progress: Progress) -> Sequence[str]:
    wish = document["Group"]["wish"]
    if wish != "work":
        raise InvalidDefinitionError(f"the group says {wish}", hint="Wish something else.")
    return ()


def main() -> None:
    config = read_config(Path(sys.argv[1]))
    board = BoardIdentity(architecture=config.architecture or "", operating_system=config.operating_system or "")
    stable_s = 0.2 if config.stable_window_s == STABLE_WINDOW_S else config.stable_window_s
    settings = UpdateSettings(free_bytes_needed=1, health_checks=3, health_interval_s=0.05, stable_s=stable_s)
    try:
        run(config, Path(sys.argv[2]), deploy, board, settings=settings)
    except EdgeSimError as error:
        sys.stderr.write(error.brief)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
