"""Small inputs with their right answers from the command line: ``python -m tests.cases_table`` prints the table.

Definitions are the files in tests/cases; archives, profiles and a board's directory are made for the table. A row tells
one command, the status it has to end with, what it has to say and what it must not say.
"""

from __future__ import annotations

import os
import shlex
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from edge_sim.cli.faults import fault
from edge_sim.cli.main import edge_sim
from edge_sim.profiles import profile_folder
from tests.archive_build import Zipped, directory, entry, link, pax, record, tgz, zipped
from tests.small_group import make_root

FOLDER = Path(__file__).parent / "cases"
PI, ZERO_W, OPENWRT = ("--profile=raspberry-pi-3", "--profile=raspberry-pi-zero-w", "--profile=openwrt-armv7")
COMMANDS = ("validate", "plan", "access", "matrix")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One command on one case. Words of ``argv`` that name a case or something made are replaced by its path.

    ``board``: the command makes a simulated board, for which it may need root.
    """

    right: str
    argv: tuple[str, ...]
    status: int = 0
    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    board: bool = False

    @property
    def name(self) -> str:
        return shlex.join(self.argv)


def run(row: Row, made: Mapping[str, Path]) -> list[str]:
    """Return what is wrong with the answer to a row; nothing where it is right."""
    words = [_placed(word, made) for word in row.argv]
    done = CliRunner().invoke(edge_sim, words, catch_exceptions=True)
    told = fault(done.exception) if isinstance(done.exception, Exception) else None
    status = told.exit_status if told else done.exit_code
    text = done.output + (told.explained() if told else "")
    wrong = [f"status {status}, not {row.status}"] if status != row.status else []
    wrong += [f"does not say {part!r}" for part in row.says if part not in text]
    wrong += [f"says {part!r}" for part in row.never if part in text]
    return [*wrong, text] if wrong else []


def _placed(word: str, made: Mapping[str, Path]) -> str:
    option, equals, value = word.rpartition("=")
    place = made.get(value, FOLDER / value if value else Path())
    return f"{option}{equals}{place}" if value and place.exists() else word


def make(folder: Path) -> dict[str, Path]:
    """Make the archives, profiles and the board of the table; return them by name."""
    made = {name: folder / name for name in (*ARCHIVES, *PROFILES)}
    for name, archive in ARCHIVES.items():
        made[name].write_bytes(archive())
    profile = (profile_folder() / "raspberry-pi-3.yaml").read_text(encoding="utf-8")
    for name, change in PROFILES.items():
        made[name].write_text(_changed(profile, change), encoding="utf-8")
    root = make_root(folder / "board")
    (root / "dev").mkdir()
    (root / "dev/camera0").write_bytes(b"")
    (root / "dev/camera-front").symlink_to("camera0")
    return {**made, "board": root}


def _changed(profile: str, line: str) -> str:
    key = line.partition(":")[0]
    return "".join(line + "\n" if old.startswith(f"{key}:") else old for old in profile.splitlines(keepends=True))


PROFILES = {
    "old-kernel.yaml": "kernel: 3.10.20",
    "old-libc.yaml": 'libc: {name: glibc, version: "2.13"}',
    "strict-umask.yaml": 'umask: "0077"',
    "small-disk.yaml": "storage: 100 MiB",
    "small-memory.yaml": "memory: 64 MiB",
    "cgroups-v2.yaml": "cgroups: {version: v2}",
}
"""Profiles that differ from a good board's in one line."""
_LINK_IN_ZIP = {"attributes": 0o120777 << 16}
ARCHIVES: Mapping[str, Callable[[], bytes]] = {
    "prefix-in-gnu-header.tar.gz": lambda: tgz(entry("m.bin", magic=b"ustar  \0", prefix=b"../../elsewhere")),
    "realsize-beyond-the-file.tar.gz": lambda: tgz(pax(record(b"SCHILY.realsize", b"40")), entry("m.bin")),
    "time-that-is-no-number.tar.gz": lambda: tgz(pax(record(b"mtime", b"noon")), entry("m.bin")),
    "device-number-that-is-none.tar.gz": lambda: tgz(_with_device(b"letters\0")),
    **{
        f"link-packed-on-{name}.zip": lambda host=host: zipped(  # type: ignore[misc]
            Zipped(name=b"m.bin"),
            Zipped(name=b"l", data=b"/etc/passwd", central={"made_by": host << 8 | 30, **_LINK_IN_ZIP}),
        )
        for name, host in (("fat", 0), ("vms", 2), ("darwin", 19))
    },
    "hard-link-to-a-link.tar.gz": lambda: tgz(
        *(directory("d"), entry("f"), entry("d/f"), link("d/s", b"f"), link("h", b"d/s", b"1"))
    ),
    "link-by-way-of-nothing.tar.gz": lambda: tgz(entry("g"), link("s", b"nowhere/../g")),
    "level-of-a-stored-file.zip": lambda: zipped(Zipped(name=b"m.bin", flags=2)),
    "host-beside-the-version.zip": lambda: zipped(
        Zipped(name=b"m.bin", local={"needed": 0x0314}, central={"needed": 0x0314})
    ),
    "wide-end-of-a-small-zip.zip": lambda: _with_a_zip64_end(),
    "directories-without-files.tar.gz": lambda: tgz(directory("net"), directory("net/layers")),
    "directories-by-name-only.zip": lambda: zipped(*(Zipped(name=b"%x/" % n + b"d/" * 30 + b"f") for n in range(1500))),
}


