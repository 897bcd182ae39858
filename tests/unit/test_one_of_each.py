"""What is said in one place: the form of an ARN, text made printable, the words for how a job or deployment stands."""

from __future__ import annotations

import ast
from collections.abc import Callable

import pytest

from edge_sim import arns
from edge_sim.greengrass import deployment
from edge_sim.jobs import requests
from tests import sources

SDK = "agent/functions/sdk/"
"""Copied beside users' functions, where nothing else of ours is."""


def modules(pattern: str) -> list[str]:
    return [name for name in sources.mentioning(pattern) if not name.startswith(SDK)]


def having(nodes: Callable[[ast.AST], bool], pattern: str) -> set[str]:
    """Return the modules with such a node, of those whose text matches."""
    return {name for name in modules(pattern) if any(map(nodes, ast.walk(sources.tree(name))))}


def test_the_form_of_an_arn_is_written_once() -> None:
    arn = "arn:aws"
    assert [name for name in modules(arn) if any(text.startswith(arn) for text in sources.strings(name))] == ["arns.py"]


def test_text_is_made_printable_in_one_place() -> None:
    """Elsewhere ``isprintable`` only decides."""

    def replaces(node: ast.AST) -> bool:
        return isinstance(node, ast.GeneratorExp) and "isprintable" in ast.dump(node)

    assert having(replaces, "isprintable") == {"report.py"}


def test_statuses_are_listed_once() -> None:
    """Two of them beside each other, in a tuple, list, set or Literal, are a list of them."""
    words = {*requests.STATUSES, *deployment.RUNNING, *deployment.ENDED} - {"QUEUED"}

    def lists(node: ast.AST) -> bool:
        items = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []
        return sum(isinstance(item, ast.Constant) and item.value in words for item in items) > 1

    word = f"""['"]({"|".join(words)})['"]"""
    about_jobs = {"jobs/requests.py", "jobs/execution.py", "jobs/rollout.py", "cloud/jobs/service.py"}
    assert having(lists, rf"(?s){word}.*{word}") == {*about_jobs, "greengrass/deployment.py"}


@pytest.mark.parametrize(
    ("text", "region", "account", "resource"),
    [
        ("arn:aws:lambda:eu-west-1:123456789012:function:f:1", "eu-west-1", "123456789012", "function:f:1"),
        ("arn:aws:lambda:::function:GGRouter", "", "", "function:GGRouter"),
        ("arn:aws", "", "", ""),
        ("", "", "", ""),
    ],
)
def test_an_arn_is_read(text: str, region: str, account: str, resource: str) -> None:
    assert arns.parts(text) == (region, account, resource)
