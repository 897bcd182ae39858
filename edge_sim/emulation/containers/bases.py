"""Base file systems for boards where no registry is at hand: Debian's, made by mmdebstrap from Debian's packages.

A base is what debian:bookworm-slim is, and the agent's packages; for boards of bullseye's age it is bullseye, whose
Python is too old for the agent, so that their image holds the agent's bundle. It is kept in the user's cache, for every
clone, as ``<debian architecture>-<recipe>-<content>.tar``; as long as the recipe below stays what it is nothing is made
again. The same packages give the same bytes, so boards of two machines can be compared by their base's name. ``images``
brings a base into the engine, ``baseimages`` makes and brings in all four.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_sim.arch import ARCHITECTURES
from edge_sim.digests import sha256
from edge_sim.emulation.containers import advice
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.folders import user_cache
from edge_sim.process import run

PACKAGES = ("python3", "python3-click", "python3-paho-mqtt", "python3-psutil", "python3-yaml")
SUITE = "bookworm"
OLDER = "bullseye"
"""The release before, with a Python that functions run with, and no agent."""
_MERGED = "/usr/share/mmdebstrap/hooks/merged-usr"
_OPTIONS = {
    SUITE: (  # without usr-is-merged apt installs usrmerge, and with it 46 MB of Perl
        f"--hook-dir={_MERGED}",
        f"--include={','.join(('usr-is-merged', *PACKAGES))}",
    ),
    OLDER: (  # it has no usr-is-merged: the hook's is a stand-in
        f"--setup-hook={_MERGED}/setup00.sh",
        "--include=python3",
        '--customize-hook=chroot "$1" dpkg --purge usr-is-merged',
    ),
}
NEWEST_FILE = 1686355200
"""SOURCE_DATE_EPOCH: bookworm's first day. Files that are newer get this time; Python's caches go by content."""
LIMIT_S = 1800.0
"""Under QEMU a base takes about a minute and a half on an idle machine."""
_SLIM = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*")
_OWN_NAMESPACES = (
    *("unshare", "--mount", "--propagation", "unchanged", "--pid", "--fork", "--kill-child"),
    *("sh", "-c", 'mount --make-rprivate / 2>/dev/null; exec "$@"', "sh"),  # in a chroot / is no mount point
)
_MACHINE = ("etc/hostname", "etc/resolv.conf", "etc/apt/sources.list")
"""What mmdebstrap takes over from this machine."""
_MAKING = ".making-"
_STAGES = ("I: downloading", "I: extracting", "I: installing", "I: creating", "I: success")
"""The lines of mmdebstrap that are passed on as progress."""

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Base:
    """A root file system as a tar file. ``content`` is the beginning of its SHA-256 (of the file as it is)."""

    architecture: str
    path: Path
    content: str


def cache_directory(name: str = "bases") -> Path | None:
    """Return the folder ``name`` of what can be made again: in $EDGE_SIM_CACHE, else in the user's cache.

    None for a user without one.
    """
    override = os.environ.get("EDGE_SIM_CACHE")
    top = Path(override) if override else user_cache()
    return top / name if top else None


def suite_for(os_release: Mapping[str, str], architecture: str) -> str:
    """Return the release of Debian that a board's programs are of: its own where this mirror has it, else bookworm.

    Debian's mirror has bullseye for all but armel, and nothing that is older.
    """
    of_its_age = (os_release.get("ID") in ("debian", "raspbian")) and os_release.get("VERSION_ID") == "11"
    return OLDER if of_its_age and ARCHITECTURES[architecture].debian != "armel" else SUITE


def cached(architecture: str, suite: str = SUITE) -> Base | None:
    """Return the base that was made for ``architecture`` by this recipe, or None."""
    prefix = f"{ARCHITECTURES[architecture].debian}-{_recipe(architecture, suite)}-"
    folder = cache_directory()
    for path in sorted(folder.glob(f"{prefix}*.tar")) if folder else ():
        return Base(architecture=architecture, path=path, content=path.stem.removeprefix(prefix))
    return None


def make(architecture: str, progress: Progress, suite: str = SUITE) -> Base:
    """Return the base for ``architecture``, made now if there is none: a minute or two, under QEMU.

    Waits where another process of this user is making bases. Raises UnsupportedEnvironmentError when
    mmdebstrap, a Debian mirror or QEMU is missing, there is no place to keep the base, or it takes too long.
    """
    folder = cache_directory()
    if folder is None:
        raise UnsupportedEnvironmentError(
            "cannot keep base images: this user has no home directory", hint="Set EDGE_SIM_CACHE=DIR."
        )
    base = cached(architecture, suite)
    if base is None:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, lambda: progress(f"{architecture}: waiting for another process that builds bases")):
            base = cached(architecture, suite) or _make(architecture, suite, folder, progress)
    else:
        progress(f"{architecture}: {base.path.name} already exists")
    return base


def _make(architecture: str, suite: str, folder: Path, progress: Progress) -> Base:
    for leftover in folder.glob(f"{_MAKING}*"):  # of a process that was killed
        shutil.rmtree(leftover)
    source = f"deb {mirror()} {suite} main"
    with tempfile.TemporaryDirectory(dir=folder, prefix=_MAKING) as making, _workplace() as place:
        tar = Path(making) / "base.tar"
        _mmdebstrap([*_recipe_argv(architecture, suite), suite, str(tar), source], architecture, place, progress)
        content = digest(tar)
        path = folder / f"{ARCHITECTURES[architecture].debian}-{_recipe(architecture, suite)}-{content}.tar"
        tar.replace(path)
    return Base(architecture=architecture, path=path, content=content)


@contextlib.contextmanager
def locked(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Keep other processes out of a folder; the lock goes with its process, however that ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def digest(file: Path) -> str:
    """Return the first twelve hexadecimal digits of a file's SHA-256, which tell bases apart."""
    with file.open("rb") as stream:
        return sha256(stream)[:12]


