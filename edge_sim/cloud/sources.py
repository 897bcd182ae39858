"""Where models and secrets come from: S3, SageMaker and Secrets Manager, through boto3 and any endpoint.

The endpoint is real AWS, any server that speaks these APIs, or (the default) moto's server in this process, which
``source_server`` fills. A model is copied to the artifact store at Building time, as V1 did. Of a secret the versions
are chosen then; its values are fetched when the core asks for them, handed on, and never kept.

The text fragments on missing and unreadable objects are V1's (aws-greengrass-provisioner looks for them); the words
around them are ours.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from edge_sim import s3
from edge_sim.arns import SOMEWHERE, pattern
from edge_sim.cloud import clients
from edge_sim.cloud.artifacts import CHUNK, ArtifactStore, StoredFile
from edge_sim.cloud.store import Store
from edge_sim.errors import InvalidDefinitionError, assert_never
from edge_sim.greengrass.resources import Model, Resource, S3Model, SageMakerModel, Secret

_log = logging.getLogger(__name__)

FORGOTTEN = "edge-sim: the value was given to an earlier run and was not stored"
"""Describes a secret of ``source_server`` whose value a restart has taken."""
_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"total_max_attempts": 3, "mode": "standard"},
    s3={"addressing_style": "path"},
)
TRAINING_JOB = re.compile(pattern("sagemaker", "training-job/(?P<name>[a-zA-Z0-9-]{1,63})", SOMEWHERE))
_MISSING = {"NoSuchKey", "NoSuchBucket", "404", "NotFound"}
_FORBIDDEN = {"AccessDenied", "403", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch"}


@dataclass(frozen=True, kw_only=True)
class ModelPackage:
    """A model package in the artifact store; ``file_name`` is the last part of its S3 key."""

    file: StoredFile
    file_name: str


class Sources:
    """Resolves what resources refer to. ``endpoint`` returns the URL to ask, or None for real AWS.

    ``store`` remembers the ETag of what was copied from ``origin`` (a name of the endpoint that outlives its address).
    """

    def __init__(
        self,
        artifacts: ArtifactStore,
        store: Store,
        *,
        region: str,
        origin: str,
        endpoint: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._artifacts = artifacts
        self._store = store
        self._region = region
        self._origin = origin
        self._endpoint = endpoint

    def client(self, service: str) -> Any:
        """Return a boto3 client of the endpoint. Test credentials are used everywhere but at real AWS."""
        return make_client(service, self._region, self._endpoint())

    def package(self, resource: Resource, data: Model) -> ModelPackage:
        """Copy a model's package to the artifact store, unless it is stored already and did not change.

        Raises InvalidDefinitionError, with V1's fragments, when it cannot be read.
        """
        match data:
            case SageMakerModel():
                return self._copy(resource, self._model_artifacts(resource, data.job_arn))
            case S3Model():
                return self._copy(resource, data.s3_uri)
            case _:
                return assert_never(data)

    def secret_versions(self, resource: Resource, data: Secret) -> tuple[str, ...]:
        """Return the ids of the versions that a secret resource asks for: AWSCURRENT's and those of its other labels.

        Raises InvalidDefinitionError when the secret or one of the labels does not exist.
        """
        try:
            description = self.client("secretsmanager").describe_secret(SecretId=data.arn)
        except (ClientError, BotoCoreError) as error:
            raise _secret_problem(resource, data.arn, error) from error
        labels = {label: id_ for id_, stages in description.get("VersionIdsToStages", {}).items() for label in stages}
        if description.get("Description") == FORGOTTEN:
            raise InvalidDefinitionError(
                f"resource {resource.name}: the value of the secret {data.arn} was given to an earlier run of this "
                "cloud and was not stored",
                hint="Register the source again: PUT /edge-sim/sources",
            )
        if description.get("DeletedDate"):
            raise InvalidDefinitionError(f"resource {resource.name}: the secret {data.arn} is scheduled for deletion")
        missing = [label for label in ("AWSCURRENT", *data.staging_labels) if label not in labels]
        if missing:
            text = f"resource {resource.name}: the secret {data.arn} has no version labelled {', '.join(missing)}"
            raise InvalidDefinitionError(text)
        return tuple(dict.fromkeys(labels[label] for label in ("AWSCURRENT", *data.staging_labels)))

    def secret_value(self, arn: str, versions: Sequence[str]) -> dict[str, object]:
        """Return ``{"ARN", "Name", "Versions"}`` with the values of some versions, as the core stores them.

        Raises InvalidDefinitionError when one of them no longer exists.
        """
        client = self.client("secretsmanager")
        value = {}
        try:
            for id_ in versions:
                answer = client.get_secret_value(SecretId=arn, VersionId=id_)
                value[id_] = _version(answer)
        except (ClientError, BotoCoreError) as error:
            why = _why(error) if isinstance(error, ClientError) else str(error)
            raise InvalidDefinitionError(f"the secret {arn} cannot be read: {why}") from error
        return {"ARN": arn, "Name": answer["Name"], "Versions": list(value.values())}

    def presigned(self, bucket: str, key: str, expires_s: int) -> str:
        """Return the endpoint's own presigned URL of an S3 object."""
        signed: str = self.client("s3").generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=expires_s
        )
        return signed

    def object(self, bucket: str, key: str) -> StoredFile | None:
        """Copy an S3 object to the artifact store, unless it did not change; None where it cannot be read."""
        try:
            return self._fetched(f"s3://{bucket}/{key}", bucket, key)
        except (ClientError, BotoCoreError) as error:
            _log.warning("s3://%s/%s cannot be read: %s", bucket, key, error)
            return None

    def _model_artifacts(self, resource: Resource, arn: str) -> str:
        match = TRAINING_JOB.fullmatch(arn)
        if match is None:
            raise InvalidDefinitionError(f"resource {resource.name}: {arn} is not the ARN of a training job")
        try:
            job = self.client("sagemaker").describe_training_job(TrainingJobName=match["name"])
        except ClientError as error:
            text = f"resource {resource.name}: the training job {arn} cannot be read: {_why(error)}"
            raise InvalidDefinitionError(text) from error
        except BotoCoreError as error:
            raise _unreachable(resource, error) from error
        uri: str = job.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
        if not uri or job.get("TrainingJobStatus") != "Completed":
            status = job.get("TrainingJobStatus", "unknown")
            text = f"resource {resource.name}: the training job {arn} has no model (its status is {status})"
            raise InvalidDefinitionError(text)
        return uri

    def _copy(self, resource: Resource, uri: str) -> ModelPackage:
        place = s3.of_address(uri)
        if place is None:
            raise InvalidDefinitionError(f"resource {resource.name}: {uri} is not the URI of an S3 object")
        try:
            file = self._fetched(uri, *place)
        except ClientError as error:
            raise _object_problem(resource, uri, error) from error
        except BotoCoreError as error:
            raise _unreachable(resource, error) from error
        except InvalidDefinitionError as error:
            raise InvalidDefinitionError(f"resource {resource.name}: {uri}: {error.brief}") from error
        return ModelPackage(file=file, file_name=place.key.rsplit("/", 1)[-1])

    def _fetched(self, uri: str, bucket: str, key: str) -> StoredFile:
        """Fetch an object, or return the copy of it that its ETag still names (DG ml-inference.md: only if changed)."""
        known = self._store.get("fetched", uri)
        if known is None or known["origin"] != self._origin or self._artifacts.path(known["sha256"]) is None:
            known = None
        condition = {"IfNoneMatch": known["etag"]} if known else {}
        try:
            answer = self.client("s3").get_object(Bucket=bucket, Key=key, **condition)
        except ClientError as error:
            if known is None or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 304:
                raise
            return StoredFile(sha256=known["sha256"], size=known["size"])
        file = self._artifacts.write(_chunks(answer["Body"]))
        etag = answer.get("ETag", "")
        if etag.startswith('"'):
            body = {"origin": self._origin, "etag": etag, "sha256": file.sha256, "size": file.size}
            self._store.put("fetched", uri, body)
        return file


