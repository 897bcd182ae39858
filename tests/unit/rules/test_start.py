"""What no kernel starts a function with: the bounds on both sides, and that this machine's kernel has the same."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from typing import Any

import pytest

from edge_sim.greengrass import rules
from edge_sim.greengrass.rules.settings import Quotas, RuleSettings
from edge_sim.greengrass.rules.start import TOTAL_BYTES
from edge_sim.report import Finding
from tests.unit.greengrass.build import board, function, group

MOST = Quotas().argument_bytes


def findings(**config: Any) -> list[Finding]:
    return [f for f in rules.check(group([], [function("f", **config)]), board()) if f.id == "argument-size"]


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"variables": {"KEY": "x" * (MOST - 3)}}, "Environment.Variables.KEY"),
        ({"variables": {"KEY": "é" * ((MOST - 3) // 2)}}, "Environment.Variables.KEY"),
        ({"ExecArgs": f"--key {'x' * (MOST + 1)}"}, "ExecArgs"),
        ({"Executable": f"m.{'x' * (MOST - 1)}"}, "Executable"),
    ],
)
def test_a_text_of_one_byte_too_many_keeps_a_function_from_starting(config: dict[str, Any], path: str) -> None:
    made = group([], [function("f", **config)])
    (failure,) = rules.start_failures(made, made.functions[0], board())
    assert (failure.id, failure.phase) == ("argument-size", "run")
    assert failure.path == f"$.Functions[0].FunctionConfiguration.{path}"
    assert "131,072 bytes; the kernel allows 131,071" in failure.message
    assert rules.refusals(made, board()) == [], "neither the cloud nor the core is known to look"


@pytest.mark.parametrize(
    "config",
    [
        {"variables": {"KEY": "x" * (MOST - 4)}},
        {"ExecArgs": f"--key {'x' * MOST}"},
        {"ExecArgs": "x " * MOST},
        {"Executable": f"m.{'x' * (MOST - 2)}"},
    ],
)
def test_one_byte_less_is_taken(config: dict[str, Any]) -> None:
    assert findings(**config) == []


def test_whether_all_of_them_fit_depends_on_the_board_s_stack() -> None:
    longest = {f"KEY_{number:02}": "x" * (MOST - 7) for number in range(TOTAL_BYTES // (MOST + 1))}
    assert findings(variables=longest) == []
    (finding,) = findings(variables={**longest, "A": ""})
    assert (finding.severity, finding.phase) == ("unknown", "run")
    assert "2,097,155 bytes" in finding.message


def test_a_kernel_with_larger_pages_takes_more() -> None:
    made = group([], [function("f", variables={"KEY": "x" * MOST})])
    larger = RuleSettings(quotas=Quotas(argument_bytes=524_287))
    assert [f.id for f in rules.check(made, settings=larger) if f.id == "argument-size"] == []


@pytest.mark.process
@pytest.mark.skipif(os.sysconf("SC_PAGE_SIZE") != 4096, reason="this kernel's pages are larger, and so is its limit")
def test_the_kernel_itself_has_this_limit() -> None:
    subprocess.run(["/bin/true"], env={"KEY": "x" * (MOST - 4)}, check=True)
    with pytest.raises(OSError, match="Argument list too long") as refusal:
        subprocess.run(["/bin/true"], env={"KEY": "x" * (MOST - 3)}, check=True)
    assert refusal.value.errno == errno.E2BIG


@pytest.mark.process
def test_the_kernel_takes_a_quarter_of_the_stack_limit_in_all() -> None:
    def usual() -> None:
        resource.setrlimit(resource.RLIMIT_STACK, (4 * TOTAL_BYTES, resource.getrlimit(resource.RLIMIT_STACK)[1]))

    count = TOTAL_BYTES // 65_536
    fitting = {f"KEY_{number:02}": "x" * 65_000 for number in range(count)}
    subprocess.run(["/bin/true"], env=fitting, check=True, preexec_fn=usual)
    with pytest.raises(OSError, match="Argument list too long"):
        subprocess.run(["/bin/true"], env={**fitting, "MORE": "x" * 65_000}, check=True, preexec_fn=usual)
