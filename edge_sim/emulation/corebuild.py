"""Stand-ins for AWS's core software: builds to update to, and the factory version of a new board.

Greengrass V1's core is closed source, so what a build *does* is ours: two POSIX shell programs that start, say who
they are and stop. Where things lie and what ``greengrassd`` prints is V1's (gg-core.md and field captures, see
docs/fidelity.md). The archive is the same, byte for byte, for the same version.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from edge_sim.emulation.boarditems import Item
from edge_sim.emulation.platform import Platform, elf_file
from edge_sim.errors import UsageError
from edge_sim.greengrass.tree import BELOW

GREENGRASSD = r"""#!/bin/sh
# A simulated greengrassd: V1's commands and lines; the contents are edge_sim's.
VERSION=@VERSION@
CORE_DIR=$(cd "$(dirname "$0")" && pwd -P) || exit 1
GG=${GREENGRASS_ROOT:-/greengrass}
PID_DIR=${GREENGRASS_PID_DIRECTORY:-/var/run}
PID_FILE=$PID_DIR/greengrassd.pid
STATE=$GG/ggc/var/state/core.json
CRASH_LOG=$GG/ggc/var/log/crash.log
# In milliseconds; V1's default is 30000.
SAID=$(sed -n 's/.*"postStartHealthCheckTimeout" *: *\([1-9][0-9]*\).*/\1/p' "$GG/config/config.json" 2>/dev/null)
LIMIT=$(((${SAID:-30000} + 999) / 1000))

nap() { sleep 0.05 2>/dev/null || sleep 1; }
now() { date +%s; }
pid_of_daemon() { [ -r "$PID_FILE" ] && read -r PID <"$PID_FILE" && [ -n "$PID" ]; }
alive() {
    kill -0 "$1" 2>/dev/null || return 1
    ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}
is_daemon() {
    alive "$1" || return 1
    [ ! -r "/proc/$1/cmdline" ] || grep -q 'bin/daemon' "/proc/$1/cmdline"
}
ready() { grep -q "\"pid\": *$1[,}]" "$STATE" 2>/dev/null; }
# A full or read-only disk is no reason not to run: only the daemon's own word is missing then.
writable() {
    mkdir -p "$GG/ggc/var/state" "$GG/ggc/var/log/system" "$PID_DIR" 2>/dev/null
    (echo "$$" >"$STATE.try" && rm -f "$STATE.try" && : >>"$CRASH_LOG") 2>/dev/null
}
said_that_it_cannot() { tail -c "+$((SEEN + 1))" "$CRASH_LOG" 2>/dev/null | grep -qF "cannot write $STATE"; }

start() {
    if pid_of_daemon && is_daemon "$PID"; then
        echo "Greengrass is already running with PID: $PID"
        return 0
    fi
    echo "Setting up greengrass daemon"
    echo "Validating hardlink/softlink protection"
    WRITABLE=yes
    if ! writable; then
        WRITABLE=
        CRASH_LOG=/dev/null
        echo "Greengrass cannot write below $GG/ggc/var, and runs without" >&2
    fi
    rm -f "$STATE" "$PID_FILE" 2>/dev/null
    echo "Waiting for up to ${LIMIT}s for Daemon to start"
    SEEN=$(cat "$CRASH_LOG" 2>/dev/null | wc -c)
    SETSID=$(command -v setsid)
    $SETSID "$CORE_DIR/bin/daemon" -core-dir "$CORE_DIR" -greengrassdPid $$ \
        </dev/null >/dev/null 2>>"$CRASH_LOG" &
    PID=$!
    DEADLINE=$(($(now) + LIMIT))
    until ready "$PID"; do
        if [ -z "$WRITABLE" ] || said_that_it_cannot; then
            sleep 1
            alive "$PID" && break
        fi
        if ! alive "$PID"; then
            tail -c "+$((SEEN + 1))" "$CRASH_LOG" 2>/dev/null | tail -n 1
            echo "The Greengrass daemon process with [pid = $PID] died."
            return 1
        fi
        if [ "$(now)" -ge "$DEADLINE" ]; then
            kill -9 "$PID"
            echo "The Greengrass daemon process with [pid = $PID] was not ready after ${LIMIT}s."
            return 1
        fi
        nap
    done
    (echo "$PID" >"$PID_FILE.new" && mv -f "$PID_FILE.new" "$PID_FILE") 2>/dev/null ||
        echo "Greengrass cannot write $PID_FILE, and runs without" >&2
    echo "Greengrass successfully started with PID: $PID"
}

