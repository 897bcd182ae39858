"""A draft of what the board may do in AWS: the policy of the token exchange role, from what the group needs.

Sources: V2 guide, device-service-role.md; aws-greengrass-secret-manager. The V1 group's role is not in its definition:
what functions do with AWS themselves has to be added by hand.
"""

from __future__ import annotations

from edge_sim.arns import arn
from edge_sim.v2.components import Json, bucket
from edge_sim.v2.deployment import cloud_secrets, log_uploads
from edge_sim.v2.move import Move


def policy(move: Move) -> Json:
    """Return the policy's document."""
    statements = [_allow("ReadArtifacts", ["s3:GetObject"], [arn("s3", f"{bucket(move)}/*")])]
    secrets = sorted(str(secret["arn"]) for secret in cloud_secrets(move)) if move.nucleus.lambdas else []
    if secrets:
        statements.append(_allow("ReadSecrets", ["secretsmanager:GetSecretValue"], secrets))
    if log_uploads(move) and move.nucleus.lambdas:
        actions = ["CreateLogGroup", "CreateLogStream", "PutLogEvents", "DescribeLogStreams"]
        statements.append(_allow("WriteLogs", [f"logs:{action}" for action in actions], [arn("logs", "*", "*:*")]))
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(sid: str, actions: list[str], resources: list[str]) -> Json:
    return {"Sid": f"Draft{sid}", "Effect": "Allow", "Action": actions, "Resource": resources}
