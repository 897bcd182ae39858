"""moto's server in this process, as S3, SageMaker and Secrets Manager, filled from a scenario's ``sources``.

It starts when it is first needed. What was loaded is remembered by path, so that a restart of the cloud fills it again;
secret values are not remembered: after a restart a secret exists, but a deployment that needs it is refused.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_sim import s3
from edge_sim.arns import SOMEWHERE, arn, pattern
from edge_sim.cloud.hosts import is_local
from edge_sim.cloud.packages import FORMATS, Format, archive_format, packed
from edge_sim.cloud.sources import FORGOTTEN, TRAINING_JOB, make_client
from edge_sim.cloud.store import Store
from edge_sim.errors import InvalidDefinitionError

_log = logging.getLogger(__name__)

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SECRET = re.compile(pattern("secretsmanager", "secret:(?P<name>[A-Za-z0-9/_+=.@-]+?)(-[A-Za-z0-9]{6})?", SOMEWHERE))


class SourceServer:
    """The three services, on a free loopback port. Call ``close`` at the end."""

    def __init__(self, store: Store, *, region: str, account: str) -> None:
        self._store = store
        self._region = region
        self._account = account
        self._lock = threading.RLock()
        self._server: Any = None
        self._url = ""

    def url(self) -> str:
        """Return the server's address; the first call starts it and loads what the state remembers."""
        with self._lock:
            if self._server is None:
                self._start()
                for entry in self._store.list("source"):
                    self._restore(entry)
            return self._url

    @property
    def running(self) -> bool:
        """Say whether the server has been started. Takes no lock, so that it may be asked inside a transaction."""
        return self._server is not None

    def load(self, entries: Sequence[Mapping[str, object]]) -> None:
        """Add sources: ``{"uri", "path", "format"?}`` or ``{"uri", "secret"}``; an existing one is replaced.

        ``secret`` is ``{"SecretString": text, "Stages"?: {label: text}}``. Raises InvalidDefinitionError naming the
        source; all are looked at before the first one is loaded.
        """
        with self._lock:
            checked = [_entry(entry) for entry in entries]
            self.url()
            for entry in checked:
                self._load(entry)
                remembered = {key: value for key, value in entry.items() if key != "secret"}
                remembered["labels"] = sorted(entry.get("secret", {}).get("Stages", {}))
                self._store.put("source", entry["uri"], remembered)

    def close(self) -> None:
        """Stop the server if it runs."""
        with self._lock:
            if self._server is not None:
                self._server.stop()
                self._server = None

    def _start(self) -> None:
        from moto.server import ThreadedMotoServer  # half a second that most commands do not need

        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        inner: Any = server._server
        inner.app = _without_web_pages(inner.app)
        self._server, self._url = server, f"http://{host}:{port}"
        self._reset()

    def _reset(self) -> None:
        """moto's backends are the process's: what an earlier cloud in this process left there must not be found."""
        from moto.backends import get_backend

        for service in ("s3", "sagemaker", "secretsmanager"):
            backends: Any = get_backend(service)  # account → region → backend
            for account in list(backends.values()):
                for backend in list(account.values()):
                    backend.reset()

    def _client(self, service: str) -> Any:
        return make_client(service, self._region, self._url)

    def _restore(self, entry: dict[str, Any]) -> None:
        if _SECRET.fullmatch(entry["uri"]):
            self._load({**entry, "secret": {"SecretString": FORGOTTEN, "Description": FORGOTTEN}})
        elif Path(entry["path"]).exists():
            self._load(entry)
        else:
            _log.warning("source %s: %s is gone", entry["uri"], entry["path"])

    def _load(self, entry: Mapping[str, Any]) -> None:
        uri = entry["uri"]
        if match := _SECRET.fullmatch(uri):
            self._load_secret(uri, match["name"], entry["secret"])
        elif match := TRAINING_JOB.fullmatch(uri):
            self._load_training_job(match["name"], entry)
        elif place := _object(uri):
            self._upload(*place, entry)

    def _upload(self, bucket: str, key: str, entry: Mapping[str, object]) -> None:
        client = self._client("s3")
        if bucket not in {existing["Name"] for existing in client.list_buckets()["Buckets"]}:
            outside = {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
            client.create_bucket(Bucket=bucket, **(outside if self._region != "us-east-1" else {}))
        with _as_file(entry) as path:
            client.upload_file(str(path), bucket, key)

    def _load_training_job(self, name: str, entry: Mapping[str, object]) -> None:
        from moto.sagemaker.models import sagemaker_backends

        bucket, form = f"sagemaker-{self._region}-{self._account}", _format(entry)
        key = f"{name}/output/model.{form}"
        self._upload(bucket, key, entry)
        jobs = sagemaker_backends[self._account][self._region].training_jobs
        jobs.pop(name, None)
        self._client("sagemaker").create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingInputMode": "File"},
            RoleArn=arn("iam", "role/edge-sim", f":{self._account}"),
            OutputDataConfig={"S3OutputPath": f"s3://{bucket}"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )
        # Real training jobs always write model.tar.gz, and so does moto's. A scenario may still want a zip behind a
        # training job (an AWS endpoint of another maker may answer so), which only the backend itself can be told.
        jobs[name].model_artifacts["S3ModelArtifacts"] = f"s3://{bucket}/{key}"

    def _load_secret(self, arn: str, name: str, secret: Mapping[str, Any]) -> None:
        from moto.secretsmanager.models import secretsmanager_backends

        client = self._client("secretsmanager")
        secrets = secretsmanager_backends[self._account][self._region].secrets
        secrets.pop(name)
        client.create_secret(Name=name, SecretString=secret["SecretString"], Description=secret.get("Description", ""))
        for label, value in secret.get("Stages", {}).items():
            client.put_secret_value(SecretId=name, SecretString=value, VersionStages=[label])
        secrets[name].arn = arn  # its last six characters are random in moto; the scenario's own are wanted


def _without_web_pages(app: Any) -> Any:
    """Return a WSGI application that refuses what comes under another machine's name, as ``App`` does."""

    def guarded(environ: dict[str, Any], start_response: Any) -> Any:
        if is_local(environ.get("HTTP_HOST", "localhost")):
            return app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"edge-sim does not answer for this host: use its address, or localhost.\n"]

    return guarded