def _with_a_zip64_end() -> bytes:
    """A zip of one file with the end record that only more than 65,535 entries or 4 GiB need."""
    plain = zipped(Zipped(name=b"m.bin"))
    size, offset = struct.unpack("<2L", plain[-10:-2])
    end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, offset)
    return plain[:-22] + end + struct.pack("<4sLQL", b"PK\6\7", 0, offset + size, 1) + plain[-22:]


def _with_device(field: bytes) -> bytes:
    block = bytearray(entry("m.bin"))
    block[329:337] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return bytes(block)


def rows() -> Iterator[Row]:
    """Yield the table."""
    yield from _shapes()
    yield from _boards()
    yield from _system()
    yield from _archives()


def _shapes() -> Iterator[Row]:
    yield Row(
        right="a key that is there twice outside of the group's members is a warning with its place",
        argv=("validate", "key-twice.yaml"),
        says=("key-twice.yaml:3:1  warning duplicate-key", "already set in line 2"),
    )
    yield Row(
        right="within a definition it is an error",
        argv=("validate", "key-twice-inside.yaml"),
        status=3,
        says=("key-twice-inside.yaml:12:13", "duplicate-key", "'Name' is already set in line 11"),
    )
    yield Row(
        right="a parameter's default decides a condition: the other branch is not there",
        argv=("plan", "condition.yaml", PI, "--strict"),
        says=("/dev/gpiomem",),
        never=("nvhost", "nvmap", "unknown"),
    )
    yield Row(
        right="--parameter turns the condition",
        argv=("plan", "condition.yaml", PI, "--parameter=Accelerator=yes"),
        says=("/dev/nvhost-gpu", "/dev/nvmap"),
        never=("gpiomem",),
    )
    yield Row(
        right="a condition that nothing decides is tried both ways, and the finding says which",
        argv=("validate", "condition-open.yaml"),
        status=3,
        says=("(where condition Remote is true)", "set it with --parameter NAME=VALUE"),
    )
    yield Row(
        right="a parameter without a value is unknown, and nothing is concluded from its absence",
        argv=("validate", "parameters-without-default.yaml", "--strict"),
        status=6,
        says=("MemorySize is the placeholder ${Ref:Memory}", "--parameter Mode=VALUE", "undecided: 3 unknown, 1 note"),
        never=("error",),
    )
    for command in ("plan", "access"):
        yield Row(
            right="what needs the value says so, and how to give it",
            argv=(command, "parameters-without-default.yaml", PI),
            status=6,
            says=("it is unknown whether that is a whole number (and 2 more)", "--parameter Memory=VALUE"),
        )
    yield Row(
        right="with values it is judged as any other",
        argv=(
            *("validate", "parameters-without-default.yaml", "--parameter=Mode=NoContainer", "--parameter=Memory=0"),
            "--parameter=Access=rw",
        ),
        status=3,
        says=("error memory-size", "error local-resource-no-container", "not valid: 2 errors"),
    )
    yield Row(
        right="CloudFormation makes text of numbers, booleans and decimals",
        argv=("validate", "template-variables.yaml"),
        never=("error",),
    )
    for name, part in (
        ("strings-for-numbers.json", "MemorySize must be a whole number: boto3 refuses"),
        ("number-as-variable.json", "Variables.LANES must be a string: boto3 refuses 4"),
        ("greengo-variables.yaml", "Variables.DEBUG must be a string"),
    ):
        yield Row(right="boto3 refuses the type before it sends it", argv=("validate", name), status=3, says=(part,))
    yield Row(
        right="the error says where the member belongs, and nothing follows from it",
        argv=("validate", "execution-one-level-up.json"),
        status=3,
        says=("It belongs in Environment: FunctionConfiguration.Environment.Execution", "not valid: 1 error"),
    )
    yield Row(
        right="each member is told where it belongs",
        argv=("validate", "members-elsewhere.json"),
        status=3,
        says=(
            *("LocalDeviceResourceData or LocalVolumeResourceData", "Environment.AccessSysfs", "Environment.Variables"),
            *("Environment.ResourceAccessPolicies", "Environment.Execution.RunAs", "not valid: 5 errors"),
        ),
    )
    yield Row(
        right="both groups are named",
        argv=("validate", "two-groups.yaml"),
        status=3,
        says=("east-hall", "west-hall", "--group"),
    )
    yield Row(
        right="what V1 made of it is not known: a warning, and what is done with it here",
        argv=("validate", "values-nobody-explains.json"),
        says=(
            *("warning timeout-zero", "the default of 3 s here", "warning secret-arn-partial", "lacks its suffix"),
            *("warning null-member", "Executable is null, which boto3 and the AWS CLI refuse"),
        ),
        never=("error",),
    )
    yield Row(
        right="JSON with comments is an error with its place and a way out",
        argv=("validate", "comments.json"),
        status=3,
        says=("comments.json:2:3: not valid JSON", "found '/'", "JSON has no comments: remove this one"),
    )
    yield Row(right="--group reads one", argv=("validate", "two-groups.yaml", "--group=GroupEast"), never=("error",))


