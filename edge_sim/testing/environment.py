"""The environment in which boto3 finds the local cloud, for the tests that use it and for no others."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

_UNSET = (
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
    *("AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"),
)
"""What would lead a client elsewhere, or make it ask another for its keys."""
_FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")


class Environment:
    """Environment variables, and boto3's default session, that are in place between ``enter`` and ``leave``.

    Both may be called again and again; ``leave`` puts back what was there before.
    """

    def __init__(self, exports: Mapping[str, str], host: str) -> None:
        past_proxies = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), host)))
        self._values: dict[str, str | None] = {
            **dict.fromkeys(_UNSET),
            **dict.fromkeys(_FILES, os.devnull),
            **dict.fromkeys(("NO_PROXY", "no_proxy"), past_proxies),
            **exports,
        }
        self._before: dict[str, str | None] | None = None
        self._session: object = None

    def enter(self) -> None:
        """Lead boto3 to the cloud."""
        if self._before is None:
            self._before = {name: os.environ.get(name) for name in self._values}
            _set(self._values)
            self._session = _swap_session(None)

    def leave(self) -> None:
        """Put everything back."""
        if self._before is not None:
            _set(self._before)
            _swap_session(self._session)
            self._before = self._session = None


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _swap_session(session: object) -> object:
    """Set boto3's default session and return the one before; a session remembers the keys it was made with."""
    boto3 = sys.modules.get("boto3")
    before = getattr(boto3, "DEFAULT_SESSION", None)
    if boto3 is not None:
        boto3.DEFAULT_SESSION = session  # type: ignore[attr-defined]
    return before
