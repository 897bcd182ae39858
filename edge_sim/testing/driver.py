"""``--edge-driver``: which kind of boards, and whether the user has agreed to a real one."""

from __future__ import annotations

import pytest

from edge_sim.errors import UsageError

DRIVERS = ("local", "docker")


def check_driver(config: pytest.Config) -> None:
    """Raise UsageError for a driver that is none, and for a real board that tests cannot have or may not change.

    Named on pytest's own command line a board is the user's choice; what a repository's configuration says is a
    stranger's word, and the user's own file of boards decides.
    """
    driver = config.option.edge_driver
    if driver in DRIVERS:
        return
    if not driver.startswith("ssh://"):
        raise UsageError(f"--edge-driver {driver}: expected local, docker or ssh://[USER@]HOST[:PORT]")
    from edge_sim.emulation.ssh import address
    from edge_sim.runs.realboards import check_own

    board = address.parse(driver)
    if config.option.edge_profile:
        raise UsageError("--edge-profile names simulated boards, and --edge-driver a real one", hint="Leave one out.")
    if getattr(config.option, "numprocesses", None):
        raise UsageError(f"{board}: processes of pytest-xdist cannot share a real board", hint="Leave out -n.")
    if not any(word in (driver, f"--edge-driver={driver}") for word in config.invocation_params.args):
        check_own(board, "pytest's configuration", instead=f"Name it on the command line: --edge-driver={board}")
