"""The keys of the core's config.json that the core's start and running functions depend on (gg-core.md).

coreThing.ggDaemonPort           the local endpoint's port; without it a free one (V1 always took 8000)
runtime.maxWorkItemCount         how many invocations may wait altogether
runtime.maxConcurrentLimit       how many on-demand workers may run at a time
runtime.postStartHealthCheckTimeout   how many milliseconds the daemon may take until it is ready
crypto.principals.SecretsManager.privateKeyPath, else …IoTCertificate.privateKeyPath, else coreThing.keyPath
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sim import strictjson
from edge_sim.agent.rooted import file_bytes, inside
from edge_sim.errors import MACHINE, InvalidDefinitionError
from edge_sim.greengrass.tree import Tree

MAX_BYTES = 1024 * 1024
MAX_WORK_ITEMS, MAX_CONCURRENT, START_TIMEOUT_MS = 1024, 25, 30_000
"""V1's defaults."""


@dataclass(frozen=True, kw_only=True)
class CoreConfig:
    """``daemon_port`` 0 takes a free port. ``private_key`` is the board's path of the RSA key, None without one."""

    daemon_port: int = 0
    max_work_items: int = MAX_WORK_ITEMS
    max_concurrent: int = MAX_CONCURRENT
    start_timeout_ms: int = START_TIMEOUT_MS
    private_key: str | None = None


def read(root: Path, greengrass_root: str) -> CoreConfig:
    """Read config.json; what it does not say has V1's default. Raises InvalidDefinitionError naming the key."""
    tree = Tree(greengrass_root)
    path = tree.config
    try:
        document = strictjson.members(file_bytes(inside(root, path), MAX_BYTES))
    except FileNotFoundError:
        return CoreConfig()
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in MACHINE:
            raise
        raise InvalidDefinitionError(f"Failed to parse {path}.", details=str(error)) from error
    core, runtime = _at(document, "coreThing"), _at(document, "runtime")
    return CoreConfig(
        daemon_port=_number(core, "ggDaemonPort", 0, 1024, 65535),
        max_work_items=_number(runtime, "maxWorkItemCount", MAX_WORK_ITEMS, 1, 1_000_000),
        max_concurrent=_number(runtime, "maxConcurrentLimit", MAX_CONCURRENT, 1, 10_000),
        start_timeout_ms=_number(runtime, "postStartHealthCheckTimeout", START_TIMEOUT_MS, 1, 86_400_000),
        private_key=_private_key(document, tree.certificates),
    )


def _private_key(config: object, certificates: str) -> str | None:
    """Return where the key is. ``file:///…`` and paths in ``certs`` are read; hardware modules are not simulated."""
    for principal in ("SecretsManager", "IoTCertificate"):
        uri = _at(config, "crypto", "principals", principal).get("privateKeyPath")
        if isinstance(uri, str) and uri:
            if not uri.startswith("file:///") or not uri.isprintable():
                hint = "Keys in a hardware security module are not simulated." if uri.startswith("pkcs11:") else None
                problem = f"config.json: crypto.principals.{principal}.privateKeyPath {uri!r} is not a file:/// URI"
                raise InvalidDefinitionError(problem, hint=hint)
            return uri.removeprefix("file://")
    name = _at(config, "coreThing").get("keyPath")
    if not isinstance(name, str) or not name or name.startswith("["):  # a value that the factory's file leaves open
        return None
    return name if name.startswith("/") else f"{certificates}/{name}"


def _at(value: object, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _number(section: Mapping[str, Any], key: str, default: int, least: int, most: int) -> int:
    value = section.get(key, default)
    if value == default:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidDefinitionError(f"config.json: {key} is {value!r}, not a number from {least} to {most}")
    return value
