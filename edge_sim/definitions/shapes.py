"""Members that the API does not have; where ``greengrass/parse`` does not look, also wrong types and what is missing.

V1's API, and botocore before it, refused an unknown member; here a misspelt one must not pass unseen. Types that boto3
refused before it sent anything are faults in what boto3 is given, and converted in what CloudFormation reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator, Mapping

from edge_sim.definitions.forms import Reader
from edge_sim.definitions.misplaced import Chain, home
from edge_sim.definitions.tree import Array, Object, member_path
from edge_sim.greengrass import model
from edge_sim.greengrass.families import FAMILIES, Family
from edge_sim.greengrass.model import is_open
from edge_sim.greengrass.objectreader import undecided
from edge_sim.greengrass.rules.reading import null_in_template, null_member
from edge_sim.report import Finding, Severity

_Expected = Callable[[object, model.Shape], "str | None"]
"""Says what a value should have been, or None when it is."""
_KINDS: Mapping[str, type] = {model.TEXT: str, model.WHOLE: int, model.FLAG: bool}
NULLS = (null_member.id, null_in_template.id)
"""The rules about members that are null. Nothing is written of such a member."""
_NULL: Mapping[Reader, str] = {
    "client": ", which boto3 and the AWS CLI refuse",
    "boto3": ", which boto3 refuses",
    "CloudFormation": "",
}
_SOURCE = "botocore greengrass 2017-06-07"


def check(sections: Mapping[str, Object], parsed: Container[str]) -> Iterator[Finding]:
    """Yield the wrong types and what is missing in the sections that are not ``parsed``."""
    for name, section in sections.items():
        if name not in parsed:
            yield from _types(section, FAMILIES[name].shape, "$", _expected)
            yield from _missing(section, FAMILIES[name])


def is_clean(value: object, shape: model.Shape, reader: Reader | None) -> bool:
    """Return whether ``unknown_members`` (and ``exact_types``, and ``null_members``) have nothing to say.

    Quick, for it makes no paths.
    """
    if value is None:
        return reader is None
    if isinstance(shape, list):
        return not isinstance(value, Array) or all(is_clean(item, shape[0], reader) for item in value)
    if not isinstance(shape, Mapping) or not isinstance(value, Object):
        return not _sends_as_is(reader) or _is_exact(value, shape)
    for key, item in value.items():
        inner = shape.get(key)
        if inner is None:
            return False
        if item.__class__ is str:
            if inner.__class__ is str and inner != model.TEXT and _sends_as_is(reader):
                return False
        elif not is_clean(item, inner, reader):
            return False
    return True


def _sends_as_is(reader: Reader | None) -> bool:
    return reader is not None and reader != "CloudFormation"


def _is_exact(value: object, shape: model.Shape) -> bool:
    if shape == model.TEXT_MAP:
        return isinstance(value, Object) and all(isinstance(item, str) for item in value.values())
    return not isinstance(shape, str) or isinstance(value, _KINDS[shape])


def unknown_members(sections: Mapping[str, Object]) -> Iterator[Finding]:
    """Yield the members that the API does not have."""
    for name, section in sections.items():
        yield from _names(section, FAMILIES[name].shape, "$", (), name)


def exact_types(section: Object, shape: model.Shape, reader: Reader) -> Iterator[Finding]:
    """Yield the values that CloudFormation would convert and boto3 refuses."""
    if _sends_as_is(reader):
        yield from _types(section, shape, "$", _exactly)


def null_members(section: Object, shape: model.Shape, reader: Reader) -> Iterator[Finding]:
    """Yield the members that are null: the API has none, and it depends on the reader what becomes of them."""
    rule = null_in_template if reader == "CloudFormation" else null_member
    severity: Severity = "error" if reader == "boto3" else rule.severity
    reason = _NULL[reader]
    for path in _nulls(section, shape, "$"):
        yield Finding(
            id=rule.id,
            severity=severity,
            phase=rule.phase,
            path=path,
            message=f"{path} is null{reason}",
            aws_text=rule.aws_text,
            source=rule.source,
            hint="Leave the member out." if reader == "boto3" else rule.hint,
        )


def _nulls(value: object, shape: model.Shape, path: str) -> Iterator[str]:
    if isinstance(shape, dict) and isinstance(value, Object):
        for key, item in value.items():
            if key in shape and item is None:
                yield member_path(path, key)
            elif key in shape:
                yield from _nulls(item, shape[key], member_path(path, key))
    elif isinstance(shape, list) and isinstance(value, Array):
        for index, item in enumerate(value):
            yield from _nulls(item, shape[0], member_path(path, index))


def _missing(section: Object, about: Family) -> Iterator[Finding]:
    items = section.get(about.member)
    for index, item in enumerate(items if isinstance(items, Array) else ()):
        for key in about.required if isinstance(item, Object) else ():
            if item.get(key) is None:
                path = f"$.{about.member}[{index}].{key}"
                yield _fault(path, f"{path} is missing")


def unknown_member(path: str, key: str, hint: str) -> Finding:
    """Return the finding about a member of a name that is unknown at its place."""
    return Finding(
        id="unknown-key",
        severity="error",
        phase="create",
        path=member_path(path, key),
        message=f"{path} has no member {key!r}",
        source=_SOURCE,
        hint=hint,
    )


def _names(value: object, shape: model.Shape, path: str, chain: Chain, section: str) -> Iterator[Finding]:
    if isinstance(shape, dict) and isinstance(value, Object):
        for key, item in value.items():
            if key not in shape:
                known = list(shape)
                hint = home(FAMILIES[section].shape, chain, key, known).hint(chain, known)
                yield unknown_member(path, key, hint)
            elif isinstance(item, Object | Array):
                yield from _names(item, shape[key], member_path(path, key), (*chain, key), section)
    elif isinstance(shape, list) and isinstance(value, Array):
        for index, item in enumerate(value):
            yield from _names(item, shape[0], member_path(path, index), chain, section)


def _types(value: object, shape: model.Shape, path: str, expected: _Expected) -> Iterator[Finding]:
    if isinstance(shape, dict) and isinstance(value, Object):
        for key, item in value.items():
            if key in shape and item is not None:
                yield from _types(item, shape[key], member_path(path, key), expected)
    elif isinstance(shape, list) and isinstance(value, Array):
        for index, item in enumerate(value):
            yield from _types(item, shape[0], member_path(path, index), expected)
    elif shape == model.TEXT_MAP and isinstance(value, Object):
        for key, item in value.items():
            yield from _types(item, model.TEXT, member_path(path, key), expected)
    elif what := expected(value, shape):
        sent = expected is _exactly
        yield _fault(path, f"{path} must be {what}") if sent or not is_open(value) else undecided(path, value, what)


def _fault(path: str, message: str) -> Finding:
    return Finding(id="shape", severity="error", phase="create", path=path, message=message, source=_SOURCE)


def _expected(value: object, shape: model.Shape) -> str | None:
    """Return what a value should have been, or None when it is."""
    if isinstance(shape, Mapping):
        return "an object"
    if isinstance(shape, list):
        return "a list"
    if isinstance(shape, tuple):
        return None if value in shape else f"one of {', '.join(shape)}"
    if shape == model.TEXT_MAP:
        fits = isinstance(value, Object)
    else:
        read = {model.TEXT: model.text, model.WHOLE: model.whole_number, model.FLAG: model.truth}[shape]
        fits = read(value) is not None
    return None if fits else str(shape)


def _exactly(value: object, shape: model.Shape) -> str | None:
    """Return what a scalar should have been for boto3 where another type would be taken for it; else None."""
    if not isinstance(shape, str) or shape not in _KINDS or isinstance(value, _KINDS[shape]):
        return None
    if _expected(value, shape) and not is_open(value):
        return None
    return f"{shape}: boto3 refuses {json.dumps(value)}"
