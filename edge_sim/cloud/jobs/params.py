"""What every operation of AWS IoT does with its parameters: refuse what is not simulated, show lists in pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from edge_sim.cloud import pages
from edge_sim.cloud.protocol import ApiError

T = TypeVar("T")

MAX_RESULTS = 250


def page(member: str, items: Sequence[T], params: Mapping[str, Any], shown: Callable[[T], object]) -> dict[str, Any]:
    """Return one page. The token is the place to go on from: good enough for lists that change at their ends."""
    first, count = _place(params.get("nextToken")), params.get("maxResults") or MAX_RESULTS
    rest = first + count
    token = pages.token(rest if rest < len(items) else None)
    return {member: [shown(item) for item in items[first:rest]], "nextToken": token}


def _place(token: str | None) -> int:
    try:
        return pages.position(token)
    except ValueError as error:
        raise invalid("Invalid nextToken.") from error


def refuse(params: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise ApiError when a parameter that is not simulated is given: dropping it would promise too much."""
    for name in names:
        if params.get(name):
            raise invalid(f"edge-sim does not simulate {name}.")


def invalid(message: str) -> ApiError:
    """Return AWS IoT's answer to a request that makes no sense."""
    return ApiError("InvalidRequestException", message, 400)
