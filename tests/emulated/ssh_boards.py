"""Boards with an ssh server of their own, in containers: OpenSSH on a Debian root, dropbear on one of BusyBox alone.

The servers come from Debian's packages, as a bundle's parts do. ``Ssh`` is a user's OpenSSH with a configuration of its
own: ``ssh`` in front of the PATH, a key, and the boards' host keys.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from edge_sim.emulation.bundle.packages import File, packages
from edge_sim.emulation.containers.board import DockerBoard
from tests.emulated.containers import LIMIT_S

OPENSSH = (
    *("openssh-server", "libwrap0", "libnsl2", "libpam0g", "libaudit1", "libcap-ng0", "libselinux1", "libpcre2-8-0"),
    *("libsystemd0", "libgssapi-krb5-2", "libkrb5-3", "libk5crypto3", "libkrb5support0", "libkeyutils1", "libcom-err2"),
    *("libcrypt1", "libssl3", "zlib1g", "libtirpc3", "liblzma5", "libzstd1", "liblz4-1", "libcap2", "libgcrypt20"),
    *("libgpg-error0", "sudo", "libpam-modules"),
)
DROPBEAR = ("dropbear-bin", "libtommath1", "libtomcrypt1", "libgmp10", "zlib1g", "libcrypt1", "libc6")
_TOOLS = (
    "sh ls readlink sed uname id df date sha256sum tar gzip cat mkdir rmdir rm grep tr head find sleep kill sync "
    "tail wc mv cp ln chmod chown setsid cut dirname touch mknod"
)
_EVERYTHING = """find / /greengrass -xdev -not -path '/proc/*' -not -path '/etc/hosts' \\
    \\( -type d -printf '%M %U:%G %p\\n' -o -printf '%M %U:%G %p -> %l %s %T@\\n' \\) 2>/dev/null | sort -u"""
"""Directories without their times: those of the ones above a run's folder change. /etc/hosts is the engine's."""
_SSHD = "HostKey /etc/ssh/host\nUsePAM no\nPermitRootLogin yes\nStrictModes no\nMaxStartups 100\n"


@dataclass(frozen=True)
class Ssh:
    """A user's OpenSSH: what is in its folder."""

    folder: Path

    @property
    def key(self) -> str:
        return (self.folder / "id.pub").read_text(encoding="ascii")

    def know(
        self, name: str, address: str, *, user: str = "root", host_key: str | None = None, key: str | None = None
    ) -> str:
        """Add a board to the configuration and its host key to the known ones; return its address for edge-sim.

        ``key``: the user's for it, a file or none; this user's own where it is not given.
        """
        with (self.folder / "config").open("a", encoding="ascii") as file:
            file.write(
                f"Host {name}\n HostName {address}\n User {user}\n IdentityFile {key or self.folder / 'id'}\n"
                f" HostKeyAlias {name}\n UserKnownHostsFile {self.folder}/known\n"
            )
        key = host_key or (self.folder / "host.pub").read_text(encoding="ascii")
        with (self.folder / "known").open("a", encoding="ascii") as file:
            file.write(f"{name} {' '.join(key.split()[:2])}\n")
        return f"ssh://{name}"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``edge-sim`` with this user's ssh."""
        argv = [sys.executable, "-m", "edge_sim.cli.main", *arguments]
        environment = {**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}"}
        return subprocess.Popen(
            argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def edge_sim(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run ``edge-sim`` with this user's ssh to its end."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == status, out + err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def user(folder: Path) -> Ssh:
    """Make a user's OpenSSH in an empty folder, and the host key that the boards have."""
    (folder / "bin").mkdir()
    (folder / "bin/ssh").write_text(
        f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n', encoding="ascii"
    )
    (folder / "bin/ssh").chmod(0o755)
    for name in ("id", "host", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    return Ssh(folder)


def shell(board: DockerBoard, text: str) -> str:
    """Return what a shell prints on a board."""
    done = board.exec(["sh", "-c", text])
    assert done.returncode == 0, done.stderr
    return done.stdout


def everything(board: DockerBoard) -> list[str]:
    """Return a line for each file of a Debian board: mode, owner, path, and what shows that it has changed."""
    return shell(board, _EVERYTHING).splitlines()


def with_openssh(container: Any, architecture: str, ssh: Ssh) -> str:
    """Have a running container with a Debian root serve ssh; return its address in the engine's network."""
    files: dict[str, File] = {}
    for package in packages(architecture, OPENSSH, print, newest=False):
        files |= {
            p: f for p, f in package.files().items() if not p.startswith(("/usr/share", "/etc/init", "/lib/systemd"))
        }
    with files_tar(files) as tar:
        container.put_archive("/", tar)
    own = {
        "/etc/ssh/sshd_config": File(content=_SSHD.encode()),
        "/etc/ssh/host": File(content=(ssh.folder / "host").read_bytes(), mode=0o600),
        "/root/.ssh/authorized_keys": File(content=ssh.key.encode(), mode=0o600),
        "/usr/bin/wget": File(content=b"#!/bin/sh\nexit 1\n", mode=0o755),  # V1's update agent asks that it is there
        **{f"/home/{name}/.ssh/authorized_keys": File(content=ssh.key.encode()) for name in ("visitor", "admin")},
        "/etc/sudoers": File(content=b"admin ALL=(ALL) NOPASSWD: ALL\n", mode=0o440),
        "/etc/pam.d/sudo": File(content=b"account required pam_permit.so\nsession required pam_permit.so\n"),
    }
    with files_tar(own) as tar:
        container.put_archive("/", tar)
    accounts = "sshd:x:999:65534::/run/sshd:/usr/sbin/nologin\n" + "".join(
        f"{name}:x:{uid}:65534::/home/{name}:/bin/sh\n" for uid, name in enumerate(("visitor", "admin"), 1234)
    )
    done = container.exec_run(
        ["sh", "-c", f"printf '{accounts}' >>/etc/passwd; mkdir -p /run/sshd; chown -R root /root"]
    )
    assert done.exit_code == 0, done.output
    container.exec_run(["/usr/sbin/sshd", "-D"], detach=True)
    container.reload()
    return answering(container)


@contextlib.contextmanager
def of_busybox(client: Any, ssh: Ssh, architecture: str, **options: Any) -> Iterator[Any]:
    """Give a running container that is a BusyBox and a dropbear, whose libraries lie where nobody looks for them."""
    tag = f"edge-sim-test-busybox:{os.getpid()}-{architecture}"
    with files_tar(_busybox(architecture, ssh), bare=True) as tar:
        client.api.import_image_from_data(tar.read(), *tag.split(":"))
    container = client.containers.create(
        tag,
        ["/srv/ssh/dropbear", "-F", "-E", "-r", "/srv/ssh/host"],
        environment={"LD_LIBRARY_PATH": "/srv/ssh"},  # of the server alone: a session has none of it
        cap_add=["SYS_ADMIN"],
        security_opt=["apparmor=unconfined"],
        labels=["edge-sim.test"],
        **options,
    )
    try:
        container.start()
        container.reload()
        yield container
    finally:
        container.remove(force=True, v=True)
        client.images.remove(tag, force=True)


def _busybox(architecture: str, ssh: Ssh) -> dict[str, File]:
    busybox, *server = sorted(
        packages(architecture, ("busybox-static", *DROPBEAR), print, newest=False), key=lambda p: p.name
    )
    found = {"/bin/busybox": busybox.files()["/bin/busybox"]}
    found |= {f"/bin/{tool}": File(target="busybox") for tool in _TOOLS.split()}
    for package in server:
        for path, file in package.files().items():
            name = path.rpartition("/")[2]
            if file.target is None and re.match(r"lib[^/]*\.so", name) and "/gconv/" not in path:
                soname = re.sub(r"(\.so\.[0-9]+).*", r"\1", name)
                found[f"/srv/ssh/{soname}"] = file
            elif file.target is None and name.startswith("ld-linux"):
                found["/srv/ssh/ld.so"] = replace(file, mode=0o755)
            elif path == "/usr/sbin/dropbear":
                found["/srv/ssh/dropbear"] = replace(file, content=_loaded_by(file.content, b"/srv/ssh/ld.so"))
    found["/srv/ssh/host"] = File(content=_of_dropbear(ssh.folder / "host"), mode=0o600)
    texts = {
        "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nggc_user:x:110:115::/:/bin/false\n",
        "/etc/group": "root:x:0:\nadm:x:4:\ndialout:x:20:\nvideo:x:44:\nusers:x:100:\nggc_group:x:115:\n",
        "/etc/shells": "/bin/sh\n",
        "/etc/os-release": 'ID=raspbian\nVERSION_ID="10"\nPRETTY_NAME="A BusyBox"\n',
        "/root/.ssh/authorized_keys": ssh.key,
        "/tmp/.keep": "",
    }
    return {**found, **{path: File(content=text.encode()) for path, text in texts.items()}}


def _loaded_by(program: bytes, loader: bytes) -> bytes:
    """Return a program whose loader lies elsewhere: dropbear starts itself anew for every connection."""
    return re.sub(rb"/lib(64)?/ld-linux[^\0]*\0", lambda match: loader.ljust(len(match[0]), b"\0"), program, count=1)


def _of_dropbear(file: Path) -> bytes:
    """Return OpenSSH's Ed25519 key as dropbear has it."""
    key = serialization.load_ssh_private_key(file.read_bytes(), None)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    both = key.private_bytes_raw() + key.public_key().public_bytes_raw()
    return b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", both))


@contextlib.contextmanager
def files_tar(files: Mapping[str, File], *, bare: bool = False) -> Iterator[Any]:
    """Give a tar archive of files; ``bare``: with the folders above them, for a root that has none."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        above = {str(parent): 0o755 for path in files for parent in PurePosixPath(path).parents}
        for folder in sorted(above.keys() - {"/"}):
            if bare:
                member = tarfile.TarInfo(folder.lstrip("/"))
                member.type, member.mode = tarfile.DIRTYPE, 0o700 if folder.startswith("/root") else 0o755
                tar.addfile(member)
        for path, file in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.mode, member.size = file.mode, len(file.content)
            if file.target is not None:
                member.type, member.linkname = tarfile.SYMTYPE, file.target
            tar.addfile(member, io.BytesIO(file.content))
    buffer.seek(0)
    yield buffer


def answering(container: Any) -> str:
    """Return the address of a container once its ssh server answers."""
    networks = container.attrs["NetworkSettings"]["Networks"].values()
    address = str(next(iter(networks))["IPAddress"])
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection((address, 22), timeout=5).close()
            return address
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
