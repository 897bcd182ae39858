"""What a core reports on a deployment: the body of ``PUT StatusUrl``, which is ours (docs/architecture.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_sim.cloud.protocol import ApiError
from edge_sim.greengrass.deployment import ENDED, Status

_REPORTS: tuple[Status, ...] = ("InProgress", *ENDED)


def checked_report(body: Mapping[str, Any]) -> dict[str, object]:
    """Return a report without what is null in it; raises ApiError when ``body`` is none."""
    if body.get("DeploymentStatus") not in _REPORTS:
        raise ApiError("BadRequestException", f"DeploymentStatus must be one of {', '.join(_REPORTS)}.")
    details, unproven = body.get("ErrorDetails", []), body.get("NotProven", [])
    keys = {"DetailedErrorCode", "DetailedErrorMessage"}
    fine = isinstance(details, list) and all(isinstance(item, dict) and item.keys() <= keys for item in details)
    texts = [text for item in details for text in item.values()] if fine else [None]
    texts += unproven if isinstance(unproven, list) else [None]
    texts += [body.get(key, "") for key in ("ErrorMessage", "Hint", "Cause")]
    if not all(isinstance(text, str) for text in texts):
        raise ApiError("BadRequestException", "ErrorMessage, ErrorDetails, Hint, Cause or NotProven has a wrong type.")
    unknown = body.keys() - {"DeploymentStatus", "ErrorMessage", "ErrorDetails", "Hint", "Cause", "NotProven"}
    if unknown:
        raise ApiError("BadRequestException", f"Unknown keys: {', '.join(sorted(unknown))}.")
    return {key: value for key, value in body.items() if value is not None}
