"""Member names: which may exist at all, and which may exist side by side.

The rules are ours (V1's are unknown) and strict: a name that two programs could read differently is refused.
"""

from __future__ import annotations

import re
import unicodedata

from edge_sim.agent.archives.errors import ArchiveError, Refuse, escaped
from edge_sim.agent.archives.limits import Limits

Parts = tuple[str, ...]

RESERVED = frozenset({".manifest", "current", "journal"})
"""Top-level names kept for the program that deploys."""

_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))})
_SHORT_NAME = re.compile(r"[^.~]{1,6}~[0-9](\.[^.]{0,3})?")
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
        raise _refused(raw, f"is longer than {limits.path_bytes} bytes")
    found = tuple(text.split("/"))
    if len(found) > limits.depth:
        raise _refused(raw, f"is deeper than {limits.depth} directories")
    for part in found:
        _check_component(part, raw, limits)
    if _folded(found[0]) in RESERVED:
        raise _refused(raw, "is a name this program keeps for itself")
    return found


class Register:
    """The names seen so far. Two that differ only in case or in Unicode form are one name twice.

    With ``parents_implied`` a missing parent is made (zip); without, it is a fault (tar.gz, as V1 did).
    """

    def __init__(self, *, parents_implied: bool, refuse: Refuse) -> None:
        self._parents_implied = parents_implied
        self._refuse = refuse
        self._seen: dict[str, tuple[Parts, bool, bool]] = {}

    def claim(self, path: Parts, *, directory: bool) -> list[Parts]:
        """Enter ``path``; return the directories to make for it that no entry named, outermost first."""
        made = self._parents(path)
        self._enter(path, directory=directory)
        return made

    def _enter(self, path: Parts, *, directory: bool) -> None:
        key = _key(path)
        known = self._seen.get(key)
        if known is None:
            self._seen[key] = (path, directory, False)
            return
        if known[0] != path or not (known[1] and directory and known[2]):
            raise _twice(path, known[0])
        self._seen[key] = (path, True, False)

    def has(self, path: Parts) -> bool:
        """Tell whether exactly this path is there already."""
        known = self._seen.get(_key(path))
        return known is not None and known[0] == path

    def _parents(self, path: Parts) -> list[Parts]:
        """Check the directories above ``path``; a directory that is known has known ones above it."""
        missing: list[Parts] = []
        for depth in range(len(path) - 1, 0, -1):
            parent = path[:depth]
            known = self._seen.get(_key(parent))
            if known is not None:
                if known[0] != parent or not known[1]:
                    raise _twice(path, known[0])
                break
            missing.insert(0, parent)
        if missing and not self._parents_implied:
            self._refuse(_no_parent(path))
        self._seen.update({_key(parent): (parent, True, True) for parent in missing})
        return missing


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused(raw, "is not UTF-8") from error
    if text.isascii() and text.isprintable():
        return text
    if any(unicodedata.category(c) in _HIDDEN_CATEGORIES for c in text):
        raise _refused(raw, "has characters that cannot be seen")
    if unicodedata.normalize("NFC", text) != text:
        raise _refused(raw, "is not in Unicode's composed form (NFC)")
    return text


def _check_component(part: str, raw: bytes, limits: Limits) -> None:
    compatible = part if part.isascii() else unicodedata.normalize("NFKC", part)
    if compatible in ("", ".", ".."):
        raise _refused(raw, "is not a plain relative path")
    if len(part.encode()) > limits.component_bytes:
        raise _refused(raw, f"has a component longer than {limits.component_bytes} bytes")
    if "/" in compatible or "\\" in compatible:
        raise _refused(raw, "has a backslash or a look-alike of a slash")
    if compatible[1:2] == ":":
        raise _refused(raw, "looks like a Windows drive or stream")
    if compatible.casefold() in _DEVICES or _SHORT_NAME.fullmatch(compatible):
        raise _refused(raw, "is a name that Windows gives another meaning")


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _key(path: Parts) -> str:
    return _folded("/".join(path))


def _refused(raw: bytes, why: str) -> ArchiveError:
    shown = escaped(raw)
    return ArchiveError("NAME", f"the name “{shown}” {why}", member=shown)


def _twice(path: Parts, other: Parts) -> ArchiveError:
    shown, first = escaped("/".join(path)), escaped("/".join(other))
    why = "comes twice" if shown == first else f"and “{first}” cannot both exist"
    return ArchiveError("DUPLICATE", f"the name “{shown}” {why}", member=shown)


def _no_parent(path: Parts) -> ArchiveError:
    shown = escaped("/".join(path))
    return ArchiveError(
        "NO_PARENT",
        f"open {shown}: no such file or directory (no entry for its directory comes before it)",
        member=shown,
        hint="pack the directory itself, not its contents: tar -zcvf model.tar.gz ./model (no trailing /*)",
    )
