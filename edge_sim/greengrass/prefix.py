"""AWS_GG_RESOURCE_PREFIX: where a No-container function opens its models, and texts that leave it out.

access-ml-resources.md: without a container a model is linked below a directory of the function's own, whose path is in
the variable, and the code opens prefix + DestinationPath. In a container the prefix is ``/``; up to 1.9 there is none.
"""

from __future__ import annotations

import re

from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.group import Group

VARIABLE = "AWS_GG_RESOURCE_PREFIX"


def model_paths(group: Group, function: Function) -> tuple[str, ...]:
    """Return the DestinationPaths of the models attached to a No-container function; none for another."""
    if group.isolation_mode(function) == "GreengrassContainer":
        return ()
    paths = (resource.destination_path for resource, _ in group.attached(function) if resource.model)
    return tuple(path.rstrip("/") for path in paths if path and path.rstrip("/"))


def pattern(path: str) -> str:
    """Return a regular expression for texts that name ``path``, or what is below it; its group is the whole path."""
    return rf"(?<![\w./}}-])({re.escape(path)}(?:/[\w./-]*\w)?)(?![\w-]|\.\w)"


def patterns(group: Group, function: Function) -> dict[str, re.Pattern[bytes]]:
    """Return what is looked for in a function's code, by the names of ``Case.mentions``; nothing in a container."""
    texts = {path: pattern(path) for path in model_paths(group, function)}
    return {name: re.compile(text.encode()) for name, text in {**texts, VARIABLE: VARIABLE}.items()} if texts else {}


def names(text: str, path: str) -> bool:
    """Tell whether ``text`` names ``path``, or what is below it, without anything before it."""
    return re.search(pattern(path), text) is not None


def hint(error: str, group: Group, function: Function) -> str | None:
    """Return what to do when the error of a No-container function names a path of its models; else None."""
    matches = (re.search(pattern(path), error) for path in model_paths(group, function))
    return next((advice(match[1]) for match in matches if match), None)


def advice(path: str) -> str:
    """Return what to do where code opens ``path``, a DestinationPath or what is below it, as it is."""
    opening = f"open os.environ['{VARIABLE}'] + '{path}'"
    return f"Without a container the model is below a directory of the function's own: {opening}."
