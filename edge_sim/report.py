"""Findings: what a rule has to say about one place of a definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["error", "warning", "unknown", "note"]
"""``unknown``: what is known of the board does not decide it."""
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""In the order in which a report shows them."""
Phase = Literal["create", "deploy", "run"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One rule's verdict.

    ``phase`` says when V1 would have refused: at the API call that creates the definition, at the deployment
    (in the cloud while Building, or on the core), or when the function runs. ``aws_text`` is AWS's exact message
    where one is known; ``source`` names the page or issue the rule comes from. ``resource`` and ``function`` are the
    Ids of what it is about.
    """

    id: str
    severity: Severity
    phase: Phase
    path: str
    message: str
    aws_text: str | None = None
    resource: str | None = None
    function: str | None = None
    source: str | None = None
    hint: str | None = None

    @property
    def note(self) -> str:
        """The finding as a note of a report: its rule, what it says, and what to do."""
        return f"{self.id}: {self.message}" + (f". {self.hint}" if self.hint else "")
