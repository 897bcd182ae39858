"""AWS's Signature Version 4 of requests, checked where a cloud can be reached from other machines.

botocore, which signs on the client's side, works the signature out again from what has come.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from edge_sim.cloud.protocol import Request

SKEW = timedelta(minutes=15)
"""How far a request's time may be from ours (AWS Signature Version 4)."""
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]{1,128})/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request,\s*"
    r"SignedHeaders=([a-z0-9;-]{1,1024}),\s*Signature=([0-9a-f]{64})",
    re.ASCII,
)
_TIME = "%Y%m%dT%H%M%SZ"


class _Check(SigV4Auth):  # type: ignore[misc]
    """botocore's signer for exactly the headers that the request has."""

    def headers_to_sign(self, request: AWSRequest) -> AWSRequest:
        return request.headers


def problem(
    call: Request, key: tuple[str, str], now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
) -> str | None:
    """Return why a call is not signed with ``key`` (access key id, secret), or None when it is."""
    headers = call.headers
    match = _AUTHORIZATION.fullmatch(headers.get("authorization", "").strip())
    if match is None:
        return "Missing Authentication Token"
    name, date, region, service, signed_names, signature = match.groups()
    moment = headers.get("x-amz-date", "")
    try:
        apart = abs(now() - datetime.strptime(moment, _TIME).replace(tzinfo=timezone.utc))
    except ValueError:
        return "X-Amz-Date is missing or cannot be read"
    if apart > SKEW or not moment.startswith(date):
        return f"Signature expired or not yet current: {moment} is more than 15 minutes from this cloud's time"
    names = signed_names.split(";")
    if not {"host", "x-amz-date"} <= {*names} or not all(each in headers for each in names):
        return "SignedHeaders does not list host, x-amz-date and only headers of the request"
    if "x-amz-content-sha256" in names and headers["x-amz-content-sha256"] != hashlib.sha256(call.body).hexdigest():
        return "X-Amz-Content-SHA256 is not the digest of the body"
    target = f"https://{headers['host']}{call.path}{f'?{call.query}' if call.query else ''}"
    request = AWSRequest(call.method, target, data=call.body)
    for each in names:
        request.headers[each] = headers[each]
    request.context["timestamp"] = moment
    auth = _Check(Credentials(*key), service, region)
    expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    same = hmac.compare_digest(expected, signature) and hmac.compare_digest(name.encode(), key[0].encode())
    return None if same else "The request signature we calculated does not match the signature you provided"
