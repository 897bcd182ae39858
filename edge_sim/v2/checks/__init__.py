"""What blocks a move to V2, what changes without an error, and what to know: one function each.

functions, processes     Lambdas, and whose rights they have       models      files and archives
resources                devices, volumes, secrets, connectors     messages    subscriptions, devices, shadows
boards                   the core, its settings, the two boards
"""

from __future__ import annotations

from edge_sim.report import Finding
from edge_sim.v2.checks import boards, functions, messages, models, processes, resources
from edge_sim.v2.checks.check import MoveRule
from edge_sim.v2.move import Move

CHECKS: tuple[MoveRule, ...] = (
    *functions.CHECKS,
    *processes.CHECKS,
    *models.CHECKS,
    *resources.CHECKS,
    *messages.CHECKS,
    *boards.CHECKS,
)
"""The catalogue, in the order in which findings come."""


def check(move: Move) -> list[Finding]:
    """Return what every check says about a move."""
    return [finding for row in CHECKS for finding in row.findings(move)]
