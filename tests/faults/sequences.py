"""mosquitto's own sequences of good and bad packets, played against the TLS front of a cloud.

``python -m tests.faults.sequences [FOLDER]`` plays ``FOLDER/*.json``, which are those below ``test/broker/data`` of
mosquitto's sources; without a folder apt fetches Debian's source package. A sequence that mosquitto ends must end here
as well, but for ``HARMLESS``; one that goes on there may end here, where AWS allows less. After each, a thing that is
connected all the time is still answered, and receives nothing of it; the front logs no error.
"""

from __future__ import annotations

import io
import json
import logging
import ssl
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_sim.cloud.brokers import packets
from edge_sim.emulation.bundle.packages import apt_get
from edge_sim.emulation.containers.bases import mirror
from edge_sim.process import run
from tests.faults.trials import end
from tests.integration.tls_cloud import Raw, World, connect_body, tls_cloud

SUITE = "trixie"
"""The first Debian whose sources of mosquitto have the sequences; the broker is this machine's."""
_CONTROLS = ("0001", "001F", "007F", "009F")
HARMLESS = frozenset(
    {
        # A user name is checked to be text, and not passed on.
        *(f"{v} CONNECT 10 Username with 0x{code}" for v in ("v3.1.1", "v5.0  ") for code in _CONTROLS),
        # What this machine's mosquitto, 2.0.11 in Debian 12, takes; the test is of 2.0.21.
        *(f"{v} FLOW QoS 2 PUBLISH-PUBACK" for v in ("v3.1.1", "v5.0  ")),
        *(f"v5.0   PUBACK 40 unsolicited {rest}" for rest in ("long", "len=4 rc=unknown")),
        "v5.0   PUBLISH ALLOWED PROPERTIES payload-format-indicator=2 (byte, invalid)",
        "v5.0   PUBLISH ALLOWED PROPERTIES response-topic (UTF-8 string, with wildcard)",
        *(f"v5.0   SUBSCRIBE 82 shared sub with no {rest}" for rest in ("topic part 1", "topic part 2", "local set")),
    }
)
_PING, _PONG = b"\xc0\0", (13, b"")
_FETCH_S = 300.0


@dataclass(frozen=True, kw_only=True)
class PacketSequence:
    """What a client sends, after a good CONNECT of ``version`` or (None) as it comes; whether mosquitto hangs up."""

    name: str
    version: int | None
    sent: tuple[bytes, ...]
    ends: bool


def parse(text: str) -> Iterator[PacketSequence]:
    """Yield the sequences of one of mosquitto's files that say what they send."""
    for group in json.loads(text):
        for test in () if group.get("disable") else group["tests"]:
            messages = test["msgs"]
            yield PacketSequence(
                name=f"{group['group']} {test['name']}",
                version=test.get("ver", 4) if test.get("connect", True) else None,
                sent=tuple(bytes.fromhex(m["payload"].replace(" ", "")) for m in messages if m["type"] == "send"),
                ends=test.get("expect_disconnect", True),
            )


class Player:
    """Plays sequences against a cloud, beside a thing that stays connected."""

    def __init__(self, world: World, neighbour: Raw) -> None:
        world.policy("everything", {"Action": "*", "Resource": "*"})
        self._world = world
        self._shown = world.certificate("stranger", "everything")
        self._neighbour = neighbour
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def play(self, sequence: PacketSequence) -> None:
        """Play one, and see that the neighbour is still answered."""
        ended = self._ended(sequence)
        self.counts["ended" if ended else "went on"] += 1
        self.counts["of the ended go on at mosquitto"] += ended and not sequence.ends
        if sequence.ends and not ended:
            self.counts["of those that go on end at mosquitto"] += 1
            if sequence.name not in HARMLESS:
                self.wrong.append(sequence.name)
        self._neighbour.connection.sendall(_PING)
        answer = self._neighbour.read()
        assert answer == _PONG, f"{sequence.name}: the neighbour was answered {answer}"

    def _ended(self, sequence: PacketSequence) -> bool:
        """Say whether the connection is over: it answers no PINGREQ, but hangs up."""
        with self._world.connection(self._shown) as connection:
            try:
                if sequence.version is not None:
                    connection.sendall(_connect(sequence.version))
                for part in sequence.sent:
                    connection.sendall(part)
                connection.sendall(_PING)
                received = b""
                while chunk := connection.recv(4096):
                    received += chunk
                    if received.endswith(b"\xd0\0"):
                        return False
            except (ConnectionError, ssl.SSLError):
                return True
        return True


def _connect(version: int) -> bytes:
    body = connect_body("p")
    if version == packets.V5:
        body = body[:6] + bytes([version]) + body[7:10] + b"\0" + body[10:]
    elif version == 3:
        body = b"\0\6MQIsdp" + bytes([version]) + body[7:]
    return packets.packet(packets.CONNECT << 4, body)


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


def play(sequences: Sequence[PacketSequence], folder: Path) -> Player:
    """Play sequences against a cloud below ``folder``, and return what came of them."""
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    try:
        with tls_cloud(folder) as world, world.raw(world.thing("neighbour"), "neighbour") as neighbour:
            assert neighbour.connected()
            player = Player(world, neighbour)
            for sequence in sequences:
                player.play(sequence)
    finally:
        logging.getLogger().removeHandler(errors)
    assert errors.texts == [], errors.texts
    return player


def fetched() -> Mapping[str, str]:
    """Return mosquitto's files of sequences by name, out of Debian's source package; apt checks its signature."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        apt = apt_get(place, f"deb-src {mirror()} {SUITE} main")
        run([*apt, "update"], timeout=_FETCH_S)
        run([*apt, "source", "--download-only", "mosquitto"], timeout=_FETCH_S, cwd=place)
        (sources,) = place.glob("mosquitto_*.orig.tar.*")
        found = {}
        with tarfile.open(fileobj=io.BytesIO(sources.read_bytes())) as tar:
            for member in tar:
                opened = tar.extractfile(member) if "/test/broker/data/" in member.name else None
                if opened and member.name.endswith(".json"):
                    found[member.name.rpartition("/")[2]] = opened.read().decode()
        return found


def main() -> None:
    """Play all sequences, print the counts, and name those that should have ended and did not."""
    started = time.monotonic()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    files = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")} if folder else fetched()
    sequences = [one for name in sorted(files) for one in parse(files[name])]
    with tempfile.TemporaryDirectory() as place:
        player = play(sequences, Path(place))
    counts = ", ".join(f"{number:,} {name}" for name, number in player.counts.items())
    for name in player.wrong:
        print(f"goes on, and ends at mosquitto: {name}")
    end("packets", f"{len(sequences):,} sequences: {counts}", len(player.wrong), started)


if __name__ == "__main__":
    main()
