"""The modules of edge_sim as text and as syntax trees, parsed once in a process: for tests of what stands in them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import edge_sim

PACKAGE = Path(edge_sim.__file__).parent


@cache
def _modules() -> Mapping[str, str]:
    return {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


def mentioning(pattern: str) -> list[str]:
    """Return the modules, by their paths in the package, whose text matches; parsing all of them takes seconds."""
    return [name for name, text in _modules().items() if re.search(pattern, text)]


def text(module: str) -> str:
    return _modules()[module]


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(_modules()[module])


def strings(module: str) -> Iterator[str]:
    """Yield the strings of a module, but for its docstrings."""
    bare = {id(node.value) for node in ast.walk(tree(module)) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.value
