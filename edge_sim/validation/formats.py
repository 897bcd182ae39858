"""A verdict for scripts and code hosts: JSON (the contract of ``edge-sim validate``) and GitHub's workflow commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge_sim.validation.text import relative
from edge_sim.validation.verdict import LocatedFinding, Verdict

_COMMANDS = {"error": "error", "warning": "warning", "unknown": "notice", "note": "notice"}


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


def github(verdict: Verdict) -> Iterator[str]:
    """Yield a workflow command a finding, so that GitHub shows it in the file.

    https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
    """
    for result in verdict.findings:
        finding, where = result.finding, result.position
        properties = {"file": relative(where.file), "line": where.line, "col": where.column} if where else {}
        parameters = ",".join(f"{key}={_property(value)}" for key, value in {**properties, "title": finding.id}.items())
        text = "\n".join(part for part in (finding.message, finding.aws_text, finding.hint) if part)
        yield f"::{_COMMANDS[finding.severity]} {parameters}::{_data(text)}"


def github_error(text: str) -> str:
    """Return the workflow command for what is in no file."""
    return f"::error title=edge-sim::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _data(str(value)).replace(":", "%3A").replace(",", "%2C")