stop() {
    if ! pid_of_daemon || ! is_daemon "$PID"; then
        rm -f "$PID_FILE"
        echo "Greengrass is not running"
        return 0
    fi
    echo "Stopping greengrass daemon of PID: $PID"
    kill "$PID"
    echo "Waiting.."
    DEADLINE=$(($(now) + LIMIT))
    while alive "$PID"; do
        if [ "$(now)" -ge "$DEADLINE" ]; then
            echo "The Greengrass daemon process with [pid = $PID] did not stop within ${LIMIT}s."
            return 1
        fi
        nap
    done
    rm -f "$PID_FILE"
    echo "Stopped greengrass daemon, exiting with success"
}

case $1 in
start) start ;;
stop) stop ;;
restart) stop && start ;;
--version) echo "$VERSION" ;;
*)
    echo "Usage: greengrassd {start|stop|restart|--version}" >&2
    exit 2
    ;;
esac
"""

DAEMON = r"""#!/bin/sh
# A simulated core: says that it runs, and stops when told to.
VERSION=@VERSION@
GG=${GREENGRASS_ROOT:-/greengrass}
STATE=$GG/ggc/var/state/core.json
LOG=$GG/ggc/var/log/system/runtime.log
CHILD=
NOW=

now() { date -u +%Y-%m-%dT%H:%M:%S; }
say() { (echo "[${NOW:-$(now)}.000Z][INFO]-$1" >>"$LOG") 2>/dev/null; }
finish() {
    trap '' TERM INT
    [ -z "$CHILD" ] || kill "$CHILD" 2>/dev/null
    rm -f "$STATE" 2>/dev/null
    say "Greengrass daemon stopped."
    exit 0
}
trap finish TERM INT

NOW=$(now) # once for all lines: under QEMU every process costs seconds on a busy machine
STARTED=${NOW}Z
say "==========================================="
say "Greengrass Version: $VERSION"
say "Greengrass Root: $GG"
say "Greengrass Write Directory: $GG/ggc"
say "Group File Directory: $GG/ggc/deployment/group"
say "==========================================="
NOW=
DAEMON_PID=$$
(
    printf '{"version": "%s", "pid": %s, "started": "%s"}\n' "$VERSION" "$DAEMON_PID" "$STARTED" >"$STATE.new" &&
        mv -f "$STATE.new" "$STATE"
) 2>/dev/null || echo "greengrass daemon: cannot write $STATE, and runs without" >&2
while :; do
    sleep 3600 &
    CHILD=$!
    wait "$CHILD"
done
"""

BROKEN_DAEMON = r"""#!/bin/sh
# A simulated core that cannot start: what an update must survive.
echo "greengrass daemon @VERSION@: fatal: cannot start: this build is broken on purpose" >&2
exit 1
"""

RELEASE_NOTES = """<!DOCTYPE html>
<title>AWS IoT Greengrass Core @VERSION@ (simulated)</title>
<p>Simulated core software, made by edge_sim. It is not AWS's.</p>
"""

FACTORY_GROUP: dict[str, object] = {
    "Version": "test group version",
    "Devices": [],
    "Cores": [],
    "GroupDefinitions": {
        "Logging": {
            "Content": [{"Component": "GreengrassSystem", "Level": "DEBUG", "Type": "FileSystem", "Space": 128}]
        },
        "Lambdas": {"ref": None, "Content": []},
        "Subscriptions": {"ref": None, "Content": []},
        "ShadowSync": {"ref": None, "Content": []},
    },
    "Region": None,
}
"""group.json as V1 ships it and as a reset leaves it."""

Member = tuple[str, int, bytes | None]
"""Name, mode and content in an archive; a directory has no content."""
KEY = f"{BELOW.certificates}/core.private.key"
"""Where a core's private key lies, below the Greengrass root."""
DIRECTORIES = (
    *("", BELOW.certificates, "config", BELOW.ggc, BELOW.deployment, BELOW.group, BELOW.packages),
    *(BELOW.var, BELOW.logs, BELOW.system_logs, BELOW.state),
)


