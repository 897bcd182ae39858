"""The Lambda functions of a template, for the functions of its group that refer to them: runtime and handler.

Followed are ``Ref``, ``Fn::GetAtt`` and ``Fn::Sub`` with the logical id of a function, or of its
``AWS::Lambda::Version`` or ``AWS::Lambda::Alias``. What is not written there as text stays a placeholder.
"""

from __future__ import annotations

from edge_sim.definitions.intrinsics import REFERENCE, Resolver
from edge_sim.definitions.tree import Object, object_at
from edge_sim.errors import Position
from edge_sim.greengrass.functions import FunctionCode
from edge_sim.greengrass.model import text

_SERVERLESS = "AWS::Serverless::Function"
_FUNCTIONS = (_SERVERLESS, "AWS::Lambda::Function")
_PUBLISHED = ("AWS::Lambda::Version", "AWS::Lambda::Alias")


def function_code(top: Object, arn: object, resolver: Resolver) -> tuple[FunctionCode, Position] | None:
    """Return what a template says of the function that a resolved FunctionArn refers to, and where its runtime is."""
    names = _references(arn)
    for number, name in enumerate(names):  # grows while it is read
        resource = object_at(top["Resources"], name)
        properties, kind = object_at(resource, "Properties"), resource.get("Type")
        if kind in _FUNCTIONS:
            defaults = object_at(object_at(top, "Globals"), "Function") if kind == _SERVERLESS else properties
            runtime, handler = (properties if key in properties else defaults for key in ("Runtime", "Handler"))
            code = FunctionCode(
                artifact_arn="",
                handler=text(resolver.resolve(handler.get("Handler"))) or "",
                runtime=text(resolver.resolve(runtime.get("Runtime"))) or "",
                sha256="",
                size=0,
            )
            return code, runtime.position("Runtime")
        if kind in _PUBLISHED and name not in names[:number]:
            names += _references(resolver.resolve(properties.get("FunctionName")))
    return None


def unqualified(top: Object, arn: object) -> str | None:
    """Return what a resolved FunctionArn is when it is a function of the template without version or alias."""
    names = _references(arn)
    if not names or object_at(top["Resources"], names[0]).get("Type") not in _FUNCTIONS:
        return None
    meanings = {
        f"${{Ref:{names[0]}}}": "a function's name",
        f"${{GetAtt:{names[0]}.Arn}}": "the ARN of no version or alias",
    }
    return meanings.get(str(arn))


def _references(value: object) -> list[str]:
    return REFERENCE.findall(value) if isinstance(value, str) else []
