"""A thing with its certificate, as AWS's console made one for a V1 core: files that a core finds below its root.

``certs/`` holds the CA's certificate, the thing's and its private key; ``config/config.json`` names them, as the setup
package of a V1 core did (V1 developer guide, "gg-core.md"). The private key is written there and nowhere else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge_sim.cloud.iot.gate import DEVICE_POLICY, device_policy
from edge_sim.errors import UsageError, file_error
from edge_sim.greengrass.tree import BELOW

KEEP_ALIVE_S = 600


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Where a cloud is: the URLs of its API and its broker, and the CA certificate that both are checked with."""

    http: str
    mqtt: str
    cafile: Path


@dataclass(frozen=True, kw_only=True)
class Provision:
    """The files of a thing's setup: the CA's certificate, its own, its private key, config.json."""

    cafile: Path
    certificate: Path
    key: Path
    config: Path


def provision(iot: Any, thing: str, endpoints: Endpoints, folder: Path) -> Provision:
    """Make a certificate for a thing (new or not) with the policy DEVICE_POLICY, and write what its board needs.

    ``iot`` is a boto3 client. Raises UsageError when ``folder`` holds something already or cannot be written.
    """
    certs, config = folder / BELOW.certificates, folder / BELOW.config
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder}: not empty", hint="Choose a new folder: keys are never overwritten.")
        for path in (folder, certs, config.parent):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(f"{folder}: {error.strerror}", error) from error
    arn = iot.create_thing(thingName=thing)["thingArn"]
    _ensure_policy(iot)
    certificate = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_policy(policyName=DEVICE_POLICY, target=certificate["certificateArn"])
    iot.attach_thing_principal(thingName=thing, principal=certificate["certificateArn"])
    name = certificate["certificateId"][:10]  # as in the names of AWS's own files
    paths = Provision(
        cafile=certs / "root.ca.pem",
        certificate=certs / f"{name}.cert.pem",
        key=certs / f"{name}.private.key",
        config=config,
    )
    files = {
        paths.cafile: (endpoints.cafile.read_text(encoding="ascii"), 0o444),
        paths.certificate: (certificate["certificatePem"], 0o444),
        paths.key: (certificate["keyPair"]["PrivateKey"], 0o400),
        paths.config: (json.dumps(_config(arn, name, endpoints), indent=2) + "\n", 0o644),
    }
    try:
        for path, (text, mode) in files.items():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        _withdraw(iot, thing, certificate)
        raise file_error(f"{error.filename or folder}: cannot be written: {error.strerror}", error) from error
    return paths


def _withdraw(iot: Any, thing: str, certificate: Mapping[str, Any]) -> None:
    """Delete a certificate whose key nobody has."""
    iot.detach_thing_principal(thingName=thing, principal=certificate["certificateArn"])
    iot.update_certificate(certificateId=certificate["certificateId"], newStatus="INACTIVE")
    iot.delete_certificate(certificateId=certificate["certificateId"], forceDelete=True)


def _ensure_policy(iot: Any) -> None:
    try:
        iot.get_policy(policyName=DEVICE_POLICY)
    except iot.exceptions.ResourceNotFoundException:
        iot.create_policy(policyName=DEVICE_POLICY, policyDocument=json.dumps(device_policy()))


def _config(arn: str, name: str, endpoints: Endpoints) -> Mapping[str, object]:
    """Return config.json. Ports are this cloud's: V1 itself knew 8883, 8443 and 443 alone."""
    http, mqtt = urlsplit(endpoints.http), urlsplit(endpoints.mqtt)
    core = {
        "caPath": "root.ca.pem",
        "certPath": f"{name}.cert.pem",
        "keyPath": f"{name}.private.key",
        "thingArn": arn,
        "iotHost": mqtt.hostname,
        "iotMqttPort": mqtt.port,
        "iotHttpPort": http.port,
        "ggHost": http.hostname,
        "ggHttpPort": http.port,
        "keepAlive": KEEP_ALIVE_S,
    }
    return {"coreThing": core, "runtime": {"cgroup": {"useSystemd": "yes"}}, "managedRespawn": False}
