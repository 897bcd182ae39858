"""Rules about the start of a function's process: what the kernel takes (execve(2)), and what a runtime can load.

V1's core handed it the definition's texts; what the core itself added to arguments and environment is not known, so
that only what no process can have is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.rules.case import Case, environment_path
from edge_sim.greengrass.rules.paths import CONTROL
from edge_sim.greengrass.rules.rule import Fault, Rule, rule

_HANDLER = re.compile(r".*[^./]\.[^./]+", re.DOTALL)
TOTAL_BYTES = 2 * 1024 * 1024
"""A quarter of the usual stack limit (ulimit -s) of 8 MiB: what arguments and environment may take together."""


@rule(
    "control-character",
    condition="inferred",
    timing="inferred",
    phase="run",
    source="inferred: the kernel's execve(2) takes no NUL; that Executable has no other control character is ours",
    hint="A variable may hold everything else that the kernel accepts, such as the line ends of a certificate.",
)
def control_characters(case: Case) -> Iterator[Fault]:
    """No process is started with a NUL in an environment variable, Executable or ExecArgs.

    Executable, which is a name, has no other control character either.
    """
    for function in case.group.functions:
        configuration = f"{function.path}.FunctionConfiguration"
        texts = {f"{environment_path(function)}.Variables.{name}": text for name, text in function.variables.items()}
        texts[f"{configuration}.ExecArgs"] = function.exec_args or ""
        matches = [(path, "\0") for path, text in texts.items() if "\0" in text]
        if match := CONTROL.search(function.executable or ""):
            matches.append((f"{configuration}.Executable", match[0]))
        for path, character in matches:
            message = f"function {function.id}: {path.rpartition('.')[2]} holds the control character {character!r}"
            yield Fault(path=path, message=message, function=function.id)


@rule(
    "argument-size",
    condition="inferred",
    timing="inferred",
    phase="run",
    source="execve(2): MAX_ARG_STRLEN is 32 pages, 128 KiB where a page has 4 KiB, with the final NUL; all of them "
    "take at most a quarter of the stack limit; that V1 handed ExecArgs over word by word is not known",
    hint="Put the text into a file, on a volume or beside the function's code. On a kernel with pages of 16 KiB: "
    "--limit argument-bytes=524287.",
)
def argument_sizes(case: Case) -> Iterator[Fault]:
    """No process is started with more than 131,071 bytes in one environment variable or argument.

    A variable counts with its name, as NAME=VALUE (setting: argument-bytes). What all of them may take depends on the
    board's stack limit; with the usual 8 MiB that is 2 MiB.
    """
    most = case.settings.quotas.argument_bytes
    for function in case.group.functions:
        total = 0
        for path, what, text in _strings(function):
            size = len(text.encode())
            total += size + 1
            if size > most:
                message = f"function {function.id}: {what} takes {size:,} bytes; the kernel allows {most:,}"
                yield Fault(path=path, message=message, function=function.id)
        if total > TOTAL_BYTES:
            message = (
                f"function {function.id}: its arguments and variables take {total:,} bytes; with the usual stack limit "
                f"of 8 MiB (ulimit -s) the kernel allows {TOTAL_BYTES:,}"
            )
            yield Fault(path=environment_path(function), message=message, function=function.id, unknown=True)


@rule(
    "handler-form",
    condition="inferred",
    timing="inferred",
    phase="run",
    source="inferred: Python's runtime loads MODULE and takes FUNCTION from it, as in connectors-cli.md's example",
    hint="Write it as MODULE.FUNCTION, such as meter.function_handler for def function_handler in meter.py.",
)
def handlers(case: Case) -> Iterator[Fault]:
    """The Executable of a function in Python is MODULE.FUNCTION."""
    for function in case.group.functions:
        handler = function.executable or ""
        if handler and not _HANDLER.fullmatch(handler) and case.runtime(function).startswith("python"):
            message = f"function {function.id}: Executable {handler!r} names no function in a module"
            path = f"{function.path}.FunctionConfiguration.Executable"
            yield Fault(path=path, message=message, function=function.id)


def _strings(function: Function) -> Iterator[tuple[str, str, str]]:
    """Yield JSON path, name and text of each argument and variable that the definition brings."""
    configuration = f"{function.path}.FunctionConfiguration"
    if function.executable:
        yield f"{configuration}.Executable", "Executable", function.executable
    for word in (function.exec_args or "").split():
        yield f"{configuration}.ExecArgs", "a word of ExecArgs", word
    for name, text in function.variables.items():
        yield f"{environment_path(function)}.Variables.{name}", f"variable {name} with its name", f"{name}={text}"


RULES: tuple[Rule, ...] = (control_characters, argument_sizes, handlers)
