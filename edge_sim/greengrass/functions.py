"""Functions of a group, and whose rights their processes run with.

Shapes: botocore's ``greengrass`` model, ``FunctionDefinitionVersion``. Defaults: lambda-group-config.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge_sim import arns
from edge_sim.greengrass.resources import Permission

IsolationMode = Literal["GreengrassContainer", "NoContainer"]
ISOLATION_MODES: tuple[IsolationMode, ...] = ("GreengrassContainer", "NoContainer")
DEFAULT_TIMEOUT_S = 3
"""How long one call may take where a definition does not say (lambda-group-config.md)."""
_SYSTEM = re.compile(arns.pattern("(lambda|greengrass)", ".+", arns.NOWHERE))


def is_system_function(arn: str) -> bool:
    """Return whether an ARN belongs to the core (``arn:aws:lambda:::function:GGIPDetector:1``), and so has no code."""
    return _SYSTEM.fullmatch(arn) is not None


@dataclass(frozen=True, kw_only=True)
class RunAs:
    """``RunAs``: a missing half falls back to the group's default, then to ggc_user / ggc_group."""

    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, kw_only=True)
class ResourceAccessPolicy:
    """A resource attached to a function; ``permission`` is None when the definition leaves it out."""

    resource_id: str
    permission: Permission | None = None


@dataclass(frozen=True, kw_only=True)
class DefaultConfig:
    """``DefaultConfig.Execution``: what functions without their own setting get."""

    isolation_mode: IsolationMode | None = None
    run_as: RunAs = RunAs()


@dataclass(frozen=True, kw_only=True)
class Function:
    """One entry of ``Functions``. ``memory_size_kb`` and ``access_sysfs`` are None when left out.

    ``path`` is its JSON path in the definition version it was read from, for findings.
    """

    id: str
    arn: str
    executable: str | None = None
    exec_args: str | None = None
    encoding_type: str = "json"
    memory_size_kb: int | None = None
    pinned: bool = False
    timeout_s: int = DEFAULT_TIMEOUT_S
    access_sysfs: bool | None = None
    isolation_mode: IsolationMode | None = None
    run_as: RunAs = RunAs()
    policies: tuple[ResourceAccessPolicy, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    runtime_override: str | None = None
    path: str = field(default="$.Functions", compare=False)

    @property
    def call_limit_s(self) -> int:
        """How long one call may take. A Timeout of 0 counts as the default: what V1 did with it is not known."""
        return self.timeout_s or DEFAULT_TIMEOUT_S


@dataclass(frozen=True, kw_only=True)
class FunctionCode:
    """What Lambda told the cloud about a function's code when the deployment was built."""

    artifact_arn: str
    handler: str
    runtime: str
    sha256: str
    size: int


def lambda_name(function: Function) -> str:
    """Return the name of the Lambda function in a function's ARN, or its Id where there is none."""
    return arns.parts(function.arn).resource.partition(":")[2].partition(":")[0] or function.id


def log_name(function: Function) -> str:
    """Return where a function's log is among those of the user's: ``<region>/<account>/<function name>.log``."""
    region, account, _ = arns.parts(function.arn)
    return f"{region or 'none'}/{account or 'none'}/{lambda_name(function)}.log"
