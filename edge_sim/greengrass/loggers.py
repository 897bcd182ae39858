"""Loggers: where a core writes its logs and its functions', at which level. A simulated core has none of them."""

from __future__ import annotations

from collections.abc import Mapping

FILES_ONLY = "the group's loggers are not simulated: the level, size and rotation of the board's log files"
"""A note where ``only_files``; what else a group does is proven without them."""


def only_files(definition: Mapping[str, object] | None) -> bool:
    """Return whether a LoggerDefinitionVersion has loggers, all of them for the board's own files.

    The level, size and rotation of these files decide nothing else. Logs for CloudWatch need the group's role as well.
    """
    loggers = (definition or {}).get("Loggers")
    if not isinstance(loggers, list) or not loggers:
        return False
    return all(isinstance(logger, Mapping) and logger.get("Type") == "FileSystem" for logger in loggers)
