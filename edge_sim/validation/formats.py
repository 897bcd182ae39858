"""A verdict for scripts: JSON, the contract of ``edge-sim validate``."""

from __future__ import annotations

from typing import Any

from edge_sim.validation.text import relative
from edge_sim.validation.verdict import LocatedFinding, Verdict


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Return ``{"ok", "unknown", "form", "profiles", "findings", "ignored", "notes"}``; ``unknown`` is a count."""
    return {
        "ok": verdict.ok,
        "unknown": len(verdict.unknowns),
        "form": verdict.form,
        "profiles": list(verdict.boards),
        "findings": [finding_json(result) for result in verdict.findings],
        "ignored": [
            {**finding_json(result), "reason": result.ignored.reason if result.ignored else ""}
            for result in verdict.ignored
        ],
        "notes": list(verdict.notes),
    }


def finding_json(result: LocatedFinding) -> dict[str, Any]:
    """Return one finding as an object; ``file``, ``line`` and ``column`` are null where nothing stands in a file."""
    finding, where = result.finding, result.position
    return {
        "id": finding.id,
        "severity": finding.severity,
        "phase": finding.phase,
        "path": finding.path,
        "file": relative(where.file) if where else None,
        "line": where.line if where else None,
        "column": where.column if where else None,
        "resource": finding.resource,
        "function": finding.function,
        "profiles": list(result.boards),
        "message": finding.message,
        "aws_text": finding.aws_text,
        "source": finding.source,
        "hint": finding.hint,
    }
