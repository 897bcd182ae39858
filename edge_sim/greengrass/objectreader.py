"""One JSON object of the API, read member by member: values, and a finding with its JSON path for each wrong type."""

from __future__ import annotations

from collections.abc import Iterator

from edge_sim.greengrass.model import is_open, text, truth, whole_number
from edge_sim.report import Finding, Phase

_OPEN_HINT = "Give the template's parameter a Default, or import the template and write the value there."


class ObjectReader:
    """One JSON object with its path; what has the wrong type is noted and read as absent.

    Readers of inner objects share the outer one's list of ``findings``.
    """

    def __init__(self, value: object, path: str, findings: list[Finding] | None = None) -> None:
        self.path = path
        self.findings: list[Finding] = [] if findings is None else findings
        self.value: dict[str, object] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            self.fault(f"must be an object, not {kind_of(value)}")
            self.findings = self.findings if findings is None else []  # what it lacks follows from that

    def fault(
        self,
        message: str,
        *,
        key: str | None = None,
        rule: str = "shape",
        phase: Phase = "create",
        aws_text: str | None = None,
    ) -> None:
        """Note what is wrong with this object, or with its member ``key``; the message goes on after the path."""
        path = f"{self.path}.{key}" if key else self.path
        self.findings.append(
            Finding(
                id=rule,
                severity="error",
                phase=phase,
                path=path,
                message=f"{path} {message}",
                aws_text=aws_text,
                source="botocore greengrass 2017-06-07",
                hint=_OPEN_HINT if key and is_open(self.value.get(key)) else None,
            )
        )

    def child(self, key: str) -> ObjectReader:
        """Return the reader of an object in a member; an absent one is empty."""
        value = self.value.get(key)
        return ObjectReader({} if value is None else value, f"{self.path}.{key}", self.findings)

    def text(self, key: str) -> str | None:
        """Return a string, or a whole number as its digits."""
        value = self.value.get(key)
        content = text(value)
        if content is None and value is not None:
            self.fault(f"must be a string, not {kind_of(value)}", key=key)
        return content

    def required_text(self, key: str) -> str:
        """Return a string that must be there; empty when it is not."""
        value = self.text(key)
        if value is None and self.value.get(key) is None:
            self.fault("is missing", key=key)
        return value or ""

    def number(self, key: str) -> int | None:
        """Return a whole number, also one written as a string."""
        value = self.value.get(key)
        whole = whole_number(value)
        if whole is None and value is not None:
            self.fault(f"must be a whole number, not {kind_of(value)}", key=key)
        return whole

    def flag(self, key: str) -> bool | None:
        """Return true or false, also written as a string."""
        value = self.value.get(key)
        answer = truth(value)
        if answer is None and value is not None:
            self.fault(f"must be true or false, not {kind_of(value)}", key=key)
        return answer

    def items(self, key: str) -> list[object]:
        """Return a list; an absent one is empty."""
        value = self.value.get(key)
        if value is None or isinstance(value, list):
            return value or []
        self.fault(f"must be a list, not {kind_of(value)}", key=key)
        return []

    def texts(self, key: str) -> Iterator[str]:
        """Yield the strings of a list."""
        for index, item in enumerate(self.items(key)):
            content = text(item)
            if content is None:
                self.fault(f"must be a string, not {kind_of(item)}", key=f"{key}[{index}]")
            else:
                yield content

    def objects(self, key: str) -> Iterator[ObjectReader]:
        """Yield readers of the objects of a list; what is none is noted and passed over."""
        for index, item in enumerate(self.items(key)):
            reader = ObjectReader(item, f"{self.path}.{key}[{index}]", self.findings)
            if isinstance(item, dict):
                yield reader


def kind_of(value: object) -> str:
    """Return what a value of the wrong kind is, in words."""
    if is_open(value):
        return f"the placeholder {value}"
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a decimal number",
        str: "a string",
        list: "a list",
        dict: "an object",
    }
    return next((name for kind, name in names.items() if isinstance(value, kind)), "null")
