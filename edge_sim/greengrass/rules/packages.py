"""Rules about where models and secrets come from, and where models appear.

Pages: ml-inference.md, secrets.md; access-ml-resources.md for nested destinations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge_sim import s3
from edge_sim.arns import SOMEWHERE, pattern
from edge_sim.facts import below
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.model import is_open
from edge_sim.greengrass.resources import Resource, S3Model, SageMakerModel, Secret
from edge_sim.greengrass.rules.case import Case
from edge_sim.greengrass.rules.rule import Fault, Rule, rule

_TRAINING_JOB = re.compile(
    pattern("sagemaker", "training-job/[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", "[a-z0-9-]*:[0-9]{12}"), re.ASCII
)
_BUCKET = re.compile(r"[a-zA-Z0-9._-]{3,255}")
_MAX_KEY_BYTES = 1024
_MAX_LABEL = 256
_PROVISIONER = "aws-greengrass-provisioner (what the service will not accept)"
_SECRET = re.compile(pattern("secretsmanager", "secret:(?P<name>[A-Za-z0-9/_+=.@-]{1,519})", SOMEWHERE))
_SUFFIX = re.compile(r".+-[A-Za-z0-9]{6}")
"""What Secrets Manager adds to a secret's name, of at most 512 characters, in its ARN."""


@rule("model-package", condition="sourced", timing="inferred", source="ml-inference.md")
def package(case: Case) -> Iterator[Fault]:
    """An S3 model is a .tar.gz or .zip package at s3://bucket/key."""
    for resource, uri, bucket, key in _s3(case):
        if not bucket or not key.endswith((".tar.gz", ".zip")):
            message = f"resource {resource.id}: S3Uri {uri!r} must be s3://bucket/key ending in .tar.gz or .zip"
            yield _fault(resource, "S3Uri", message)


@rule(
    "model-uri-disputed",
    condition="sourced",
    timing="inferred",
    severity="warning",
    source="CloudFormation's reference (…::ResourceDefinition) writes http://BUCKET.s3.amazonaws.com/KEY; "
    "access-ml-resources.md s3://…; whether V1 took the former is not known",
    hint="Write s3://BUCKET/KEY.",
)
def address(case: Case) -> Iterator[Fault]:
    """An S3Uri is written s3://bucket/key; one of AWS's examples has the object's http address."""
    for resource, uri, bucket, _ in _s3(case):
        if bucket and not uri.startswith("s3://"):
            yield _fault(resource, "S3Uri", f"resource {resource.id}: S3Uri {uri!r} is an http address")


@rule("model-bucket", condition="sourced", timing="inferred", source="ml-inference.md")
def bucket_name(case: Case) -> Iterator[Fault]:
    """The name of a model's bucket has no period."""
    for resource, _, bucket, _ in _s3(case):
        if "." in bucket:
            message = f"resource {resource.id}: bucket name {bucket!r} must not contain a period"
            yield _fault(resource, "S3Uri", message)


@rule(
    "model-object",
    condition="sourced",
    timing="inferred",
    source="botocore's handlers.py (VALID_BUCKET); Amazon S3 user guide: a bucket has 3 characters or more, a key "
    "1,024 bytes or less",
)
def object_name(case: Case) -> Iterator[Fault]:
    """A model's bucket and key are such as S3 has."""
    for resource, _, bucket, key in _s3(case):
        size = len(key.encode())
        if bucket and not _BUCKET.fullmatch(bucket):
            yield _fault(resource, "S3Uri", f"resource {resource.id}: no bucket is named {bucket!r}")
        elif size > _MAX_KEY_BYTES:
            message = (
                f"resource {resource.id}: the key in its S3Uri has {size:,} bytes, and S3's {_MAX_KEY_BYTES:,} at most"
            )
            yield _fault(resource, "S3Uri", message)


@rule(
    "model-bucket-policy",
    condition="sourced",
    timing="sourced",
    severity="note",
    source="ml-inference.md; the managed policy AWSGreengrassResourceAccessRolePolicy",
    hint="Give the Greengrass service role s3:GetObject on that bucket.",
)
def bucket_policy(case: Case) -> Iterator[Fault]:
    """The default service role reads only buckets with greengrass or sagemaker in their name."""
    for resource, _, bucket, _ in _s3(case):
        if bucket and "greengrass" not in bucket and "sagemaker" not in bucket:
            message = f"resource {resource.id}: the default service role does not read bucket {bucket!r}"
            yield _fault(resource, "S3Uri", message)


