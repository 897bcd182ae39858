"""The measures of the house notice what they are there for; ``make lint`` holds the package to their limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import house

LONG = "def f() -> None:\n" + "    print()\n" * 59
CASES = {
    "Any by its name": ("Any", "from typing import Any\nx: Any\n", 250),
    "Any of its module": ("Any", "import typing\nx: typing.Any\n", 250),
    "isinstance": ("kind of resource", "def f(d: object) -> bool:\n    return isinstance(d, S3Model)\n", 1),
    "isinstance of several": ("kind of resource", "f = lambda d: isinstance(d, (str, resources.Secret))\n", 1),
    "a class pattern": ("kind of resource", "match d:\n    case LocalDevice():\n        pass\n", 1),
    "another class": ("kind of resource", "f = lambda d: isinstance(d, str)\n", 0),
    "vague names": ("no nouns", "def _told(found: int) -> None:\n    one = kept.made = found\n", 4),
    "a function of 60 lines": ("longest function", LONG, 60),
    "a method that waits": ("longest function", "class A:\n    async def f(self) -> None:\n        pass\n", 2),
    "a class by another's name": ("several meanings", "class A: ...\nclass _B: ...\n", 1),
    "a module of 61 lines": ("longest module", LONG + "\n", 61),
}


def figure(name: str) -> house.Figure:
    (measured,) = [figure for figure in house.figures(Path("measured").absolute()) if name in figure.name]
    return measured


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that stands where this process runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "measured").mkdir()
    (tmp_path / "measured/__init__.py").write_text("class A: ...\ndef g() -> None: ...\n")
    return tmp_path / "measured"


@pytest.mark.parametrize("case", CASES)
def test_a_measure_notices(package: Path, case: str) -> None:
    name, text, value = CASES[case]
    (package / "module.py").write_text(text)
    assert figure(name).value == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "from measured import first",
        "def f() -> None:\n    from measured.first import g",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import measured.first",
    ],
    ids=["at the top", "in a function", "for types alone"],
)
def test_a_circle_of_imports_is_noticed_wherever_it_stands(package: Path, text: str) -> None:
    (package / "first.py").write_text("from measured import second\n")
    (package / "second.py").write_text("")
    assert figure("circle").value == 0
    (package / "second.py").write_text(text)
    measured = figure("circle")
    assert measured.value > measured.limit
    assert {"measured.first", "measured.second"} == set(measured.where.split(" → "))
    assert "EXCEEDED" in str(measured)
