"""Values for what a template leaves to its stack: a run needs some, where a verdict does not.

A member whose whole value is a placeholder gets a value of its kind (a function's ARN, a model's address); within a
text the pseudo parameters get the local cloud's region and account, and anything else its own name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from edge_sim.arns import arn
from edge_sim.definitions.assembly import FREE_TEXT

WHERE = "us-east-1:123456789012"
"""Region and account of what is made up."""
_PSEUDO = {"AWS::Region": "us-east-1", "AWS::AccountId": "123456789012", "AWS::Partition": "aws"}
_PLACEHOLDER = re.compile(r"\$\{([^{}]+)\}")
_WHOLE: Mapping[str, str] = {
    "FunctionArn": arn("lambda", "function:{name}:1", WHERE),
    "S3Uri": "s3://stand-in/{name}/model.tar.gz",
    "SageMakerJobArn": arn("sagemaker", "training-job/{name}", WHERE),
    "ThingArn": arn("iot", "thing/{name}", WHERE),
    "CertificateArn": arn("iot", "cert/{digest}", WHERE),
    "ARN": arn("secretsmanager", "secret:{name}-Ab3dEf", WHERE),
}


def filled(bundle: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a canonical bundle with a value for each placeholder, and the values by what they stand for.

    What is meant for a program, such as a variable's value, stays as it is.
    """
    values: dict[str, str] = {}
    _note_whole(bundle, values)
    return _fill(bundle, values), values


def _note_whole(value: object, values: dict[str, str]) -> None:
    """Note what stands for the members whose whole value is a placeholder: others may refer to them by it."""
    for key, inner in value.items() if isinstance(value, Mapping) else ():
        if key in _WHOLE and isinstance(inner, str) and _PLACEHOLDER.fullmatch(inner):
            digest = hashlib.sha256(inner.encode()).hexdigest()
            values.setdefault(inner, _WHOLE[key].format(name=_name(inner[2:-1]), digest=digest))
        elif key not in FREE_TEXT:
            _note_whole(inner, values)
    for inner in value if isinstance(value, list) else ():
        _note_whole(inner, values)


def _fill(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: inner if key in FREE_TEXT else _fill(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, values) for inner in value]
    if not isinstance(value, str):
        return value

    def stand_in(match: re.Match[str]) -> str:
        return values.setdefault(match[0], _PSEUDO.get(match[1]) or _name(match[1]))

    return _PLACEHOLDER.sub(stand_in, value)


def _name(placeholder: str) -> str:
    """Return a name that every ARN and address takes: ``GetAtt:WatchBirds.Arn`` is ``watchbirds``."""
    plain = re.sub(r"^[A-Za-z0-9]*:(?!:)|\.Arn$", "", placeholder)
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "stand-in"
