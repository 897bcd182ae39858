"""The readers whose agreement makes an archive one that is taken: what each of them sees in it.

GNU tar and bsdtar, or Info-ZIP, 7-Zip and bsdtar, extract it with fixed flags; Go's and Python's libraries list it.
Names, types and bytes count; modes, times and owners do not.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

Node = tuple[str, str]
"""Kind and value: ("file", its SHA-256), ("directory", ""), ("link", where it leads)."""
Tree = dict[str, Node]
"""Nodes by path. A directory that is only implied is there as well; the root is not."""
Reader = Callable[[Path], Tree]

_DIRECTORY: Node = ("directory", "")
_ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
_GNU_TAR = "tar --extract --gzip --file {0} --directory {1} --no-same-owner --no-same-permissions --touch"
_BSDTAR = "bsdtar -x -f {0} -C {1} -m --no-same-owner --no-same-permissions --no-acls --no-xattrs --no-fflags"
_UNZIP = "unzip -qq -o {0} -d {1}"
_SEVEN_ZIP = "x -y -bd -o{1} {0}"
_SEVEN_ZIPS = ("7zz", "7z", "7za", "7zr")
_GO_SOURCE = Path(__file__).with_name("archive_reader.go")


class UnreadableError(Exception):
    """A reader refused the archive, or warned about it."""


def readers(kind: str, scratch: Path) -> tuple[dict[str, Reader], list[str]]:
    """Return the installed readers of ``tar.gz`` or ``zip`` by name, and the names of those that are missing.

    ``scratch`` is where Go's is built, and where the programs extract to.
    """
    programs = _programs(kind)
    installed: dict[str, Reader] = {
        name: partial(_extracted, command, scratch)
        for name, command in programs.items()
        if shutil.which(command.split()[0])
    }
    installed["Python"] = _tar_listed if kind == "tar.gz" else _zip_listed
    if go := _go_reader(scratch):
        installed["Go"] = partial(_go_listed, go, "zip" if kind == "zip" else "tar")
    return installed, [name for name in (*programs, "Go") if name not in installed]


def followers(kind: str, scratch: Path) -> tuple[dict[str, Reader], list[str]]:
    """Return the programs that make links, each with links read as the files they lead to, and those missing.

    7-Zip is none of them: it refuses every link with ``..`` in it.
    """
    programs = {name: command for name, command in _programs(kind).items() if name != "7-Zip"}
    installed: dict[str, Reader] = {
        name: partial(_extracted, command, scratch, follow=True)
        for name, command in programs.items()
        if shutil.which(command.split()[0])
    }
    return installed, [name for name in programs if name not in installed]


def _programs(kind: str) -> dict[str, str]:
    if kind == "tar.gz":
        return {"GNU tar": _GNU_TAR, "bsdtar": _BSDTAR}
    seven_zip = next(filter(shutil.which, _SEVEN_ZIPS), _SEVEN_ZIPS[0])
    return {"Info-ZIP": _UNZIP, "7-Zip": f"{seven_zip} {_SEVEN_ZIP}", "bsdtar": _BSDTAR}


def below(top: Path, *, follow: bool = False) -> Tree:
    """Return what is below a directory; what cannot be read is made readable. ``follow`` reads files through links."""
    tree: Tree = {}
    for path in _walk(top):
        name = str(path.relative_to(top))
        if path.is_symlink() and not (follow and path.is_file()):
            tree[name] = ("link", str(path.readlink()))
        elif path.is_dir():
            tree[name] = _DIRECTORY
        elif path.is_file():
            path.chmod(0o600)
            tree[name] = ("file", hashlib.sha256(path.read_bytes()).hexdigest())
        else:
            tree[name] = ("special", "")
    return tree


def _walk(top: Path) -> Iterator[Path]:
    top.chmod(0o700)
    for path in top.iterdir():
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)


def _extracted(command: str, scratch: Path, archive: Path, *, follow: bool = False) -> Tree:
    with tempfile.TemporaryDirectory(dir=scratch) as top:
        argv = [word.format(archive, top) for word in command.split()]
        done = subprocess.run(
            argv, capture_output=True, env=_ENVIRONMENT, stdin=subprocess.DEVNULL, timeout=120, check=False
        )
        tree = below(Path(top), follow=follow)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).decode(errors="backslashreplace")
        raise UnreadableError(f"status {done.returncode}: {said[-300:]}")
    return tree


def _go_reader(scratch: Path) -> Path | None:
    """Build and return the program that lists with Go's libraries, None without a compiler of Go."""
    built = scratch / "archive_reader"
    if built.exists():
        return built
    if shutil.which("go"):
        argv, environment = ["go", "build", "-o", str(built), str(_GO_SOURCE)], {"GOCACHE": str(scratch / "go-cache")}
    elif shutil.which("gccgo"):
        argv, environment = ["gccgo", "-o", str(built), str(_GO_SOURCE)], {}
    else:
        return None
    subprocess.run(argv, check=True, env={**_ENVIRONMENT, **environment}, timeout=300)
    return built


def _go_listed(program: Path, kind: str, archive: Path) -> Tree:
    done = subprocess.run([program, kind, archive], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise UnreadableError(done.stderr.strip()[-300:])
    return _as_tree(map(_go_member, done.stdout.splitlines()))


def _go_member(line: str) -> tuple[str, Node]:
    kind, name, value = line.split(" ")
    return os.fsdecode(bytes.fromhex(name)), (kind, os.fsdecode(bytes.fromhex(value)) if kind == "link" else value)


def _tar_listed(archive: Path) -> Tree:
    try:
        with tarfile.open(archive, encoding="utf-8", errors="surrogateescape", errorlevel=2) as opened:
            return _as_tree([(member.name, _tar_node(opened, member)) for member in opened])
    except Exception as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error


def _tar_node(opened: tarfile.TarFile, member: tarfile.TarInfo) -> Node:
    if member.isdir():
        return _DIRECTORY
    if member.issym() or member.islnk():
        return "link", member.linkname
    if not member.isreg():
        return "special", ""
    data = opened.extractfile(member)
    return "file", hashlib.sha256(data.read() if data else b"").hexdigest()


def _zip_listed(archive: Path) -> Tree:
    try:
        with zipfile.ZipFile(archive) as opened:
            return _as_tree([(entry.filename, _zip_node(opened, entry)) for entry in opened.infolist()])
    except Exception as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error


def _zip_node(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Node:
    return _DIRECTORY if entry.is_dir() else ("file", hashlib.sha256(opened.read(entry)).hexdigest())


def _as_tree(members: Iterable[tuple[str, Node]]) -> Tree:
    """Return the members as a tree, with the directories above each; a name that comes twice is an error."""
    tree: Tree = {}
    for name, node in members:
        path = name.removeprefix("./").rstrip("/")
        if path in ("", "."):
            continue
        if path in tree and not tree[path] == node == _DIRECTORY:
            raise UnreadableError(f"two members are called {name!r}")
        tree[path] = node
        for parent in PurePosixPath(path).parents:
            tree.setdefault(str(parent), _DIRECTORY)
    tree.pop(".", None)
    return tree


def differences(expected: Mapping[str, Node], other: Mapping[str, Node]) -> list[str]:
    """Return a line for each path that the two trees have differently."""
    paths = sorted(expected.keys() | other.keys())
    return [
        f"{path}: {expected.get(path, 'missing')} here, {other.get(path, 'missing')} there"
        for path in paths
        if expected.get(path) != other.get(path)
    ]
