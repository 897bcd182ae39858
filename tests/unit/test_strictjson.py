"""The one strict reader of JSON: what readers disagree about is refused, what is at the limits is read."""

from __future__ import annotations

import pytest

from edge_sim import strictjson


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "not JSON"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1, "a": 2}', "repeated"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": 9007199254740993}', "2\\^53"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udc00": 1}', "surrogate"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b"[" * 40 + b"]" * 40, "deeper"),
        (b"[" * 100_000, "deeper|not JSON"),
        (b"1" * 5000, "2\\^53"),
    ],
)
def test_json_that_readers_disagree_about_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        strictjson.loads(text)


def test_json_at_the_limits_is_read() -> None:
    nested = b"[" * 32 + b"]" * 32
    assert strictjson.loads(nested)
    assert strictjson.loads(b'{"n": 9007199254740992, "t": "\xf0\x9f\x8c\xb1"}') == {"n": 2**53, "t": "🌱"}


def test_a_text_is_not_longer_than_its_reader_allows() -> None:
    assert strictjson.loads(b'{"a":1}', max_bytes=7) == {"a": 1}
    with pytest.raises(ValueError, match="longer than 6 bytes"):
        strictjson.loads(b'{"a":1}', max_bytes=6)


@pytest.mark.parametrize(
    ("text", "syntax"), [(b"{", True), (b"\xff", True), (b"NaN", True), (b'{"a":1,"a":1}', False), (b"1e999", False)]
)
def test_what_no_reader_takes_is_told_from_what_readers_take_differently(text: bytes, syntax: bool) -> None:
    with pytest.raises(strictjson.NotJsonError if syntax else ValueError, match=r"JSON|UTF-8|repeated|large") as caught:
        strictjson.loads(text)
    assert isinstance(caught.value, strictjson.NotJsonError) is syntax


def test_what_functions_exchange_may_be_larger_and_deeper_but_is_json_all_the_same() -> None:
    nanoseconds = b'{"at": 1700000000123456789}'
    assert strictjson.loads(nanoseconds, exact=False) == {"at": 1_700_000_000_123_456_789}
    assert strictjson.loads(b"[" * 200 + b"]" * 200, exact=False)
    for text, why in (
        (nanoseconds.replace(b"1700000000123456789", b"NaN"), "NaN"),
        (b'{"a": 1, "a": 2}', "repeated"),
        (b"[" * 202 + b"]" * 202, "deeper than 200"),
        (b"[" * 100_000, "deeper than 200|not JSON"),
        (b"9" * 301, "more than 300 digits"),
    ):
        with pytest.raises(ValueError, match=why):
            strictjson.loads(text, exact=False)


def test_members_are_those_of_an_object() -> None:
    assert strictjson.members(b'{"a": 1}') == {"a": 1}
    with pytest.raises(ValueError, match="not a JSON object"):
        strictjson.members(b"[]")
