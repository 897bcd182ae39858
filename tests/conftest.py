"""What every test relies on."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Let the programs under test be interrupted.

    What a shell starts with ``&`` has SIGINT ignored, and so has all that it starts.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
