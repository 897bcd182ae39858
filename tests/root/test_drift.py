"""``edge-sim drift``: exactly the paths that differ, in a directory, a tar file or a listing by busybox's shell."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_sim.offline.drift import UNREAD_GROUP
from tests.forked import become, result_of
from tests.small_group import CODE, FUNCTION, TOP, answer, edge, make_root, ml, write_group
from tests.unit.greengrass.build import function, volume

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users' files")]
BUSYBOX = shutil.which("busybox")
GROUP_FILE = f"{TOP}/group/group.json"
NO_DIGESTS = "the content of 6 files: this listing has no digests"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path / "root")


@pytest.fixture
def group(tmp_path: Path, root: Path) -> Path:
    """Two models, one without an owner, a volume; applied."""
    (root / "srv/read ings").mkdir(parents=True)
    resources = [ml("m1"), ml("m2", None), volume("readings", "/srv/read ings")]
    functions = [
        function("predict", ("m1", None)),
        function("boxed", ("m2", "ro"), ("readings", "ro"), isolation="GreengrassContainer"),
    ]
    made = write_group(tmp_path / "group", resources, functions)
    edge("apply", made, "--root", root)
    return made


def by_root(root: Path, tmp_path: Path) -> list[object]:
    return ["--root", root]


def by_tar(root: Path, tmp_path: Path) -> list[object]:
    """Made by tar itself, compressed, with ./ before the names."""
    made = tmp_path / "board.tgz"
    subprocess.run(["tar", "-C", root, "-czf", made, "."], check=True, timeout=60)
    return ["--tar", made]


def by_snapshot(root: Path, tmp_path: Path) -> list[object]:
    """Taken by the script in the board's root, with nothing but busybox there."""
    listed = tmp_path / "board.txt"
    listed.write_text(snapshot(root, "/greengrass", "/srv/read ings"))
    return ["--snapshot", listed]


TOOLS = ("sh", "ls", "readlink", "sed", "uname", "sha256sum")


