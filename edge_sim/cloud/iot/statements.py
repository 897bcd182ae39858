"""What an AWS IoT policy says of one client and one topic. Pure.

Sources: IoT developer guide, "AWS IoT Core policies" (actions, resources, variables, "MQTT topic filters are literal
in a policy", a Deny wins, what nothing allows is denied). ``*`` and ``?`` are the policy's wildcards; ``+`` and ``#``
are plain characters in a resource. A value that a variable stands for is literal, wildcards in it too (ours: AWS warns
of client ids like ``+``; such clients are refused here).

What cannot be evaluated is named by ``unsupported``, so that a policy is refused, and never enforced as something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from edge_sim import strictjson

Context = Mapping[str, str]
"""Policy variables, such as ``iot:ClientId``, and their values; an unknown one is not there."""

VERSIONS = ("2012-10-17", "2008-10-17")
MAX_SIZE = 2048
"""Characters of a document without white space (General Reference, "AWS IoT Core quotas")."""
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_KNOWN = re.compile(
    r"iot:(ClientId|Connection\.Thing\.(ThingName|IsAttached|Attributes\[[a-zA-Z0-9_.,@/:#-]{1,128}\]))|[*?$]"
)
_OPERATORS = ("StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "Bool")
_KEYS = frozenset({"Sid", "Effect", "Action", "Resource", "Condition"})


class MalformedPolicyError(ValueError):
    """A document that is no IoT policy; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement. ``conditions``: (operator, variable, values)."""

    allow: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


def parse(document: str) -> tuple[Statement, ...]:
    """Return the statements of a policy document. Raises MalformedPolicyError."""
    try:
        policy = strictjson.loads(document.encode())
    except (ValueError, UnicodeEncodeError) as error:
        raise MalformedPolicyError(f"it is not JSON: {error}") from error
    if not isinstance(policy, dict) or policy.keys() - {"Version", "Id", "Statement"}:
        raise MalformedPolicyError("it is not an object of Version and Statement")
    if policy.get("Version", VERSIONS[0]) not in VERSIONS:
        raise MalformedPolicyError(f"Version is none of {', '.join(VERSIONS)}")
    if len("".join(document.split())) > MAX_SIZE:
        raise MalformedPolicyError(f"it has more than {MAX_SIZE} characters without white space")
    statements = policy.get("Statement")
    items = statements if isinstance(statements, list) else [statements]
    if not items:
        raise MalformedPolicyError("it has no statement")
    return tuple(_statement(each) for each in items)


def unsupported(statements: Sequence[Statement]) -> str | None:
    """Return what of a policy cannot be evaluated here, as one clause, or None."""
    for statement in statements:
        for operator, variable, _ in statement.conditions:
            if operator not in _OPERATORS:
                return f"the condition {operator}"
            if not _KNOWN.fullmatch(variable):
                return f"a condition on {variable}"
        values = [value for _, _, values in statement.conditions for value in values]
        for text in (*statement.resources, *values):
            for name in _VARIABLE.findall(text):
                if not _KNOWN.fullmatch(name):
                    return f"the policy variable ${{{name}}}"
    return None


def allows(statements: Sequence[Statement], context: Context, action: str, resource: str) -> bool:
    """Tell whether statements allow ``action`` (``iot:Publish``) on ``resource`` (an ARN): some do, and none denies."""
    allowed = False
    for statement in statements:
        if _applies(statement, context, action, resource):
            if not statement.allow:
                return False
            allowed = True
    return allowed


def _applies(statement: Statement, context: Context, action: str, resource: str) -> bool:
    if not any(_pattern(each.lower()).fullmatch(action.lower()) for each in statement.actions):
        return False
    patterns = (_filled(each, context) for each in statement.resources)
    if not any(re.fullmatch(pattern, resource, re.DOTALL) for pattern in patterns if pattern is not None):
        return False
    return all(_holds(*condition, context) for condition in statement.conditions)


def _holds(operator: str, variable: str, values: Sequence[str], context: Context) -> bool:
    """Tell whether a condition holds; without a value of the variable only the negative ones do (IAM's rule)."""
    negative = "Not" in operator
    actual = context.get(variable)
    if actual is None:
        return negative
    if operator == "Bool":
        return any(actual.lower() == value.lower() for value in values)
    patterns = (_filled(value, context) if "Like" in operator else _literal(value, context) for value in values)
    matches = any(re.fullmatch(pattern, actual, re.DOTALL) for pattern in patterns if pattern is not None)
    return matches is not negative


def _filled(text: str, context: Context) -> str | None:
    """Return a regular expression for a text with wildcards and variables; None when one has no value."""
    parts = []
    for literal, name in _pieces(text):
        if name is None:
            parts.append(_wild(literal))
        elif name in ("*", "?", "$"):
            parts.append(re.escape(name))
        elif name in context:
            parts.append(re.escape(context[name]))
        else:
            return None
    return "".join(parts)


def _literal(text: str, context: Context) -> str | None:
    """As ``_filled``, for a text whose wildcards are plain characters."""
    return _filled(re.sub(r"([*?])(?![^{]*\})", r"${\1}", text), context)


def _pieces(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield the literal parts of a text, and each variable's name."""
    at = 0
    for variable in _VARIABLE.finditer(text):
        yield text[at : variable.start()], None
        yield "", variable[1]
        at = variable.end()
    yield text[at:], None


def _wild(text: str) -> str:
    return "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text)


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(_wild(text), re.DOTALL)


def _statement(value: object) -> Statement:
    if not isinstance(value, dict):
        raise MalformedPolicyError("a statement is not an object")
    unknown = sorted(value.keys() - _KEYS)
    if unknown:
        raise MalformedPolicyError(f"a statement has {unknown[0]}, which IoT policies do not have")
    if value.get("Effect") not in ("Allow", "Deny"):
        raise MalformedPolicyError("Effect is neither Allow nor Deny")
    return Statement(
        allow=value["Effect"] == "Allow",
        actions=_texts("Action", value.get("Action")),
        resources=_texts("Resource", value.get("Resource")),
        conditions=_conditions(value.get("Condition", {})),
    )


def _conditions(value: Any) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    if not isinstance(value, dict) or not all(isinstance(tests, dict) for tests in value.values()):
        raise MalformedPolicyError("Condition is not an object of operators")
    return tuple(
        (operator, variable, _texts(f"Condition.{operator}.{variable}", values))
        for operator, tests in value.items()
        for variable, values in tests.items()
    )


def _texts(name: str, value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    texts = [str(item).lower() if isinstance(item, bool) else item for item in items]
    strings = tuple(text for text in texts if isinstance(text, str) and text)
    if not strings or len(strings) < len(texts):
        raise MalformedPolicyError(f"{name} is neither a string nor a list of strings")
    return strings
