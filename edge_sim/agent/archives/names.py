"""Member names: which may exist at all, and which may exist side by side.

The rules are ours (V1's are unknown) and strict: a name that two programs could read differently is refused.
"""

from __future__ import annotations

import re
import unicodedata

from edge_sim.agent.archives.errors import RENAME, REPACK, ArchiveError, Refuse, escaped, raising
from edge_sim.greengrass.plan import Content
from edge_sim.limits import Limits

Parts = tuple[str, ...]

_NAME_MAX = 255
"""Bytes of one name that Linux's file systems take."""

RESERVED = frozenset({".manifest", "current", "journal"})
"""Top-level names kept for the program that deploys."""

_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))})
_SHORT_NAME = re.compile(r"[^.~]{1,6}~[0-9](\.[^.]{0,3})?")
_CONVERT = "rename it, for example with: convmv -r -f {} -t utf8{} --notest ./model; then pack again"
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def parts(raw: bytes, *, directory: bool, limits: Limits) -> Parts:
    """Return the components of a member's name; none for the root itself (``.`` or ``./``, a directory).

    One leading ``./`` and, for a directory, one trailing ``/`` are taken off. Raises ArchiveError ``NAME``.
    """
    text = _text(raw)
    if directory and text in (".", "./"):
        return ()
    text = text.removeprefix("./")
    if directory:
        text = text.removesuffix("/")
    if len(text.encode()) > limits.path_bytes:
        raise too_long(raw, limits)
    names = tuple(text.split("/"))
    if len(names) > limits.depth:
        raise _refused(raw, f"is deeper than {limits.depth} directories", hint=_shorten("depth"))
    for part in names:
        _check_component(part, raw, limits)
    if _folded(names[0]) in RESERVED:
        raise _refused(raw, "is reserved for this program", hint=RENAME)
    return names


def is_utf8(raw: bytes) -> bool:
    """Tell whether these bytes are UTF-8."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def too_long(raw: bytes, limits: Limits) -> ArchiveError:
    """Return the refusal of a name of more than ``path_bytes``."""
    return _refused(raw, f"is longer than {limits.path_bytes} bytes", hint=_shorten("path_bytes"))


class Register:
    """The names seen so far, and what they are. Two that differ only in case or in Unicode form are one name twice.

    With ``parents_implied`` a missing parent is made (zip); without, it is a fault (tar.gz, as V1 did).
    """

    def __init__(self, *, parents_implied: bool, refuse: Refuse) -> None:
        self._parents_implied = parents_implied
        self._refuse = refuse
        self._seen: dict[str, Content] = {}
        self._implied: set[str] = set()
        """Directories that no entry has named yet."""

    @property
    def contents(self) -> tuple[Content, ...]:
        """All members so far, parents first."""
        return tuple(self._seen.values())

    def get(self, path: Parts) -> Content | None:
        """Return what is known under exactly this name."""
        name = "/".join(path)
        known = self._seen.get(_folded(name))
        return known if known is not None and known.path == name else None

    def claim(self, path: Parts, *, directory: bool, executable: bool = False) -> list[Parts]:
        """Enter ``path``; return the directories to make for it that no entry named, outermost first."""
        parents = self._parents(path)
        name = "/".join(path)
        key = _folded(name)
        known = self._seen.get(key)
        if known is not None and not (known.path == name and directory and name in self._implied):
            raise _twice(path, known)
        self._implied.discard(name)
        if known is None:
            self._seen[key] = Content(path=name, type="directory" if directory else "file", executable=executable)
        return parents

    def become(self, path: Parts, *, executable: bool) -> None:
        """Give a file that is known its executable bit (a link's, when it is copied)."""
        name = "/".join(path)
        self._seen[_folded(name)] = Content(path=name, type="file", executable=executable)

    def _parents(self, path: Parts) -> list[Parts]:
        """Check the directories above ``path``; a directory that is known has known ones above it."""
        missing: list[Parts] = []
        for depth in range(len(path) - 1, 0, -1):
            name = "/".join(path[:depth])
            known = self._seen.get(_folded(name))
            if known is not None:
                if known.path != name or known.type != "directory":
                    raise _twice(path, known)
                break
            missing.insert(0, path[:depth])
        if missing and not self._parents_implied:
            self._refuse(_no_parent(path))
        for parent in missing:
            name = "/".join(parent)
            self._seen[_folded(name)] = Content(path=name, type="directory")
            self._implied.add(name)
        return missing


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused(raw, "is not UTF-8", hint=_CONVERT.format("latin1", "")) from error
    if text.isascii() and text.isprintable():
        return text
    if any(unicodedata.category(c) in _HIDDEN_CATEGORIES for c in text):
        raise _refused(raw, "has control or invisible characters", hint=RENAME)
    if unicodedata.normalize("NFC", text) != text:
        raise _refused(raw, "is not in Unicode's composed form (NFC)", hint=_CONVERT.format("utf8", " --nfc"))
    return text


def _check_component(part: str, raw: bytes, limits: Limits) -> None:
    compatible = part if part.isascii() else unicodedata.normalize("NFKC", part)
    if compatible in ("", ".", ".."):
        raise _refused(raw, "is not a plain relative path")
    longest = min(limits.component_bytes, _NAME_MAX)
    if len(part.encode()) > longest:
        hint = _shorten("component_bytes") if longest < _NAME_MAX else "shorten it"
        raise _refused(raw, f"has a component longer than {longest} bytes", hint=hint)
    if "/" in compatible or "\\" in compatible:
        raise _refused(raw, "has a backslash or a look-alike of a slash", hint=RENAME)
    if compatible[1:2] == ":":
        raise _refused(raw, "looks like a Windows drive or stream", hint=RENAME)
    if compatible.casefold() in _DEVICES or _SHORT_NAME.fullmatch(compatible):
        raise _refused(raw, "has another meaning on Windows", hint=RENAME)


def _folded(text: str) -> str:
    if text.isascii():
        lowered = text.lower()
        return text if lowered == text else lowered  # the same object where it can be: there may be many
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _shorten(limit: str) -> str:
    return f"shorten it, or {raising(limit)}"


def _refused(raw: bytes, why: str, *, hint: str = REPACK) -> ArchiveError:
    label = escaped(raw)
    return ArchiveError("NAME", f"the name “{label}” {why}", member=label, hint=hint)


def _twice(path: Parts, other: Content) -> ArchiveError:
    label, first = escaped("/".join(path)), escaped(other.path)
    if label == first:
        hint = "leave one of them out, and pack again"
        return ArchiveError("DUPLICATE", f"the name “{label}” appears twice", member=label, hint=hint)
    brief = f"“{label}” and “{first}” cannot both exist"
    return ArchiveError("DUPLICATE", brief, member=label, hint="rename one of them, and pack again")


def _no_parent(path: Parts) -> ArchiveError:
    label = escaped("/".join(path))
    return ArchiveError(
        "NO_PARENT",
        f"open {label}: no such file or directory (no entry for its directory comes before it)",
        member=label,
        hint="pack the directory itself, not its contents: tar -zcvf model.tar.gz ./model (no trailing /*)",
    )
