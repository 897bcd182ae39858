"""``edge-sim check-archive``: the verdict is that of unpacking, all faults come at once, with V1's own words."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge_sim.agent.archives import ArchiveError, Limits, unpack
from edge_sim.agent.archives.check import MOST_FAULTS, check
from edge_sim.cli.check_archive import command
from edge_sim.cli.main import edge_sim
from edge_sim.errors import UsageError
from tests.archive_build import (
    END,
    OURS,
    Zipped,
    directory,
    entry,
    gz_member,
    link,
    ordinary_zip,
    pax,
    record,
    tgz,
    zipped,
)
from tests.archive_cases import Case, cases
from tests.archive_run import SMALL


@pytest.mark.parametrize("case", cases(), ids=str)
def test_the_verdict_is_that_of_unpacking(case: Case, tmp_path: Path) -> None:
    archive, destination = tmp_path / case.file_name, tmp_path / "dest"
    archive.write_bytes(case.data)
    destination.mkdir()
    refused: ArchiveError | None = None
    try:
        unpack(archive, destination, file_name=case.file_name, limits=SMALL, modes=OURS)
    except ArchiveError as error:
        refused = error
    verdict = check(archive, limits=SMALL)
    assert bool(verdict.faults) == (refused is not None) == bool(case.codes)
    assert verdict.faults or verdict.complete
    if refused is not None:
        assert verdict.faults[0].code == refused.code
        assert all(fault.brief.isprintable() for fault in verdict.faults)


def run(*arguments: str | Path) -> tuple[int, str]:
    """Run the command; return its exit status and everything it printed."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def as_json(*arguments: str | Path) -> dict[str, Any]:
    _, text = run(*arguments, "--format", "json")
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_good_package(tmp_path: Path) -> None:
    data = tgz(directory("model/"), entry("model/a", b"x" * 1000), entry("model/run", mode=0o755))
    (tmp_path / "m.tar.gz").write_bytes(data)
    status, text = run(tmp_path / "m.tar.gz")
    assert status == 0
    assert "m.tar.gz: ok" in text
    assert "files: 2, directories: 1" in text
    assert hashlib.sha256(data).hexdigest() in text
    assert "V1 would have unpacked it as well (inferred" in text
    told = as_json(tmp_path / "m.tar.gz")
    assert (told["ok"], told["v1"], told["complete"], told["findings"]) == (True, "taken", True, [])
    assert (told["entries"], told["files"], told["directories"], told["bytes"]) == (3, 2, 1, len(data))


def test_all_faults_of_a_tar_at_once(tmp_path: Path) -> None:
    made = (entry("../evil"), link("l", b"/etc"), entry("x"), entry("x"), entry("net/params"), entry("CON"))
    (tmp_path / "m.tar.gz").write_bytes(tgz(*made))
    status, text = run(tmp_path / "m.tar.gz")
    assert status == 3
    assert "refused, 5 faults" in text
    told = as_json(tmp_path / "m.tar.gz")
    assert [f["id"] for f in told["findings"]] == ["NAME", "LINK", "DUPLICATE", "NO_PARENT", "NAME"]
    assert told["complete"] is True
    assert told["sha256"] == hashlib.sha256((tmp_path / "m.tar.gz").read_bytes()).hexdigest()


def test_all_faults_of_a_zip_at_once(tmp_path: Path) -> None:
    made = zipped(
        Zipped(name=b"../evil"),
        Zipped(name=b"l", data=b"/etc", mode=0o120777),
        Zipped(name=b"secret", flags=1),
        Zipped(name=b"lzma", method=14, packed=b"data"),
        Zipped(name=b"good", data=b"g" * 99, method=8),
    )
    (tmp_path / "m.zip").write_bytes(made)
    told = as_json(tmp_path / "m.zip")
    assert sorted(f["id"] for f in told["findings"]) == ["ENCRYPTED", "LINK", "NAME", "UNSUPPORTED"]
    assert (told["complete"], told["files"], told["unpacked_bytes"]) == (True, 1, 99)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_compression_is_one_fault_not_two(tmp_path: Path, method: int) -> None:
    """Both headers then ask for a newer zip, and agree: that is no contradiction."""
    with zipfile.ZipFile(tmp_path / "m.zip", "w", method) as made:
        made.writestr("m/a", "a" * 99)
        made.writestr(zipfile.ZipInfo("m/b"), "b", zipfile.ZIP_DEFLATED)
    told = as_json(tmp_path / "m.zip")
    assert ([f["id"] for f in told["findings"]], told["complete"], told["files"]) == (["UNSUPPORTED"], True, 1)


