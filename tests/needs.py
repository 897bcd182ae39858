"""What some tests need of this machine: tried once. Where it is not, they are skipped with a sentence that says why."""

from __future__ import annotations

import errno
import functools
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from edge_sim.agent import linux
from edge_sim.emulation.capabilities import id_map


@functools.cache
def no_mounts() -> str | None:
    """Return why no board can be made whole here as root: with mounts, device nodes and other users' files."""
    if os.geteuid() != 0:
        return "needs root, for mounts and other users' files: run the tests as root too"
    with tempfile.TemporaryDirectory() as place:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, _tried(Path(place)).encode())
            os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        with os.fdopen(reader) as told:
            error = told.read()
    if not error:
        return None
    return (
        f"needs root that may do what a board needs, and this one may not ({error}): run the tests outside of this "
        "container, or in Docker with --cap-add SYS_ADMIN --security-opt apparmor=unconfined"
    )


@functools.cache
def no_user_namespace() -> str | None:
    """Return why a user namespace with our own id only cannot be had here."""
    tried = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], capture_output=True, text=True)
    if tried.returncode == 0:
        return None
    return (
        f"needs a user namespace, and the kernel gives none here ({tried.stderr.strip()}): run the tests outside of "
        "this chroot or container, with sysctl user.max_user_namespaces above 0"
    )


@functools.cache
def no_whole_board() -> str | None:
    """Return why a board with all its owners cannot be made here, by root or by a plain user."""
    if os.geteuid() == 0:
        return no_mounts()
    if no_user_namespace():
        return no_user_namespace()
    if id_map() is None:
        return "needs subordinate ids: apt-get install uidmap, and usermod --add-subuids, or run the tests as root too"
    return None


@functools.cache
def no_loop_devices() -> str | None:
    """Return why no file can be mounted as an ext4 disk here."""
    lacking = [name for name in ("mkfs.ext4", "e2fsck", "losetup") if shutil.which(name) is None]
    if lacking:
        return f"{', '.join(lacking)} not installed: apt-get install e2fsprogs mount"
    free = subprocess.run(["losetup", "--find"], capture_output=True, text=True)
    return None if free.returncode == 0 else f"needs a free loop device: {free.stderr.strip()}"


def program(name: str) -> pytest.MarkDecorator:
    """Mark a test that uses a program, which Debian has in a package of the same name."""
    return pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed: apt-get install {name}")


def _skipped(reason: str | None) -> pytest.MarkDecorator:
    return pytest.mark.skipif(reason is not None, reason=reason or "")


def _tried(place: Path) -> str:
    """Do in a mount namespace of this process's own what boards do; return what failed."""
    try:
        os.mknod(place / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        (place / "null").write_text("")
        os.chown(place / "null", 12345, 12345)
        linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWPID)
        try:
            linux.mount("none", Path("/"), flags=linux.MS_REC | linux.MS_PRIVATE)
        except OSError as error:
            return "" if error.errno == errno.EINVAL else str(error)  # a chroot: a mount might show outside
        linux.mount("none", place, "tmpfs")
        os.setgroups([12345])
        os.setresuid(12345, 12345, 12345)
    except OSError as error:
        return str(error)
    return ""


mounts = _skipped(no_mounts())
loop_devices = _skipped(no_loop_devices())
user_namespace = _skipped(no_user_namespace())
namespaces_of_root = _skipped(no_mounts() if os.geteuid() == 0 else None)
"""For what seals its mounts when it runs as root, and does without as a plain user."""
whole_board = _skipped(no_whole_board())
