"""Addresses of objects in S3: ``s3://bucket/key``, as it is written, and the http forms that AWS's pages have."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

_URI = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<key>.+)", re.DOTALL)
_HOST = r"s3(?:[.-][a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?"
_HTTP = re.compile(rf"https?://(?:(?P<host>[^/]+)\.{_HOST}|{_HOST}/(?P<bucket>[^/?#]+))/(?P<key>[^?#]+)", re.DOTALL)


class S3Object(NamedTuple):
    """An object's place in S3."""

    bucket: str
    key: str


def of_uri(text: str) -> S3Object | None:
    """Return what ``s3://bucket/key`` names, None for any other text; a key is taken as it is written."""
    match = _URI.fullmatch(text)
    return S3Object(match["bucket"], match["key"]) if match else None


def of_address(text: str) -> S3Object | None:
    """Return what a URI, or an http address of S3's, names; None for any other text. In http a key is quoted."""
    match = _HTTP.match(text)
    return S3Object(match["host"] or match["bucket"], unquote(match["key"])) if match else of_uri(text)