def test_v1s_own_words(tmp_path: Path) -> None:
    """The one refusal that V1's guide documents (ml-console.md)."""
    (tmp_path / "m.tar.gz").write_bytes(tgz(entry("squeezenet/squeezenet_v1.1-0000.params"), entry("squeezenet/b")))
    told = as_json(tmp_path / "m.tar.gz")
    assert told["v1"] == "refused"
    (finding,) = told["findings"]  # the second file lacks the same directory
    assert finding["source"] == "DG ml-console.md"
    assert finding["aws_text"] == (
        "Error while processing. Error while unpacking the file from /tmp/greengrass/artifacts/model-arn/path to "
        "/greengrass/ggc/deployment/path/model-arn, error: open /greengrass/ggc/deployment/path/model-arn/"
        "squeezenet/squeezenet_v1.1-0000.params: no such file or directory"
    )
    _, text = run(tmp_path / "m.tar.gz")
    assert "tar -zcvf model.tar.gz ./model" in text
    assert "V1 would have failed the deployment" in text


def test_below_a_refused_link_no_directory_is_missed(tmp_path: Path) -> None:
    """What V1 made of the link is unknown, so nothing is said in its name."""
    (tmp_path / "m.tar.gz").write_bytes(tgz(link("l", b"/tmp"), entry("l/x")))
    told = as_json(tmp_path / "m.tar.gz")
    assert [f["id"] for f in told["findings"]] == ["LINK"]
    assert told["v1"] == "unknown"


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.zip")
    with pytest.raises(UsageError, match=r"model\.zip: a named pipe, not a file"):
        run(tmp_path / "model.zip")


def test_what_ends_the_reading_is_said(tmp_path: Path) -> None:
    (tmp_path / "m.tar.gz").write_bytes(tgz(link("l", b"/etc"), entry("x"), end=b""))
    status, text = run(tmp_path / "m.tar.gz")
    assert status == 3
    assert "TRUNCATED" in text
    assert "Reading stopped at the last fault" in text
    assert "copy or download it again" in text


def test_not_more_faults_than_anybody_reads(tmp_path: Path) -> None:
    (tmp_path / "m.tar.gz").write_bytes(tgz(*(entry(f"{n}\x01") for n in range(MOST_FAULTS + 50))))
    verdict = check(tmp_path / "m.tar.gz", limits=Limits())
    assert len(verdict.faults) == MOST_FAULTS
    assert not verdict.complete


def test_limits_by_name(tmp_path: Path) -> None:
    (tmp_path / "m.tar.gz").write_bytes(tgz(entry("x", b"y" * 5000)))
    assert run(tmp_path / "m.tar.gz", "--limit", "file_bytes=5000")[0] == 0
    status, text = run(tmp_path / "m.tar.gz", "--limit", "entries=9", "--limit", "file_bytes=4999")
    assert status == 3
    assert "raise the limit “file_bytes”" in text
    status, text = run(tmp_path / "m.tar.gz", "--limit", "entries=0")
    assert "  LIMIT_ENTRIES it has more than 0 entries\n" in text


