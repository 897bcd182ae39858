"""docs/architecture.md against the code that it draws: folders, arrows, and what the parts say to each other."""

from __future__ import annotations

import ast
import re
from dataclasses import fields

import pytest

from edge_sim.agent import configfile
from edge_sim.agent.update.journal import Record
from tests import sources

ROOT = sources.PACKAGE.parent
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
TREE, ARROWS = PAGE.split("```")[1:4:2]


def contract(name: str) -> str:
    """Return the layers that the linter holds, as the page writes them."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    layers = re.search(rf'name = "{re.escape(name)}".*?\nlayers = \[(.*?)\n\]', project, re.DOTALL)
    assert layers
    return " → ".join(re.findall(r'"(.*?)"', layers[1])).replace("edge_sim.", "").replace("agent.", "")


def arrows(heading: str) -> str:
    """Return what the page says after a heading, up to the next one, as one line."""
    text = ARROWS.partition(heading)[2]
    return " ".join(re.split(r"\n(?=\S)", text, maxsplit=1)[0].split())


def test_every_module_and_folder_of_the_package_is_in_the_tree() -> None:
    top = {path.name for path in sources.PACKAGE.iterdir() if not path.name.startswith(("__init__", "__pycache__"))}
    named = set(re.findall(r"[\w/]+\.py\b|\b\w+/", TREE))
    assert {name for name in top if name not in named and f"{name}/" not in named} == set()
    assert {name for name in named if not any(sources.PACKAGE.rglob(name.rstrip("/")))} == {
        "edge_sim/",
        "docs/",
        "device_profiles/",
    }


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("Arrows point inward", ""),
        ("The agent's parts", "within the agent:"),
        ("The cloud's parts", "within the cloud:"),
        ("The two kinds of board", "among the boards:"),
    ],
)
def test_the_arrows_are_the_linter_s(name: str, heading: str) -> None:
    drawn = arrows(heading) if heading else " ".join(ARROWS.partition("within the agent:")[0].split())
    layers, as_drawn = ([{*row.split(" | ")} for row in text.split(" → ")] for text in (contract(name), drawn))
    if name == "The agent's parts":
        as_drawn[-1] = {"archives"}  # "and small parts", which no contract names
    assert as_drawn == layers


def test_only_these_use_the_agent_s_code_on_the_host() -> None:
    """``cli/agent.py`` is on the board; ``agentbuild`` writes a program that begins with such a line."""
    users = set(sources.mentioning(r"(?m)^\s*(from|import) edge_sim\.agent\b")) - {"emulation/agentbuild.py"}
    others = {name for name in users if not name.startswith(("agent/", "fleet/", "offline/", "runs/"))}
    assert others == {"cli/agent.py", "cli/check_archive.py", "cli/doctor.py", "cli/ota.py"}


def section(title: str) -> str:
    return PAGE.partition(f"**{title}")[2].partition("\n\n")[0]


def test_the_agent_s_configuration_is_listed_with_every_key() -> None:
    said = set(re.findall(r"`(\w+)`", section("Agent configuration")))
    assert said >= configfile._KEYS
    assert said - configfile._KEYS == {"run", "layout", "access", "invoke", "coreThing", "links"}


def test_every_event_of_the_agent_is_listed() -> None:
    emitted = {
        str(node.args[0].value)
        for name in sources.mentioning(r"emit\(")
        if name.startswith("agent/")
        for node in ast.walk(sources.tree(name))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")).endswith("emit")
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(emitted) > 8
    listed = section("Agent events").partition("a line): ")[2]
    assert {name for name in emitted if f"`{name}`" not in listed} == set()


def test_every_member_of_the_journal_s_record_is_listed() -> None:
    assert {f"`{field.name}`" for field in fields(Record)} <= set(re.findall(r"`\w+`", section("The update's journal")))
