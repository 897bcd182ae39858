"""The agent's settings at its start: who it is and where its broker is. ``configfile`` reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # under QEMU every module delays the agent's connection
    from edge_sim.agent.proxy import Proxy
    from edge_sim.limits import Limits

KEEP_ALIVE_S = 600
"""config.json's ``keepAlive`` default; V1 allowed 30 to 1200."""
RETRY_MOST_S = 60
"""config.json's ``mqttMaxConnectionRetryInterval``, its default."""
STABLE_WINDOW_S = 60
"""How long an update's core must run before the update has succeeded (ours)."""
CONNECT_LIMIT_S = 60
"""How long a new OTA agent may take to start, and then to be connected (ours)."""
STEP_TIMEOUT_MINUTES = 60
"""How long a running update may be silent before the cloud calls it TIMED_OUT (ours)."""
ASK_EVERY_S = 300
"""How often a quiet agent asks for jobs and deployments (ours)."""


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """The agent's configuration file.

    ``broker`` is an mqtt:// or mqtts:// URL, ``cafile`` the CA certificates it is checked with, ``certificate`` and
    ``key`` are what the agent shows. ``client_id`` None is the thing's name. ``alpn``: what is asked for on port 443;
    ``deployments`` False: the cloud has none, as AWS's since V1's end; ``retry_most_s``: longest wait between two
    attempts to connect. ``architecture`` and ``operating_system`` are what a simulated board stands in for; None means
    the machine's own. ``packages`` are the limits of model and code packages, None for the usual ones. ``ask_every_s``:
    how often work is asked for while nothing is heard; ``stable_window_s``: how long a new core must run before its
    update has succeeded; ``connect_limit_s``: how long a new OTA agent may take to start, and then to be connected;
    ``step_timeout_minutes``: how long the cloud may hear nothing of a running update before it
    calls it TIMED_OUT. ``allow_loopback``: documents and builds may come from the board's own addresses though its
    broker is elsewhere.
    """

    thing: str
    broker: str
    cafile: str | None = None
    certificate: str | None = None
    key: str | None = None
    client_id: str | None = None
    alpn: str | None = None
    proxy: Proxy | None = None
    deployments: bool = True
    retry_most_s: int = RETRY_MOST_S
    keep_alive_s: int = KEEP_ALIVE_S
    architecture: str | None = None
    operating_system: str | None = None
    greengrass_root: str = "/greengrass"
    packages: Limits | None = None
    ask_every_s: int = ASK_EVERY_S
    stable_window_s: int = STABLE_WINDOW_S
    connect_limit_s: int = CONNECT_LIMIT_S
    step_timeout_minutes: int = STEP_TIMEOUT_MINUTES
    allow_loopback: bool = False
