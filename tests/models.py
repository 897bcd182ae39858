"""What botocore knows of AWS's services, for tests that hold requests against it."""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.session import get_session


@cache
def service_model(name: str) -> Any:
    """Return a service's model, which nobody changes: reading it takes a test longer than all else it does."""
    return get_session().get_service_model(name)