def _boards() -> Iterator[Row]:
    for command in COMMANDS:
        yield Row(
            right="a near miss is named",
            argv=(command, "device-slip.json", PI),
            says=("/dev/gpiomen", "did you mean /dev/gpiomem?", "1 unknown"),
        )
        yield Row(
            right="what a profile does not list is unknown: neither a pass nor an error",
            argv=(command, "camera-of-the-tutorial.json", PI, "--strict"),
            status=6,
            says=("the profile does not say whether /dev/vcsm exists on the board", "unknown"),
            never=("does not exist", "error"),
        )
        yield Row(
            right="so is a volume, in every command",
            argv=(command, "volume-nobody-knows.json", PI, "--strict"),
            status=6,
            says=("the profile does not say whether /home/pi/images exists on the board", "unknown"),
            never=("does not exist", "error"),
        )
    yield Row(
        right="the guide's example against the guide's rule: a disputed warning with both sources",
        argv=("validate", "device-is-a-directory.json"),
        says=("warning device-directory-disputed", "only character or block devices", "/dev/bus/usb as an example"),
    )
    for command in ("validate", "access"):
        yield Row(
            right="OpenWrt 19.07's gpiochip0 is root's alone",
            argv=(command, "gpio-without-a-group.json", OPENWRT),
            status=3,
            says=("does not have rw on /dev/gpiochip0", "0600 0:0"),
        )
        yield Row(right="ttyUSB0 is dialout's there", argv=(command, "serial-usb.json", OPENWRT), never=("error",))
        yield Row(
            right="the Zero W's serial port on the pins is ttyS0",
            argv=(command, "serial-pins.json", ZERO_W, "--strict"),
            never=("error", "the profile does not say"),
        )
    yield Row(
        right="a link in /dev is followed",
        argv=("plan", "device-by-link.json", "--root=board"),
        status=3,
        says=("/dev/camera-front is a file, not a character or block device",),
    )
    for profile, fact, rule, status in (
        ("old-kernel.yaml", "kernel", "board-kernel", 3),
        ("old-libc.yaml", "C library", "board-libc", 3),
        ("strict-umask.yaml", "umask", "board-umask", 3),
        ("small-disk.yaml", "storage", "board-storage", 0),
        ("small-memory.yaml", "memory", "board-memory", 0),
        ("cgroups-v2.yaml", "cgroups", "board-cgroups", 3),
    ):
        right = "one change makes it a board on which the core, or its containers, would not do"
        yield Row(
            right=right, argv=("validate", "plain.json", f"--profile={profile}"), status=status, says=(f" {rule}: ",)
        )
        yield Row(right=right, argv=("doctor", f"--profile={profile}"), says=(f"\n  {fact} ", " unmet "), board=True)


