"""What the whole run is searched for is found where it is (T85)."""

import secrets

import pytest

from tests import canary
from tests.factories_auth import an_access_token


def test_t085_tokens_and_keys_are_known_by_their_looks(keys: object) -> None:
    """A signed token in a log line, a Bearer header, a private key; what is public or short is none."""
    token = an_access_token(keys, "https://exchange.example")  # type: ignore[arg-type]
    opaque = secrets.token_urlsafe(32)
    for text, what in (
        (f'{{"reason":"{token}"}}', "a signed token"),
        (f"Authorization: Bearer {opaque}", "a bearer token"),
        ('{"kty":"OKP","d": "' + "A" * 43 + '"}', "a private key"),
        ("-----BEGIN EC PRIVATE KEY-----", "a private key"),
    ):
        (leak,) = canary.secrets_in(text, "a log")
        assert leak.value == what
        assert opaque not in leak.excerpt
    for text in ("Bearer token missing", '{"jti":"c0ffee00"}', '{"kty":"OKP","x":"' + "A" * 43 + '"}', "eyJhbGciOi"):
        assert canary.secrets_in(text, "a log") == []


@pytest.mark.parametrize("shown", [33, 43])
def test_t085_of_a_secret_that_is_kept_no_more_than_its_end_may_be_read(
    monkeypatch: pytest.MonkeyPatch, shown: int
) -> None:
    """Its last 32 characters, as BALP has it."""
    monkeypatch.setattr(canary, "_kept", set())
    secret = canary.keep_secret(secrets.token_urlsafe(32))

    assert canary.secrets_in(f"…{secret[-32:]}", "the audit") == []
    assert len(canary.secrets_in(f"…{secret[-shown:]}", "the audit")) == 1
    assert len(canary.secrets_in(f"{secret[:shown]}…", "the audit")) == 1


def test_t085_a_planted_patient_is_found_in_any_case_and_percent_encoded() -> None:
    """As an attacker would write it, and as a URL does."""
    assert canary.found_in(f"GET /x?family={canary.FAMILY.upper()}", "a log")
    assert canary.found_in("name=%43anarybird", "a log")
    assert not canary.found_in("GET /fhir/r4/ImagingStudy 200", "a log")
