"""Who may open what on a board over ssh, tried there by real processes: the agent of a bundle starts them.

The board is held meanwhile, so that no run is on it, and is as it was afterwards: what is brought goes again.
"""

from __future__ import annotations

from edge_sim.agent.functions import planned
from edge_sim.emulation.bundle import archive
from edge_sim.emulation.drivers import Progress
from edge_sim.emulation.ssh.connection import Connection
from edge_sim.emulation.ssh.hold import held, temporary
from edge_sim.emulation.ssh.text import ending
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.greengrass.rows import AccessRow
from edge_sim.jsonobject import JsonObject
from edge_sim.offline import access, remote
from edge_sim.offline.capture import profile_of
from edge_sim.offline.listing import Listing
from edge_sim.offline.plan import OfflinePlan, group_json

PROBE_S = 600.0
"""For volumes of thousands of files, each asked about for every function."""
SPARE_KIB = 4 * 1024
"""What must be free beside the bundle: a journal, and what the processes' standard error takes."""


def probe_rows(
    plan: OfflinePlan, connection: Connection, seen: Listing, path: str | None, progress: Progress
) -> list[AccessRow]:
    """Return the rows with what real processes could do on the board, or those of one path, as ``access.probe_rows``.

    ``seen`` is what was listed there. Raises InvalidDefinitionError when something of the plan is not there at all,
    UnsupportedEnvironmentError without root or where the board cannot start such processes.
    """
    access.check_applied(plan)
    connection.require_root()
    bundle = archive.bundle(profile_of(seen, connection.address.name).architecture, progress, newest=False)
    sent = planned.document(group_json(plan.group), access.nodes_of(plan), path)
    progress(f"{connection.address}: probing with the functions' identities")
    with (
        held(connection, bundle, free_kib=remote.free_kib(seen), spare_kib=SPARE_KIB) as hold,
        temporary(sent) as file,
    ):
        argv = [hold.program, "agent", "access", "--planned", "--greengrass-root", plan.target.facts.greengrass.root]
        done = connection.run(argv, stdin=file, timeout=PROBE_S)
    try:
        return [*JsonObject.parse(done.stdout).children("access", AccessRow.from_json)]
    except ValueError as error:
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        why = lines[0].removeprefix("error: ") if lines else f"the agent did not answer (status {done.returncode})"
        raise UnsupportedEnvironmentError(
            f"{connection.address}: cannot probe the board: {why}",
            details=ending(done.stderr),
            hint="The board is as it was.",
        ) from error
