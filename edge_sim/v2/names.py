"""What components are called, and in which version: the same group always gives the same names.

A function's component has its Lambda's name, as the service would call it (import-lambda-function-cli.md), and version
``N.0.0`` of Lambda version N. Where two functions of a group are the same Lambda, the function's Id follows; that, and
the names of models' components, are ours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from edge_sim.arns import pattern
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.model import is_open
from edge_sim.greengrass.resources import Resource
from edge_sim.v2.move import Move

MAX_NAME, MAX_VERSION, MAX_NUMBER = 128, 64, 999_999
"""Characters of a component's name and version (botocore's greengrassv2 model), and what a version's number may be."""
NAME = re.compile(r"[a-zA-Z0-9\-_.]+")
MODEL_VERSION = "1.0.0"
_LAMBDA = re.compile(pattern("lambda", "function:(?P<name>[^:]+)(?::(?P<version>[^:]+))?"))
_SECRET_NAME = re.compile(
    r"secret|passw|passphrase|pwd|token|api_?key|access_?key|private_?key|credential|auth|signature|\bpin\b|_pin$|^pin_",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|://[^/@\s:]+:[^/@\s]+@|\beyJ[\w-]{10,}\.")


def lambda_name(function: Function) -> str | None:
    """Return the name of a function's Lambda; None where its ARN has none, or a template leaves it open."""
    match = _LAMBDA.fullmatch(function.arn)
    return match["name"] if match and not is_open(match["name"]) else None


def lambda_version(function: Function) -> str | None:
    """Return what stands for a version in a function's ARN: a number, an alias, ``$LATEST`` or nothing."""
    match = _LAMBDA.fullmatch(function.arn)
    return match["version"] if match else None


def component_version(function: Function) -> str:
    """Return the version of a function's component: ``N.0.0`` for Lambda version N, else ``1.0.0``."""
    number = lambda_version(function) or ""
    return f"{int(number)}.0.0" if number.isascii() and number.isdigit() else "1.0.0"


def component_names(move: Move) -> Mapping[str, str]:
    """Return the names of the components of the user's functions, by function Id."""
    shared = Counter(filter(None, map(lambda_name, move.own_functions)))
    names = {}
    for function in move.own_functions:
        name = lambda_name(function)
        alone = name is not None and shared[name] == 1
        names[function.id] = _safe(str(name) if alone else ".".join(filter(None, (name, function.id))))
    return names


def model_component(resource: Resource) -> str:
    """Return the name of the component that holds one model."""
    return f"model.{_safe(resource.id)}"


def looks_secret(name: str, value: str) -> bool:
    """Return whether an environment variable seems to hold a secret: by its name, or by the form of its value."""
    return bool(value) and bool(_SECRET_NAME.search(name) or _SECRET_VALUE.search(value))


def placeholder(*words: str) -> str:
    """Return the name that stands where a value has to be put in: ``REPLACE_WORD_WORD``."""
    return "_".join(["REPLACE", *(re.sub(r"[^A-Z0-9]+", "_", word.upper()).strip("_") for word in words)])


def _safe(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9\-_.]", "_", name)
