"""The chain of threads an archive goes through: order, errors, early ends; and the streams between them."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_sim.agent import linux
from edge_sim.agent.archives import ArchiveError, unpack
from edge_sim.agent.archives.ahead import Ahead
from edge_sim.agent.archives.stream import Stream, chunks
from tests.archive_build import OURS, Zipped, entry, tgz, zipped


def archive_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "archive"]


def test_items_come_in_order_and_end() -> None:
    with Ahead(iter(range(1000)), depth=2) as ahead:
        assert list(ahead) == list(range(1000))
        assert next(ahead, "ended") == "ended"
    assert archive_threads() == []


def test_no_more_is_taken_than_may_wait() -> None:
    taken: list[int] = []
    third = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            if number == 3:
                third.set()
            yield number

    with Ahead(items(), depth=3) as ahead:
        assert third.wait(10)
        assert taken == [0, 1, 2, 3]  # three wait, and one is in its hands
        assert next(ahead) == 0
    assert len(taken) <= 6
    assert archive_threads() == []


def test_an_error_comes_after_what_was_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ArchiveError("DAMAGED", "here")

    with Ahead(items()) as ahead:
        assert next(ahead) == 1
        assert next(ahead) == 2
        with pytest.raises(ArchiveError, match="here"):
            next(ahead)


def test_an_early_end_leaves_no_thread() -> None:
    """The inner of two gets no reader any more; both end."""
    with Ahead(iter(lambda: b"x", b""), depth=1) as inner, Ahead(inner, depth=1) as outer:
        assert next(outer) == b"x"
    assert archive_threads() == []


def test_streams_cut_and_join() -> None:
    parts = [b"abc", b"", b"defgh", b"i"]
    stream = Stream(iter(parts))
    assert stream.peek(4) == b"abcd"
    assert stream.read(2) == b"ab"
    assert b"".join(stream.pieces(4)) == b"cdef"
    assert stream.peek(1) == b"g"
    assert b"".join(stream.rest()) == b"ghi"
    assert stream.read(5) == b""
    assert list(stream.pieces(5)) == []


def test_what_is_read_is_told() -> None:
    digest = hashlib.sha256()
    data = bytes(range(256)) * 4000
    assert b"".join(chunks(io.BytesIO(data), digest.update)) == data
    assert digest.digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.tar.gz", tgz(entry("x"))), ("a.zip", zipped(Zipped(name=b"x"), Zipped(name=b"y"), comment=b"to the end"))],
)
def test_what_was_read_has_the_digest_that_was_announced(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    (tmp_path / "dest").mkdir()
    with pytest.raises(ArchiveError, match="SHA-256 is not the expected one") as refused:
        unpack(tmp_path / name, tmp_path / "dest", file_name=name, modes=OURS, sha256="0" * 64)
    assert refused.value.code == "CHANGED"
    assert list((tmp_path / "dest").iterdir()) == []
    right = hashlib.sha256(data).hexdigest()
    unpack(tmp_path / name, tmp_path / "dest", file_name=name, modes=OURS, sha256=right)
    assert (tmp_path / "dest/x").read_bytes() == b"data"


@pytest.mark.parametrize(
    ("release", "told"),
    [("5.8.0", True), ("6.18.44-x", True), ("10.0", True), ("5.7.19", False), ("4.19.66-v7+", False), ("odd", False)],
)
def test_which_kernels_tell_errors_from_syncfs(release: str, told: bool) -> None:
    assert linux._tells_errors(release) is told
