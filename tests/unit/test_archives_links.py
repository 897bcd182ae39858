"""``links = "copy"``: a link to a file of the same archive becomes a copy; every other link is refused as before."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edge_sim.agent.archives import ArchiveError, Limits, unpack
from edge_sim.agent.archives.errors import Code
from tests.archive_build import OURS, Zipped, directory, entry, header, link, longname, pax, record, tgz, zipped
from tests.archive_cases import Case, cases

COPY = Limits(links="copy")
HARD = b"1"


def copied(data: bytes, destination: Path, name: str = "a.tar.gz", limits: Limits = COPY) -> dict[str, bytes]:
    """Unpack with links copied; return what files there are."""
    archive = destination.parent / "archive"
    archive.write_bytes(data)
    unpack(archive, destination, file_name=name, limits=limits, modes=OURS)
    found = {str(p.relative_to(destination)): p for p in destination.rglob("*") if not p.is_dir()}
    assert all(p.stat().st_nlink == 1 and not p.is_symlink() for p in found.values())
    return {name: path.read_bytes() for name, path in found.items()}


@pytest.mark.parametrize("case", [case for case in cases() if case.id[0] == "B"], ids=str)
def test_hostile_links_stay_refused(case: Case, destination: Path, tmp_path: Path) -> None:
    """B01-B26 with links copied: none of them leads to a file in the archive."""
    codes: tuple[Code, ...] = ("LINK", "NAME", "DUPLICATE", "CONFLICT", "ENCRYPTED")
    with pytest.raises(ArchiveError) as refused:
        copied(case.data, destination, case.file_name)
    assert refused.value.code in codes
    assert list(destination.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "destination"]


@pytest.mark.process
def test_gnu_tar(destination: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "v2").mkdir(parents=True)
    (model / "v2/weights").write_bytes(b"w" * 300_000)
    (model / "v2/run").write_bytes(b"#!")
    (model / "v2/run").chmod(0o755)
    (model / "a-link-before-its-file").symlink_to("v2/weights")
    (model / "v2/up").symlink_to("../v2/./run")
    (model / "over").symlink_to("a-link-before-its-file")
    (model / "hard").hardlink_to(model / "v2/weights")
    (model / ("long" * 30)).symlink_to("v2/../v2/" + "../v2/" * 20 + "weights")
    subprocess.run(["tar", "-C", tmp_path, "-czf", tmp_path / "a.tar.gz", "model"], check=True, timeout=60)
    found = copied((tmp_path / "a.tar.gz").read_bytes(), destination)
    weights = {"a-link-before-its-file", "over", "hard", "v2/weights", "long" * 30}
    assert {name for name, data in found.items() if data == b"w" * 300_000} == {f"model/{n}" for n in weights}
    assert found["model/v2/up"] == b"#!"
    assert (destination / "model/v2/up").stat().st_mode & 0o777 == 0o750


def test_a_zip_with_links(destination: Path) -> None:
    made = zipped(
        Zipped(name=b"l", data=b"d/x", mode=0o120777),
        Zipped(name=b"d/x", data=b"payload", method=8),
        Zipped(name=b"d/up", data=b"../l", mode=0o120777, method=8),
    )
    assert copied(made, destination, "a.zip") == {"l": b"payload", "d/x": b"payload", "d/up": b"payload"}


@pytest.mark.parametrize(
    "blocks",
    [
        (directory("d/"), pax(record(b"linkpath", b"d/../" * 30 + b"x")), link("l", b"d")),
        (directory("d/"), longname(b"d/../" * 30 + b"x\0", b"K"), link("l", b"d")),
        (
            directory("d/"),
            longname(b"d/../" * 30 + b"x\0", b"K"),
            longname(b"n" * 150 + b"\0"),
            link(b"n" * 100, b"d"),
        ),
    ],
)
def test_long_targets(destination: Path, blocks: tuple[bytes, ...]) -> None:
    found = copied(tgz(entry("x", b"it"), *blocks), destination)
    assert sorted(found.values()) == [b"it", b"it"]


@pytest.mark.parametrize(
    ("blocks", "code"),
    [
        ((directory("d/"), link("l", b"d")), "LINK"),
        ((entry("x"), link("l", b"x/")), "LINK"),
        ((entry("x"), link("l", b"./x/.")), "LINK"),
        ((directory("d/"), entry("x"), link("d/l", b".././x")), None),
        ((entry("x"), link("l", b"")), "LINK"),
        ((entry("x"), link("l", b"../dest/x")), "LINK"),
        ((entry("x"), link("l", b"X")), "LINK"),
        ((entry("x"), link("l", b"x\xff")), "LINK"),
        ((link("a", b"b"), link("b", b"c"), link("c", b"a"), entry("x")), "LINK"),
        ((entry("x"), link("x", b"x")), "DUPLICATE"),
        ((entry("x"), header("l", kind=HARD, link=b"x", size=4), b"data".ljust(512, b"\0")), "CONFLICT"),
        ((pax(record(b"linkpath", b"y")), entry("x")), "CONFLICT"),
        ((entry("x"), entry("y"), pax(record(b"linkpath", b"y")), link("l", b"x")), "CONFLICT"),
        ((link("l", b"/x"), entry("x")), "LINK"),
        ((entry("x"), link("l", b"nope/../x")), "LINK"),
        ((entry("x"), link("l", b"x/../x")), "LINK"),
        ((entry("x"), link("l", b"l2/../x"), directory("d/"), link("l2", b"d")), "LINK"),
        ((link("h", b"x", HARD), entry("x")), "LINK"),
        ((directory("d/"), entry("x"), link("h", b"d/../x", HARD)), "LINK"),
        ((directory("d/"), entry("x"), entry("d/x", b"inner"), link("d/s", b"x"), link("h", b"d/s", HARD)), "LINK"),
        ((entry("x"), link("h", b"../x", HARD)), "LINK"),
    ],
)
def test_other_targets(destination: Path, blocks: tuple[bytes, ...], code: str | None) -> None:
    if code is None:
        assert copied(tgz(*blocks), destination) == {"x": b"data", "d/l": b"data"}
        return
    with pytest.raises(ArchiveError) as refused:
        copied(tgz(*blocks), destination)
    assert refused.value.code == code
    assert list(destination.iterdir()) == []


def test_a_hard_link_to_a_symbolic_link_beside_it_is_that_link(destination: Path) -> None:
    made = tgz(directory("d/"), entry("d/x"), link("d/s", b"x"), link("d/h", b"d/s", HARD), link("d/i", b"d/h", HARD))
    assert copied(made, destination) == {"d/x": b"data", "d/s": b"data", "d/h": b"data", "d/i": b"data"}


def test_copies_count_against_the_total(destination: Path) -> None:
    """A hundred links to one large file are a bomb as well."""
    links = [link(f"l{n}", b"x") for n in range(100)]
    with pytest.raises(ArchiveError, match="unpacks to more than 1,000,000 bytes"):
        copied(tgz(entry("x", b"y" * 20_000), *links), destination, limits=Limits(links="copy", total_bytes=1_000_000))
    assert list(destination.iterdir()) == []