def _system() -> Iterator[Row]:
    yield Row(
        right="stream manager must be pinned",
        argv=("validate", "stream-manager-on-demand.json"),
        status=3,
        says=("error stream-manager-pinned",),
    )
    yield Row(
        right="the storage type is FileSystem or Memory",
        argv=("validate", "spooler-settings.json"),
        status=3,
        says=("GG_CONFIG_STORAGE_TYPE is", "not FileSystem or Memory", "not valid: 1 error"),
    )
    yield Row(
        right="the quality of subscriptions came with 1.10",
        argv=("validate", "spooler-settings.json", "--ggc=1.9"),
        status=3,
        says=("GG_CONFIG_SUBSCRIPTION_QUALITY needs GGC 1.10", "not valid: 2 errors"),
    )
    yield Row(
        right="all settings came with 1.6",
        argv=("validate", "spooler-settings.json", "--ggc=1.5"),
        status=3,
        says=("GG_CONFIG_STORAGE_TYPE needs GGC 1.6", "not valid: 3 errors"),
    )
    yield Row(
        right="the guide's own spooler has a MemorySize without a container: a note",
        argv=("validate", "spooler-without-container.json"),
        says=("note system-memory-size-disputed", "gg-core.md", "gg-troubleshooting.md"),
        never=("error",),
    )
    yield Row(
        right="there was no such connector",
        argv=("validate", "connector-that-never-was.json"),
        status=3,
        says=("AWS provided no connector AirRaidSiren",),
    )
    yield Row(
        right="what is not judged about a connector is said",
        argv=("validate", "connector-known.json"),
        status=3,
        says=("note connector-not-judged", "error connector-parameter-missing"),
    )


def _archives() -> Iterator[Row]:
    yield Row(
        right="a package without a file is taken, and said to be of no use",
        argv=("check-archive", "directories-without-files.tar.gz"),
        says=(": ok", "it holds only directories and no file", "What V1 did with such a package is not documented"),
    )
    for name, part in (
        ("prefix-in-gnu-header.tar.gz", "Go and Python put it before the name, GNU tar and bsdtar ignore it"),
        ("realsize-beyond-the-file.tar.gz", "each reader fills its holes differently"),
        ("time-that-is-no-number.tar.gz", "Go refuses it, others ignore it"),
        ("device-number-that-is-none.tar.gz", "Go refuses it, others ignore it"),
        ("link-packed-on-fat.zip", "a symbolic link for 7-Zip, and a file for others"),
        ("link-packed-on-vms.zip", "only Info-ZIP reads"),
        ("link-packed-on-darwin.zip", "a symbolic link for Go, and a file for others"),
    ):
        yield Row(
            right="readers differ: refused, and they are named", argv=("check-archive", name), status=3, says=(part,)
        )
    for name, part in (
        ("hard-link-to-a-link.tar.gz", "it leads to a different file than with Go and Python"),
        ("link-by-way-of-nothing.tar.gz", "by way of nowhere, which is not a directory in the archive"),
    ):
        yield Row(
            right="tar itself would write something else: refused",
            argv=("check-archive", name, "--links=copy"),
            status=3,
            says=(part,),
        )
    for name in ("level-of-a-stored-file.zip", "host-beside-the-version.zip", "wide-end-of-a-small-zip.zip"):
        yield Row(right="everyday tools make it: taken", argv=("check-archive", name), says=(": ok",))
    yield Row(
        right="directories that a zip only implies count as entries",
        argv=("check-archive", "directories-by-name-only.zip", "--limit=entries=1000"),
        status=3,
        says=("it has more than 1,000 entries",),
    )


def main() -> None:
    """Print the table; end with 1 when an answer is not the right one."""
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder))
        os.chdir(FOLDER)
        for row in rows():
            said = run(row, made)
            wrong += bool(said)
            print(f"{'WRONG' if said else 'right'}  {row.status}  {row.name}\n          {row.right}")
            print("".join(f"          {line}\n" for text in said for line in text.splitlines()), end="")
    print(f"{wrong} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
