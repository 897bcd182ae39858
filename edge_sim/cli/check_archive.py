"""``edge-sim check-archive``: would this model package be unpacked?"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_sim.cli.group_options import LIMITS, LINKS
from edge_sim.cli.options import FORMAT, PathType
from edge_sim.cli.output import say
from edge_sim.cli.report import ReportCommand
from edge_sim.errors import InvalidDefinitionError
from edge_sim.limits import Limits

if TYPE_CHECKING:
    from edge_sim.agent.archives.check import ArchiveVerdict
    from edge_sim.agent.archives.errors import ArchiveError
    from edge_sim.limits import Links

_WIDTH = 100
_V1_PATHS = {
    "source": "/tmp/greengrass/artifacts/model-arn/path",
    "directory": "/greengrass/ggc/deployment/path/model-arn",
}
"""As in the guide's example of the message."""
_V1 = {
    "refused": "V1 would have failed the deployment, with the text above.",
    "taken": "V1 would have unpacked it as well (inferred: plain files and directories, each directory first).",
    "unknown": "What V1 did with such a package is not documented.",
}
_FLAT = (
    "V1's guide asks for a parent directory in a tar.gz (ml-console.md). This one has none, and what V1 did then "
    "is not documented."
)
_NO_FILES: dict[str, Any] = {
    "id": "NO_FILES",
    "severity": "warning",
    "member": None,
    "message": "it holds only directories and no file, so a function finds nothing to open",
    "aws_text": None,
    "source": None,
    "hint": "Pack the folder that holds the files: tar -czf model.tar.gz FOLDER",
}


@click.command("check-archive", cls=ReportCommand, empty={"ok": False, "file": None, "findings": []})
@click.argument("file", type=PathType(path_type=Path))
@LINKS
@LIMITS
@FORMAT
def command(file: Path, links: Links | None, limits: tuple[str, ...], fmt: str) -> None:
    """Check whether a model package (.tar.gz, .tgz or .zip) would be unpacked, and list all its faults.

    FILE is read exactly as a board reads it, and nothing is written. Status 3: the package would be refused.

    \b
    Example: edge-sim check-archive model.tar.gz
             edge-sim check-archive model.zip --limit file_bytes=3000000000
    """
    from edge_sim.agent.archives.check import check

    verdict = check(file, limits=Limits().changed(limits, links))
    if fmt == "json":
        click.echo(json.dumps(_as_json(file, verdict), indent=2))
    else:
        say(*_lines(file, verdict))
    sys.exit(InvalidDefinitionError.exit_status if verdict.faults else 0)


def _as_json(file: Path, verdict: ArchiveVerdict) -> dict[str, Any]:
    from edge_sim.greengrass.plan import is_hollow

    return {
        "ok": not verdict.faults,
        "file": str(file),
        "type": verdict.kind,
        "bytes": verdict.size,
        "sha256": verdict.sha256,
        "entries": verdict.entries,
        "files": sum(c.type == "file" for c in verdict.contents),
        "directories": sum(c.type == "directory" for c in verdict.contents),
        "copied_links": verdict.copied_links,
        "unpacked_bytes": verdict.unpacked_bytes,
        "complete": verdict.complete,
        "v1": verdict.v1,
        "findings": [*map(_finding, verdict.faults), *([_NO_FILES] if is_hollow(verdict.contents) else [])],
    }


def _finding(fault: ArchiveError) -> dict[str, Any]:
    from edge_sim.agent.archives.check import V1_SOURCE
    from edge_sim.agent.archives.errors import v1_text

    sourced = fault.code == "NO_PARENT"
    return {
        "id": fault.code,
        "severity": "error",
        "member": fault.member,
        "message": fault.brief,
        "aws_text": v1_text(fault, **_V1_PATHS) if sourced else None,
        "source": V1_SOURCE if sourced else None,
        "hint": fault.hint,
    }


def _lines(file: Path, verdict: ArchiveVerdict) -> Iterator[str]:
    from edge_sim.greengrass.plan import is_hollow

    count = len(verdict.faults)
    yield f"{file}: " + (f"refused, {count} fault{'s' if count > 1 else ''}" if count else "ok")
    before = None
    for fault in verdict.faults:
        finding = _finding(fault)
        yield from _wrapped(f"  {fault.code:<10} ", fault.brief)
        if finding["aws_text"]:
            yield from _wrapped("  V1 said:   ", f"{finding['aws_text']} ({finding['source']})")
        if fault.hint and fault.hint != before:
            yield from _wrapped("  hint:      ", fault.hint)
        before = fault.hint
    if is_hollow(verdict.contents):
        yield from _wrapped("  warning:   ", _NO_FILES["message"])
        yield from _wrapped("  hint:      ", _NO_FILES["hint"])
    if not verdict.complete:
        yield "  Reading stopped at the last fault; there may be more after it."
    if verdict.sha256:
        files, everything = sum(c.type == "file" for c in verdict.contents), len(verdict.contents)
        yield f"  {verdict.kind}, {verdict.size:,} bytes, SHA-256 {verdict.sha256}"
        yield f"  files: {files:,}, directories: {everything - files:,}, bytes inflated: {verdict.unpacked_bytes:,}"
    if verdict.copied_links:
        yield f"  links that become copies: {verdict.copied_links:,}"
    yield f"  {_FLAT if verdict.flat and not verdict.faults else _V1[verdict.v1]}"


def _wrapped(head: str, text: str) -> list[str]:
    """Return a row as lines: wrapped on a terminal, one line in a file or a pipe."""
    if not sys.stdout.isatty():
        return [f"{head}{text}"]
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
