"""How the words of a definition, a path or a peer are printed: as one line, with nothing that moves a cursor."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    """Return a text as one line: what does not print, line ends too, is escaped, but for the characters in ``keep``.

    The words of a definition, a path or a peer must not end a line, begin one that looks like ours, or move a cursor.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
