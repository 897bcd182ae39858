"""The JSON schemas: what one refuses its reader refuses, and whatever the reader takes is valid."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from edge_sim.cli.main import edge_sim
from edge_sim.definitions import reader, writer
from edge_sim.errors import EdgeSimError
from edge_sim.profiles import list_profiles, profile_path
from edge_sim.schemas.catalogue import NAMES, schema, text
from edge_sim.schemas.markdown import markdown
from tests.schema_cases import FORMATS, Format, Slip, seen, surroundings

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted(ROOT.glob("examples/*/edge-sim.yaml"))
GROUPS = [
    *sorted((ROOT / "tests/cases").iterdir()),
    *sorted(ROOT.glob("examples/*/*.json")),
    *(path.parent for path in SCENARIOS),
]
SEED = 20261129
"""make schemas tries all slips; here are some of them."""
_RATE: Slip = ("fleet", "rollout", "maximumPerMinute"), None
OF_OTHER_PARTS: dict[str, list[Slip]] = {
    "scenario": [(("group", "functions"), None), (("code",), None), (("code", 0), None), _RATE],
    "profile": [(("users", "ggc_user"), None), (("groups", "dialout"), None), (("groups", "ggc_group"), None)],
    "group": [],
    "updates": [],
}
"""Slips that only a reader can notice: what one part of the file says is missed by another."""

by_name = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)


def valid(name: str, content: Any) -> bool:
    return bool(Draft202012Validator(schema(name)).is_valid(content))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    surroundings(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_of_draft_2020_12_and_printed_as_docs_have_it(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    assert (ROOT / f"docs/schemas/{name}.json").read_text("utf-8") == text(name), f"edge-sim schema {name}"
    result = CliRunner().invoke(edge_sim, ["schema", name])
    assert (result.exit_code, result.stdout) == (0, text(name))


def test_the_page_is_made_of_the_schemas() -> None:
    assert (ROOT / "docs/scenario.md").read_text("utf-8") == markdown(), "edge-sim schema --markdown >docs/scenario.md"


@pytest.mark.parametrize("words", [["schema"], ["schema", "scenario", "--markdown"], ["schema", "no-such"]])
def test_a_wrong_call_prints_nothing_that_could_be_taken_for_a_schema(words: list[str]) -> None:
    result = CliRunner().invoke(edge_sim, words)
    status = result.exception.exit_status if isinstance(result.exception, EdgeSimError) else result.exit_code
    assert (status, result.stdout) == (2, "")


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.parent.name)
def test_an_example_is_valid_and_names_its_schema(file: Path) -> None:
    content = file.read_text("utf-8")
    (line,) = (line for line in content.splitlines() if line.startswith("# yaml-language-server: $schema="))
    named = file.parent / line.partition("=")[2]
    assert json.loads(named.read_text("utf-8")) == schema("scenario")
    assert valid("scenario", seen(content))


@pytest.mark.parametrize("name", list_profiles())
def test_every_profile_is_valid(name: str) -> None:
    assert valid("profile", seen(profile_path(name).read_text("utf-8")))


@pytest.mark.parametrize("path", GROUPS, ids=lambda path: path.name)
def test_the_canonical_form_of_a_readable_group_is_valid(path: Path) -> None:
    try:
        definition = reader.read(path)
    except EdgeSimError:
        return  # nothing has been read
    content = seen(writer.dump(definition))
    assert valid("group", content) or definition.errors


@by_name
def test_the_sample_has_every_key_and_is_taken(form: Format, folder: Path) -> None:
    assert form.is_taken(json.dumps(form.sample), folder)
    assert form.is_valid(form.sample)
    assert set(keys(schema(form.name))) <= set(names(form.sample)) | PROGRAMS | OTHERS


PROGRAMS = set(schema("profile")["properties"]["programs"]["properties"])  # type: ignore[index]
"""Twenty alike: the sample has two of them."""
OTHERS = {"numberOfSucceededThings"}
"""A sample has one rate alone, which grows by one of two criteria."""


def keys(value: object) -> Iterator[str]:
    """Yield every key that a schema knows."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        if key == "properties":
            yield from inner
        yield from keys(inner)
        if isinstance(inner, list):
            for item in inner:
                yield from keys(item)


def names(value: object) -> Iterator[str]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield key
        yield from names(inner)
    for item in value if isinstance(value, list) else ():
        yield from names(item)


@by_name
def test_a_dropped_or_a_strange_key_is_judged_by_the_schema_as_by_the_reader(form: Format, folder: Path) -> None:
    slips = [*form.key_slips()]
    for slip in random.Random(SEED).sample(slips, min(50, len(slips))):
        case = form.case(slip)
        if slip not in OF_OTHER_PARTS[form.name]:
            assert form.is_valid(case.content) == form.is_taken(case.text, folder), slip


@by_name
def test_what_a_schema_refuses_the_reader_refuses(form: Format, folder: Path) -> None:
    slips = random.Random(SEED).sample([*form.value_slips()], 80)
    refused = [(slip, case) for slip in slips if not form.is_valid((case := form.case(slip)).content)]
    assert [slip for slip, case in refused if form.is_taken(case.text, folder)] == []
    assert len(refused) > len(slips) / 2, "a schema that refuses nothing says nothing"