def snapshot(root: Path, *words: str, tools: Sequence[str] = TOOLS) -> str:
    if BUSYBOX is None:
        pytest.skip("a board's own shell is not tried: apt-get install busybox")
    shell = root.parent / "shell"
    shutil.rmtree(shell, ignore_errors=True)
    subprocess.run(["cp", "-a", root, shell], check=True, timeout=60)
    (shell / "bin").mkdir()
    shutil.copy(BUSYBOX, shell / "bin/busybox")
    for name in tools:
        (shell / "bin" / name).symlink_to("busybox")
    for library in subprocess.run(["ldd", BUSYBOX], capture_output=True, text=True, timeout=60).stdout.split():
        if library.startswith("/"):
            (shell / library[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, shell / library[1:])
    script = edge("snapshot-script").stdout
    command = [str(shutil.which("chroot")), str(shell), "/bin/sh", "-s", *words]
    environment = {"PATH": "/bin"}
    done = subprocess.run(
        command, input=script, capture_output=True, text=True, timeout=60, env=environment, check=True
    )
    assert done.stderr == ""
    return done.stdout


SEEN = [by_root, by_tar, by_snapshot]
See = Callable[[Path, Path], list[object]]


@pytest.mark.parametrize("see", SEEN)
def test_a_board_as_applied_does_not_differ(root: Path, group: Path, tmp_path: Path, see: See) -> None:
    found = answer("drift", group, *see(root, tmp_path))
    assert (found["differences"], found["not_compared"]) == ([], [])
    assert found["compared"] == len(answer("plan", group, "--root", root)["entries"])


def model(root: Path) -> Path:
    return root / os.readlink(root / TOP[1:] / "workdir/predict/models/m1")[1:]  # noqa: PTH115


def crooked(root: Path) -> dict[str, str]:
    """Do to the board what people do to boards; return the differences that are expected."""
    top, m1 = root / TOP[1:], model(root)
    name = str(m1.relative_to(root))
    (m1 / "net/weights.bin").chmod(0o640)
    os.chown(m1 / "net/labels.txt", 998, 44)
    (top / "mlmodel").chmod(0o755)
    link = top / "workdir/predict/models/m1"
    link.unlink()
    link.symlink_to("/tmp")
    code = top / f"lambda/{FUNCTION}/main.py"
    code.unlink()
    code.mkdir(mode=0o755)
    (top / "lambda" / FUNCTION / ".hidden file").touch()
    (top / "group/group.json").unlink()
    (top / "mlmodel_public/stray dir/deep").mkdir(parents=True)
    (root / "srv/read ings").rmdir()
    return {
        f"/{name}/net/weights.bin": "mode 0640 → 0440",
        f"/{name}/net/labels.txt": "uid 998 → 0, gid 44 → 5150",
        f"{TOP}/mlmodel": "mode 0755 → 0700",
        f"{TOP}/workdir/predict/models/m1": f"target /tmp → /{name}",
        f"{TOP}/lambda/{FUNCTION}/main.py": "type directory → file",
        f"{TOP}/lambda/{FUNCTION}/.hidden file": "extra",
        f"{TOP}/group/group.json": "missing",
        f"{TOP}/mlmodel_public/stray dir": "extra",
        f"{TOP}/mlmodel_public/stray dir/deep": "extra",
        "/srv/read ings": "missing",
    }


@pytest.mark.parametrize("see", SEEN)
def test_exactly_the_paths_that_differ(root: Path, group: Path, tmp_path: Path, see: See) -> None:
    expected = crooked(root)
    found = answer("drift", group, *see(root, tmp_path), status=7)
    told = {one["path"]: ", ".join(one["words"]) or one["kind"] for one in found["differences"]}
    assert told == expected
    assert [one["path"] for one in found["differences"]] == sorted(told, key=lambda path: path.split("/"))
    text = edge("drift", group, *see(root, tmp_path), status=7).output
    assert all(path in text for path in expected)


@pytest.mark.parametrize("see", SEEN)
def test_altered_bytes_are_seen_and_put_right(root: Path, group: Path, tmp_path: Path, see: See) -> None:
    weights, code = model(root) / "net/weights.bin", root / TOP[1:] / f"lambda/{FUNCTION}/main.py"
    for place in (weights, code):
        with place.open("r+b") as file:
            file.write(b"?")
    found = answer("drift", group, *see(root, tmp_path), status=7)["differences"]
    assert {one["path"]: one["words"] for one in found} == {
        f"/{place.relative_to(root)}": ["different content"] for place in (weights, code)
    }
    done = answer("apply", group, "--root", root)
    assert {e["path"] for e in done["entries"]} == {one["path"] for one in found}
    assert answer("drift", group, *see(root, tmp_path))["differences"] == []


@pytest.mark.parametrize("see", SEEN)
@pytest.mark.parametrize("said", [True, False], ids=["in the scenario", "on the command line"])
def test_the_copies_of_links_are_compared_byte_by_byte(root: Path, tmp_path: Path, see: See, said: bool) -> None:
    copying = {"packages": {"links": "copy"}} if said else None
    words = [] if said else ["--links", "copy"]
    folder = tmp_path / "group"
    group = write_group(folder, [ml("m1"), ml("m2", None)], [function("predict", ("m1", None))], more=copying)
    for link, target in (
        ("m1/a.bin", "net/b.bin"),
        ("m1/net/b.bin", "weights.bin"),
        ("m2/x.txt", "net/labels.txt"),
        ("code/other.py", "main.py"),
    ):
        (folder / link).symlink_to(target)
    edge("apply", group, "--root", root, *words)
    copies = [
        *(model(root) / name for name in ("a.bin", "net/b.bin")),
        root / TOP[1:] / f"lambda/{FUNCTION}/other.py",
        *(root / TOP[1:]).glob("mlmodel/*/x.txt"),
    ]
    assert len(copies) == 4
    assert not any(copy.is_symlink() for copy in copies)
    found = answer("drift", group, *see(root, tmp_path), *words)
    assert (found["differences"], found["not_compared"]) == ([], [])
    assert answer("plan", group, "--root", root, *words)["changes"] == {"create": 0, "change": 0, "remove": 0}
    assert answer("apply", group, "--root", root, *words)["changed"] is False
    for copy in copies:
        with copy.open("r+b") as file:
            file.write(b"?")
    found = answer("drift", group, *see(root, tmp_path), *words, status=7)["differences"]
    assert {one["path"]: one["words"] for one in found} == {
        f"/{copy.relative_to(root)}": ["different content"] for copy in copies
    }
    edge("apply", group, "--root", root, *words)
    assert answer("drift", group, *see(root, tmp_path), *words)["differences"] == []


@pytest.mark.parametrize("see", SEEN)
def test_a_file_with_the_same_bytes_in_other_code_does_not_differ(root: Path, tmp_path: Path, see: See) -> None:
    """The package is another one, but of its files only the new one has to be written."""
    models, functions = [ml("m1")], [function("predict", ("m1", None))]
    edge("apply", write_group(tmp_path / "group", models, functions), "--root", root)
    group = write_group(tmp_path / "group", models, functions, code={**CODE, "more.py": "more = True\n"})
    added = f"{TOP}/lambda/{FUNCTION}/more.py"
    found = answer("drift", group, *see(root, tmp_path), status=7)
    told = [(one["path"], one["kind"]) for one in found["differences"]]
    assert [one for one in told if one[0] != GROUP_FILE] == [(added, "missing")]
    planned = answer("plan", group, "--root", root)
    assert planned["changes"] == {"create": 1, "change": 1, "remove": 0}
    edge("apply", group, "--root", root)
    assert edge("drift", group, "--root", root).output.endswith("no difference\n")


def test_what_functions_write_into_their_model_is_theirs(root: Path, tmp_path: Path) -> None:
    group = write_group(tmp_path / "group", [ml("m1", permission="rw")], [function("predict", ("m1", None))])
    edge("apply", group, "--root", root)
    (model(root) / "net/weights.bin").write_bytes(b"learned")
    assert answer("drift", group, "--root", root)["differences"] == []
    assert answer("apply", group, "--root", root)["changed"] is False
    assert (model(root) / "net/weights.bin").read_bytes() == b"learned"


def test_without_digests_it_is_said(root: Path, group: Path, tmp_path: Path) -> None:
    listed = tmp_path / "board.txt"
    listed.write_text(snapshot(root, "/greengrass", "/srv/read ings", tools=TOOLS[:-1]))
    found = answer("drift", group, "--snapshot", listed, status=6)
    assert (found["differences"], found["not_compared"]) == ([], [f"{GROUP_FILE}: {UNREAD_GROUP}", NO_DIGESTS])


@pytest.mark.parametrize("see", SEEN)
def test_a_source_that_is_a_link_to_nothing_is_missing(root: Path, group: Path, tmp_path: Path, see: See) -> None:
    (root / "srv/elsewhere").mkdir()
    (root / "srv/read ings").rmdir()
    (root / "srv/read ings").symlink_to("/srv/elsewhere")
    assert answer("drift", group, *see(root, tmp_path))["differences"] == []
    (root / "srv/elsewhere").rmdir()
    found = answer("drift", group, *see(root, tmp_path), status=7)
    assert [(one["path"], one["kind"]) for one in found["differences"]] == [("/srv/read ings", "missing")]
    assert "file doesn't exist: /srv/read ings" in str(edge("plan", group, "--root", root, status=3).exception)


@pytest.mark.parametrize("see", SEEN)
def test_another_group_in_group_json_is_seen_or_said(root: Path, group: Path, tmp_path: Path, see: See) -> None:
    """Only what it says is another: a snapshot holds no more of it than a digest."""
    place = root / GROUP_FILE[1:]
    place.write_text(place.read_text().replace("main.handler", "main.another"))
    snapshot_only = see is by_snapshot
    found = answer("drift", group, *see(root, tmp_path), status=6 if snapshot_only else 7)
    assert [one["path"] for one in found["differences"]] == ([] if snapshot_only else [GROUP_FILE])
    assert found["not_compared"] == ([f"{GROUP_FILE}: {UNREAD_GROUP}"] if snapshot_only else [])


@pytest.mark.parametrize("place", [GROUP_FILE, "/greengrass/config/config.json", "/etc/os-release"])
def test_a_fifo_in_a_files_place_is_not_waited_for(root: Path, group: Path, place: str) -> None:
    there = root / place[1:]
    there.parent.mkdir(exist_ok=True)
    there.unlink(missing_ok=True)
    os.mkfifo(there, 0o600)
    found = answer("drift", group, "--root", root, status=7 if place == GROUP_FILE else 0)
    assert [one["path"] for one in found["differences"]] == ([GROUP_FILE] if place == GROUP_FILE else [])


@pytest.mark.parametrize("first", ["a.bin", "greengrass/ggc/deployment/lambda/a.bin"])
def test_the_bytes_behind_a_hard_link_are_not_taken_on_trust(
    root: Path, group: Path, tmp_path: Path, first: str
) -> None:
    """A tar file holds them once, with the name that comes first: read below the deployment, else said to be unread."""
    weights = model(root) / "net/weights.bin"
    with weights.open("r+b") as file:
        file.write(b"?")
    os.link(weights, root / first)
    made = tmp_path / "board.tar"
    subprocess.run(["tar", "-C", root, "-cf", made, first, "etc", "greengrass", "srv"], check=True, timeout=60)
    read = first.startswith("greengrass/")
    found = answer("drift", group, "--tar", made, status=7 if read else 6)
    path = f"/{weights.relative_to(root)}"
    told = {one["path"]: one["words"] for one in found["differences"] if one["kind"] == "different"}
    assert told == ({path: ["different content"]} if read else {})
    assert found["not_compared"] == ([] if read else [f"{path}: its content could not be read"])


def test_apply_puts_right_what_is_its_own(root: Path, group: Path) -> None:
    expected = crooked(root)
    (root / "srv/read ings").mkdir()
    (root / TOP[1:] / f"lambda/{FUNCTION}/main.py").rmdir()
    edge("apply", group, "--root", root)
    left = answer("drift", group, "--root", root, status=7)["differences"]
    assert {one["path"] for one in left} == {path for path, what in expected.items() if what == "extra"}


def test_what_is_not_known_is_not_called_the_same(root: Path, group: Path, tmp_path: Path) -> None:
    """A bundle knows no packages: a listing without a record leaves the models out, and says so."""
    bundle = tmp_path / "bundle.yaml"
    edge("import", group, "-o", bundle)
    listed = tmp_path / "board.txt"
    listed.write_text(snapshot(root, "/greengrass"))
    found = answer("drift", bundle, "--snapshot", listed, status=7)
    assert {one["kind"] for one in found["differences"]} == {"extra"}, "models under names nobody can know"
    assert any("resource m1: contents unknown" in text for text in found["not_compared"])
    assert any("/srv/read ings: not in the snapshot" in text for text in found["not_compared"])
    known = answer("drift", bundle, *by_root(root, tmp_path))
    assert (known["differences"], known["not_compared"]) == ([], []), "the board's own record knows them"


@pytest.mark.parametrize("see", SEEN)
def test_models_under_names_of_awss_own_are_known_by_their_files(
    root: Path, group: Path, tmp_path: Path, see: See
) -> None:
    """A board that a real cloud deployed to: other ids, no record of ours. One file is altered, one mode as well."""
    own = root / TOP[1:] / "mlmodel_public/5cd6a976-0000-4000-8000-291ff92154e1"
    model(root).rename(own)
    link = root / TOP[1:] / "workdir/predict/models/m1"
    link.unlink()
    link.symlink_to(f"/{own.relative_to(root)}")
    (root / "greengrass/ggc/var/state/edge-sim.json").unlink()
    found = answer("drift", group, *see(root, tmp_path))
    assert found["differences"] == []
    assert any(f"assumed to be /{own.relative_to(root)}" in note for note in found["notes"])
    (own / "net/labels.txt").chmod(0o444)
    (own / "net/weights.bin").write_bytes(b"?")
    found = answer("drift", group, *see(root, tmp_path), status=7)
    assert {one["path"]: one["words"] for one in found["differences"]} == {
        f"/{own.relative_to(root)}/net/labels.txt": ["mode 0444 → 0440"],
        f"/{own.relative_to(root)}/net/weights.bin": ["different content"],
    }
    (own / "net/labels.txt").unlink()  # another set of files is another model
    found = answer("drift", group, *see(root, tmp_path), status=7)
    assert {one["kind"] for one in found["differences"]} >= {"missing", "extra"}, (
        "another set of files is another model"
    )


def test_a_listing_of_odd_names_comes_through(root: Path, group: Path, tmp_path: Path) -> None:
    odd = {"*": "a star", "a  b ": "blanks", "-n": "a dash", "\\t$(x)`y`": "shell", "ümlaut": "letters", "..x": "dots"}
    for name in odd:
        (root / TOP[1:] / "group" / name).touch()
    (root / TOP[1:] / "group/two\nlines").touch()
    found = answer("drift", group, *by_snapshot(root, tmp_path), status=7)
    assert {one["path"] for one in found["differences"]} == {f"{TOP}/group/{name}" for name in odd}
    assert any("line break" in note for note in found["notes"])


def test_names_that_would_draw_on_a_terminal_stay_on_their_line(root: Path, group: Path, tmp_path: Path) -> None:
    name = "\x1b[31mred\nboard: no difference \udcff"
    (root / TOP[1:] / name).touch()
    lines = edge("drift", group, *by_tar(root, tmp_path), status=7).stdout.splitlines()
    assert lines[0] == f"{TOP}/\\x1b[31mred\\nboard: no difference \\udcff: not part of the deployment"
    assert [one["path"] for one in answer("drift", group, *by_tar(root, tmp_path), status=7)["differences"]] == [
        f"{TOP}/{name}"
    ]


def test_setid_and_sticky_bits_come_through(root: Path, group: Path, tmp_path: Path) -> None:
    modes = {"suid": 0o4755, "sgid": 0o2644, "sticky": 0o1777, "all": 0o7000}
    for name, mode in modes.items():
        place = root / TOP[1:] / "group" / name
        place.mkdir()
        place.chmod(mode)
    for see in SEEN:
        found = answer("drift", group, *see(root, tmp_path), status=7)["differences"]
        assert {Path(one["path"]).name: int(one["found"]["mode"], 8) for one in found} == modes


def test_a_greengrass_root_behind_a_link(root: Path, group: Path, tmp_path: Path) -> None:
    (root / "data").mkdir()
    (root / "greengrass").rename(root / "data/gg")
    (root / "greengrass").symlink_to("/data/gg")
    for see in SEEN:
        assert answer("drift", group, *see(root, tmp_path))["differences"] == []


def test_a_tar_of_layers_or_of_something_else_is_refused(group: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tar"
    other.write_bytes(b"not a tar" * 100)
    edge("drift", group, "--tar", other, status=3)
    with tarfile.open(other, "w") as saved:
        saved.addfile(tarfile.TarInfo("manifest.json"))
    assert "docker export" in str(getattr(edge("drift", group, "--tar", other, status=3).exception, "hint", ""))


def test_a_damaged_tar_is_one_sentence(root: Path, group: Path, tmp_path: Path) -> None:
    whole = Path(str(by_tar(root, tmp_path)[1])).read_bytes()
    cut = tmp_path / "cut.tgz"
    for size in range(0, len(whole) - 1, 97):
        cut.write_bytes(whole[:size])
        edge("drift", group, "--tar", cut, status=3)
    plain = gzip.decompress(whole)
    for size in range(0, len(plain) - 10240, 5 * 512):
        cut.write_bytes(plain[:size])
        edge("drift", group, "--tar", cut, status=3)
        cut.write_bytes(plain[:size] + b"?" * 512 + plain[size + 512 :])
        edge("drift", group, "--tar", cut, status=None if plain[size + 257 : size + 262] != b"ustar" else 3)


def seen_by_others(root: Path, group: Path) -> Any:
    """The answer as a plain user gets it."""

    def work() -> Any:
        become(1000, 1000)
        return json.loads(edge("drift", group, "--root", root, "--format", "json", status=6).stdout)

    return result_of(work)


def test_what_only_root_may_see_is_said(root: Path, group: Path, tmp_path: Path) -> None:
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_uid == 0 and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)
    found = seen_by_others(root, group)
    assert found["differences"] == []
    assert {text.partition(":")[0] for text in found["not_compared"]} >= {f"{TOP}/mlmodel", f"{TOP}/group/group.json"}
