"""Where a board is: ``ssh://[USER@]HOST[:PORT]``, which may also be an alias in the user's OpenSSH configuration."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edge_sim.documents import read_bytes
from edge_sim.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""No ``-`` first, which ssh would read as an option, and nothing that a shell reads (ProxyCommand's %h and %r)."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """A board's address; None is what the user's OpenSSH configuration says."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{f'{self.user}@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"

    @property
    def name(self) -> str:
        """What the board is called in a report, and its thing after the scenario's name."""
        parts = (self.user, self.host, str(self.port) if self.port else None)
        return re.sub(r"[^A-Za-z0-9_-]", "-", "-".join(filter(None, parts)))


def parse(text: str) -> Address:
    """Return the address; raises UsageError for anything else."""
    wrong = UsageError(f"{text}: expected ssh://[USER@]HOST[:PORT]")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise wrong from error
    if parts.scheme != "ssh" or parts.path not in ("", "/") or parts.query or parts.fragment or port == 0:
        raise wrong
    if parts.password is not None:
        raise UsageError(
            f"ssh://{host}: a password does not belong on a command line", hint="Use a key, or ssh-agent: ssh-copy-id"
        )
    written = parts.netloc.rpartition("@")[2].removesuffix(f":{port}")  # urlsplit makes an alias lower case
    if ":" in host:
        if not _is_ipv6(host):
            raise wrong
    elif not _NAME.fullmatch(written):
        raise wrong
    if parts.username is not None and not _NAME.fullmatch(parts.username):
        raise wrong
    return Address(host=host if ":" in host else written, user=parts.username, port=port)


def boards_file() -> Path | None:
    """Return the user's own list of boards, ``$XDG_CONFIG_HOME/edge-sim/boards``; None for a user without a home."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        return (Path(folder) if folder.startswith("/") else Path.home() / ".config") / "edge-sim" / "boards"
    except RuntimeError:
        return None


def own_boards() -> frozenset[Address]:
    """Return the boards that the user's own file lists, one address a line; ``#`` begins a comment.

    Raises UsageError for a file that is not text, and for a line that is no address.
    """
    file = boards_file()
    if file is None or not file.is_file():
        return frozenset()
    try:
        text = read_bytes(file).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: not a text file (byte {error.start} is not UTF-8)") from error
    lines = enumerate((line.partition("#")[0].strip() for line in text.splitlines()), 1)
    return frozenset(_listed(line, file, number) for number, line in lines if line)


def _listed(line: str, file: Path, number: int) -> Address:
    try:
        return parse(line)
    except UsageError as error:
        raise UsageError(f"{file}:{number}: {error.brief}", hint=error.hint) from error


def _is_ipv6(text: str) -> bool:
    """Tell whether it is an IPv6 address, with a plain name behind a ``%``: ``ipaddress`` takes anything there."""
    plain, scoped, zone = text.partition("%")
    try:
        return ipaddress.ip_address(plain).version == 6 and (not scoped or _NAME.fullmatch(zone) is not None)
    except ValueError:
        return False
