"""The agent as a program: ``edge-sim agent run``, and for boards in containers the same without a command line.

Under QEMU every module costs milliseconds until the agent is connected: what only a deployment needs is imported with
the first one, and ``main`` does without click.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_sim.agent import loop, supervise
from edge_sim.agent.configfile import read_config
from edge_sim.agent.events import LogFile, Progress
from edge_sim.agent.functions.deployed import DeployedFunctions
from edge_sim.agent.probe import StandIn, probe
from edge_sim.agent.rooted import inside
from edge_sim.agent.update.installation import UpdateSettings
from edge_sim.agent.update.preflight import BoardIdentity
from edge_sim.agent.version import VERSION
from edge_sim.errors import EdgeSimError
from edge_sim.facts import UPDATE_TOOLS, HostFacts
from edge_sim.greengrass.tree import BELOW, Tree

if TYPE_CHECKING:
    from edge_sim.agent.http import HttpClient

SIMULATED = Path("/usr/lib/edge-sim/board")
"""Exists on a board in a container, whose programs are its image's and not the real board's."""


def run(root: Path, config: Path) -> None:
    """Run the agent of the board below ``root`` until SIGTERM; ``config`` is its configuration file.

    Raises EdgeSimError when it cannot start.
    """
    if supervise.SUPERVISED in os.environ:  # it would keep the board's lock from the one that init starts next
        from edge_sim.agent import linux

        linux.die_with_parent(signal.SIGKILL, _supervisor_lives)  # on SIGTERM it would end the core too
    settings = read_config(config, root)
    gg = inside(root.resolve(), settings.greengrass_root)
    trial_s = 2 * settings.connect_limit_s + settings.stable_window_s  # it starts and connects, then it is watched
    become = partial(supervise.become, VERSION, str(gg), trial_s, str(root), str(config))
    if supervise.SUPERVISED not in os.environ and os.path.lexists(gg / BELOW.ota_agent):
        become()
    if settings.certificate is not None:
        from edge_sim.agent.v1core import refuse_running

        refuse_running(settings, root)
    stand_in = StandIn(architecture=settings.architecture, operating_system=settings.operating_system)

    def facts(paths: Sequence[str] = ()) -> HostFacts:
        return probe(root, paths, greengrass_root=settings.greengrass_root, stand_in=stand_in)

    def carry_out(document: Mapping[str, Any], http: HttpClient, progress: Progress) -> Sequence[str]:
        from edge_sim.agent.deployment import secrets
        from edge_sim.agent.deployment.deployer import deploy, group_of
        from edge_sim.agent.download import download
        from edge_sim.agent.host import LinuxHost
        from edge_sim.greengrass.plan import paths_of_interest
        from edge_sim.limits import Limits

        progress("inspecting the board")
        group = group_of(document)
        seen = facts(paths_of_interest(group, settings.greengrass_root))
        limits = settings.packages or Limits()
        result = deploy(
            group,
            document,
            root,
            seen,
            LinuxHost(root),
            partial(download, http, progress=lambda count: progress(f"downloading a package: {count} bytes so far")),
            limits=limits,
            fetch_secret=partial(secrets.fetch, http),
            progress=progress,
        )
        progress("starting the functions")
        return (*result.not_proven, *functions.start())

    log = LogFile(inside(root, Tree(settings.greengrass_root).runtime_log))
    functions = DeployedFunctions(root, settings.greengrass_root, facts, log)
    who = facts()
    identity = BoardIdentity(
        architecture=who.architecture,
        operating_system=who.operating_system,
        missing_tools=() if SIMULATED.exists() else missing_tools(who),
    )
    update = UpdateSettings(stable_s=settings.stable_window_s, step_minutes=settings.step_timeout_minutes)
    loop.run(settings, root, carry_out, identity, functions=functions, settings=update, hand_over=become)


def _supervisor_lives() -> bool:
    """Tell whether this process is still its supervisor's; a supervisor of an older version does not say who it is."""
    return os.environ.get(supervise.SUPERVISOR, str(os.getppid())) == str(os.getppid())


def missing_tools(who: HostFacts) -> tuple[str, ...]:
    """Return the programs that AWS's agent calls and the board is known to lack."""
    return tuple(tool for tool in UPDATE_TOOLS if who.has_program(tool) is False)


def main() -> None:
    """Run with the root directory and the configuration file as arguments; end with the documented exit status."""
    try:
        run(Path(sys.argv[1]), Path(sys.argv[2]))
    except EdgeSimError as error:
        print(error.explained(), file=sys.stderr)
        sys.exit(error.exit_status)
