"""What the snapshot script prints, and what a listing must hold to be taken."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from edge_sim.errors import InvalidDefinitionError
from edge_sim.facts import Node
from edge_sim.offline import listing, tarlisting
from tests.cases_table import FOLDER
from tests.small_group import edge

SHELLS = [words for words in (["busybox", "sh"], ["dash"], ["bash", "--posix"]) if shutil.which(words[0])]


def test_the_script_is_short_and_needs_little() -> None:
    script = edge("snapshot-script").stdout
    assert script.startswith("#!/bin/sh\n")
    assert len(script.splitlines()) < 95
    assert "python" not in re.sub(r"\nfor name in [^;]*; do\n", "", script), (
        "but in the names of programs that are looked for"
    )


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS, ids=[words[0] for words in SHELLS])
def test_every_shell_lists_the_same(tmp_path: Path, shell: list[str]) -> None:
    top = tmp_path / "gg"
    (top / "ggc/deployment/a dir").mkdir(parents=True)
    (top / "ggc/deployment/a dir/file").touch()
    (top / "ggc/deployment/a dir/file").chmod(0o4755)
    (top / "ggc/deployment/link").symlink_to("a dir/nowhere")
    (top / "ggc/core").symlink_to("packages/1.11.6")
    (top / "config").mkdir()
    (top / "config/config.json").write_text('{"runtime": { "allowFunctionsToRunAsRoot" : "yes" } }')
    script = edge("snapshot-script").stdout
    words = [*shell, "-s", str(top), str(tmp_path / "absent")]
    done = subprocess.run(words, input=script, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    told = tmp_path / "told.txt"
    told.write_text(done.stdout)
    found = listing.parse(told)
    me, mine = os.geteuid(), (top / "ggc").stat().st_gid
    assert found.nodes[f"{top}/ggc/deployment/a dir/file"] == Node(type="file", uid=me, gid=mine, mode=0o4755)
    assert found.nodes[f"{top}/ggc/deployment/link"].target == "a dir/nowhere"
    assert found.absent == frozenset({str(tmp_path / "absent")})
    assert found.greengrass_root == str(top)
    assert found.architecture == os.uname().machine
    assert '"yes"' in found.texts[f"{top}/config/config.json"]
    assert "root:x:0:0:" in found.texts["/etc/passwd"]


@pytest.mark.parametrize(("mark", "some"), [("+", True), (".", False), ("", False)])
def test_an_acl_is_known_where_ls_shows_one(tmp_path: Path, mark: str, some: bool) -> None:
    """The mark behind the mode; SELinux has one of its own, busybox none."""
    told = tmp_path / "told.txt"
    told.write_text(f"# edge-sim snapshot 1\nn -rw-r-----{mark} 0 20 /greengrass/x\n# end\n")
    node = listing.parse(told).nodes["/greengrass/x"]
    assert (node.mode, bool(node.acl)) == (0o640, some)


@pytest.mark.parametrize(
    ("records", "some"),
    [
        ({"SCHILY.acl.access": "user::rw-\nuser:1234:r--\ngroup::r--\nmask::r--\nother::---\n"}, True),
        ({"SCHILY.acl.access": "user::rw-\ngroup::r--\nother::---\n"}, False),
        ({"SCHILY.xattr.system.posix_acl_access": "\x02"}, True),
        ({}, False),
    ],
)
def test_an_acl_in_a_tar_file_is_known(tmp_path: Path, records: dict[str, str], some: bool) -> None:
    entry = tarfile.TarInfo("greengrass/x")
    entry.pax_headers = records
    made = tmp_path / "board.tar"
    with tarfile.open(made, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(entry)
    assert bool(tarlisting.of_file(made, "/greengrass").nodes["/greengrass/x"].acl) == some


@pytest.mark.process
@pytest.mark.parametrize("words", [["."], ["/greengrass", "srv/data"]])
def test_a_relative_path_is_refused_instead_of_walked_up_for_ever(words: list[str]) -> None:
    script = edge("snapshot-script").stdout
    done = subprocess.run([*SHELLS[0], "-s", *words], input=script, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{words[-1]}: must be absolute\n")


WHOLE = """# edge-sim snapshot 1
m armv7l
g /greengrass
t /etc/group
| root:x:0:

n drwxr-xr-x 0 0 /
n lrwxrwxrwx 0 0 /greengrass
> data/gg
# end
"""


def test_a_whole_listing_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(WHOLE)
    found = listing.parse(tmp_path / "x")
    assert found.look("/greengrass") == Node(type="link", uid=0, gid=0, mode=0o777, target="data/gg")
    assert found.real("/greengrass/ggc") == "/data/gg/ggc"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("hello\n", ":1:1: not a snapshot"),
        (WHOLE.replace("# end\n", ""), "truncated"),
        (WHOLE.replace("n drwxr-xr-x 0 0 /\n", "n drwxr-xr-x 0 0\n"), ":7:1: not a line"),
        (WHOLE.replace("drwxr-xr-x", "drwxr-xr-?"), ":7:1: not a line"),
        (WHOLE.replace("0 0 /\n", "zero 0 /\n"), ":7:1: not a line"),
        (WHOLE.replace("n drwxr", "n qrwxr"), ":7:1: not a line"),
        (WHOLE.replace("m armv7l", "> nothing to point from"), ":2:1: not a line"),
        (WHOLE.replace("g /greengrass", "| text of no file"), ":3:1: not a line"),
        (WHOLE.replace("m armv7l", "zz top"), ":2:1: not a line"),
    ],
)
def test_anything_else_is_refused_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(InvalidDefinitionError, match=told):
        listing.parse(tmp_path / "x")


@pytest.mark.process
@pytest.mark.parametrize("option", ["--tar", "--snapshot"])
def test_what_is_read_once_may_come_from_a_pipe(tmp_path: Path, option: str) -> None:
    (tmp_path / "etc").mkdir()
    with tarfile.open(tmp_path / "board.tar", "w") as archive:
        archive.add(tmp_path / "etc", "etc")
    group = FOLDER / "plain.json"
    script = f'"$0" -m edge_sim drift {group} {option} <(cat {tmp_path}/board.tar) --format json'
    done = subprocess.run(["bash", "-c", script, sys.executable], capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    if option == "--tar":
        assert (done.returncode, told["differences"][0]["path"]) == (7, "/greengrass/ggc/deployment")
    else:
        assert (done.returncode, told["error"]["message"]) == (3, "not a text file (it holds zero bytes)")