def mirror() -> str:
    """Return the Debian mirror that this machine's own apt sources name for the suite."""
    listing = run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
        timeout=60,
    ).stdout.decode()
    for line in listing.splitlines():
        uri, _, rest = line.partition(" ")
        if rest == f"{SUITE} main":
            return uri.rstrip("/")
    raise UnsupportedEnvironmentError(
        f"apt's sources on this machine name no mirror for Debian {SUITE} main",
        hint=f"Add one to /etc/apt/sources.list.d, or let images stand on debian:{SUITE}-slim from a registry.",
    )


def _recipe_argv(architecture: str, suite: str) -> list[str]:
    return [
        "mmdebstrap",
        "--variant=minbase",
        f"--architectures={ARCHITECTURES[architecture].debian}",
        *_OPTIONS[suite],
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _SLIM),
        f'--customize-hook=cd "$1" && rm -f {" ".join(_MACHINE)}',
    ]


def _recipe(architecture: str, suite: str) -> str:
    recipe = [*_recipe_argv(architecture, suite), suite, str(NEWEST_FILE)]
    return hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:8]


@contextlib.contextmanager
def _workplace() -> Iterator[Path]:
    """Give a directory for mmdebstrap's own, which goes even where mmdebstrap was killed."""
    with tempfile.TemporaryDirectory(prefix="edge-sim-base-", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o755)  # apt downloads as a user of its own
        yield Path(place)


def _mmdebstrap(argv: list[str], architecture: str, place: Path, progress: Progress) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(NEWEST_FILE), "LC_ALL": "C", "TMPDIR": str(place)}
    cpu = ARCHITECTURES[architecture].qemu_cpu
    if cpu:
        environment["QEMU_CPU"] = cpu
    log: list[str] = []
    started = time.monotonic()
    with _process(argv, environment) as child:
        assert child.stderr is not None  # noqa: S101 - we asked for it
        for raw in child.stderr:
            line = raw.decode(errors="replace").strip()
            log.append(line)
            if line.startswith(_STAGES):
                progress(f"{architecture}: {line[3:]} ({time.monotonic() - started:.0f} s)")
    if child.returncode:
        late = time.monotonic() - started >= LIMIT_S
        raise UnsupportedEnvironmentError(
            f"mmdebstrap built no base for {architecture}" + (f" within {LIMIT_S:g} s" if late else ""),
            details="\n".join(log[-8:]) or None,
            hint=f"What it needs, as root on Debian: {advice.MMDEBSTRAP}",
        )


@contextlib.contextmanager
def _process(argv: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``argv`` with its errors in a pipe, and end it at the limit or when the caller leaves early."""
    if not shutil.which(argv[0]):
        raise UnsupportedEnvironmentError(f"{argv[0]} is not installed", hint=f"As root on Debian: {advice.MMDEBSTRAP}")
    # mmdebstrap mounts as root in our namespaces, and killed it unmounts nothing: in its own, all goes with it.
    child = subprocess.Popen(
        [*(_OWN_NAMESPACES if os.geteuid() == 0 else ()), *argv],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        umask=0o022,
    )
    limit = threading.Timer(LIMIT_S, _end, args=(child,))
    limit.start()
    try:
        yield child
        child.wait()
    finally:
        limit.cancel()
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the rest of the session. As root its first process takes the namespaces with it."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