@pytest.mark.parametrize(
    ("setting", "data"),
    [
        ("entries=1", tgz(entry("x"), entry("y"))),
        ("file_bytes=9", tgz(entry("x", b"y" * 10))),
        ("total_bytes=600", tgz(entry("x", b"y" * 600))),
        ("depth=2", tgz(directory("a/"), directory("a/b/"), entry("a/b/c"))),
        ("component_bytes=3", tgz(entry("abcd"))),
        ("path_bytes=3", tgz(entry("abcd"))),
        ("extension_bytes=10", tgz(pax(record(b"mtime", b"1500000000.5")), entry("x"))),
        ("extension_bytes=10", gz_member(entry("x") + END, flags=8, fields=b"model-of-2026.tar\0")),
        ("seconds=0", tgz(entry("x", b"y" * 5000))),
        ("links=copy", tgz(entry("x"), link("l", b"x"))),
        ("links=copy", zipped(Zipped(name=b"x"), Zipped(name=b"l", data=b"x", mode=0o120777))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_setting_would_let_through_is_refused_with_its_name(tmp_path: Path, setting: str, data: bytes) -> None:
    """So that nobody has to guess which it is, and where it can be written."""
    file = tmp_path / f"m.{'zip' if data.startswith(b'PK') else 'tar.gz'}"
    file.write_bytes(data)
    name = setting.partition("=")[0]
    hints = ("--links copy", "links: copy") if name == "links" else (f"raise the limit “{name}”", f"--limit {name}=")
    (fault,) = check(file, limits=Limits() if name == "links" else Limits().changed([setting])).faults
    assert all(hint in str(fault.hint) for hint in hints), fault.hint
    assert check(file, limits=Limits(links="copy")).faults == ()


def test_no_setting_makes_a_name_longer_than_a_file_system_takes(tmp_path: Path) -> None:
    file = tmp_path / "m.tar.gz"
    for length, refused in ((255, False), (256, True)):
        file.write_bytes(tgz(pax(record(b"path", b"n" * length)), entry("x")))
        faults = check(file, limits=Limits(component_bytes=1000)).faults
        assert [fault.brief.partition("has ")[2] for fault in faults] == ["a component longer than 255 bytes"] * refused
        assert [fault.hint for fault in faults] == ["shorten it"] * refused


@pytest.mark.parametrize("limit", ["size=1", "entries", "entries=-1", "entries=1e3", "links=3", "entries=" + "9" * 19])
def test_a_bad_limit_is_usage(tmp_path: Path, limit: str) -> None:
    (tmp_path / "m.tar.gz").write_bytes(tgz(entry("x")))
    with pytest.raises(UsageError):
        run(tmp_path / "m.tar.gz", "--limit", limit)


def test_the_help_lists_the_limits_and_an_example() -> None:
    text = CliRunner().invoke(edge_sim, ["check-archive", "--help"]).output
    assert "Example: edge-sim check-archive model.tar.gz" in text
    assert "seconds=1800" in text


def test_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "m.tar.gz").write_bytes(tgz(directory("d/"), entry("d/x")))
    before = {path: path.stat() for path in (tmp_path, tmp_path / "m.tar.gz")}
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert run("m.tar.gz")[0] == 0
    finally:
        os.chdir(here)
    assert {path: path.stat().st_mtime_ns for path in before} == {p: s.st_mtime_ns for p, s in before.items()}
    assert list(tmp_path.iterdir()) == [tmp_path / "m.tar.gz"]


def test_a_flat_tar_is_not_said_to_be_what_v1_took(tmp_path: Path) -> None:
    """ml-console.md asks for a parent directory; zips of the guide's own are flat."""
    (tmp_path / "m.tar.gz").write_bytes(tgz(entry("weights")))
    (tmp_path / "m.zip").write_bytes(ordinary_zip({"weights": b"w"}))
    assert [as_json(tmp_path / name)["v1"] for name in ("m.tar.gz", "m.zip")] == ["unknown", "taken"]
    assert "asks for a parent directory" in run(tmp_path / "m.tar.gz")[1]


def test_a_package_of_directories_only_is_taken_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "m.tar.gz").write_bytes(tgz(directory("d/"), directory("d/e/")))
    (tmp_path / "m.zip").write_bytes(zipped(Zipped(name=b"d/", data=b"", mode=0o040755)))
    for name in ("m.tar.gz", "m.zip"):
        found = as_json(tmp_path / name)
        assert (found["ok"], found["files"], found["v1"]) == (True, 0, "unknown")
        assert [(one["id"], one["severity"]) for one in found["findings"]] == [("NO_FILES", "warning")]
        status, text = run(tmp_path / name)[:2]
        assert status == 0
        assert "warning:   it holds only directories and no file" in text
    (tmp_path / "m.tar.gz").write_bytes(tgz(directory("d/"), entry("d/x")))
    assert as_json(tmp_path / "m.tar.gz")["findings"] == []