def core_build(version: str, platform: Platform | None = None, *, starts: bool = True) -> bytes:
    """Return ``greengrass-core-<version>.tar.gz``; with ``starts=False`` a build whose daemon exits at once.

    It holds an ELF file of ``platform``, as AWS's programs were, which is never run; none for None. Raises UsageError
    when ``version`` is not three numbers with dots between them.
    """
    members = [*_members(version, starts=starts)]
    if platform is not None:
        members.append((f"packages/{version}/bin/platform", 0o755, elf_file(platform)))
    return archive_of(members)


def archive_of(members: Iterable[Member]) -> bytes:
    """Return a tar.gz of ``members``, parents first, all of it root's: the same bytes for the same members."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, mode, content in members:
            _add(archive, name, mode, content)
    return buffer.getvalue()


def check_version(version: str, software: str) -> None:
    """Check the version of a ``software``. Raises UsageError when it is not three numbers with dots between them."""
    if not re.fullmatch(r"\d{1,5}\.\d{1,5}\.\d{1,5}", version, re.ASCII):
        raise UsageError(f"{software} version {version!r}: not three numbers like 1.11.6")


def factory(
    greengrass_root: str,
    version: str,
    *,
    thing_arn: str = "[THING_ARN_HERE]",
    use_systemd: bool = True,
    allow_functions_to_run_as_root: bool = False,
) -> Iterator[Item]:
    """Yield the Greengrass tree as the factory leaves it with the core ``version``, parents first, all of it root's.

    Raises UsageError when ``version`` is not three numbers with dots between them.
    """
    top = PurePosixPath(greengrass_root)
    for directory in DIRECTORIES:
        yield Item(path=str(top / directory), type="directory")
    for name, mode, content in _members(version, starts=True):
        path = str(top / BELOW.ggc / name)
        if content is None:
            yield Item(path=path, type="directory", mode=mode)
        else:
            yield Item(path=path, type="file", mode=mode, text=content.decode())
    yield Item(path=str(top / BELOW.core), type="link", target=f"packages/{version}")
    config = _config(thing_arn, use_systemd=use_systemd, as_root=allow_functions_to_run_as_root)
    for name, text in (
        (BELOW.config, json.dumps(config, indent=2) + "\n"),
        (BELOW.group_file, json.dumps(FACTORY_GROUP)),
    ):
        yield Item(path=str(top / name), type="file", mode=0o644, text=text)


def private_key(path: str) -> Item:
    """Return a new RSA key of 2048 bits, V1's least for local secrets, at ``path``; its owner alone reads it.

    A core's key as provisioning gave one to it; there is no certificate for it.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return Item(path=path, type="file", mode=0o600, text=pem.decode("ascii"))


def _members(version: str, *, starts: bool) -> Iterator[Member]:
    """Yield every member of a build, parents first."""
    check_version(version, "core")
    base = f"packages/{version}"
    daemon = DAEMON if starts else BROKEN_DAEMON
    yield "packages", 0o755, None
    yield base, 0o755, None
    yield f"{base}/bin", 0o755, None
    for name, mode, text in (
        ("bin/daemon", 0o755, daemon),
        ("greengrassd", 0o755, GREENGRASSD),
        (f"release_notes_{version}.html", 0o644, RELEASE_NOTES),
    ):
        yield f"{base}/{name}", mode, text.replace("@VERSION@", version).encode()


def _add(archive: tarfile.TarFile, name: str, mode: int, content: bytes | None) -> None:
    member = tarfile.TarInfo(name)
    member.mode = mode
    member.uname = member.gname = "root"
    member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    member.size = len(content or b"")
    archive.addfile(member, io.BytesIO(content or b""))


def _config(thing_arn: str, *, use_systemd: bool, as_root: bool) -> dict[str, object]:
    """config.json with the keys of gg-core.md; bracketed values are the ones AWS's factory file leaves open."""
    return {
        "coreThing": {
            "caPath": "root.ca.pem",
            "certPath": "[CLOUD_PEM_CRT_HERE]",
            "keyPath": PurePosixPath(KEY).name,
            "thingArn": thing_arn,
            "iotHost": "[HOST_PREFIX_HERE]-ats.iot.[AWS_REGION_HERE].amazonaws.com",
            "ggHost": "greengrass-ats.iot.[AWS_REGION_HERE].amazonaws.com",
            "keepAlive": 600,
        },
        "runtime": {
            "cgroup": {"useSystemd": "yes" if use_systemd else "no"},
            "allowFunctionsToRunAsRoot": "yes" if as_root else "no",
        },
        "managedRespawn": False,
    }
