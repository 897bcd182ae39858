"""Whether a V1 core runs on this board under the identity that the agent was given.

A broker keeps one client of an id: agent and core would push each other out for ever, and a job would go to either.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from edge_sim import strictjson
from edge_sim.agent.config import AgentConfig
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.greengrass.tree import BELOW

_DAEMON = re.compile(rf"(?P<root>/.*)/(?:{BELOW.core}|{BELOW.packages}/[^/]+)/bin/daemon")
"""Where a core's daemon lies (greengrassd starts it by that path)."""


def refuse_running(config: AgentConfig, root: Path, processes: Iterable[Sequence[str]] | None = None) -> None:
    """Raise UnsupportedEnvironmentError when a core that is not ours runs as ``config``'s thing.

    ``processes`` are pid and arguments of each, None for those of this machine; a simulated board (``root``) has none.
    """
    if config.certificate is None or (root.resolve() != Path("/") and processes is None):
        return
    try:
        own = Path(config.certificate).read_bytes()
    except OSError:
        return  # whoever loads it says so
    for pid, *arguments in _processes() if processes is None else processes:
        match = next((match for match in map(_DAEMON.fullmatch, arguments[:2]) if match), None)
        top = Path(match["root"]) if match else None
        if top is not None and not _simulated(top, pid) and _shares(top, config, own):
            raise UnsupportedEnvironmentError(
                f"the V1 core at {top} runs as the thing {config.thing}: a broker allows one connection per client id",
                hint=f"Stop it ({top / BELOW.core}/greengrassd stop), or give the agent its own thing: "
                "edge-sim cloud certs THING --out DIR",
            )


def _processes() -> Iterator[Sequence[str]]:
    for process in psutil.process_iter(["pid", "cmdline"]):
        yield [str(process.info["pid"]), *(process.info["cmdline"] or ())]


def _simulated(top: Path, pid: str) -> bool:
    """Say whether a core is one of edge_sim's builds: those write their state themselves."""
    return str(_json(top / BELOW.core_state).get("pid")) == pid


def _shares(top: Path, config: AgentConfig, own: bytes) -> bool:
    """Say whether a core's config.json names the same thing, or a file with the same certificate."""
    content = _json(top / BELOW.config)
    core = content.get("coreThing")
    core = core if isinstance(core, Mapping) else {}
    if str(core.get("thingArn", "")).rpartition(":thing/")[2] == config.thing:
        return True
    value: object = content
    for key in ("crypto", "principals", "IoTCertificate", "certificatePath"):
        value = value.get(key) if isinstance(value, Mapping) else None
    name = str(value or core.get("certPath") or "").removeprefix("file://")
    with contextlib.suppress(OSError):
        return bool(name) and (top / BELOW.certificates / name).read_bytes() == own
    return False


def _json(path: Path) -> Mapping[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        return strictjson.members(path.read_bytes())
    return {}