def _object(uri: str) -> s3.S3Object | None:
    place = s3.of_uri(uri)
    return place if place and _BUCKET.fullmatch(place.bucket) else None


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source with an absolute path; raises InvalidDefinitionError when it cannot be loaded."""
    uri = entry.get("uri") if isinstance(entry, Mapping) else None
    if not isinstance(uri, str) or not (_object(uri) or TRAINING_JOB.fullmatch(uri) or _SECRET.fullmatch(uri)):
        hint = "It needs an s3://bucket/key URI, or the ARN of a training job or a secret."
        raise InvalidDefinitionError(f"source {uri!r}: not the address of a source", hint=hint)
    if _SECRET.fullmatch(uri):
        _check_secret(uri, entry.get("secret"))
        return dict(entry)
    path = entry.get("path")
    if not isinstance(path, str) or not Path(path).exists():
        raise InvalidDefinitionError(f"source {uri}: {path} does not exist", hint="Give a file or a folder.")
    if not (Path(path).is_dir() or Path(path).is_file()):  # opening a FIFO would wait for somebody to write
        raise InvalidDefinitionError(f"source {uri}: {path} is neither a file nor a folder")
    whole = {**entry, "path": str(Path(path).resolve())}
    if Path(path).is_dir():
        _format(whole)
    return whole


def _check_secret(uri: str, secret: object) -> None:
    stages = secret.get("Stages", {}) if isinstance(secret, Mapping) else None
    texts = [secret.get("SecretString"), *stages.values()] if isinstance(stages, Mapping) else [None]  # type: ignore[attr-defined]
    if not all(isinstance(text, str) and text for text in texts):
        hint = 'Write "secret": {"SecretString": "…", "Stages": {"LABEL": "…"}}; Stages is optional.'
        raise InvalidDefinitionError(f"source {uri}: needs a secret with a SecretString", hint=hint)


def _format(entry: Mapping[str, Any]) -> Format:
    """Return the package format of a source: its ``format``, or what its key or file name ends with."""
    form = entry.get("format")
    if form in FORMATS:
        return FORMATS[form]
    form_by_name = archive_format(entry["uri"]) or archive_format(entry["path"])
    if form is None and form_by_name is None and TRAINING_JOB.fullmatch(entry["uri"]):
        return "tar.gz"
    if form is not None or form_by_name is None:
        text = f"source {entry['uri']}: format must be tar.gz or zip, not {form or 'unknown'}"
        raise InvalidDefinitionError(text, hint='Add "format", or use a key that ends in .tar.gz or .zip.')
    return form_by_name


@contextmanager
def _as_file(entry: Mapping[str, Any]) -> Iterator[Path]:
    path = Path(entry["path"])
    if path.is_dir():
        with packed(path, _format(entry)) as archive:
            yield archive
    else:
        yield path
