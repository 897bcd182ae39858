"""Paths and files that are no definition: one sentence each."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from edge_sim import scenario
from edge_sim.definitions.reader import read
from edge_sim.errors import InvalidDefinitionError, UsageError


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"", "the file is empty"),
        ("a.yaml", b"\x1f\x8b\x08\x00\xff", "not a text file"),
        ("a.json", b'{"Resources": \0}', "it holds zero bytes"),
        ("a.json", b'{"name": "else"}', "not a Greengrass V1 definition"),
        ("a.yaml", b"just a text\n", "not a Greengrass V1 definition"),
        ("a.json", b"[]", "not a Greengrass V1 definition"),
        ("a.json", b'{"edgeSimGroup": 2}', "a.json:1:2: edgeSimGroup must be 1"),
        ("a.json", b'{"edgeSimGroup": 1}', "contains no definition"),
        ("a.json", b'{"edgeSimGroup": 1, "core": []}', "a.json:1:21: core must be a CoreDefinitionVersion object"),
        ("a.json", b'{"GroupDefinitions": {"Lambdas": []}}', "a.json:1:23: Lambdas must be an object with Content"),
        ("a.json", b'{"Cores": 7, "GroupDefinitions": {}}', "a.json:1:2: Cores must be a list"),
        (
            "function.conf",
            b'# its own\nconf {\n  functionName = "A"\n}\n',
            "conf:2:1: HOCON of aws-greengrass-provisioner",
        ),
        ("edge-sim.yaml", b"edgeSim: 1\n", "edge-sim.yaml:1:1: missing: name, boards, group"),
        ("edge-sim.yaml", b"group: {core: [1]}\n", "edge-sim.yaml:1:15: group.core: must be a path"),
        ("edge-sim.yaml", b"group: {cores: a}\n", "edge-sim.yaml:1:9: group.cores: unknown key"),
        ("edge-sim.yaml", b"group: {}\n", "edge-sim.yaml:1:8: group: names no definition"),
    ],
)
def test_files_that_are_no_definition(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(InvalidDefinitionError) as caught:
        scenario.read(file)
    assert message in caught.value.brief
    assert caught.value.place is not None
    assert str(file) in caught.value.brief


def test_two_versions_and_no_group_that_says_which(tmp_path: Path) -> None:
    one = '{"Type": "AWS::Greengrass::CoreDefinition", "Properties": {"InitialVersion": {"Cores": []}}}'
    (tmp_path / "a.json").write_text(f'{{"Resources": {{"A": {one}, "B": {one}}}}}')
    with pytest.raises(InvalidDefinitionError, match="2 Core definitions, and no group says which of A, B"):
        read(tmp_path / "a.json")


def test_what_only_names_versions_is_a_group_only_with_their_content(tmp_path: Path) -> None:
    """Nothing in it was judged: an "ok" would be no answer."""
    (tmp_path / "a.json").write_text('{"Id": "g", "Definition": {"CoreDefinitionVersionArn": "arn:…"}}')
    with pytest.raises(InvalidDefinitionError, match=r"a\.json:1:28: names definition versions by ARN"):
        read(tmp_path / "a.json")
    (tmp_path / "b.json").write_text('{"Cores": []}')
    definition = read(tmp_path)
    assert definition.form == "GetGroupVersion + CoreDefinitionVersion"
    assert "their content is not in this file" in definition.notes[0].message


def test_a_misspelt_section_is_told(tmp_path: Path) -> None:
    (tmp_path / "greengo.yaml").write_text("Group: {name: g}\nCores: []\nResurces: []\n")
    assert f"{tmp_path / 'greengo.yaml'}:3:1: Resurces is not a section of greengo's and was left out" in map(
        str, read(tmp_path).notes
    )
    types = ("CoreDefinitionVersion", "ResourceDefintion")
    content = ", ".join(f'"{t[0]}": {{"Type": "AWS::Greengrass::{t}", "Properties": {{"Cores": []}}}}' for t in types)
    (tmp_path / "a.json").write_text(f'{{"Resources": {{{content}}}}}')
    assert "R has a type that Greengrass V1 does not have" in "".join(map(str, read(tmp_path / "a.json").notes))


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "socket.json"))
    os.mkfifo(tmp_path / "edge-sim.yaml")
    (tmp_path / "round.json").symlink_to("round.json")
    (tmp_path / "away.json").symlink_to("gone")
    for path, message in (
        (tmp_path / "none.json", "no such file or folder"),
        (tmp_path / "none" / "edge-sim.yaml", "no such file or folder"),
        (tmp_path / "none.json" / "x.json", "no such file or folder"),
        (tmp_path / "socket.json", "a socket, not a file or folder"),
        (Path("/dev/null"), "a device, not a file or folder"),
        (tmp_path / "round.json", "a symbolic link that leads back to itself"),
        (tmp_path / "away.json", "a symbolic link to gone, which does not exist"),
    ):
        with pytest.raises(UsageError, match=message):
            read(path)
    with pytest.raises(InvalidDefinitionError, match="contains no Greengrass V1 definition"):
        read(tmp_path)


@pytest.mark.process
def test_a_pipe_is_read_once_like_the_standard_input(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = '{"Resources": [{"Id": "a", "Name": "b", "ResourceDataContainer": {}}]}'
    with subprocess.Popen(["sh", "-c", 'printf %s "$1" > "$2"', "sh", text, pipe]) as writer:
        definition = read(pipe)
    assert writer.returncode == 0
    assert str(definition.locate("$.Resources[0].Name")) == f"{pipe}:1:28"


def test_a_bare_list_is_known_by_its_items(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"Id": "a", "Name": "b", "ResourceDataContainer": {}}]')
    definition = read(tmp_path / "a.json")
    assert definition.form == "list of Resources"
    assert str(definition.locate("$.Resources[0].Name")).endswith("a.json:1:14")


def test_a_whole_definition_behind_a_reference_is_told(tmp_path: Path) -> None:
    one = '{"Type": "AWS::Greengrass::CoreDefinition", "Properties": {"InitialVersion": {"Ref": "Given"}}}'
    (tmp_path / "a.json").write_text(f'{{"Resources": {{"A": {one}}}}}')
    with pytest.raises(InvalidDefinitionError, match=r"\$\{Ref:Given\} stands for a whole definition"):
        read(tmp_path / "a.json")
    (tmp_path / "b.json").write_text('{"Resources": []}')
    definition = read(tmp_path)
    assert set(definition.sections) == {"resources"}
    assert "${Ref:Given} stands for a whole definition" in definition.notes[0].message
