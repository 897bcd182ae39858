"""Time as the Greengrass API writes it."""

from __future__ import annotations

from datetime import datetime, timezone


def timestamp() -> str:
    """Return the time in UTC, with milliseconds.

    The model calls these strings "milliseconds since the epoch"; in AWS's CLI reference, and in moto, they are
    ISO 8601.
    """
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
