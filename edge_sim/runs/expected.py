"""What a function's result must contain, compared with the result."""

from __future__ import annotations

from collections.abc import Mapping


def differences(expect: object, actual: object, where: str = "result") -> list[str]:
    """Return what is missing or different in ``actual``; of an object, only the expected keys are looked at."""
    if isinstance(expect, Mapping):
        if not isinstance(actual, Mapping):
            return [f"{where}: expected an object, got {actual!r}"]
        texts = []
        for key, value in expect.items():
            if key not in actual:
                texts.append(f"{where}.{key}: expected {value!r}, but it is missing")
            else:
                texts += differences(value, actual[key], f"{where}.{key}")
        return texts
    same = expect == actual and isinstance(expect, bool) == isinstance(actual, bool)
    return [] if same else [f"{where}: expected {expect!r}, got {actual!r}"]