@lru_cache(maxsize=32)
def make_client(service: str, region: str, url: str | None) -> Any:
    """Return a boto3 client for real AWS, or for another server."""
    if url is None:
        return boto3.session.Session().client(service, region_name=region, config=_CONFIG)
    return clients.make_client(service, endpoint_url=url, region=region, config=_CONFIG)


def _version(answer: Mapping[str, Any]) -> dict[str, object]:
    """Return one version of a secret as the Core SDK gets it: the date in milliseconds, bytes in base64."""
    version: dict[str, object] = {
        "VersionId": answer["VersionId"],
        "VersionStages": answer["VersionStages"],
        "CreatedDate": int(answer["CreatedDate"].timestamp() * 1000),
    }
    if "SecretString" in answer:
        return {**version, "SecretString": answer["SecretString"]}
    return {**version, "SecretBinary": base64.b64encode(answer["SecretBinary"]).decode("ascii")}


def _chunks(body: Any) -> Iterator[bytes]:
    yield from body.iter_chunks(CHUNK)


def _object_problem(resource: Resource, uri: str, error: ClientError) -> InvalidDefinitionError:
    code = error.response.get("Error", {}).get("Code", "")
    if code in _MISSING:
        return InvalidDefinitionError(
            f"The group refers to a resource {resource.name} with nonexistent S3 object {uri}",
            hint="Upload the object, or add it to the scenario's sources.",
        )
    if code in _FORBIDDEN:
        return InvalidDefinitionError(
            f"Greengrass does not have permission to read the object {uri} of resource {resource.name}"
        )
    return InvalidDefinitionError(f"resource {resource.name}: {uri} cannot be read: {_why(error)}")


def _secret_problem(resource: Resource, arn: str, error: ClientError | BotoCoreError) -> InvalidDefinitionError:
    if isinstance(error, BotoCoreError):
        return _unreachable(resource, error)
    code = error.response.get("Error", {}).get("Code", "")
    why = "does not exist" if code == "ResourceNotFoundException" else f"cannot be read: {_why(error)}"
    return InvalidDefinitionError(f"resource {resource.name}: the secret {arn} {why}")


def _unreachable(resource: Resource, error: BotoCoreError) -> InvalidDefinitionError:
    return InvalidDefinitionError(
        f"resource {resource.name}: Artifact download retry exceeded the max retries: {error}"
    )


def _why(error: ClientError) -> str:
    body = error.response.get("Error", {})
    return f"{body.get('Code', 'error')}: {body.get('Message', '')}".rstrip(": ")
