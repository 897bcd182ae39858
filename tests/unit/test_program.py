"""What the agent makes of a deployment document before anything is deployed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent import loop, program
from edge_sim.agent.events import Progress
from edge_sim.agent.http import HttpClient
from edge_sim.agent.probe import probe
from edge_sim.agent.update.preflight import BoardIdentity
from edge_sim.cloud.brokers.broker import start_broker
from edge_sim.emulation.containers import init
from edge_sim.errors import InvalidDefinitionError


@pytest.mark.parametrize("group", [None, 5, "group", []])
def test_a_group_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: object) -> None:
    config = tmp_path / "agent.json"
    config.write_text('{"thing": "core", "broker": "mqtt://127.0.0.1", "architecture": "armv7l"}')
    given: list[Callable[[dict[str, Any], HttpClient, Progress], object]] = []
    monkeypatch.setattr(loop, "run", lambda configuration, root, carry_out, *_, **more: given.append(carry_out))
    program.run(tmp_path, config)
    with pytest.raises(InvalidDefinitionError, match="has no Group"):
        given[0]({"Group": group}, HttpClient(), lambda _: None)


def test_only_what_a_real_board_is_known_to_lack_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "agent.json"
    config.write_text('{"thing": "core", "broker": "mqtt://127.0.0.1", "architecture": "armv7l"}')
    identities: list[BoardIdentity] = []
    monkeypatch.setattr(loop, "run", lambda configuration, root, carry_out, board, **more: identities.append(board))
    facts = replace(probe(tmp_path), programs={"wget": False, "tar": True})
    monkeypatch.setattr(program, "probe", lambda *_, **__: facts)
    program.run(tmp_path, config)
    monkeypatch.setattr(program, "SIMULATED", tmp_path)  # as in a container, whose programs are not a real board's
    program.run(tmp_path, config)
    assert [board.missing_tools for board in identities] == [("wget",), ()]


def test_a_board_in_a_container_is_known_by_what_its_first_process_reads() -> None:
    assert str(program.SIMULATED) == init.PLAN


IDLE = {
    "edge_sim": "agent arch cli digests errors facts greengrass interrupts jobs mqttclient printing redaction "
    "strictjson",
    "edge_sim.agent": "config configfile crashpoints destinations durable events failures functions inbox lock loop "
    "mqtt probe program rooted supervise tls update version",
    "edge_sim.agent.functions": "deployed",
    "edge_sim.agent.update": "candidates confinement guard hooks installation jobclient journal logtail outbox "
    "ownprogram preflight releases runner software supervisor task updater",
    "edge_sim.cli": "agent faults groups main options topics",
    "edge_sim.greengrass": "tree",
    "edge_sim.jobs": "messages requests shadow topics update wire",
}
"""The modules of ours that an agent without work has loaded: each of them costs every board its memory, for good."""

SAY_MODULES = """
import sys, threading
def say():
    sys.stdin.readline()
    print(*sys.modules, file=sys.stderr, flush=True)
threading.Thread(target=say, daemon=True).start()
from edge_sim.cli.main import main
main()
"""


@pytest.mark.process
def test_an_agent_without_work_has_loaded_nothing_that_only_work_needs(tmp_path: Path) -> None:
    """A module that every agent needs is added to IDLE; any other is imported where it is used."""
    config = tmp_path / "agent.json"
    with start_broker() as broker:
        config.write_text(json.dumps({"thing": "core", "broker": broker.url}))
        argv = [sys.executable, "-c", SAY_MODULES, "agent", "run", "--root", str(tmp_path), "--config", str(config)]
        pipe = subprocess.PIPE
        with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as agent:
            assert agent.stdin
            assert agent.stdout
            assert agent.stderr
            try:
                asked = next(line for line in agent.stdout if "$next/get" in line)  # connected, and looking for jobs
                agent.stdin.write("\n")
                agent.stdin.flush()
                loaded = set(agent.stderr.readline().split())
            finally:
                agent.terminate()
    assert json.loads(asked)["way"] == "sent"
    ours = {f"{package}.{name}" for package, names in IDLE.items() for name in names.split()} | {"edge_sim"}
    assert {name for name in loaded if name.partition(".")[0] == "edge_sim"} == ours
    by_platform = set() if sys.version_info >= (3, 11) else {"subprocess"}  # platform's own import before 3.11
    assert not loaded & {"psutil", "subprocess", "yaml"} - by_platform
