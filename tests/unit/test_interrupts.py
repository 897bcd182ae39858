"""Ctrl-C at the worst moments: while the engine makes or removes something, and again while the first is answered."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from edge_sim import interrupts, process
from edge_sim.emulation.containers import networks, storage


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """What started the tests may have SIGINT ignored, and the tests have no business with SIGTERM."""
    before = {
        number: signal.signal(number, handler)
        for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL))
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_disturb_the_cleaning_up_after_the_first(first: int, second: int) -> None:
    steps = []

    def deeper() -> None:
        try:
            raise OSError("the cleaning up has troubles of its own")
        except OSError:
            os.kill(os.getpid(), second)
            steps.append("cleaned up")

    def block() -> None:
        try:
            os.kill(os.getpid(), first)
            steps.append("not interrupted")
        finally:
            deeper()

    interrupts.answer_once()
    with pytest.raises(KeyboardInterrupt if first == signal.SIGINT else SystemExit):
        block()
    assert steps == ["cleaned up"]


def test_a_signal_that_got_lost_can_be_repeated() -> None:
    interrupts.answer_once()
    with contextlib.suppress(KeyboardInterrupt):
        interrupt()
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.answer_once()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


class Networks:
    """An engine's, interrupted while it makes or removes one. What nobody waited for is there a little later."""

    def __init__(self, moment: str) -> None:
        self._moment = moment
        self.there: list[Any] = []
        self.later: list[Any] = []

    def create(self, name: str, **_: object) -> None:
        attrs = {"IPAM": {"Config": [{"Gateway": "192.0.2.1"}]}}
        self.later.append(SimpleNamespace(name=name, attrs=attrs, remove=self._remove))
        if self._moment == "create":
            interrupt()
        self.there.append(self.later.pop())

    def list(self, names: list[str]) -> list[Any]:
        return [network for network in self.there if network.name in names]

    def _remove(self) -> None:
        if self._moment == "remove":
            interrupt()
        self.there.clear()


@pytest.mark.parametrize("moment", ["create", "remove"])
def test_no_network_stays_when_the_engine_is_interrupted_at_it(moment: str) -> None:
    engine: Any = SimpleNamespace(networks=Networks(moment))
    with pytest.raises(KeyboardInterrupt), networks.temporary(engine, "edge-sim-run", {}):
        pass
    assert engine.networks.there + engine.networks.later == []


def test_an_interrupted_removal_lets_the_device_go_too(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = []
    monkeypatch.setattr(storage, "detach", lambda loop, _: let_go.append(loop))
    volume = SimpleNamespace(attrs={"Labels": {storage.LOOP_LABEL: "/dev/loop7"}}, remove=lambda force: interrupt())
    engine = SimpleNamespace(volumes=SimpleNamespace(get=lambda _: volume))
    with pytest.raises(KeyboardInterrupt):
        storage.remove(engine, "edge-sim-board")
    container = SimpleNamespace(
        labels={storage.LOOP_LABEL: "/dev/loop8"}, name="edge-sim-board", remove=lambda **_: interrupt()
    )
    with pytest.raises(KeyboardInterrupt):
        storage.remove_container(container)
    assert let_go == ["/dev/loop7", "/dev/loop8"]


@pytest.mark.process
def test_a_terminals_ctrl_c_does_not_reach_a_command_that_we_wait_for() -> None:
    told = process.run(["sh", "-c", "cat /proc/self/stat"], timeout=10).stdout.decode()
    session = int(told.rpartition(")")[2].split()[3])
    assert session != os.getsid(0)
