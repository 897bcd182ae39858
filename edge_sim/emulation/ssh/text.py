"""Text from a board, made harmless: what a terminal would take for a command is shown as an escape."""

from __future__ import annotations

import json

from edge_sim.printing import printable

LAYOUT = "\n\t"
"""What may stay of the characters that do not print: line breaks and tabs."""
MAX_ERRORS, MAX_ERROR_LINE = 64 * 1024, 500
"""Bytes that are kept of a command's standard error, and characters of a line of it."""
_DETAIL_LINES, _DETAIL_TEXT = 5, 2000


def harmless(text: str) -> str:
    """Return text without control characters but line breaks and tabs; in JSON also those that it has as escapes."""
    plain = printable(text, LAYOUT)
    if not plain.startswith(("{", "[")):
        return plain
    try:
        value = json.loads(plain)
        return json.dumps(_harmless(value)) + "\n" * plain.endswith("\n")
    except ValueError:  # nobody else will take it for JSON either
        return plain
    except RecursionError:
        return ""


def _harmless(value: object) -> object:
    if isinstance(value, str):
        return printable(value, LAYOUT)
    if isinstance(value, dict):
        return {printable(key, LAYOUT): _harmless(item) for key, item in value.items()}
    return [_harmless(item) for item in value] if isinstance(value, list) else value


def complaints(data: bytes) -> str:
    """Return the end of a command's standard error, made harmless, in lines that people can read."""
    lines = harmless(data[-MAX_ERRORS:].decode(errors="replace")).splitlines()
    return "".join(f"{line[:MAX_ERROR_LINE]}\n" for line in lines)


def reason(errors: str, status: int) -> str:
    """Return the line that says why a command failed; tar's last one only says that there were others before it."""
    lines = [line for line in errors.splitlines() if line.strip() and "Exiting with failure status" not in line]
    return lines[-1].strip() if lines else f"status {status}"


def ending(errors: str) -> str | None:
    """Return the last lines of a command's complaints, None where there are none."""
    return "\n".join(errors.strip().splitlines()[-_DETAIL_LINES:])[-_DETAIL_TEXT:] or None
