"""What is in a bundle, and where: pure but for reading edge_sim's own sources.

    bin/python3.11, bin/edge-sim       shell, which starts the loader with the libraries and the Python beside it
    lib/loader, lib/python, lib/*.so.* the C library's loader, the interpreter, what both and Python's modules link to
    lib/python3.11, lib/python3/…      the standard library; the agent and its four packages
    licenses/                          a copyright file for each part, and the licences that those files refer to

The layout below the top is the one by which Python finds itself from the path of ``bin/python3.11``.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from importlib import metadata, resources
from pathlib import Path

from edge_sim.emulation.bundle.packages import DebianPackage, File
from edge_sim.errors import UnsupportedEnvironmentError

_PYTHON = "python3.11"
_LIBRARIES = {
    "libc6": ("libc.so.6", "libm.so.6", "libresolv.so.2"),
    "libgcc-s1": ("libgcc_s.so.1",),
    "libatomic1": ("libatomic.so.1",),
    "zlib1g": ("libz.so.1",),
    "libbz2-1.0": ("libbz2.so.1.0",),
    "liblzma5": ("liblzma.so.5",),
    "libssl3": ("libcrypto.so.3", "libssl.so.3"),
    "libexpat1": ("libexpat.so.1",),
    "libffi8": ("libffi.so.8",),
    "libyaml-0-2": ("libyaml-0.so.2",),
}
_TREES = {
    f"lib{_PYTHON}-minimal": f"/usr/lib/{_PYTHON}/",
    f"lib{_PYTHON}-stdlib": f"/usr/lib/{_PYTHON}/",
    "python3-click": "/usr/lib/python3/",
    "python3-paho-mqtt": "/usr/lib/python3/",
    "python3-psutil": "/usr/lib/python3/",
    "python3-yaml": "/usr/lib/python3/",
}
_INTERPRETER = f"{_PYTHON}-minimal"
_LICENSES_ONLY = ("gcc-12-base", "base-files")
"""Where libgcc's and libatomic's copyright lies, and the licences that all copyright files refer to."""
PACKAGES = (*_LIBRARIES, *_TREES, _INTERPRETER, *_LICENSES_ONLY)
"""Debian's packages that a bundle is made of."""
_LEFT_OUT = (
    # What needs libraries that an agent has no use for, and what Python tests itself with.
    *("_curses*", "_sqlite3*", "_dbm*", "_gdbm*", "readline.*", "_uuid*", "_crypt.*", "nis.*", "ossaudiodev*"),
    *("_test*", "_ctypes_test*", "_xx*", "xx*"),
)
_LEFT_OUT_TREES = (
    *(
        "curses",
        "dbm",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "sqlite3",
        "test",
        "tests",
        "tkinter",
        "turtledemo",
    ),
    *("venv", "wsgiref", "__pycache__"),
)
_AGENT = (
    *("*.py", "agent/**/*.py", "greengrass/**/*.py", "jobs/**/*.py"),
    *(
        f"cli/{name}.py"
        for name in (
            *("__init__", "agent", "faults", "groups", "main", "options", "ota", "output", "report"),
            "topics",
        )
    ),
)
"""Of edge_sim's sources, what runs on a board: the same as ``.dockerignore`` lets into an image."""
_NOT_THE_AGENT = ("scenario.py",)
_Contents = Mapping[str, Mapping[str, File]]
"""The files of packages, by package and path."""


def files(packages: Sequence[DebianPackage]) -> dict[str, File]:
    """Return the bundle's files by their path in it; raises UnsupportedEnvironmentError where a package lacks one."""
    contents = {package.name: package.files() for package in packages}
    return {
        **dict(_libraries(contents)),
        **dict(_trees(contents)),
        **dict(_licenses(contents)),
        **own_files(),
        "lib/python": _file(contents, _INTERPRETER, f"/usr/bin/{_PYTHON}"),
    }


def own_files() -> dict[str, File]:
    """Return those of the bundle's files that are edge_sim's own."""
    return {
        **{f"lib/python3/dist-packages/edge_sim/{name}": File(content=text) for name, text in sources().items()},
        "licenses/edge-sim": File(content=_own_license()),
        f"bin/{_PYTHON}": _program("python.sh"),
        "bin/edge-sim": _program("edge-sim.sh"),
        "install.sh": _program("install.sh"),
        "edge-sim-agent.service": replace(_program("edge-sim-agent.service"), mode=0o644),
    }


def sources() -> dict[str, bytes]:
    """Return the agent's sources by their path below ``edge_sim``."""
    top = Path(__file__).parents[2]
    chosen = {path for pattern in _AGENT for path in top.glob(pattern) if path.suffix == ".py"}
    names = sorted(path.relative_to(top).as_posix() for path in chosen)
    return {name: (top / name).read_bytes() for name in names if name not in _NOT_THE_AGENT}


def _libraries(contents: _Contents) -> Iterator[tuple[str, File]]:
    for name, libraries in _LIBRARIES.items():
        for library in libraries:
            yield f"lib/{library}", _file(contents, name, f"*/{library}")
    yield "lib/loader", _file(contents, "libc6", "*/*/ld-linux*.so.[0-9]")


def _trees(contents: _Contents) -> Iterator[tuple[str, File]]:
    for name, top in _TREES.items():
        for path, file in contents[name].items():
            if path.startswith(top) and file.target is None and not _left_out(path.removeprefix(top)):
                yield path.removeprefix("/usr/"), file


def _left_out(path: str) -> bool:
    parts = path.split("/")
    return any(part in _LEFT_OUT_TREES for part in parts[:-1]) or (
        path.endswith(".so") and any(fnmatch(parts[-1], pattern) for pattern in _LEFT_OUT)
    )


def _licenses(contents: _Contents) -> Iterator[tuple[str, File]]:
    whole = {path: file for files in contents.values() for path, file in files.items()}
    docs = "/usr/share/doc"
    for name in contents:
        link = whole.get(f"{docs}/{name}")
        place = posixpath.basename(link.target or "") if link else name
        yield f"licenses/{name}", whole[f"{docs}/{place}/copyright"]
    for path in contents["base-files"]:
        if path.startswith("/usr/share/common-licenses/"):
            yield f"licenses/common/{posixpath.basename(path)}", _followed(contents["base-files"], path)


def _own_license() -> bytes:
    checkout = Path(__file__).parents[3] / "LICENSE"
    if checkout.is_file():
        return checkout.read_bytes()
    text = metadata.distribution("edge-sim").read_text("licenses/LICENSE")
    if text is None:
        raise UnsupportedEnvironmentError("this installation of edge-sim has no LICENSE, which a bundle must hold")
    return text.encode()


def _file(contents: _Contents, name: str, pattern: str) -> File:
    """Return a package's file at a path like ``pattern``, and of a link what it leads to."""
    path = next((path for path in sorted(contents[name]) if fnmatch(path, pattern)), None)
    if path is None:
        raise UnsupportedEnvironmentError(f"Debian's package {name} holds no {pattern}")
    return _followed(contents[name], path)


def _followed(files: Mapping[str, File], path: str) -> File:
    file = files[path]
    while file.target is not None:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), file.target))
        file = files[path]
    return file


def _program(name: str) -> File:
    return File(content=resources.files(__package__).joinpath(name).read_bytes(), mode=0o755)
