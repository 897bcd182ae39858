"""The calls a user makes, with boto3 as it comes: definitions, group, deployment, software update job.

Nothing here knows that the cloud is ours; only ``endpoint_url`` differs from a call to AWS.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from edge_sim.agent.config import STABLE_WINDOW_S
from edge_sim.arns import arn, relocated
from edge_sim.errors import EdgeSimError, InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.greengrass.deployment import ENDED
from edge_sim.greengrass.families import FAMILIES
from edge_sim.jobs.requests import PENDING
from edge_sim.jobs.update import Software

UPDATE_S = 180.0
"""How long an update may go without a sign of progress, beside the board's stable window."""
_POLL_S = 0.1

Alive = Callable[[], object]
"""Raises when a part of the run has died; what it returns changes with every sign of progress on the board."""
_CREDENTIALS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of yours in AWS_PROFILE."


class Aws:
    """boto3 clients for one endpoint. ``check`` raises what is known to be wrong when the endpoint does not answer.

    ``secret`` signs the calls, ``cafile`` is what an https endpoint is checked with; None: the default of each.
    """

    def __init__(
        self,
        endpoint_url: str,
        region: str,
        check: Callable[[], None],
        *,
        secret: str | None = None,
        cafile: Path | None = None,
    ) -> None:
        from botocore.config import Config

        from edge_sim.cloud.clients import TEST_ACCESS_KEY, make_client

        self._check = check
        config = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 2, "mode": "standard"})
        client = partial(
            make_client,
            endpoint_url=endpoint_url,
            region=region,
            config=config,
            secret=secret or TEST_ACCESS_KEY,
            cafile=str(cafile) if cafile else None,
        )
        self.greengrass, self.iot = client("greengrass"), client("iot")

    def call(self, client: Any, operation: str, **params: Any) -> dict[str, Any]:
        """Call one operation. A refusal or a dead endpoint becomes an error that names the call."""
        return call(client, operation, params, self._silent)

    def _silent(self, text: str) -> EdgeSimError:
        self._check()
        operation, _, why = text.partition(": ")
        return UnsupportedEnvironmentError(f"{operation}: the local cloud does not answer: {why}")


def call(
    client: Any, operation: str, params: Mapping[str, Any], silent: Callable[[str], EdgeSimError]
) -> dict[str, Any]:
    """Call one operation of a boto3 client.

    Raises InvalidDefinitionError when it is refused, UnsupportedEnvironmentError without credentials, and ``silent``'s
    error for a server that does not answer.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
    )

    try:
        answer: dict[str, Any] = getattr(client, operation)(**params)
    except ClientError as error:
        details = error.response.get("Error", {})
        message = details.get("Message") or details.get("Code")
        raise InvalidDefinitionError(f"{operation} was refused: {message}") from error
    except ParamValidationError as error:
        raise InvalidDefinitionError(f"{operation}: boto3 refuses the parameters", details=str(error)) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise UnsupportedEnvironmentError(f"{operation} was not sent: {error}", hint=_CREDENTIALS) from error
    except BotoCoreError as error:
        raise silent(f"{operation}: {error}") from error
    return answer


Definitions = Mapping[str, str]
"""ARNs of the definition versions that every board's group refers to, by the API's names in a group version."""


def create_definitions(aws: Aws, name: str, versions: Mapping[str, Mapping[str, Any]]) -> Definitions:
    """Create a definition of each of ``versions`` but the core, and read the resource version back as it was stored."""
    gg, arns = aws.greengrass, {}
    for section, family in FAMILIES.items():
        if section in versions and section != "core":
            operation = f"create_{family.noun}_definition"
            arn = aws.call(gg, operation, Name=name, InitialVersion=versions[section])["LatestVersionArn"]
            stored = _stored(aws, arn, versions[section]) if section == "resources" else arn
            arns[f"{family.kind}DefinitionVersionArn"] = stored
    return arns


def _stored(aws: Aws, arn: str, resources: Mapping[str, Any]) -> str:
    """Create one more version of a resource definition, and return its ARN as it was stored."""
    definition_id = arn.split("/")[-3]
    version = aws.call(
        aws.greengrass,
        "create_resource_definition_version",
        ResourceDefinitionId=definition_id,
        Resources=list(resources.get("Resources", [])),
    )
    stored = aws.call(
        aws.greengrass,
        "get_resource_definition_version",
        ResourceDefinitionId=definition_id,
        ResourceDefinitionVersionId=version["Version"],
    )
    return str(stored["Arn"])


def create_thing(aws: Aws, name: str) -> str:
    """Create the core's thing and return its ARN."""
    arn: str = aws.call(aws.iot, "create_thing", thingName=name)["thingArn"]
    return arn


