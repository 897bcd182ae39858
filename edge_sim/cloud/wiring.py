"""How the cloud's parts are put together. Everything gets what it needs handed in; only this file knows all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_sim import s3
from edge_sim.cloud.app import App
from edge_sim.cloud.artifacts import ArtifactStore, UrlSigner, artifact_path, object_path, signing_key
from edge_sim.cloud.bridge import Bridge
from edge_sim.cloud.control import ControlApi
from edge_sim.cloud.door import Door
from edge_sim.cloud.downloads import Downloads
from edge_sim.cloud.greengrass import cores
from edge_sim.cloud.greengrass.api import GreengrassApi
from edge_sim.cloud.greengrass.arns import Namespace
from edge_sim.cloud.greengrass.building import Builder
from edge_sim.cloud.greengrass.definitions import Definitions
from edge_sim.cloud.greengrass.deployments import Deployments, SignUrl
from edge_sim.cloud.greengrass.function_code import FunctionCodes
from edge_sim.cloud.greengrass.updates import Catalogue, Updates, build_digest
from edge_sim.cloud.iot.api import IotApi
from edge_sim.cloud.iot.certificates import Certificates
from edge_sim.cloud.iot.gate import Gate
from edge_sim.cloud.iot.policies import Policies
from edge_sim.cloud.jobs.api import iot_handlers, jobs_data_handlers
from edge_sim.cloud.jobs.delivery import Presign
from edge_sim.cloud.jobs.device import DevicePlane
from edge_sim.cloud.jobs.rollouts import MINUTE_S
from edge_sim.cloud.jobs.service import JobsService
from edge_sim.cloud.protocol import Service
from edge_sim.cloud.source_server import SourceServer
from edge_sim.cloud.sources import Sources
from edge_sim.cloud.store import Store
from edge_sim.errors import InvalidDefinitionError

if TYPE_CHECKING:  # cryptography is imported with the first certificate
    from edge_sim.cloud.ca import CertificateAuthority


@dataclass(frozen=True, kw_only=True)
class CloudSettings:
    """What a cloud is started with. ``sources`` is "moto", "aws" or a URL.

    ``mqtt_url`` is where devices find the broker; the cloud itself finds it at ``broker_url``, with the CA certificates
    of ``broker_cafile`` and the user and password of ``broker_login``. ``authority`` returns the CA. ``key`` are the
    access key id and the secret of the API's clients when there is TLS, ``names`` the names of its server. ``minute_s``
    is how long a minute of a rollout's rate lasts.
    """

    state: Path | None
    folder: Path
    http_url: str
    mqtt_url: str
    broker_url: str
    broker_cafile: Path | None
    broker_login: tuple[str, str] | None
    authority: Callable[[], CertificateAuthority]
    key: tuple[str, str] | None = None
    names: frozenset[str] = frozenset()
    region: str
    account: str
    sources: str
    catalogue: Catalogue = lambda *_: None
    minute_s: float = MINUTE_S


@dataclass(frozen=True, kw_only=True)
class CloudParts:
    """The parts that callers use."""

    app: App
    store: Store
    deployments: Deployments
    functions: FunctionCodes
    updates: Updates
    jobs: JobsService
    source_server: SourceServer | None
    sign_url: SignUrl
    gate: Gate


def wire(settings: CloudSettings, stack: ExitStack, changed: Callable[[], None]) -> CloudParts:
    """Make all parts and connect them to the broker; whatever has to be closed is put on ``stack``.

    ``changed`` is called when somebody has gained or lost a right.
    """
    store = Store(settings.state)
    stack.callback(store.close)
    namespace = Namespace(region=settings.region, account=settings.account)
    artifacts = ArtifactStore(settings.folder)
    signer = UrlSigner(signing_key(store))
    sign_url = partial(_signed, signer, settings.http_url)
    server = _source_server(settings, store, stack)
    sources = _sources(settings, artifacts, store, server)
    device = DevicePlane(store, presign=_presign(store, sources, server, sign_url), minute_s=settings.minute_s)
    jobs = JobsService(device, region=settings.region, account=settings.account)
    updates = Updates(store, artifacts, namespace, jobs.create_job, settings.catalogue)
    functions, definitions = FunctionCodes(store, artifacts), Definitions(store, namespace)
    builder = Builder(definitions, sources, functions, namespace)

    def announce(thing: str, deployment: dict[str, object]) -> None:
        changed()  # the group's subscriptions are rights of its core
        bridge.announce(thing, deployment)

    deployments = Deployments(store, namespace, definitions, builder, sign_url=sign_url, announce=announce)
    cafile, login = settings.broker_cafile, settings.broker_login
    bridge = Bridge(settings.broker_url, device, deployments.desired, cafile=cafile, login=login)
    stack.callback(bridge.stop)
    device.start()
    stack.callback(device.stop)
    stack.callback(deployments.close)
    api = GreengrassApi(store, definitions=definitions, deployments=deployments, updates=updates)
    gate, door, registry = _registry(settings, store, jobs, changed)
    control = ControlApi(
        load_sources=lambda entries: load_sources(server, entries),
        functions=functions,
        updates=updates,
        advice=deployments.advice,
        health=lambda: _health(settings, bridge),
        register_things=jobs.register,
    )
    app = App(
        {"greengrass": api.service(), **_iot(settings, jobs, registry)},
        downloads=Downloads(artifacts, signer, deployments, sources.object, door),
        control=control,
        region=settings.region,
        door=door,
    )
    return CloudParts(
        app=app,
        store=store,
        deployments=deployments,
        functions=functions,
        updates=updates,
        jobs=jobs,
        source_server=server,
        sign_url=sign_url,
        gate=gate,
    )


def _signed(signer: UrlSigner, base: str, method: str, path: str, expires_s: int) -> str:
    return signer.sign(base, path, expires_s=expires_s, method=method)


def _registry(
    settings: CloudSettings, store: Store, jobs: JobsService, changed: Callable[[], None]
) -> tuple[Gate, Door | None, IotApi]:
    """Return the gate of MQTT, the door of HTTPS (None without TLS) and the operations on certificates and policies."""
    region, account = settings.region, settings.account
    certificates = Certificates(store, settings.authority, region=region, account=account)
    policies = Policies(store, region=region, account=account)
    gate = Gate(
        certificates,
        policies,
        attributes=jobs.things.attributes,
        table=partial(cores.subscriptions, store),
        region=region,
        account=account,
    )
    api = IotApi(store, certificates, policies, known=jobs.things.describe, account=settings.account, changed=changed)
    door = Door(gate, settings.key, partial(cores.deployment, store), settings.names) if settings.key else None
    return gate, door, api


def load_sources(server: SourceServer | None, entries: Sequence[Mapping[str, Any]]) -> None:
    """Load sources into the server in this process; refused when another endpoint was chosen."""
    if server is None:
        hint = "Upload them there yourself, or omit the endpoint."
        raise InvalidDefinitionError("sources are loaded only into the built-in server", hint=hint)
    server.load(entries)


def _source_server(settings: CloudSettings, store: Store, stack: ExitStack) -> SourceServer | None:
    if settings.sources != "moto":
        return None
    server = SourceServer(store, region=settings.region, account=settings.account)
    stack.callback(server.close)
    return server


def _sources(settings: CloudSettings, artifacts: ArtifactStore, store: Store, server: SourceServer | None) -> Sources:
    url = None if settings.sources == "aws" else settings.sources
    endpoint = server.url if server else lambda: url
    return Sources(artifacts, store, region=settings.region, origin=settings.sources, endpoint=endpoint)


def _presign(store: Store, sources: Sources, server: SourceServer | None, sign_url: SignUrl) -> Presign:
    """Return what turns an S3 address of a job document into a URL that a device can get.

    An object of the built-in S3, which is on loopback, is behind this cloud's own door. It is called inside the store's
    transaction, so it must not start moto: that waits for the store in turn.
    """

    def presign(url: str, expires_s: int, thing: str) -> str:
        digest = build_digest(store, url)
        if digest is not None:
            return sign_url("GET", artifact_path(digest, thing), expires_s)
        place = s3.of_address(url)
        if place is None or (server is not None and not server.running):
            raise InvalidDefinitionError(f"{url}: there is no such object in this cloud")
        if server is not None:
            return sign_url("GET", object_path(*place, thing), expires_s)
        return sources.presigned(*place, expires_s)

    return presign


def _iot(settings: CloudSettings, jobs: JobsService, registry: IotApi) -> dict[str, Service]:
    mqtt, http = (url.partition("://")[2] for url in (settings.mqtt_url, settings.http_url))
    endpoints = {"iot:Data": mqtt, "iot:Data-ATS": mqtt, "iot:Jobs": http}
    return {
        "iot": Service("iot", {**iot_handlers(jobs, endpoints), **registry.handlers()}),
        "iot-jobs-data": Service("iot-jobs-data", jobs_data_handlers(jobs)),
    }


def _health(settings: CloudSettings, bridge: Bridge) -> dict[str, Any]:
    return {
        "http": settings.http_url,
        "mqtt": settings.mqtt_url,
        "connected": bridge.connected,
        "region": settings.region,
        "account": settings.account,
        "state": str(settings.state) if settings.state else None,
    }
