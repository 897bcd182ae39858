"""One JSON object of the API, read member by member: values, and a finding with its JSON path for each wrong type.

A member that a template leaves open is unknown: a finding says so, and a ``Substitute`` is read for it. Several of
them in turn tell what depends on the member from what does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from edge_sim.greengrass.model import is_open, text, truth, whole_number
from edge_sim.report import Finding, Phase

_Word = TypeVar("_Word", bound=str)
_SOURCE = "botocore greengrass 2017-06-07"
_REF = re.compile(r"\$\{Ref:([A-Za-z0-9]+)\}")


class Substitute(NamedTuple):
    """What an open number, flag or word is read as; ``word`` counts the allowed words. None: as absent."""

    number: int | None = None
    flag: bool | None = None
    word: int | None = None


ABSENT = Substitute()
OTHERS = (Substitute(number=2**20, flag=True, word=0), Substitute(number=0, flag=False, word=1))
"""Values as far apart as they can be: a rule that says the same with each of them does not depend on the member."""


class ObjectReader:
    """One JSON object with its path; what has the wrong type is noted and read as absent.

    Readers of inner objects share the outer one's list of ``findings``. ``substitute``: what is read for open members.
    """

    def __init__(
        self, value: object, path: str, findings: list[Finding] | None = None, *, substitute: Substitute = ABSENT
    ) -> None:
        self.path = path
        self.findings: list[Finding] = [] if findings is None else findings
        self.value: dict[str, object] = value if isinstance(value, dict) else {}
        self._substitute = substitute
        if isinstance(value, dict):
            return
        if is_open(value):
            self.findings.append(undecided(path, value, "an object"))
        else:
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
                source=_SOURCE,
            )
        )

    def _leaves_open(self, key: str, what: str) -> bool:
        """Return whether a member is open, with a finding that says so."""
        value = self.value.get(key)
        if not is_open(value):
            return False
        self.findings.append(undecided(f"{self.path}.{key}", value, what))
        return True

    def child(self, key: str) -> ObjectReader:
        """Return the reader of an object in a member; an absent one is empty."""
        value = self.value.get(key)
        return self._inner({} if value is None else value, f"{self.path}.{key}")

    def _inner(self, value: object, path: str) -> ObjectReader:
        return ObjectReader(value, path, self.findings, substitute=self._substitute)

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
        if self._leaves_open(key, "a whole number"):
            return self._substitute.number
        value = self.value.get(key)
        whole = whole_number(value)
        if whole is None and value is not None:
            self.fault(f"must be a whole number, not {kind_of(value)}", key=key)
        return whole

    def flag(self, key: str) -> bool | None:
        """Return true or false, also written as a string."""
        if self._leaves_open(key, "true or false"):
            return self._substitute.flag
        value = self.value.get(key)
        answer = truth(value)
        if answer is None and value is not None:
            self.fault(f"must be true or false, not {kind_of(value)}", key=key)
        return answer

    def open_word(self, key: str, allowed: Sequence[_Word]) -> tuple[bool, _Word | None]:
        """Return whether a member that holds one of some words is open, and what is read for it."""
        if not self._leaves_open(key, f"one of {', '.join(allowed)}"):
            return False, None
        return True, None if self._substitute.word is None else allowed[self._substitute.word]

    def items(self, key: str) -> list[object]:
        """Return a list; an absent one is empty."""
        value = self.value.get(key)
        if value is None or isinstance(value, list):
            return value or []
        if self._leaves_open(key, "a list"):
            return []
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
            reader = self._inner(item, f"{self.path}.{key}[{index}]")
            if isinstance(item, dict):
                yield reader


def undecided(path: str, value: object, what: str) -> Finding:
    """Return the finding about a member whose value is not in the file; ``what`` it has to be."""
    parameter = _REF.fullmatch(str(value))
    way = f"In a template: --parameter {parameter[1]}=VALUE, or a Default; elsewhere write" if parameter else "Write"
    return Finding(
        id="shape",
        severity="unknown",
        phase="create",
        path=path,
        message=f"{path} is the placeholder {value}: it is unknown whether that is {what}",
        source=_SOURCE,
        hint=f"{way} the value there.",
    )


def kind_of(value: object) -> str:
    """Return what a value of the wrong kind is, in words."""
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a decimal number",
        str: "a string",
        list: "a list",
        dict: "an object",
    }
    return next((name for kind, name in names.items() if isinstance(value, kind)), "null")
