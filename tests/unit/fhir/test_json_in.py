"""JSON that comes in: T111."""

import json
import time

import pytest

from gateway.errors import InvalidQuery, PayloadTooLarge
from gateway.fhir.json_in import MOST_BYTES, read_json_object
from gateway.strict_json import MOST_DEPTH


def test_an_object_is_read() -> None:
    """Ordinary JSON, with all kinds of values and every escape that is text."""
    text = '{"a": [1, -2.5e3, true, null, "x\\u00e9\\ud83d\\ude00\\"[{"], "b": {"c": {}}, "d\\u0041": "\\\\u0000"}'

    assert read_json_object(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"x"',
        b"1",
        b"{",
        b'{"a":}',
        b'{"a":1}x',
        b'{"a":"unclosed',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":1,"a":2}',
        b'{"x":{"a":1,"a":1}}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        b'{"a":"\xff"}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":1.' + b"9" * 5000 + b"}",
        b'{"a":18446744073709551616}',
        b'{"a":-9223372036854775809}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":["\\u0000"]}',
        b'{"a":"\x00"}',
        b"\x00",
        b"<xml/>",
    ],
    ids=range(30),
)
def test_t111a_json_that_parsers_disagree_on_is_refused(body: bytes) -> None:
    """400 each, in our own words: none of what came is in them."""
    with pytest.raises(InvalidQuery) as refused:
        read_json_object(body)

    assert refused.value.reason.startswith("the JSON")


def test_t111b_depth_is_refused_before_the_parser_recurses() -> None:
    """Sixty-four levels are read, a hundred thousand are not; brackets in strings don't count."""
    deep = b'{"a":' * MOST_DEPTH + b"1" + b"}" * MOST_DEPTH
    assert read_json_object(deep)
    for body in (b'{"a":' + deep + b"}", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"[" * 100_000):
        with pytest.raises(InvalidQuery, match="deep"):
            read_json_object(body)
    assert read_json_object(json.dumps({"a": "[" * 1000, "b": '\\"[' * 1000}).encode())
    assert read_json_object(b"[1]".replace(b"[1]", b'{"a":[' + b"[]," * 1000 + b"1]}"))


def test_t111c_size_is_refused_before_reading() -> None:
    """413 above the limit, which a caller may lower."""
    with pytest.raises(PayloadTooLarge):
        read_json_object(b'{"a":"' + b"x" * MOST_BYTES + b'"}')
    with pytest.raises(PayloadTooLarge):
        read_json_object(b'{"a":1}', most_bytes=6)


@pytest.mark.parametrize(
    "body", [b'"' + b'\\"' * 450_000 + b"\\", b'"' + b'\\"' * 450_000, b'"\\' * 300_000, b'""' * 450_000]
)
def test_t111d_no_text_takes_more_than_linear_time(body: bytes) -> None:
    """Strings that never end can't hold a worker."""
    began = time.perf_counter()
    with pytest.raises(InvalidQuery):
        read_json_object(body)

    assert time.perf_counter() - began < 5
