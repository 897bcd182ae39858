"""Reads a tar (ustar, pax or GNU) from its first block to its last, strictly.

Every header must have a magic and a right checksum, every body its padding, and the archive its two zero blocks
with nothing but zeros after them. Files and directories come out, and links where they are copied; everything else
is refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_sim.agent.archives import links, pax
from edge_sim.agent.archives.errors import COPYING, ArchiveError, Code, Refuse, escaped, raising
from edge_sim.agent.archives.limits import Budget
from edge_sim.agent.archives.member import Member
from edge_sim.agent.archives.names import Parts, parts
from edge_sim.agent.archives.stream import CHUNK, Chunk, Stream
from edge_sim.agent.archives.tar_header import BLOCK, Header, parse
from edge_sim.limits import Limits

_FILES, _DIRECTORY = (b"0", b"\0"), b"5"
_HARD_LINK, _SYMBOLIC_LINK = b"1", b"2"
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a FIFO",
    b"7": "a contiguous file",
    b"D": "a GNU directory dump",
    b"M": "a continued file of another volume",
    b"N": "an old long name",
    b"V": "a volume label",
}

_SPECIAL: tuple[Code, str] = ("SPECIAL", "leave it out: a model package holds files and directories only")
_LINK: tuple[Code, str] = (
    "LINK",
    f"repack it with the files in place of the links (tar -czhf model.tar.gz ./model), or {COPYING}",
)
_REFUSALS: dict[bytes, tuple[Code, str]] = {
    b"1": _LINK,
    b"2": _LINK,
    b"S": ("SPARSE", "repack it without tar's --sparse option"),
}


def members(stream: Stream, budget: Budget, refuse: Refuse) -> Iterator[Member]:
    """Yield the members in the archive's order. Raises ArchiveError where nothing that follows can be trusted.

    ``refuse`` is called for each member that is not allowed; when it does not raise, the member is skipped.
    """
    extension = pax.NONE
    while (block := _block(stream)) != bytes(BLOCK):
        budget.entry()
        header = parse(block)
        if header.kind in (b"x", b"g", b"L", b"K"):
            extension = _extension(stream, header, extension, budget)
            continue
        yield from _member(stream, header, extension, budget, refuse)
        extension = pax.NONE
    if extension is not pax.NONE:
        raise ArchiveError("CONFLICT", "its last extension header belongs to no member")
    _end(stream)


def _member(
    stream: Stream, header: Header, extension: pax.Extension, budget: Budget, refuse: Refuse
) -> Iterator[Member]:
    raw = extension.name(header.name)
    label = escaped(raw)
    extension.check_size(header.size, label)
    _check_sparse(header, label)
    budget.file(header.size, label)
    data = _body(stream, header.size, label)
    try:
        path, link = _accepted(header, raw, extension, budget.limits)
    except ArchiveError as error:
        refuse(error)
    else:
        budget.name(raw)
        executable = bool(header.mode & 0o111)
        yield Member(path=path, directory=header.kind == _DIRECTORY, executable=executable, data=data, link=link)
    for _ in data:  # what the caller did not read
        pass


def _accepted(header: Header, raw: bytes, extension: pax.Extension, limits: Limits) -> tuple[Parts, links.Link | None]:
    """Return where the member goes, and for a link where it leads to; raises when it is not allowed."""
    label = escaped(raw)
    linked = header.kind in (_HARD_LINK, _SYMBOLIC_LINK)
    if not (header.kind in (*_FILES, _DIRECTORY) or (linked and limits.links == "copy")):
        what = _KINDS.get(header.kind, f"a member of the unknown type “{escaped(header.kind)}”")
        code, hint = _REFUSALS.get(header.kind, _SPECIAL)
        raise ArchiveError(code, f"{label} is {what}, which is not supported", member=label, hint=hint)
    path = parts(raw, directory=header.kind == _DIRECTORY, limits=limits)
    if header.kind == b"\0" and header.name.endswith(b"/"):
        brief = f"{label} is a directory in its short name and a file in its long one: Python and Go differ"
        raise ArchiveError("CONFLICT", brief, member=label)
    if header.size and header.kind not in _FILES:
        what = "link" if linked else "directory"
        raise ArchiveError("CONFLICT", f"the {what} {label} carries data", member=label)
    if not linked:
        extension.check_no_link(label)
        return path, None
    target = extension.link(header.link, label)
    return path, links.target(path, target, hard=header.kind == _HARD_LINK, limits=limits)


def _check_sparse(header: Header, label: str) -> None:
    if header.kind == b"S":
        code, hint = _REFUSALS[b"S"]
        raise ArchiveError(code, f"{label} is a sparse file, which is not supported", member=label, hint=hint)


def _extension(stream: Stream, header: Header, before: pax.Extension, budget: Budget) -> pax.Extension:
    """Read one extension header's body and return what it says about the next member."""
    limit = budget.limits.extension_bytes
    if header.size > limit:
        raise ArchiveError(
            "LIMIT_SIZE", f"it has an extension header larger than {limit:,} bytes", hint=raising("extension_bytes")
        )
    body = b"".join(_body(stream, header.size, "an extension header"))
    if header.kind != b"g":
        return before.joined(pax.from_records(body) if header.kind == b"x" else pax.from_gnu(header.kind, body))
    if before is not pax.NONE:
        raise ArchiveError("CONFLICT", "it has a global header between an extension header and its member")
    pax.check_global(body)
    return pax.NONE


def _block(stream: Stream) -> bytes:
    block = stream.read(BLOCK)
    if len(block) < BLOCK:
        raise ArchiveError("TRUNCATED", "the tar is cut off: its two closing zero blocks are missing")
    return block


def _body(stream: Stream, size: int, label: str) -> Iterator[Chunk]:
    remaining = size
    for piece in stream.pieces(size):
        remaining -= len(piece)
        yield piece
    if remaining:
        raise ArchiveError("TRUNCATED", f"the tar is cut off inside {label}", member=label)
    padding = -size % BLOCK
    if len(stream.read(padding)) < padding:
        raise ArchiveError("TRUNCATED", f"the tar is cut off after {label}", member=label)


def _end(stream: Stream) -> None:
    """Check what follows the first zero block."""
    if _block(stream) != bytes(BLOCK):
        raise ArchiveError("TRAILING", "the tar has a zero block in its middle")
    while rest := stream.read(CHUNK):
        if rest.count(0) < len(rest):
            raise ArchiveError("TRAILING", "there is data after the end of the tar")
