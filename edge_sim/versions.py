"""Versions of the Greengrass core, as text and as something that compares; and of what is around it.

V1 had 1.0 to 1.11 (what-is-gg.md); 1.11.6 was the last.
"""

from __future__ import annotations

import re

from edge_sim.errors import UsageError

NEWEST_PATCH = 99
"""Stands for the last patch of a line: ``1.10`` means the newest 1.10.x."""
Version = tuple[int, int, int]
LATEST: Version = (1, 11, 6)
RELEASED = (
    *("1.0.0", "1.1.0", "1.3.0", "1.5.0", "1.6.1", "1.7.1"),
    *("1.8.0", "1.8.1", "1.8.2", "1.8.3", "1.8.4", "1.9.0", "1.9.1", "1.9.2", "1.9.3", "1.9.4"),
    *("1.10.0", "1.10.1", "1.10.2", "1.10.3", "1.10.4", "1.10.5"),
    *("1.11.0", "1.11.1", "1.11.3", "1.11.4", "1.11.5", "1.11.6"),
)
"""The releases that what-is-gg.md describes; of the lines before 1.8 it names one each, or none."""
_LAST_PATCHES = {8: 4, 9: 4, 10: 5, 11: 6}
"""The lines whose patches what-is-gg.md lists; of the older ones it names a release or two."""
RELEASES = {"1.9": "1.9.4", "1.10": "1.10.4", "1.11": "1.11.6"}
"""The release that stands for a line where a core has to run; AWS's guide names these (what-is-gg.md, gg-core.md)."""
_FORM = re.compile(r"1\.([0-9]|1[01])(?:\.(0|[1-9][0-9]?))?", re.ASCII)
_NUMBERS = re.compile(r"\d+(\.\d+)*", re.ASCII)
_HINT = "V1 had 1.0 to 1.11.6; for example 1.10 or 1.10.4."


def parse_version(text: str) -> Version:
    """Return ``1.10.4`` or ``1.10`` (its newest patch) as numbers; raises UsageError for what was never a V1 core."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a version of the Greengrass V1 core", hint=_HINT)
    minor, patch = int(match[1]), int(match[2]) if match[2] else NEWEST_PATCH
    last = _LAST_PATCHES.get(minor, NEWEST_PATCH)
    if match[2] and patch > last:
        raise UsageError(
            f"{text!r} is not a version of the Greengrass V1 core: the last 1.{minor} was 1.{minor}.{last}", hint=_HINT
        )
    return 1, minor, patch


def text(version: Version) -> str:
    """Return ``1.10.4``."""
    return ".".join(map(str, version))


def core_version(text: str) -> Version:
    """Return the version a board states; what was never a V1 core counts as the newest."""
    try:
        return parse_version(text)
    except UsageError:
        return LATEST


def numbers(text: str) -> tuple[int, ...]:
    """Return the numbers that the version of a kernel, a library or a program begins with; none where it has none."""
    match = _NUMBERS.match(text)
    return tuple(map(int, match[0].split("."))) if match else ()
