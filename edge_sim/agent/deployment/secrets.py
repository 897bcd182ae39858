"""Local secrets: fetched while deploying, encrypted on the disk, read out for functions that have them attached.

As V1 did (secrets.md): each deployment makes a new data key, which encrypts the secrets and is itself encrypted with
the core's RSA key; a deployment without the resource removes the copy. The file's form is ours:
``<gg>/ggc/var/state/secrets.json``, ``{"version": 1, "key", "secrets": {ARN: text}}`` in base64.

A value is never written anywhere else, nor does it appear in a message of this module.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_sim import strictjson
from edge_sim.agent import coreconfig, durable
from edge_sim.agent.deployment import libcrypto
from edge_sim.agent.deployment.changeover import Changeover
from edge_sim.agent.http import HttpClient
from edge_sim.agent.http_error import HttpError, shown
from edge_sim.agent.patience import MESSAGE, Patience
from edge_sim.agent.rooted import file_bytes, inside
from edge_sim.errors import EdgeSimError, InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.resources import Resource, Secret
from edge_sim.greengrass.tree import BELOW, Tree

MAX_BYTES = 4 * 1024 * 1024
"""Of one secret's versions together; Secrets Manager allows 64 KiB for each."""
CURRENT = "AWSCURRENT"
_VERSION = 1

FetchSecret = Callable[[str], Mapping[str, object]]
"""Brings ``{"ARN", "Name", "Versions": [{"VersionId", "VersionStages", "CreatedDate", "SecretString" | …}]}``."""


def fetch(http: HttpClient, url: str, patience: Patience = MESSAGE) -> Mapping[str, object]:
    """Get a secret from its presigned URL. Raises HttpError."""
    body = http.message("GET", url, most=MAX_BYTES, patience=patience)
    try:
        answer = strictjson.loads(body)
    except ValueError:  # it holds what came, which no error may
        raise HttpError(f"{shown(url)}: the response is not JSON") from None
    if not isinstance(answer, Mapping):
        raise HttpError(f"{shown(url)}: the response holds no secret")
    return answer


def sealed(
    group: Group, document: Mapping[str, object], root: Path, greengrass_root: str, fetch_secret: FetchSecret
) -> bytes | None:
    """Return the content of the file for ``group``'s secrets, None when it has none.

    ``document`` is the deployment's; its ``Secrets`` say where each one is fetched. Raises InvalidDefinitionError,
    HttpError, and CryptoError when the board has no key or nothing to encrypt with.
    """
    resources = [(r, r.secret) for r in group.resources if r.secret]
    if not resources:
        return None
    pem = private_key(root, greengrass_root)
    key = os.urandom(libcrypto.KEY_BYTES)
    wrapped = libcrypto.wrap(pem, key)
    texts = {}
    for resource, data in resources:
        secret = fetch_secret(_url(document, resource))
        _check(resource.id, data, secret)
        texts[data.arn] = _text(libcrypto.encrypt(key, json.dumps(secret).encode(), data.arn.encode()))
    return _file({"version": _VERSION, "key": _text(wrapped), "secrets": texts})


def stage(changeover: Changeover, group: Group, content: bytes | None) -> None:
    """Have the file replaced by ``content``; without, what the group no longer has goes from it, and nothing else."""
    if content is not None:
        durable.write(changeover.replace(BELOW.secrets), content)
        return
    arns = {resource.secret.arn for resource in group.resources if resource.secret}
    file = _read(changeover.gg / BELOW.secrets)
    there = file.get("secrets") if arns else None
    texts = {arn: text for arn, text in there.items() if arn in arns} if isinstance(there, Mapping) else {}
    if not texts and (there or not arns):
        changeover.remove(BELOW.secrets)
    elif texts != there and texts:
        durable.write(changeover.replace(BELOW.secrets), _file({**file, "secrets": texts}))