@rule(
    "training-job",
    condition="sourced",
    timing="inferred",
    source="ml-inference.md; botocore greengrass 2017-06-07, sagemaker 2017-07-24 (TrainingJobArn)",
)
def training_job(case: Case) -> Iterator[Fault]:
    """A SageMaker model names a training job by its ARN."""
    for resource, job in case.of_kind(SageMakerModel):
        if not (_TRAINING_JOB.fullmatch(job.job_arn) or is_open(job.job_arn)):
            message = f"resource {resource.id}: {job.job_arn!r} is not the ARN of a SageMaker training job"
            yield _fault(resource, "SageMakerJobArn", message)


@rule("model-destination-unique", condition="sourced", timing="inferred", source=_PROVISIONER)
def one_destination_each(case: Case) -> Iterator[Fault]:
    """Two models of the same kind that one function is attached to may not have the same destination."""
    for before, resource, function in _same_destination(case):
        if function is not None:
            yield _doubled(before, resource, f", and function {function.id} is attached to both")


@rule(
    "model-destination-disputed",
    condition="sourced",
    timing="inferred",
    severity="warning",
    source=f"{_PROVISIONER}; the template of aws-samples/aws-greengrass-ml-deployment-sample has such models, "
    "each of a function of its own",
    hint="Giving each model its own destination satisfies both.",
)
def destination_disputed(case: Case) -> Iterator[Fault]:
    """Two models of the same kind have the same destination: an AWS tool refuses that, an AWS sample does it."""
    for before, resource, function in _same_destination(case):
        if function is None:
            yield _doubled(before, resource, "")


@rule(
    "model-nested-destination",
    condition="sourced",
    timing="inferred",
    aws_text="NoContainer Function <function-arn> refers to resources of nested destination path.",
    source="gg-troubleshooting.md; access-ml-resources.md",
    since="1.10",
    hint="Give each model of the function its own destination, outside those of the others.",
)
def nested_destinations(case: Case) -> Iterator[Fault]:
    """Models of one No-container function may not have the same or nested destinations."""
    attached: dict[int, list[tuple[str, Resource]]] = {}
    for a in case.models:
        if not a.contained:
            attached.setdefault(a.number, []).append(((a.resource.destination_path or "").rstrip("/"), a.resource))
    for number, places in attached.items():
        function = case.group.functions[number]
        for (outer, above), (inner, resource) in _nested(places):
            yield Fault(
                path=f"{resource.data_path}.DestinationPath",
                message=f"function {function.id}: destination {inner} of model {resource.id} is "
                f"{'that' if outer == inner else f'inside {outer},'} of model {above.id}",
                resource=resource.id,
                function=function.id,
                values={"function-arn": function.arn},
            )


@rule(
    "secret-arn",
    condition="sourced",
    timing="inferred",
    source="secrets.md; botocore greengrass 2017-06-07, secretsmanager 2017-10-17 (the characters of a name)",
)
def secret_arn(case: Case) -> Iterator[Fault]:
    """A secret resource names its secret by ARN, with region, account and a name that a secret can have."""
    for resource, arn in _secrets(case):
        if not _SECRET.fullmatch(arn) and not is_open(arn):
            yield _fault(resource, "ARN", f"resource {resource.id}: {arn!r} is not the ARN of a secret")


@rule(
    "secret-arn-partial",
    condition="sourced",
    timing="ours",
    severity="warning",
    source="botocore secretsmanager 2017-10-17 (SecretId): a partial ARN finds a secret, a complete one is "
    "recommended; secrets.md has complete ARNs; what V1 did with a partial one is not known",
    hint="Copy the whole ARN: aws secretsmanager describe-secret --secret-id NAME --query ARN",
)
def secret_arn_partial(case: Case) -> Iterator[Fault]:
    """A secret's ARN ends in the hyphen and six characters that Secrets Manager adds to the secret's name."""
    for resource, arn in _secrets(case):
        match = _SECRET.fullmatch(arn)
        if match and not _SUFFIX.fullmatch(match["name"]):
            message = f"resource {resource.id}: the ARN of secret {match['name']} lacks its suffix of six characters"
            yield _fault(resource, "ARN", message)


@rule("duplicate-secret", condition="sourced", timing="inferred", source=_PROVISIONER)
def duplicate_secrets(case: Case) -> Iterator[Fault]:
    """A secret may be referenced only once in a group."""
    first: dict[str, Resource] = {}
    for resource, arn in _secrets(case):
        before = first.setdefault(arn, resource)
        if before is not resource:
            message = f"resource {resource.id}: secret {arn} already belongs to resource {before.id}"
            yield _fault(resource, "ARN", message)


