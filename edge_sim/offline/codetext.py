"""What the code packages that are at hand mention: a scenario's folders are read with it, ``--source``'s here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from edge_sim import folders
from edge_sim.agent.archives import ArchiveError, UnpackError, unpack
from edge_sim.greengrass import prefix
from edge_sim.greengrass.plan import Modes
from edge_sim.offline.inputs import Inputs

AS_MINE = Modes(uid=-1, gid=-1, file=0o600, executable=0o700, directory=0o700)
"""Unpacked for this program alone, whose folder it is."""


def mentions(inputs: Inputs) -> Mapping[str, frozenset[str]]:
    """Return what the functions' code mentions, as a ``Case`` has it.

    A package that cannot be read, or that a core would refuse, is left out: whoever unpacks it says so.
    """
    return {**inputs.scenario.definition.mentions, **dict(_of_packages(inputs))}


def _of_packages(inputs: Inputs) -> Iterator[tuple[str, frozenset[str]]]:
    for function in inputs.group.functions:
        package, patterns = inputs.packages.get(function.arn), prefix.patterns(inputs.group, function)
        if package is None or not patterns:
            continue
        with suppress(OSError, ArchiveError, UnpackError):
            if package.path.is_dir():
                yield function.id, folders.mentioned(package.path, patterns)
                continue
            with folders.while_in_use("edge-sim-code-") as (place, _):
                code = place / "code"
                code.mkdir(mode=0o700)
                name = package.file_name or "code.zip"
                unpack(package.path, code, file_name=name, limits=inputs.limits, modes=AS_MINE)
                yield function.id, folders.mentioned(code, patterns)
