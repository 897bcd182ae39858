"""The ``nextToken`` of lists: the position in the store from which the next page continues."""

from __future__ import annotations

import base64
import binascii

_MARK = "after-"
"""Keeps a decoded token from being JSON: botocore would take that for a token of its paginators' own."""


def token(position: int | None) -> str | None:
    """Return the token that stands for a position; None when there is no next page."""
    return None if position is None else base64.urlsafe_b64encode(f"{_MARK}{position}".encode()).decode()


def position(token: str | None) -> int:
    """Return the position that a token stands for; 0 without a token. Raises ValueError when it is none of ours."""
    if token is None:
        return 0
    try:
        text = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError) as error:
        raise ValueError("the token is not valid in this cloud") from error
    number = text.removeprefix(_MARK)
    if number == text or not (number.isdigit() and len(number) <= 18):
        raise ValueError("the token is not valid in this cloud")
    return int(number)
