"""Everything below a folder, or an error."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edge_sim import folders


def test_parents_come_first_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    (tmp_path / "a-b").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    found = [str(path.relative_to(tmp_path)) for path in folders.below(tmp_path)]
    assert found == ["a", "a/file", "a/up", "a-b"]


def test_what_cannot_be_read_is_not_left_out(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        folders.below(tmp_path / "missing")


def test_what_files_mention_is_searched_for_in_all_of_them_but_links_and_compiled_files(tmp_path: Path) -> None:
    (tmp_path / "package/inner/__pycache__").mkdir(parents=True)
    (tmp_path / "package/empty.py").touch()
    (tmp_path / "package/inner/a.py").write_bytes(b"\xff one")
    (tmp_path / "package/inner/__pycache__/a.pyc").write_text("two")
    (tmp_path / "outside").write_text("three")
    (tmp_path / "package/link").symlink_to(tmp_path / "outside")
    patterns = {word: re.compile(word.encode()) for word in ("one", "two", "three")}
    assert folders.mentioned(tmp_path / "package", patterns) == {"one"}


def test_the_users_cache_is_where_xdg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value, where in (("/var/c", Path("/var/c")), ("relative", tmp_path / ".cache"), ("", tmp_path / ".cache")):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert folders.user_cache() == where / "edge-sim"


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert folders.user_cache() is None


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.process
def test_what_a_killed_program_left_is_swept(temporary: Path) -> None:
    program = (
        "import os, signal\n"
        "from edge_sim.folders import while_in_use\n"
        "with while_in_use('edge-sim-x-') as (place, lock):\n"
        "    (place / 'file').touch()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    env = {**os.environ, "TMPDIR": str(temporary)}
    subprocess.run([sys.executable, "-c", program], check=False, env=env)
    (left,) = temporary.iterdir()
    with folders.while_in_use("edge-sim-x-") as (place, _):
        assert list(temporary.iterdir()) == [place] != [left]
    assert list(temporary.iterdir()) == []


def test_what_is_in_use_or_something_else_stays(temporary: Path) -> None:
    other = temporary / "edge-sim-xylophone"
    other.mkdir()
    link = temporary / "edge-sim-x-link"
    link.symlink_to(other)
    with folders.while_in_use("edge-sim-x-") as (first, _), folders.while_in_use("edge-sim-x-") as (second, _):
        assert {*temporary.iterdir()} == {first, second, other, link}


@pytest.mark.process
def test_a_folder_is_in_use_while_a_child_has_its_lock(temporary: Path) -> None:
    with folders.while_in_use("edge-sim-x-") as (place, lock):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(lock,))
        os.dup2(os.open(os.devnull, os.O_RDONLY), lock)  # as if this process had been killed
        with folders.while_in_use("edge-sim-x-"):
            assert place.is_dir()
        child.communicate()
        with folders.while_in_use("edge-sim-x-"):
            assert not place.exists()


@pytest.mark.root
def test_another_users_folder_stays(temporary: Path) -> None:
    theirs = temporary / "edge-sim-x-theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    with folders.while_in_use("edge-sim-x-"):
        assert theirs.is_dir()
