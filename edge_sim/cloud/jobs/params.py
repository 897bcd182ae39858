"""What every operation of AWS IoT does with its parameters: refuse what is not simulated, show lists in pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from edge_sim.cloud import pages
from edge_sim.cloud.protocol import ApiError

T = TypeVar("T")

MAX_RESULTS = 250


def place(params: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many items a page is to have, and the position that its token stands for."""
    try:
        return params.get("maxResults") or MAX_RESULTS, pages.position(params.get("nextToken"))
    except ValueError as error:
        raise invalid("Invalid nextToken.") from error


def page(
    member: str, items: Sequence[T], position: int | None, as_json: Callable[[T], object] = lambda item: item
) -> dict[str, Any]:
    """Return one page as the API shows it."""
    return {member: [as_json(item) for item in items], "nextToken": pages.token(position)}


def refuse(params: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise ApiError when a parameter that is not simulated is given: dropping it would promise too much."""
    for name in names:
        if params.get(name):
            raise invalid(f"edge-sim does not simulate {name}.")


def invalid(message: str) -> ApiError:
    """Return AWS IoT's answer to a request that makes no sense."""
    return ApiError("InvalidRequestException", message, 400)


def missing(message: str) -> ApiError:
    """Return AWS IoT's answer to a request for something that does not exist."""
    return ApiError("ResourceNotFoundException", message, 404)


def exists(message: str, resource_id: str, arn: str) -> ApiError:
    """Return AWS IoT's answer to the creation of something that exists already."""
    details = {"resourceId": resource_id, "resourceArn": arn}
    return ApiError("ResourceAlreadyExistsException", message, 409, details)
