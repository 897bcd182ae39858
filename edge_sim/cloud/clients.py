"""boto3 clients of servers that only speak AWS's language."""

from __future__ import annotations

from typing import Any

import boto3
import botocore.session
from botocore.config import Config

TEST_ACCESS_KEY = "edge-sim"


def make_client(
    service: str,
    *,
    endpoint_url: str,
    region: str,
    config: Config = Config(),  # noqa: B008 - never changed
    secret: str = TEST_ACCESS_KEY,
    cafile: str | None = None,
) -> Any:
    """Return a boto3 client with a secret of ours, and with nothing of what the user has set for AWS.

    ``cafile``: the CA certificates that an https server is checked with; None: botocore's own.

    A proxy, AWS_PROFILE or ~/.aws/config are meant for AWS itself: a proxy does not reach this machine's loopback, and
    a profile that is missing is an error.
    """
    theirs = botocore.session.Session.SESSION_VARIABLES.items()
    core = botocore.session.Session(
        session_vars={name: (None, None, default, conversion) for name, (_, _, default, conversion) in theirs}
    )
    session = boto3.session.Session(
        aws_access_key_id=TEST_ACCESS_KEY,
        aws_secret_access_key=secret,
        region_name=region,
        botocore_session=core,
    )
    config = config.merge(Config(proxies={}))
    return session.client(service, endpoint_url=endpoint_url, config=config, verify=cafile)