@rule(
    "secret-name-policy",
    condition="sourced",
    timing="sourced",
    severity="note",
    source="secrets.md (the default policy of the service role)",
    hint="Give the Greengrass service role secretsmanager:GetSecretValue on that secret.",
)
def secret_policy(case: Case) -> Iterator[Fault]:
    """The default service role reads only secrets whose names start with greengrass-."""
    for resource, arn in _secrets(case):
        match = _SECRET.fullmatch(arn)
        if match and not match["name"].startswith("greengrass-"):
            message = f"resource {resource.id}: the default service role does not read secret {match['name']}"
            yield _fault(resource, "ARN", message)


@rule(
    "secret-label",
    condition="sourced",
    timing="inferred",
    source="secrets.md; botocore secretsmanager 2017-10-17 (SecretVersionStageType)",
)
def secret_labels(case: Case) -> Iterator[Fault]:
    """A staging label has 1 to 256 characters."""
    for resource, secret in case.of_kind(Secret):
        for index, label in enumerate(secret.staging_labels):
            if not 1 <= len(label) <= _MAX_LABEL:
                message = f"resource {resource.id}: a staging label has 1 to {_MAX_LABEL} characters, not {len(label)}"
                yield _fault(resource, f"AdditionalStagingLabelsToDownload[{index}]", message)


@rule(
    "secret-current",
    condition="sourced",
    timing="inferred",
    severity="note",
    source="secrets.md",
)
def secret_current(case: Case) -> Iterator[Fault]:
    """AWSCURRENT is always fetched; it need not be among the additional labels."""
    for resource, secret in case.of_kind(Secret):
        if "AWSCURRENT" in secret.staging_labels:
            message = f"resource {resource.id}: AWSCURRENT is always fetched and need not be listed"
            yield _fault(resource, "AdditionalStagingLabelsToDownload", message)


def _same_destination(case: Case) -> Iterator[tuple[Resource, Resource, Function | None]]:
    """Yield each model whose destination another of its kind has before it, and a function attached to both, if any."""
    users: dict[str, set[int]] = {}
    for a in case.models:
        users.setdefault(a.resource.id, set()).add(a.number)
    first: dict[tuple[str, str], list[Resource]] = {}
    for resource in case.group.resources:
        if resource.model:
            own = users.get(resource.id, set())
            same = first.setdefault((resource.data.kind.type_name, resource.model.destination_path), [])
            shared = next((before for before in same if own & users.get(before.id, set())), None)
            if shared is not None:
                yield shared, resource, case.group.functions[min(own & users[shared.id])]
            elif same:
                yield same[0], resource, None
            same.append(resource)


def _doubled(before: Resource, resource: Resource, more: str) -> Fault:
    message = (
        f"resource {resource.id}: destination {resource.destination_path} already belongs to model {before.id} "
        f"of the same kind{more}"
    )
    return _fault(resource, "DestinationPath", message)


def _nested(places: list[tuple[str, Resource]]) -> Iterator[tuple[tuple[str, Resource], tuple[str, Resource]]]:
    """Yield each place with the place above it, in one pass: sorted by components, that one comes right before."""
    holders: list[tuple[str, Resource]] = []
    for place in sorted(places, key=lambda p: p[0].split("/")):
        while holders and not below(place[0], holders[-1][0]):
            holders.pop()
        if holders:
            yield holders[-1], place
        holders.append(place)


def _s3(case: Case) -> Iterator[tuple[Resource, str, str, str]]:
    """Yield each S3 model with URI, bucket and key, both empty where it is no S3 object; open ones are passed over."""
    for resource, model in case.of_kind(S3Model):
        if not is_open(model.s3_uri):
            place = s3.of_address(model.s3_uri)
            yield resource, model.s3_uri, place.bucket if place else "", place.key if place else ""


def _secrets(case: Case) -> Iterator[tuple[Resource, str]]:
    return ((resource, secret.arn) for resource, secret in case.of_kind(Secret))


def _fault(resource: Resource, key: str, message: str) -> Fault:
    return Fault(path=f"{resource.data_path}.{key}", message=message, resource=resource.id)


RULES: tuple[Rule, ...] = (
    package,
    address,
    bucket_name,
    object_name,
    bucket_policy,
    training_job,
    one_destination_each,
    destination_disputed,
    nested_destinations,
    secret_arn,
    secret_arn_partial,
    duplicate_secrets,
    secret_policy,
    secret_labels,
    secret_current,
)