def _read(place: Path) -> Mapping[str, object]:
    """Return what the file holds; nothing where it cannot be read: a later deployment brings a new one."""
    try:
        document = json.loads(file_bytes(place))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def private_key(root: Path, greengrass_root: str) -> bytes:
    """Return the core's RSA key in PEM form. Raises UnsupportedEnvironmentError when there is none."""
    path = coreconfig.read(root, greengrass_root).private_key
    hint = 'Name one in config.json (coreThing.keyPath); "openssl genrsa -out FILE 2048" creates one.'
    if path is None:
        raise UnsupportedEnvironmentError("config.json names no private key, which local secrets need", hint=hint)
    try:
        return file_bytes(inside(root, path))
    except OSError as error:
        raise UnsupportedEnvironmentError(
            f"{path}: the core's private key cannot be read: {error.strerror}", hint=hint
        ) from error


def stored(root: Path, greengrass_root: str) -> frozenset[str]:
    """Return the ARNs of the secrets that the board has."""
    path = inside(root, Tree(greengrass_root).secrets)
    try:
        return frozenset(json.loads(file_bytes(path))["secrets"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def value(
    root: Path, greengrass_root: str, allowed: Sequence[str], secret_id: str, stage: str | None
) -> dict[str, object]:
    """Return what ``get_secret_value`` answers for a function that has the secrets ``allowed`` (ARNs) attached.

    ``secret_id`` is an ARN or a name. Raises LookupError with a sentence for the function; EdgeSimError when what
    lies on the disk cannot be read.
    """
    for arn, secret in _opened(root, greengrass_root, allowed).items():
        if secret_id not in (arn, secret["Name"]):
            continue
        for version in secret["Versions"]:
            if (stage or CURRENT) in version["VersionStages"]:
                return {"ARN": arn, "Name": secret["Name"], **version}
        labels = sorted({label for version in secret["Versions"] for label in version["VersionStages"]})
        raise LookupError(f"Secret {secret_id} has no version {stage or CURRENT} here, only {', '.join(labels)}")
    raise LookupError(f"Secret {secret_id} is not attached to this function, or does not exist on this core")


def _opened(root: Path, greengrass_root: str, allowed: Sequence[str]) -> dict[str, Any]:
    path = inside(root, Tree(greengrass_root).secrets)
    try:
        file = json.loads(file_bytes(path))
        texts = {arn: file["secrets"][arn] for arn in allowed if arn in file["secrets"]}
        if not texts:
            return {}
        key = libcrypto.unwrap(private_key(root, greengrass_root), base64.b64decode(file["key"]))
        return {
            arn: json.loads(libcrypto.decrypt(key, base64.b64decode(text), arn.encode())) for arn, text in texts.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EdgeSimError(f"{path}: the secrets cannot be read", hint="Deploy again.") from error


def _url(document: Mapping[str, object], resource: Resource) -> str:
    known = document.get("Secrets")
    entry = known.get(resource.id) if isinstance(known, Mapping) else None
    if not isinstance(entry, Mapping) or not isinstance(entry.get("Url"), str):
        raise InvalidDefinitionError(
            f"resource {resource.id}: the deployment document does not say where its secret is"
        )
    return str(entry["Url"])


def _check(resource_id: str, data: Secret, secret: Mapping[str, object]) -> None:
    """Raise InvalidDefinitionError unless what came is the secret that the resource names, with all its labels."""
    versions = secret.get("Versions")
    same = secret.get("ARN") == data.arn
    if not (same and isinstance(versions, list) and all(map(_is_version, versions))):
        raise InvalidDefinitionError(f"resource {resource_id}: the response is for another secret than {data.arn}")
    there = {label for version in versions for label in version["VersionStages"]}
    missing = [label for label in (CURRENT, *data.staging_labels) if label not in there]
    if missing:
        raise InvalidDefinitionError(f"resource {resource_id}: no version of its secret is labelled {missing[0]}")


def _is_version(version: object) -> bool:
    return isinstance(version, Mapping) and isinstance(version.get("VersionStages"), list)


def _file(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, indent=1).encode() + b"\n"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
