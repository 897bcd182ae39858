from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from edge_sim.cloud.artifacts import ArtifactStore, Denied, UrlSigner, signing_key
from edge_sim.cloud.packages import FORMATS, packed
from edge_sim.cloud.store import Store
from edge_sim.errors import InvalidDefinitionError

BASE = "http://127.0.0.1:8080"
PATH = "/artifacts/" + "0" * 64


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 12, 0, 0, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.time


def check(signer: UrlSigner, url: str, method: str = "GET") -> Denied | None:
    parts = urlsplit(url)
    return signer.check(method=method, host=parts.netloc, path=parts.path, query=parts.query)


def test_a_signed_url_is_good_until_its_last_second() -> None:
    clock = Clock()
    signer = UrlSigner(b"k" * 32, clock)
    url = signer.sign(BASE, PATH, expires_s=60)
    assert check(signer, url) is None
    clock.time += timedelta(seconds=60)
    assert check(signer, url) is None
    clock.time += timedelta(seconds=1)
    denied = check(signer, url)
    assert denied is not None
    assert b"<Code>AccessDenied</Code><Message>Request has expired</Message>" in denied.xml


def test_any_changed_byte_is_refused() -> None:
    signer = UrlSigner(b"k" * 32)
    url = signer.sign(BASE, PATH, expires_s=60)
    start = len("http://")
    for at in range(start, len(url)):
        for new in {chr(ord(url[at]) ^ 1), url[at].swapcase()} - {url[at], "/", "?", "#"}:
            assert check(signer, url[:at] + new + url[at + 1 :]) is not None, (at, new)


@pytest.mark.parametrize("tail", ["&x=1", "&X-Amz-Expires=604800", "&", "%20"])
def test_an_added_parameter_is_refused(tail: str) -> None:
    signer = UrlSigner(b"k" * 32)
    denied = check(signer, signer.sign(BASE, PATH, expires_s=60) + tail)
    assert denied is not None
    assert denied.code == "SignatureDoesNotMatch"


def test_another_method_order_or_key_is_refused() -> None:
    signer = UrlSigner(b"k" * 32)
    url = signer.sign(BASE, PATH, expires_s=60)
    base, _, query = url.partition("?")
    reordered = base + "?" + "&".join(reversed(query.split("&")))
    assert check(signer, url, "PUT") is not None
    assert check(signer, reordered) is not None
    assert check(UrlSigner(b"x" * 32), url) is not None
    plain = check(signer, base)
    assert plain is not None
    assert (plain.code, plain.message) == ("AccessDenied", "Access Denied")


def test_the_key_survives_a_restart_and_differs_between_states(tmp_path: Path) -> None:
    first = Store(tmp_path / "a.db")
    key = signing_key(first)
    first.close()
    assert signing_key(Store(tmp_path / "a.db")) == key
    assert signing_key(Store(tmp_path / "b.db")) != key


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise OSError("the line is cut")

    with pytest.raises(OSError, match="the line is cut"):
        store.write(broken())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 64])
def test_only_a_stored_digest_is_a_path(tmp_path: Path, name: str) -> None:
    assert ArtifactStore(tmp_path).path(name) is None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    top = tmp_path / "model"
    (top / "b" / "c").mkdir(parents=True)
    (top / "b" / "c" / "weights").write_bytes(b"w" * 5000)
    (top / "b.txt").write_text("first")
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    (top / "latest").symlink_to("b/c")
    return top


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path, form: str) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).touch()
    with pytest.raises(InvalidDefinitionError, match="is not UTF-8"), packed(tmp_path, FORMATS[form]):
        pass


@pytest.mark.parametrize("form", FORMATS.values())
def test_packing_gives_the_same_bytes_whatever_the_times(folder: Path, form: str) -> None:
    with packed(folder, FORMATS[form]) as archive:
        first = archive.read_bytes()
    for path in (folder / "b.txt", folder / "run.sh"):
        path.touch()
    (folder / "b.txt").chmod(0o600)
    with packed(folder, FORMATS[form]) as archive:
        assert archive.read_bytes() == first


def test_a_tar_has_directories_before_what_is_in_them(folder: Path) -> None:
    with packed(folder, "tar.gz") as archive, tarfile.open(archive) as tar:
        entries = {entry.name: entry for entry in tar.getmembers()}
    assert list(entries) == ["b", "b/c", "b/c/weights", "b.txt", "latest", "run.sh"]
    assert entries["b"].isdir()
    assert entries["latest"].linkname == "b/c"
    assert (entries["run.sh"].mode, entries["b.txt"].mode) == (0o755, 0o644)
    assert {(e.uid, e.gid, e.uname, e.mtime) for e in entries.values()} == {(0, 0, "", 0)}


def test_a_zip_keeps_modes_and_content(folder: Path) -> None:
    with packed(folder, "zip") as archive:
        data = io.BytesIO(archive.read_bytes())
    with zipfile.ZipFile(data) as found:
        assert found.namelist()[:2] == ["b/", "b/c/"]
        assert found.read("b/c/weights") == b"w" * 5000
        assert found.getinfo("run.sh").external_attr >> 16 & 0o777 == 0o755
