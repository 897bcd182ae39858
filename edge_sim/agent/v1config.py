"""A V1 core's own config.json as the agent's configuration: who it is, where its cloud is, how it gets there.

Keys, defaults and ranges: V1 developer guide, "gg-core.md", and "alpn-network-proxy" for the proxy. Relative paths lie
in ``certs`` below the Greengrass root, which is the directory above ``config``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge_sim.agent.config import KEEP_ALIVE_S, AgentConfig
from edge_sim.agent.proxy import Proxy
from edge_sim.agent.rooted import inside
from edge_sim.agent.tls import ALPN_MQTT
from edge_sim.errors import UsageError
from edge_sim.greengrass.tree import Tree
from edge_sim.jobs.topics import is_thing_name

MQTT_PORT, ALPN_PORT = 8883, 443
_CERTIFICATE = ("crypto", "principals", "IoTCertificate")
_LONGEST_CLIENT_ID = 128
_HOST = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?")
_UNUSED = (
    ("mqttOperationTimeout", 5, 5, 86_400),
    ("ggMqttPort", 8883, 1024, 65_535),
    ("ggDaemonPort", 8000, 1024, 65_535),
    ("iotHttpPort", 8443, 1, 65_535),
    ("ggHttpPort", 8443, 1, 65_535),
    ("systemComponentAuthTimeout", 5000, 500, 5000),
)
"""Numbers of coreThing that others than the agent's connection use: key, default, least, most."""
_AWS = (".amazonaws.com", ".amazonaws.com.cn")


def from_core(path: Path, content: Mapping[str, Any], root: Path) -> AgentConfig:
    """Return what the config.json at ``path``, on the board below ``root``, says. Raises UsageError naming the key."""
    reader = _Reader(path, content)
    top = _board_path(path, root)
    certificates = Tree(top.rstrip("/")).certificates
    thing = reader.text("coreThing", "thingArn").rpartition(":thing/")[2]
    if not is_thing_name(thing):
        raise reader.wrong("coreThing.thingArn", "not the ARN of a thing")
    host = reader.text("coreThing", "iotHost")
    if not _HOST.fullmatch(host):
        raise reader.wrong("coreThing.iotHost", f"{host!r} is not a host name; the port is iotMqttPort")
    port = reader.number("coreThing", "iotMqttPort", default=MQTT_PORT, least=1, most=65535)
    client_id = reader.text("coreThing", "coreClientId", default=thing)
    if len(client_id.encode()) > _LONGEST_CLIENT_ID:
        raise reader.wrong("coreThing.coreClientId", f"longer than {_LONGEST_CLIENT_ID} bytes")
    for key, default, least, most in _UNUSED:
        reader.number("coreThing", key, default=default, least=least, most=most)

    def there(section: tuple[str, ...], key: str, older: str) -> str:
        file = reader.file(section, key, older)
        return str(inside(root.resolve(), file if file.startswith("/") else f"{certificates}/{file}"))

    return AgentConfig(
        thing=thing,
        client_id=client_id,
        broker=f"mqtts://{host}:{port}",
        alpn=ALPN_MQTT if port == ALPN_PORT else None,
        keep_alive_s=reader.number("coreThing", "keepAlive", default=KEEP_ALIVE_S, least=30, most=1200),
        retry_most_s=reader.number(default=60, least=1, most=86_400, key="mqttMaxConnectionRetryInterval"),
        proxy=reader.proxy(),
        deployments=not host.endswith(_AWS),  # V1's cloud is closed: nobody would answer there
        greengrass_root=top,
        cafile=there(("crypto",), "caPath", "caPath"),
        certificate=there(_CERTIFICATE, "certificatePath", "certPath"),
        key=there(_CERTIFICATE, "privateKeyPath", "keyPath"),
    )


def _board_path(path: Path, root: Path) -> str:
    """Return the Greengrass root as the board names it."""
    top = path.resolve().parent.parent
    try:
        return str("/" / top.relative_to(root.resolve()))
    except ValueError:
        return str(top)


class _Reader:
    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self._path, self._content = path, content

    def wrong(self, key: str, why: str, hint: str | None = None) -> UsageError:
        return UsageError(f"{self._path}: {key}: {why}", hint=hint)

    def section(self, *keys: str) -> Mapping[str, Any]:
        value: Any = self._content
        for depth, key in enumerate(keys, 1):
            value = value.get(key, {})
            if not isinstance(value, Mapping):
                raise self.wrong(".".join(keys[:depth]), "not an object")
        return value  # type: ignore[no-any-return]

    def text(self, section: str, key: str, default: str | None = None) -> str:
        value = self.section(section).get(key, default)
        name = f"{section}.{key}"
        if value is None:
            raise self.wrong(name, "missing")
        if not isinstance(value, str) or not value.isprintable():
            raise self.wrong(name, f"{value!r} is not plain text")
        if not value or value.startswith("["):  # a value that the factory leaves open
            raise self.wrong(name, "not filled in")
        return value

    def number(self, *section: str, key: str | None = None, default: int, least: int, most: int) -> int:
        *sections, name = (*section, key) if key else section
        value = self.section(*sections).get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.wrong(".".join((*sections, name)), f"{value!r} is not a number from {least} to {most}")
        return value

    def file(self, section: tuple[str, ...], key: str, older: str) -> str:
        """Return a path of ``crypto``, a file:/// URI, or else the older one of ``coreThing``."""
        uri = self.section(*section).get(key)
        if uri is None:
            return self.text("coreThing", older)
        if not isinstance(uri, str) or not uri.startswith("file:///") or not uri.isprintable():
            hardware = isinstance(uri, str) and uri.startswith("pkcs11:")
            hint = "Keys in a hardware security module are not simulated." if hardware else None
            raise self.wrong(".".join((*section, key)), f"{uri!r} is not a file:/// URI", hint)
        return uri.removeprefix("file://")

    def proxy(self) -> Proxy | None:
        section = self.section("coreThing", "networkProxy")
        proxy = self.section("coreThing", "networkProxy", "proxy")
        if not section:
            return None
        name = "coreThing.networkProxy.proxy.url"
        url, direct = proxy.get("url"), section.get("noProxyAddresses", "")
        user, password = proxy.get("username") or "", proxy.get("password") or ""
        for key, text in {"noProxyAddresses": direct, "proxy.username": user, "proxy.password": password}.items():
            if not isinstance(text, str):
                raise self.wrong(f"coreThing.networkProxy.{key}", "not plain text")
        try:
            parts = urlsplit(url if isinstance(url, str) else "")
            port = parts.port or 80
        except ValueError as error:
            raise self.wrong(name, str(error)) from error
        if parts.scheme != "http" or not parts.hostname:
            raise self.wrong(
                name, f"{url!r} does not have the form http://HOST:PORT", "Other proxies are not simulated."
            )
        return Proxy(
            host=parts.hostname,
            port=port,
            username=user or parts.username,
            password=password or parts.password,
            direct=tuple(each.strip().lower() for each in direct.split(",") if each.strip()),
        )
