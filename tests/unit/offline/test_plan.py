"""``edge-sim plan``: what it says of a fresh board and of one that is there, without being root."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_sim.errors import EdgeSimError
from edge_sim.limits import LINKS_COPIED
from edge_sim.offline.inputs import read_inputs
from edge_sim.offline.packages import packed_group
from tests.archive_build import Zipped, directory, entry, tgz, zipped
from tests.deployments import picture
from tests.small_group import CODE, TOP, WEIGHTS, answer, edge, group_of, make_root, ml, uri, write_group
from tests.unit.greengrass.build import ARN, device, function, volume

EXAMPLE = Path(__file__).parents[3] / "examples/no-container-ml"
PI = ("--profile", "raspberry-pi-3")


def test_the_example_is_planned_where_a_run_lays_it() -> None:
    """The ids are those of a run: the same packing, the same digests, the same places."""
    entries = {one["path"]: one for one in answer("plan", EXAMPLE, *PI)["entries"]}
    weights = entries[f"{TOP}/mlmodel_public/e12dceec-daaf-5cd6-976f-291ff92154e1/weights.csv"]
    assert weights == {
        "path": weights["path"],
        "type": "file",
        "uid": 0,
        "gid": 100,
        "mode": "0440",
        "target": None,
        "resource": "digits-model",
        "function": None,
        "rule": "model-owner",
        "reason": "OwnerSetting 100:ro",
        "change": {"kind": "create", "words": [], "found": None},
    }
    link = entries[f"{TOP}/workdir/sort-wine/models/wine"]
    assert link["target"] == f"{TOP}/mlmodel_public/38599e93-6f06-5208-aa92-57322f53956d"
    assert list(entries) == sorted(entries, key=lambda path: path.split("/"))
    assert all(one["rule"] and one["reason"] for one in entries.values())


def test_a_package_without_a_file_is_noted_by_plan_and_access(tmp_path: Path) -> None:
    group = group_of(tmp_path / "g", "m1", "m2", gid="video")
    package = tmp_path / "hollow.tar.gz"
    package.write_bytes(tgz(directory("net"), directory("net/layers")))
    note = "resource m2: its package holds only directories and no file"
    for command in ("plan", "access"):
        assert note in edge(command, group, *PI, "--source", f"{uri('m2')}={package}").output
        assert note not in edge(command, group, *PI).output


def test_the_order_and_the_bytes_are_the_same_twice(tmp_path: Path) -> None:
    group = group_of(tmp_path / "g", "m1", "m2", gid="video")
    words = ("plan", group, *PI)
    assert edge(*words, "--format", "json").stdout == edge(*words, "--format", "json").stdout
    assert edge(*words).stdout == edge(*words).stdout


def test_the_text_is_a_tree_with_marks_and_reasons(tmp_path: Path) -> None:
    lines = edge("plan", group_of(tmp_path / "g", "m1"), *PI, status=3)
    assert "ml" in str(lines.exception), "the profile has no group ml"
    made = write_group(tmp_path / "g", [ml("m1", "video")], [function("predict", ("m1", None))])
    text = edge("plan", made, *PI).stdout.splitlines()
    assert text[0] == f"raspberry-pi-3: {TOP}"
    weights = next(line for line in text if "weights.bin" in line)
    assert weights.split()[:3] == ["+", "-r--r-----", "root:video"]
    assert any("# model-owner: OwnerSetting video:ro" in line for line in text)
    assert text[-1] == f"{len(text) - 2} paths: {len(text) - 2} to create, 0 to change, 0 to remove"


def test_local_resources_are_shown_but_not_made(tmp_path: Path) -> None:
    resources = [volume("readings", "/srv/data"), device("serial", "/dev/ttyS0", AutoAddGroupOwner=True)]
    policies = [("readings", "ro"), ("serial", "rw")]
    made = write_group(
        tmp_path / "g",
        resources,
        [function("f", *policies, isolation="GreengrassContainer")],
        more={"files": [{"path": "/srv/data", "directory": True}]},
    )
    told = answer("plan", made, *PI)
    uses = {one["path"]: one for one in told["uses"]}
    assert uses["/dev/ttyS0"]["found"] == {"type": "char", "uid": 0, "gid": 20, "mode": "0660", "target": None}
    assert uses["/srv/data"]["resource"] == "readings"
    assert not {"/srv/data", "/dev/ttyS0"} & {one["path"] for one in told["entries"]}


def test_on_a_fresh_board_the_owners_files_are_only_noted(tmp_path: Path) -> None:
    resources = [volume("readings", "/srv/data")]
    made = write_group(tmp_path / "g", resources, [function("f", ("readings", "ro"), isolation="GreengrassContainer")])
    told = answer("plan", made, *PI)
    assert told["uses"][0]["found"] is None
    assert any("does not say whether /srv/data exists" in note for note in told["notes"])
    assert "?????????? unknown  /srv/data" in edge("plan", made, *PI).stdout


def test_without_a_source_the_contents_are_said_to_be_unknown(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.yaml"
    folder = write_group(tmp_path / "g", [ml("m1", "video")], [function("predict", ("m1", None))])
    edge("import", folder, "-o", bundle)
    told = answer("plan", bundle, *PI)
    assert {one["id"] for one in told["unknown"]} == {"m1", "predict"}
    model = next(one for one in told["entries"] if one["path"] == f"{TOP}/mlmodel_public/<m1>")
    assert (model["mode"], model["gid"]) == ("0550", 44)
    assert model["reason"].endswith("contents unknown until the source is given")
    sources = ("--source", f"{uri('m1')}={folder / 'm1'}", "--source", f"{ARN}predict:1={folder / 'code'}")
    whole = answer("plan", bundle, *PI, *sources)
    assert whole["unknown"] == []
    assert whole["entries"] == answer("plan", folder, *PI)["entries"], "the same as with the scenario"


def test_an_archive_is_taken_as_it_is_and_refused_as_the_core_would(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.yaml"
    edge("import", write_group(tmp_path / "g", [ml("m1", "video")], [function("p", ("m1", None))]), "-o", bundle)
    good, bad = tmp_path / "good.tar.gz", tmp_path / "bad.tar.gz"
    good.write_bytes(tgz(entry("flat.bin", b"x")))
    bad.write_bytes(tgz(entry("net/nested.bin", b"x")))
    paths = [one["path"] for one in answer("plan", bundle, *PI, "--source", f"{uri('m1')}={good}")["entries"]]
    assert any(path.endswith("/flat.bin") for path in paths)
    refused = edge("plan", bundle, *PI, "--source", f"{uri('m1')}={bad}", status=3).exception
    assert "resource m1" in str(refused)


def linked(folder: Path, **packages: object) -> Path:
    """A group whose model holds a link to one of its files, in a scenario with these limits."""
    resources = [ml("m1", "video")]
    made = write_group(folder, resources, [function("predict", ("m1", None))], more={"packages": packages})
    (made / "m1/newest.bin").symlink_to("net/weights.bin")
    return made


@pytest.mark.parametrize("command", ["plan", "access"])
def test_packages_are_read_with_the_scenarios_limits_and_the_command_lines_win(tmp_path: Path, command: str) -> None:
    plain, copying = linked(tmp_path / "plain"), linked(tmp_path / "copying", links="copy")
    for words in ((plain,), (copying, "--links", "refuse")):
        assert "newest.bin is a symbolic link" in str(edge(command, *words, *PI, status=3).exception)
    edge(command, copying, *PI)
    edge(command, plain, *PI, "--links", "copy")
    small = linked(tmp_path / "small", links="copy", file_bytes=2000, entries=1)
    given = ("--limit", "file_bytes=3000", "--limit", "entries=9")
    assert "entries" in str(edge(command, small, *PI, "--limit", "file_bytes=3000", status=3).exception)
    edge(command, small, *PI, *given)
    assert "2,999 bytes" in str(edge(command, small, *PI, *given, "--limit", "file_bytes=2999", status=3).exception)


def test_a_link_is_planned_as_the_copy_that_it_becomes(tmp_path: Path) -> None:
    words = ("plan", linked(tmp_path / "g"), *PI, "--links", "copy")
    assert f"note: {LINKS_COPIED}" in edge(*words).stderr
    told = answer(*words)
    entries = told["entries"]
    assert LINKS_COPIED in told["notes"], "in JSON as well"
    assert LINKS_COPIED in answer("access", *words[1:])["notes"]
    (copy,) = (one for one in entries if one["path"].endswith("/newest.bin"))
    (weights,) = (one for one in entries if one["path"].endswith("/weights.bin"))
    assert (copy["type"], copy["target"]) == ("file", None)
    assert all(copy[key] == weights[key] for key in ("uid", "gid", "mode", "resource", "reason"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--limit", "size=1"), "no limit is named 'size'"),
        (("--limit", "entries"), "limit entries: expected a whole number, not ''"),
        (("--limit", "links=copy"), "no limit is named 'links'"),
        (("--links", "keep"), "'keep' is not one of"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "access", "apply", "drift"])
def test_a_limit_that_is_none_is_a_usage_error(tmp_path: Path, command: str, words: tuple[str, str], told: str) -> None:
    board = ("--root", make_root(tmp_path / "root"))
    assert told in edge_error(command, linked(tmp_path / "g"), *board, *words)
    assert told in edge_error(command, tmp_path / "none", *board, *words), "before anything is read"


def edge_error(*words: object) -> str:
    error = edge(*words, status=2)
    return f"{error.exception} {error.output}"


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ((), 2, "either --profile NAME or --root DIR"),
        (("--profile", "raspberry-pi-3", "--root", "/"), 2, "either --profile NAME or --root DIR"),
        (("--profile", "raspberry-pi-9"), 2, "no such device profile"),
        ((*PI, "--source", "s3://other/x=/"), 2, "the group refers to no such address"),
        ((*PI, "--source", f"{uri('m1')}=/no/where"), 2, "no such file or folder"),
        ((*PI, "--source", f"{uri('m1')}=/dev/zero"), 2, "a device, not a file or folder"),
        (("--profile", "openwrt-armv7"), 3, "does not support ML inference"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(tmp_path: Path, words: tuple[str, ...], status: int, told: str) -> None:
    made = write_group(tmp_path / "g", [ml("m1", "video")], [function("predict", ("m1", None))])
    error = edge("plan", made, *words, status=status).exception
    assert isinstance(error, EdgeSimError)
    assert told in error.brief


def test_all_refusals_are_told_at_once(tmp_path: Path) -> None:
    resources = [ml("m1", "nosuch"), ml("m2", "neither")]
    error = edge("plan", write_group(tmp_path / "g", resources, []), *PI, status=3).exception
    assert isinstance(error, EdgeSimError)
    assert error.brief.endswith("(and 1 more)")
    assert "'neither'" in f"{error.brief}{error.details}"


def test_a_plan_touches_nothing(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    before = picture(root)
    told = answer("plan", group_of(tmp_path / "g", "m1"), "--root", root)
    assert told["changes"]["create"] == len(told["entries"])
    assert picture(root) == before


def test_a_missing_root_is_a_usage_error(tmp_path: Path) -> None:
    edge("plan", group_of(tmp_path / "g", "m1"), "--root", tmp_path / "none", status=2)


@pytest.mark.parametrize("bad", ["greengrass", "", "/", "/srv/../greengrass"])
def test_a_greengrass_root_that_is_no_place_on_a_board_is_a_usage_error(tmp_path: Path, bad: str) -> None:
    told = edge("plan", group_of(tmp_path / "g", "m1"), *PI, "--greengrass-root", bad, status=2).output
    assert "--greengrass-root" in told


def test_a_greengrass_root_is_written_one_way_and_is_a_directory(tmp_path: Path) -> None:
    group, root = group_of(tmp_path / "g", "m1"), make_root(tmp_path / "root")
    one, other = (answer("plan", group, "--root", root, "--greengrass-root", way) for way in ("/gg", "//gg/./"))
    assert one == other
    assert one["entries"][0]["path"] == "/gg/ggc/deployment"
    error = edge("plan", group, "--root", root, "--greengrass-root", "/etc/passwd", status=6).exception
    assert "is not a directory" in str(error)


def test_the_same_content_has_the_same_place_whoever_packs_it(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        with packed_group(read_inputs(group_of(tmp_path / name, "m1"))) as packed:
            made.append((packed.group.artifacts, packed.contents, packed.code))
    assert made[0] == made[1]
    assert {content.path for content in made[0][1]["m1"]} == {"net", *WEIGHTS}
    assert {content.path for content in made[0][2]["predict"]} == set(CODE)


NAMES_THE_PATH = b"def handler(event, context):\n    return open('/models/m1/weights.bin').read()\n"


@pytest.mark.parametrize("command", ["plan", "access"])
def test_code_without_the_prefix_is_found_in_a_package_that_is_given(tmp_path: Path, command: str) -> None:
    """Of an archive and of a folder, and over what a scenario has; not where the code mentions the variable."""
    group = group_of(tmp_path / "g", "m1", gid="video")
    folder, archive = tmp_path / "code", tmp_path / "code.zip"
    folder.mkdir()

    def warnings(path: Path) -> list[str]:
        (folder / "code.py").write_bytes(code)
        archive.write_bytes(zipped(Zipped(name=b"code.py", data=code)))
        notes = answer(command, group, *PI, "--source", f"{ARN}predict:1={path}")
        notes = notes["notes"] if command == "plan" else notes["boards"][0]["notes"]
        return [note for note in notes if note.startswith("model-prefix: ")]

    code = NAMES_THE_PATH
    for path in (folder, archive):
        (note,) = warnings(path)
        assert "its code names /models/m1, and its code mentions no AWS_GG_RESOURCE_PREFIX" in note
    code = NAMES_THE_PATH + b"# AWS_GG_RESOURCE_PREFIX"
    assert [warnings(path) for path in (folder, archive)] == [[], []]


@pytest.mark.parametrize("missing", ["ggc_user", "ggc_group"])
def test_a_board_without_the_standard_accounts_is_refused_whoever_the_functions_run_as(
    tmp_path: Path, missing: str
) -> None:
    root = make_root(tmp_path / "root")
    file = root / ("etc/passwd" if missing == "ggc_user" else "etc/group")
    file.write_text("".join(line for line in file.read_text().splitlines(True) if not line.startswith(missing)))
    group = write_group(tmp_path / "group", [], [function("f", run_as={"Uid": 1000, "Gid": 44})])
    done = edge("plan", group, "--root", root, status=3)
    assert f"no {'user' if missing == 'ggc_user' else 'group'} {missing}" in done.output + str(done.exception)
