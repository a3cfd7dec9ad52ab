"""How a signed document is opened; what it may say is proved where it is used (bearer tokens, assertions)."""

import pytest

from gateway.auth.jws import Header, JWSProfile, SigningKey, open_jws
from gateway.errors import NotAuthenticated
from tests.factories_auth import a_client_key, an_assertion

PROFILE = JWSProfile.of(algorithms=("ES384",), types=("jwt",), parameters="alg kid typ", most_characters=4096)


def _open(token: str, key: SigningKey) -> dict[str, object]:
    def find_key(header: Header) -> SigningKey:
        return key

    return open_jws(token, PROFILE, find_key)


def test_a_document_opens_with_its_key() -> None:
    """And gives its claims."""
    assert _open(an_assertion(jti="j1"), a_client_key())["jti"] == "j1"


def test_a_key_that_does_not_fit_the_algorithm_opens_nothing() -> None:
    """Another type, another curve's size, another key."""
    for key in (a_client_key("RS384", "key-2"), a_client_key("ES384", "other")):
        with pytest.raises(NotAuthenticated):
            _open(an_assertion(), key)


@pytest.mark.parametrize("signature", ["A" * 128, "A" * 127, "A", "A" * 5, "-" * 128])
def test_t003_a_signature_of_nothing_opens_nothing(signature: str) -> None:
    """Zeros, one of the wrong length, one that is no base64."""
    head, payload, _ = an_assertion().split(".")
    with pytest.raises(NotAuthenticated):
        _open(f"{head}.{payload}.{signature}", a_client_key())


def test_t007_a_header_that_is_too_long_is_not_decoded() -> None:
    """Within what the whole may be long, too."""
    token = an_assertion(header={"kid": "k" * 2000})
    with pytest.raises(NotAuthenticated) as refused:
        _open(token, a_client_key())
    assert refused.value.reason == "the header is too long"
