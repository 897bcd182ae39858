"""PyYAML's own parser and libyaml's, which not every installation has: what a file says must not depend on that.

libyaml's takes a twentieth of the time, but also a tab between words, a tag that ends in a comma, and ``>#``. So it
reads what both read alike, and PyYAML's own reads the rest, and whatever is wrong.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import yaml

_DISPUTED = re.compile(r"[\t?\ufeff\x85\u2028\u2029]|^%|[|>][0-9+-]*#|!(?![A-Za-z0-9]+[ \n])", re.MULTILINE)
"""Spots in texts that libyaml's parser takes and PyYAML's own does not, or reads differently. Comments and quoted texts
have such spots too, which costs time and no more."""


class OwnLoader(yaml.SafeLoader):
    """PyYAML's own, without its tracebacks and lone surrogates for escapes of what is no character."""

    def scan_flow_scalar(self, style: str) -> Any:
        parser: Any = super()  # the stubs leave its methods untyped
        mark = self.get_mark()
        try:
            token = parser.scan_flow_scalar(style)
            token.value.encode()
        except ValueError as error:
            problem = "found an escape that is not a Unicode character"
            raise yaml.scanner.ScannerError(None, None, problem, mark) from error
        return token


def libyaml_reads(text: str) -> bool:
    """Return whether libyaml's parser is here, and may read a text. What it refuses, PyYAML's own has to look at."""
    return yaml.__with_libyaml__ and not _DISPUTED.search(text)


class YamlFault(NamedTuple):
    """Why a text is not YAML, and where, if that is one place; ``hint`` is the way out of a usual slip."""

    problem: str
    mark: yaml.Mark | None
    hint: str | None


def fault(error: yaml.YAMLError) -> YamlFault:
    """Return what an error of PyYAML's own parser says."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return YamlFault(f"not valid YAML: {' '.join(str(error).split())}", None, None)
    return YamlFault(
        f"not valid YAML: {error.problem}", error.problem_mark or error.context_mark, _hint(f"{error.problem}")
    )


def _hint(problem: str) -> str | None:
    if r"'\t' that cannot start" in problem:
        return "Indent with spaces: YAML allows no tabs there. If this is JSON, name the file .json."
    if "cannot start any token" in problem:
        return "Quote a value that begins with this character."
    if "mapping values are not allowed" in problem:
        return "Indent it like its neighbours, and quote a value that holds a colon and a space."
    return None
