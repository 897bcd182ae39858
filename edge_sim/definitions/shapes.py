"""Members that the API does not have; where ``greengrass/parse`` does not look, also wrong types and what is missing.

V1's API, and botocore before it, refused an unknown member; here a misspelt one must not pass unseen.
"""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable, Iterator, Mapping

from edge_sim.definitions.tree import Array, Object, member_path
from edge_sim.greengrass import model
from edge_sim.greengrass.families import FAMILIES, Family
from edge_sim.report import Finding

_SOURCE = "botocore greengrass 2017-06-07"


def check(sections: Mapping[str, Object], parsed: Container[str]) -> Iterator[Finding]:
    """Yield what the API would not take of the members' names; of sections that were not parsed, types and absences."""
    for name, section in sections.items():
        yield from _check(section, FAMILIES[name].shape, "$", types=name not in parsed)
        if name not in parsed:
            yield from _missing(section, FAMILIES[name])


def _missing(section: Object, about: Family) -> Iterator[Finding]:
    items = section.get(about.member)
    for index, item in enumerate(items if isinstance(items, Array) else ()):
        for key in about.required if isinstance(item, Object) else ():
            if item.get(key) is None:
                path = f"$.{about.member}[{index}].{key}"
                yield _fault(path, f"{path} is missing")


def unknown_member(path: str, key: str, known: Iterable[str]) -> Finding:
    """Return the finding about a member that belongs nowhere."""
    near = difflib.get_close_matches(key, list(known), n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
    return Finding(
        id="unknown-key",
        severity="error",
        phase="create",
        path=member_path(path, key),
        message=f"{path} has no member {key!r}",
        source=_SOURCE,
        hint=hint,
    )


def _check(value: object, shape: model.Shape, path: str, *, types: bool) -> Iterator[Finding]:
    if isinstance(shape, dict) and isinstance(value, Object):
        for key, item in value.items():
            if key not in shape:
                yield unknown_member(path, key, shape)
            elif item is not None and (types or isinstance(item, Object | Array)):
                yield from _check(item, shape[key], member_path(path, key), types=types)
    elif isinstance(shape, list) and isinstance(value, Array):
        for index, item in enumerate(value):
            yield from _check(item, shape[0], member_path(path, index), types=types)
    elif types and (expected := _expected(value, shape)):
        yield _fault(path, f"{path} must be {expected}")


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
        fits = isinstance(value, Object) and all(model.text(item) is not None for item in value.values())
    else:
        read = {model.TEXT: model.text, model.WHOLE: model.whole_number, model.FLAG: model.truth}[shape]
        fits = read(value) is not None
    return None if fits else str(shape)
