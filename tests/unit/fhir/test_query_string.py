"""Query strings: read into pairs, written from pairs."""

import pytest

from gateway.errors import InvalidQuery
from gateway.fhir.query_string import MOST_PARAMETERS, read_pairs, write_url


def test_pairs_keep_order_repetition_and_blanks() -> None:
    """Nothing is merged or dropped here."""
    assert read_pairs(b"b=2&a=1&b=&c&d=x%7Cy+z") == (("b", "2"), ("a", "1"), ("b", ""), ("c", ""), ("d", "x|y z"))
    assert read_pairs("") == ()


@pytest.mark.parametrize("query", [b"a=%ff", b"a=\xff", b"%c3=1", "a=%ed%a0%80"])
def test_t117h_invalid_utf8_is_refused(query: bytes | str) -> None:
    """Percent-encoded or raw, in names and values."""
    with pytest.raises(InvalidQuery, match="UTF-8"):
        read_pairs(query)


def test_t117i_a_thousand_parameters_are_refused() -> None:
    """A hundred are read, one more isn't."""
    assert len(read_pairs("&".join(["a=1"] * MOST_PARAMETERS))) == MOST_PARAMETERS
    with pytest.raises(InvalidQuery, match="at most 100"):
        read_pairs("&".join(["a=1"] * (MOST_PARAMETERS + 1)))


def test_a_url_is_percent_encoded() -> None:
    """What is written reads as it was, and keeps the signs that FHIR values are full of readable."""
    pairs = (("patient.identifier", "urn:oid:1.2|a&b=c"), ("started", "ge2024-05-01T10:00:00+02:00"), ("é", "a,b\\"))
    url = write_url("https://x/ImagingStudy", pairs)

    assert url.startswith(
        "https://x/ImagingStudy?patient.identifier=urn:oid:1.2%7Ca%26b%3Dc&started=ge2024-05-01T10:00"
    )
    assert read_pairs(url.partition("?")[2]) == pairs
    assert write_url("https://x/Endpoint", ()) == "https://x/Endpoint"
