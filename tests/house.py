"""Measure the house: ``python -m tests.house`` prints the figures, and ends with 1 where one is beyond its limit."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import get_args

import grimp

from edge_sim.greengrass.resources import ResourceData

PACKAGE = Path(__file__).parents[1] / "edge_sim"
VAGUE = frozenset(("found", "told", "given", "made", "one", "kept", "wanted", "said", "asked"))
"""Names that leave a reader to look up what they stand for: a noun says it."""
KINDS = frozenset({"Local", "Model", *(kind.__name__ for kind in get_args(ResourceData))})


@dataclass(frozen=True)
class Figure:
    """One measure of the whole package, and its limit; ``where`` names what has the value."""

    name: str
    value: float
    limit: float
    where: str = ""

    def __str__(self) -> str:
        verdict = "EXCEEDED" if self.value > self.limit else ""
        return f"{self.name:44} {self.value:6.4g}  limit {self.limit:4g}  {verdict} {self.where}".rstrip()


def figures(package: Path = PACKAGE) -> list[Figure]:
    """Return every figure of a package, which can be imported by its folder's name."""
    texts = {str(path.relative_to(package.parent)): path.read_text("utf-8") for path in sorted(package.rglob("*.py"))}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    lines = {name: len(text.splitlines()) for name, text in texts.items()}
    untyped = sum(_named(node) == "Any" for tree in trees.values() for node in ast.walk(tree))
    asking = [name for name, tree in trees.items() if any(map(_asks_for_a_kind, ast.walk(tree)))]
    vague = sum(name.strip("_") in VAGUE for tree in trees.values() for name in set(_names(tree)))
    classes = Counter(name for tree in trees.values() for name in _classes(tree))
    shared = sorted(name for name, count in classes.items() if count > 1)
    lengths = {f"{name}: {function}": length for name, tree in trees.items() for function, length in _functions(tree)}
    cycle = _import_cycle(package.name)
    longest_module, longest_function = max(lines, key=lines.__getitem__), max(lengths, key=lengths.__getitem__)
    return [
        Figure("uses of Any per 1,000 lines", 1000 * untyped / sum(lines.values()), limit=11),
        Figure("files that ask for a kind of resource", len(asking), limit=15),
        Figure("names that are no nouns (found, told, one …)", vague, limit=0),
        Figure("class names with several meanings", len(shared), limit=4, where=", ".join(shared)),
        Figure("lines of the longest function", lengths[longest_function], limit=60, where=longest_function),
        Figure("lines of the longest module", lines[longest_module], limit=350, where=longest_module),
        Figure("modules in a circle of imports", len(cycle), limit=0, where=" → ".join(cycle)),
    ]


def _asks_for_a_kind(node: ast.AST) -> bool:
    """Say whether a node is ``isinstance`` or a class pattern with a kind of resource."""
    if isinstance(node, ast.MatchClass):
        kinds: ast.expr = node.cls
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
        kinds = node.args[1]
    else:
        return False
    return any(_named(name) in KINDS for name in ast.walk(kinds))


def _named(node: ast.AST) -> str | None:
    """Return the name that a node is, ``Any`` as well as ``typing.Any``."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


def _names(tree: ast.Module) -> Iterator[str]:
    """Yield what a module calls its functions, parameters, attributes and variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def _classes(tree: ast.Module) -> Iterator[str]:
    """Yield the classes that other modules may name."""
    yield from (node.name for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))


def _functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            yield node.name, node.end_lineno - node.lineno + 1


def _import_cycle(package: str) -> list[str]:
    """Return one circle of imports, wherever in a module they stand; empty when there is none."""
    graph = grimp.build_graph(package, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return [str(module) for module in error.args[1]]
    return []


def main() -> None:
    """Print the figures; end with status 1 when a limit is not kept."""
    measured = figures()
    print(*measured, sep="\n")
    sys.exit(any(figure.value > figure.limit for figure in measured))


if __name__ == "__main__":
    main()
