"""Where an object of S3 is: the rules, the cloud and the jobs read an address the same way."""

from __future__ import annotations

import pytest

from edge_sim import s3


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("s3://b/model.tar.gz", ("b", "model.tar.gz")),
        ("s3://b/a/#1 100%25?.tar.gz", ("b", "a/#1 100%25?.tar.gz")),
        ("s3://b", None),
        ("s3:///k", None),
        ("s3://b/", None),
        ("S3://b/k", None),
        ("https://s3.eu-west-1.amazonaws.com/b/core/a%20b.tar.gz?versionId=1#top", ("b", "core/a b.tar.gz")),
        ("https://s3-eu-west-1.amazonaws.com/b/k", ("b", "k")),
        ("https://s3.dualstack.eu-west-1.amazonaws.com/b/k", ("b", "k")),
        ("https://s3.amazonaws.com/b/k", ("b", "k")),
        ("https://s3.amazonaws.com/b", None),
        ("http://b.c.s3.amazonaws.com/k", ("b.c", "k")),
        ("https://b.s3.cn-north-1.amazonaws.com.cn/k", ("b", "k")),
        ("https://b.s3.amazonaws.com.example.com/k", None),
        ("https://example.com/b.s3.amazonaws.com/k", None),
        ("ftp://b.s3.amazonaws.com/k", None),
        ("", None),
    ],
)
def test_an_address_is_a_bucket_and_a_key(address: str, place: tuple[str, str] | None) -> None:
    assert s3.of_address(address) == place
    assert s3.of_uri(address) == (place if address.startswith("s3://") else None)