def deploy(aws: Aws, name: str, thing_arn: str, certificate_arn: str, definitions: Definitions) -> tuple[str, str]:
    """Create a group with one core and deploy it; return the ids of the group and of the deployment.

    The definition's certificate is taken to be of the thing's account and region, as the local cloud knows no other.
    """
    gg = aws.greengrass
    certificate_arn = relocated(certificate_arn, thing_arn)
    core = {"Id": name, "ThingArn": thing_arn, "CertificateArn": certificate_arn, "SyncShadow": False}
    cores = aws.call(gg, "create_core_definition", Name=name, InitialVersion={"Cores": [core]})
    group = aws.call(gg, "create_group", Name=name)
    version = aws.call(
        gg,
        "create_group_version",
        GroupId=group["Id"],
        CoreDefinitionVersionArn=cores["LatestVersionArn"],
        **definitions,
    )
    deployment = aws.call(
        gg,
        "create_deployment",
        GroupId=group["Id"],
        GroupVersionId=version["Version"],
        DeploymentType="NewDeployment",
    )
    return group["Id"], deployment["DeploymentId"]


def reset(aws: Aws, group_id: str, *, quiet_s: float, alive: Alive) -> bool:
    """Have the core remove what was deployed of a group, and say whether it did."""
    deployment = aws.call(aws.greengrass, "create_deployment", GroupId=group_id, DeploymentType="ResetDeployment")
    status = wait_for_deployment(aws, group_id, deployment["DeploymentId"], quiet_s=quiet_s, alive=alive)
    return bool(status["DeploymentStatus"] == "Success")


def wait_for_deployment(aws: Aws, group_id: str, deployment_id: str, *, quiet_s: float, alive: Alive) -> dict[str, Any]:
    """Poll until Success or Failure; a board may take its time, but for no sign of progress within ``quiet_s``."""

    def ask() -> dict[str, Any] | None:
        status = aws.call(aws.greengrass, "get_deployment_status", GroupId=group_id, DeploymentId=deployment_id)
        return status if status["DeploymentStatus"] in ENDED else None

    return until_ended(ask, f"deployment {deployment_id}", quiet_s, alive)


def create_update(
    aws: Aws, thing_arn: str, architecture: str, operating_system: str, software: Software = "core"
) -> tuple[str, str]:
    """Ask for the core software (or the OTA agent) to be updated; return the job id and the version offered."""
    job = aws.call(
        aws.greengrass,
        "create_software_update_job",
        S3UrlSignerRole=arn("iam", "role/greengrass-url-signer", ":123456789012"),
        SoftwareToUpdate=software,
        UpdateAgentLogLevel="INFO",
        UpdateTargets=[thing_arn],
        UpdateTargetsArchitecture=architecture,
        UpdateTargetsOperatingSystem=operating_system,
    )
    return job["IotJobId"], job["PlatformSoftwareVersion"]


def wait_for_update(
    aws: Aws, job_id: str, thing: str, *, stable_s: float | None = None, alive: Alive
) -> dict[str, Any]:
    """Poll the job execution until it is terminal and return it as the ``iot`` client shows it.

    ``stable_s`` is the board's stable window, which the update takes beside its own time; None: the agent's default.
    """

    def ask() -> dict[str, Any] | None:
        execution: dict[str, Any] = aws.call(aws.iot, "describe_job_execution", jobId=job_id, thingName=thing)[
            "execution"
        ]
        return None if execution["status"] in PENDING else execution

    window_s = STABLE_WINDOW_S if stable_s is None else stable_s
    return until_ended(ask, f"job {job_id}", UPDATE_S + window_s, alive)


def job_status(aws: Aws, job_id: str) -> str:
    """Return the job's own status (COMPLETED when every execution is terminal)."""
    status: str = aws.call(aws.iot, "describe_job", jobId=job_id)["job"]["status"]
    return status


def until_ended(
    ask: Callable[[], dict[str, Any] | None],
    what: str,
    quiet_s: float,
    alive: Alive,
    *,
    now: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Return the first answer of ``ask`` that is one.

    Raises UnsupportedEnvironmentError when ``alive`` has returned the same for ``quiet_s`` seconds: the limit is for a
    board that does nothing any more, not for a slow one.
    """
    last, since = None, now()
    while True:
        if (sign := alive()) != last:
            last, since = sign, now()
        answer = ask()
        if answer is not None:
            return answer
        if now() - since > quiet_s:
            raise UnsupportedEnvironmentError(
                f"{what} has not ended, and the board has reported no progress for {quiet_s:g} s",
                hint="Run again with --keep and read the board's logs; in containers: edge-sim board up, board logs.",
            )
        pause(_POLL_S)
