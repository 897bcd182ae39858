"""What a text that is not JSON was probably meant as: comments, commas and words of other languages, with a way out."""

from __future__ import annotations

import re

_BEFORE_END = re.compile(r",[ \t\r\n]*\Z")
_PYTHON = re.compile(r"None\b|True\b|False\b")
_COMMENT = re.compile(r"//|/\*|#")
_CURLY = "“”„‟‘’‚«»"


def json_hint(text: str, at: int) -> str | None:
    """Return what to do about a text that stops being JSON at the offset ``at``; None where no usual slip is there."""
    if _COMMENT.match(text, at):
        return "JSON has no comments: remove this one, or use YAML in a file named .yaml, where # begins a comment."
    if text[at : at + 1] in ("}", "]") and _BEFORE_END.search(text[max(0, at - 200) : at]):
        return "Remove the comma before it: JSON allows none after the last entry."
    if text[at : at + 1] == "'":
        return "JSON uses double quotes only. Python's print does not write JSON; json.dumps does."
    if _PYTHON.match(text, at):
        return "JSON's words are null, true and false; json.dumps writes them for None, True and False."
    if text[at : at + 1] and text[at] in _CURLY:
        return 'Replace the typographic quotes by straight ones (").'
    return None
