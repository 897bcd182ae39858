"""Signature Version 4: what botocore signs is taken, and a request with any other byte is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from edge_sim.cloud.protocol import Request
from edge_sim.cloud.signatures import problem

KEY = ("edge-sim", "secret")
URL = "https://192.0.2.1:8443/things/a%3Ab/jobs?status=QUEUED&maxResults=2&empty="


def signed(key: tuple[str, str] = KEY, body: bytes = b'{"a": 1}', headers: Mapping[str, str] | None = None) -> Request:
    request = AWSRequest("PUT", URL, data=body, headers={"Content-Type": "application/json", **(headers or {})})
    SigV4Auth(Credentials(*key), "iot", "us-east-1").add_auth(request)
    parts = urlsplit(URL)
    sent = {name.lower(): value for name, value in request.headers.items()}
    return Request(method="PUT", path=parts.path, query=parts.query, headers={"host": parts.netloc, **sent}, body=body)


def test_what_botocore_signs_is_taken() -> None:
    assert problem(signed(), KEY) is None
    assert problem(signed(body=b""), KEY) is None
    assert problem(signed(headers={"X-Amz-Meta": "  two   words "}), KEY) is None


def test_another_key_and_no_key_are_refused() -> None:
    altered = "The request signature we calculated does not match the signature you provided"
    assert problem(signed(("edge-sim", "other")), KEY) == altered
    assert problem(signed(("other", "secret")), KEY) == altered
    call = signed()
    unsigned = {name: value for name, value in call.headers.items() if name != "authorization"}
    assert problem(replace(call, headers=unsigned), KEY) == "Missing Authentication Token"


@pytest.mark.parametrize(
    "change",
    [
        {"method": "DELETE"},
        {"path": "/things/a%3Ac/jobs"},
        {"query": "status=QUEUED&maxResults=3&empty="},
        {"query": ""},
        {"body": b'{"a": 2}'},
        {"body": b""},
    ],
)
def test_an_altered_request_is_refused(change: dict[str, Any]) -> None:
    assert "does not match" in str(problem(replace(signed(), **change), KEY))


def test_an_altered_header_and_a_digest_that_lies_are_refused() -> None:
    call = signed()
    for name, value in (("host", "192.0.2.2:8443"), ("content-type", "text/plain")):
        assert "does not match" in str(problem(replace(call, headers={**call.headers, name: value}), KEY))
    for digest in ("UNSIGNED-PAYLOAD", "0" * 64):
        assert "not the digest" in str(problem(signed(headers={"X-Amz-Content-SHA256": digest}), KEY))


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_request_of_another_time_is_refused(minutes: int) -> None:
    then = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    assert "more than 15 minutes" in str(problem(signed(), KEY, now=lambda: then))


def test_a_signature_that_leaves_out_what_counts_is_refused() -> None:
    call = signed()
    headers = {**call.headers, "authorization": call.headers["authorization"].replace("host;", "")}
    assert "SignedHeaders does not list host" in str(problem(replace(call, headers=headers), KEY))
