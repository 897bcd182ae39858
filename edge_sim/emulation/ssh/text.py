"""Text from a board, made harmless: what a terminal would take for a command is shown as an escape."""

from __future__ import annotations

import json


def harmless(text: str) -> str:
    """Return text without control characters but line breaks and tabs; in JSON also those that it has as escapes."""
    plain = printable(text)
    if not plain.startswith(("{", "[")):
        return plain
    try:
        value = json.loads(plain)
        return json.dumps(_harmless(value)) + "\n" * plain.endswith("\n")
    except ValueError:  # nobody else will take it for JSON either
        return plain
    except RecursionError:
        return ""


def printable(text: str) -> str:
    """Return text whose control characters, but for line breaks and tabs, are shown as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def _harmless(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): _harmless(item) for key, item in value.items()}
    return [_harmless(item) for item in value] if isinstance(value, list) else value
