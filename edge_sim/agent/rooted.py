"""Board paths below a root directory: where they lie on this machine, and what lies there.

Links are followed as the board would, never out of the root.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import struct
from pathlib import Path, PurePosixPath

from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.facts import MAX_LINKS, AclEntry, Node, NodeType

ACL = "system.posix_acl_access"
"""The extended attribute that holds a file's ACL, as linux/posix_acl_xattr.h has it."""
ACL_TO_COME = "system.posix_acl_default"
"""The one that a directory hands on to what is made in it."""
_ACL_HEADER, _ACL_ENTRY = 4, struct.Struct("<HHI")
_ACL_USER, _ACL_OWNING_GROUP, _ACL_GROUP, _ACL_MASK = 0x02, 0x04, 0x08, 0x10
_ESCAPE = re.compile(r"\\([0-7]{3})")
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP})
_TYPES: dict[int, NodeType] = {
    stat.S_IFDIR: "directory",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


class LinkLoopError(UnsupportedEnvironmentError):
    """A board's path leads through more than 40 symbolic links: nothing is there."""


def inside(root: Path, path: str, *, follow_last: bool = True) -> Path:
    """Return where the board's absolute ``path`` lies on this machine; what does not exist is taken literally.

    Raises LinkLoopError, and UnsupportedEnvironmentError when this process may not look.
    """
    waiting = list(reversed(PurePosixPath("/", path).parts[1:]))
    here: list[str] = []
    links, missing = 0, False
    while waiting:
        part = waiting.pop()
        if part == "..":
            del here[-1:]
            missing = False
            continue
        last = not waiting and not follow_last
        node = None if missing or last else node_at(root.joinpath(*here, part))
        missing = node is None
        if node is None or node.target is None:
            here.append(part)
            continue
        links += 1
        if links > MAX_LINKS:
            raise LinkLoopError(f"{path}: too many levels of symbolic links")
        target = PurePosixPath(node.target)
        if target.is_absolute():
            here, target = [], target.relative_to("/")
        waiting.extend(reversed(target.parts))
    return root.joinpath(*here)


def mount_point(field: str) -> str:
    """Return the path in a field of a mounts or mountinfo, where blanks and backslashes are octal (proc(5))."""
    return _ESCAPE.sub(lambda escape: chr(int(escape[1], 8)), field)


def node_at(place: Path) -> Node | None:
    """Return what ``lstat`` says of a path of this machine; None when it does not exist.

    Raises UnsupportedEnvironmentError when this process may not know.
    """
    try:
        status = place.lstat()
        target = os.readlink(place) if stat.S_ISLNK(status.st_mode) else None  # noqa: PTH115 - the text as it is
    except ValueError:  # a zero byte: no path has one
        return None
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        hint = "Run it as root." if isinstance(error, PermissionError) else None
        raise UnsupportedEnvironmentError(f"{place}: cannot be read: {error.strerror}", hint=hint) from error
    return Node(
        type=_TYPES[stat.S_IFMT(status.st_mode)],
        uid=status.st_uid,
        gid=status.st_gid,
        mode=stat.S_IMODE(status.st_mode),
        target=target,
        acl=_acl(place, status.st_gid) if target is None else (),
    )


def acl_bytes(place: Path) -> bytes:
    """Return the ACL of a file of this machine as the kernel has it, nothing where there is none."""
    try:
        return os.getxattr(place, ACL, follow_symlinks=False)
    except OSError:  # or its file system knows none
        return b""


def _acl(place: Path, gid: int) -> tuple[AclEntry, ...]:
    """Return what the ACL of a file of this machine names; nothing where it says no more than the mode does."""
    raw = acl_bytes(place)
    entries = [_ACL_ENTRY.unpack_from(raw, at) for at in range(_ACL_HEADER, len(raw), _ACL_ENTRY.size)]
    if not any(tag == _ACL_MASK for tag, _, _ in entries):
        return ()
    ids = {_ACL_OWNING_GROUP: gid}
    return tuple(
        AclEntry(kind="user" if tag == _ACL_USER else "group", id=ids.get(tag, number), bits=bits)
        for tag, bits, number in entries
        if tag in (_ACL_USER, _ACL_OWNING_GROUP, _ACL_GROUP)
    )


def drop_acl(place: Path | int, name: str = ACL) -> None:
    """Take an ACL from a file of this machine, where it has one."""
    with contextlib.suppress(OSError):  # it has none, or its file system knows none
        os.removexattr(place, name)


def file_bytes(place: Path, most: int = -1) -> bytes:
    """Return what a file of this machine holds, at most ``most`` bytes of it.

    Nothing is waited for where something else lies, a FIFO as well. Raises OSError.
    """
    descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a file", str(place))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)
