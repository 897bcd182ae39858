"""What is said in one place: the form of an ARN, text made printable, the words for how a job or deployment stands."""

from __future__ import annotations

import ast
import re
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


def test_an_arn_is_taken_apart_in_one_place() -> None:
    """A component of V2's begins with ``entry_point``, which imports nothing of ours."""
    assert modules(r"""[aA]rn\.split\(["']:""") == ["offline/migration/entry_point.py"]


def test_an_address_in_s3_is_taken_apart_in_one_place() -> None:
    """``scenariofile`` has a form for its schema, ``v2/recipes`` the forms of an artifact's address on V2."""

    def pattern_of_s3(node: ast.AST) -> bool:
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        return re.search(r"s3://[\[(]", text) is not None

    assert having(pattern_of_s3, "s3://") == {"s3.py", "scenariofile.py", "v2/recipes.py"}
    assert sources.mentioning(r"""partition\(["']s3://|removeprefix\(["']s3://""") == []


def test_numbers_are_taken_out_of_a_version_in_one_place() -> None:
    """``releases`` orders the software that updates bring, whose versions may end in a word."""
    assert modules(r"int\(\w+\) for \w+ in \w+\.split|map\(int, ") == ["agent/update/releases.py", "versions.py"]


def test_what_makes_json_strict_is_written_once() -> None:
    """Repeated keys, NaN, numbers that readers disagree about. What people write has a reader with places."""
    assert sources.mentioning(r"object_pairs_hook|parse_constant") == ["strictjson.py"]
    readers = {
        "jobs/wire.py",
        "cloud/protocol.py",
        "agent/configfile.py",
        "agent/v1core.py",
        "agent/functions/endpoint.py",
        "agent/functions/invocations.py",
        "greengrass/shadow.py",
    }
    assert readers <= set(sources.mentioning(r"strictjson\.(loads|members)\("))


def test_the_paths_of_a_core_are_written_once() -> None:
    """Elsewhere only in AWS's texts, an example, what V2 lacks, and programs that import nothing of ours."""
    path = re.compile(r"\bggc/\w|\bgreengrass/ggc\b|\bdeployment/\w|\bmlmodel_public\b|\bota/ota_agent\b")
    written = {name for name in modules("ggc|mlmodel|ota_agent") if any(map(path.search, sources.strings(name)))}
    texts = {"greengrass/requirements.py", "cli/check_archive.py", "v2/move.py", "v2/checks/processes.py"}
    programs = {"agent/supervise.py", "emulation/corebuild.py"}
    assert written == {"greengrass/tree.py", *texts, *programs}


def test_updates_and_deployments_are_cut_off_by_one_mechanism() -> None:
    users = set(sources.mentioning(r"from edge_sim\.agent\.crashpoints import point"))
    assert {name.split("/")[1] for name in users} == {"update", "deployment"}
    assert sources.mentioning(r"(?m)^def (point|armed)\(") == ["agent/crashpoints.py"]


def test_one_road_leads_into_a_roll_back() -> None:
    """Whatever goes wrong, the table of phases (``jobs/update.py``) leads there, and one method does it."""

    def rolls_back(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("roll_back", "_roll_back")

    phases = "agent/update/phases.py"
    assert having(rolls_back, "roll_back") == {phases}
    assert len(re.findall(r"\b_roll_back\b", sources.text(phases))) == 2, "its definition, and its row of the table"
    assert len(re.findall(r"\.roll_back\(", sources.text(phases))) == 1


def test_a_place_is_a_value_and_is_never_read_out_of_a_text() -> None:
    """A place is made of a parser's numbers: nothing that is matched or split becomes a line or a column."""

    def parsed(node: ast.AST) -> bool:
        if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Position"):
            return False
        values = [inner for keyword in node.keywords for inner in ast.walk(keyword.value)]
        return any(isinstance(inner, ast.Call) and getattr(inner.func, "id", "") == "int" for inner in values)

    assert len(modules(r"\bPosition\(")) > 5
    assert having(parsed, r"\bPosition\(") == set()
    assert sources.mentioning(r"""[:(]\(?\\d\+\)?:\(?\\d\+""") == []


def test_text_is_made_printable_in_one_place() -> None:
    """Elsewhere ``isprintable`` only decides."""

    def replaces(node: ast.AST) -> bool:
        return isinstance(node, ast.GeneratorExp) and "isprintable" in ast.dump(node)

    assert having(replaces, "isprintable") == {"printing.py"}


def test_statuses_are_listed_once() -> None:
    """Two of them beside each other, in a tuple, list, set or Literal, are a list of them."""
    words = {*requests.STATUSES, *deployment.RUNNING, *deployment.ENDED} - {"QUEUED"}

    def lists(node: ast.AST) -> bool:
        items = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []
        return sum(isinstance(item, ast.Constant) and item.value in words for item in items) > 1

    word = f"""['"]({"|".join(words)})['"]"""
    about_jobs = {"jobs/requests.py", "jobs/execution.py", "jobs/rollout.py", "cloud/jobs/service.py"}
    assert having(lists, rf"(?s){word}.*{word}") == {*about_jobs, "greengrass/deployment.py"}


def test_the_board_has_one_http_client() -> None:
    """``functions/`` speaks with the core's own endpoint on this machine, to which users' code speaks as well."""

    def fetches(node: ast.AST) -> bool:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        return any(name.startswith(("http.client", "urllib.request", "urllib3", "requests", "httpx")) for name in names)

    board = {name for name in having(fetches, "http.client|urllib|requests|httpx") if name.startswith("agent/")}
    assert board == {"agent/http.py", "agent/http_error.py", "agent/functions/sandbox.py", "agent/functions/calls.py"}
    for name in ("sandbox", "calls"):
        text = sources.text(f"agent/functions/{name}.py")
        assert re.findall(r"HTTPConnection\((.*?),", text) == ['"127.0.0.1"'], name


def test_everything_that_a_board_fetches_or_tells_over_http_goes_through_its_client() -> None:
    """Documents, artifacts, secrets, statuses and builds: the loop makes one client and hands it on."""
    users = set(sources.mentioning(r"from edge_sim\.agent\.http import .*\bHttpClient\b"))
    parts = {"deployment/deployments", "deployment/secrets", "update/installation", "download"}
    assert users == {f"agent/{name}.py" for name in (*parts, "loop", "program")}
    assert sources.mentioning(r"\bHttpClient\(tls=") == ["agent/loop.py"]


@pytest.mark.parametrize("command", ["access", "apply", "drift", "plan"])
def test_what_a_command_does_without_a_cloud_is_found_by_the_commands_word(command: str) -> None:
    imports = rf"from edge_sim\.offline\.{command} import|from edge_sim\.offline import .*\b{command}\b"
    assert f"cli/{command}.py" in sources.mentioning(imports)


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
