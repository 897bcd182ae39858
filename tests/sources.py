"""The modules of edge_sim as syntax trees, each parsed once in a process: for tests of what stands in them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import edge_sim

PACKAGE = Path(edge_sim.__file__).parent


@cache
def modules() -> Mapping[str, ast.Module]:
    """Return every module by its path in the package."""
    return {str(p.relative_to(PACKAGE)): ast.parse(p.read_text("utf-8")) for p in sorted(PACKAGE.rglob("*.py"))}


@cache
def texts(module: str) -> tuple[str, ...]:
    """Return the strings of a module, but for its docstrings."""
    return tuple(_texts(modules()[module]))


def _texts(tree: ast.Module) -> Iterator[str]:
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.value
