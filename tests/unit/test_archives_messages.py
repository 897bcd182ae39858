"""What a refusal says: what is wrong, which readers differ, and what helps (never what would fail in the same way)."""

from __future__ import annotations

import gzip
import unicodedata
from pathlib import Path

import pytest

from edge_sim.agent.archives.check import check
from edge_sim.limits import Limits
from tests.archive_build import END, Zipped, entry, gz_member, pax, record, tgz, zipped

TAR, ZIP = "m.tar.gz", "m.zip"
FIFO = 0o010600
NFD = unicodedata.normalize("NFD", "é").encode()


@pytest.mark.parametrize(
    ("name", "data", "brief", "hint"),
    [
        (TAR, gzip.compress(b"text", mtime=0), "it is gzip-compressed data that is not a tar archive", "repack it"),
        (TAR, gzip.compress(gzip.compress(b"", mtime=0), mtime=0), "not a tar archive but gzip", "repack it"),
        (TAR, entry("x") + END, "its name says tar.gz, but its content is tar", "compress it: gzip model.tar"),
        (ZIP, tgz(entry("x")), "its name says zip, but its content is gzip", "name it .tar.gz"),
        (TAR, b"<html>", "its content is a web page or XML (an error page?)", "download it again"),
        (TAR, gz_member(entry("x")) + gz_member(END), "it consists of several gzip streams", "zcat OLD.tar.gz | gzip"),
        (TAR, gz_member(entry("x") + END) + b"x", "there is data after the end of its gzip stream", "repack it"),
        (TAR, tgz(entry(NFD)), "is not in Unicode's composed form (NFC)", "convmv -r -f utf8 -t utf8 --nfc"),
        (ZIP, zipped(Zipped(name=NFD, flags=0x800)), "is not in Unicode's composed form (NFC)", "--nfc"),
        (TAR, tgz(entry(b"caf\xe9")), r"the name “caf\xe9” is not UTF-8", "convmv -r -f latin1 -t utf8"),
        (ZIP, zipped(Zipped(name=b"caf\xe9")), r"the name “caf\xe9” is not UTF-8", "convmv -r -f latin1 -t utf8"),
        (ZIP, zipped(Zipped(name="é".encode())), "the name “é” is not marked as UTF-8", "python3 -m zipfile -c"),
        (TAR, tgz(entry("NUL")), "the name “NUL” has another meaning on Windows", "rename it"),
        (TAR, tgz(entry("x"), entry("x")), "the name “x” appears twice", "leave one of them out"),
        (TAR, tgz(entry("x"), entry("X")), "“X” and “x” cannot both exist", "rename one of them"),
        (ZIP, zipped(Zipped(name=b"-", mode=FIFO)), "the mode of - makes it a FIFO for Go", "zip -r model.zip ./model"),
        (ZIP, zipped(Zipped(name=b"x;1")), "what Info-ZIP takes for a version number", "rename it"),
        (
            TAR,
            tgz(entry("x", magic=b"ustar  \0", prefix=b"y")),
            "Go and Python put it before the name, GNU tar",
            "repack",
        ),
        (TAR, tgz(pax(record(b"mtime", b"abc")), entry("x")), "“mtime” in a pax header is “abc”, not a number: Go", ""),
        (TAR, tgz(pax(record(b"a\0b", b"1")), entry("x")), r"has a NUL inside “a\x00b”: Go refuses it", ""),
        (TAR, tgz(pax(record(b"uid", b"12three")), entry("x")), "“uid” in a pax header is “12three”, not a number", ""),
        (TAR, tgz(pax(record(b"SUN.holesdata", b"0 3 9")), entry("x")), "SUN.holesdata", ""),
        (TAR, tgz(pax(record(b"SCHILY.realsize", b"9")), entry("x")), "it holds a sparse file", "without --sparse"),
    ],
)
def test_the_sentence_and_the_advice(name: str, data: bytes, brief: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    fault = check(tmp_path / name, limits=Limits()).faults[0]
    assert brief in fault.brief
    assert hint in (fault.hint or "")
