"""Frames of AWS's event stream, as the Greengrass IPC has them on a Unix socket. Pure.

A frame: total length, length of the headers, CRC-32 of those eight bytes; the headers; the payload; CRC-32 of all that.
A header: length and name, type, value. Source: aws-c-event-stream's message format; the clients are awsiotsdk's.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

MAX_FRAME = 16 * 1024 * 1024
_PRELUDE, _CRC = struct.Struct(">III"), struct.Struct(">I")
_TRUE, _FALSE, _INT32, _STRING = 0, 1, 4, 7
_FIXED = {2: 1, 3: 2, _INT32: 4, 5: 8, 8: 8, 9: 16}
"""Length of the values of header types that have a fixed one."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One message: its headers, numbers and texts, and what it carries."""

    headers: Mapping[str, int | str]
    payload: bytes = b""
    unread: tuple[str, ...] = field(default=())
    """Headers of types that this protocol does not use."""

    def number(self, name: str) -> int:
        """Return a header that is a number; 0 where it is missing."""
        value = self.headers.get(name)
        return value if isinstance(value, int) else 0

    def text(self, name: str) -> str:
        """Return a header that is a text; "" where it is missing."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


def encode(frame: Frame) -> bytes:
    """Return a frame as bytes."""
    headers = b"".join(_header(name, value) for name, value in frame.headers.items())
    total = _PRELUDE.size + len(headers) + len(frame.payload) + _CRC.size
    lengths = struct.pack(">II", total, len(headers))
    body = lengths + _CRC.pack(zlib.crc32(lengths)) + headers + frame.payload
    return body + _CRC.pack(zlib.crc32(body))


def read(receive: Callable[[int], bytes]) -> Frame | None:
    """Read one frame; ``receive`` returns so many bytes, or fewer at the end. None: nothing comes any more.

    Raises ValueError for anything that is no frame.
    """
    prelude = receive(_PRELUDE.size)
    if not prelude:
        return None
    if len(prelude) < _PRELUDE.size:
        raise ValueError("the stream ends inside a frame")
    total, length, check = _PRELUDE.unpack(prelude)
    if check != zlib.crc32(prelude[:8]) or not _PRELUDE.size + length + _CRC.size <= total <= MAX_FRAME:
        raise ValueError("not a frame of the event stream")
    rest = receive(total - _PRELUDE.size)
    if len(rest) < total - _PRELUDE.size or _CRC.unpack(rest[-4:])[0] != zlib.crc32(prelude + rest[:-4]):
        raise ValueError("a frame is damaged")
    headers, unread = _headers(rest[:length])
    return Frame(headers=headers, payload=rest[length:-4], unread=unread)


def _header(name: str, value: int | str) -> bytes:
    key = name.encode()
    head = bytes([len(key)]) + key
    if isinstance(value, int):
        return head + bytes([_INT32]) + struct.pack(">i", value)
    text = value.encode()
    return head + bytes([_STRING]) + struct.pack(">H", len(text)) + text


def _headers(data: bytes) -> tuple[dict[str, int | str], tuple[str, ...]]:
    headers: dict[str, int | str] = {}
    unread = []
    at = 0
    try:
        while at < len(data):
            end = at + 1 + data[at]
            name, kind, at = data[at + 1 : end].decode(), data[end], end + 1
            if kind in (_TRUE, _FALSE):
                headers[name] = int(kind == _TRUE)
            elif kind == _INT32:
                (headers[name],) = struct.unpack_from(">i", data, at)
                at += 4
            elif kind in (6, _STRING):
                (size,) = struct.unpack_from(">H", data, at)
                if kind == _STRING:
                    headers[name] = data[at + 2 : at + 2 + size].decode()
                else:
                    unread.append(name)
                at += 2 + size
            else:
                unread.append(name)
                at += _FIXED[kind]
    except (IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise ValueError("a frame's headers are damaged") from error
    return headers, tuple(unread)
