"""What an identity provider says is believed only where it holds: each claim, the signature, and whose answer it is."""

import base64
import hmac
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import RSAKey

from gateway.auth.identity_provider import IdentityProvider, Provider, ProviderRefused, Vouched
from gateway.errors import DependencyUnavailable
from tests.facilities.token_teller import TokenTeller

VERIFIER = "v" * 43


@pytest.fixture
def teller() -> Iterator[TokenTeller]:
    """A provider that says what a test tells it to."""
    with TokenTeller() as one:
        yield one


def _provider(teller: TokenTeller, **changes: Any) -> IdentityProvider:
    stated = {"issuer": teller.url, "client_id": "gateway", "redirect_uri": "http://gw.example/signin/provider/return"}
    return IdentityProvider(Provider(**{**stated, **changes}))


def _vouched(teller: TokenTeller, provider: IdentityProvider | None = None, **answer: str) -> Vouched:
    one = provider or _provider(teller)
    question = one.ask("state", "nonce", VERIFIER, again=False)
    teller.nonce = "nonce"
    return one.answered({"code": "c", **answer}, question, datetime.now(UTC))


def test_the_question_has_pkce_by_sha_256_a_state_and_a_nonce(teller: TokenTeller) -> None:
    """And nothing of the verifier; once more asks for a new proof."""
    one = _provider(teller, scopes=("openid", "profile"))
    asked = parse_qs(urlsplit(one.ask("the-state", "the-nonce", VERIFIER, again=True).url).query)

    assert asked["code_challenge_method"] == ["S256"]
    assert VERIFIER not in str(asked)
    assert (asked["state"], asked["nonce"], asked["prompt"], asked["max_age"]) == (
        ["the-state"],
        ["the-nonce"],
        ["login"],
        ["0"],
    )
    assert asked["response_type"] == ["code"]
    first = parse_qs(urlsplit(one.ask("s", "n", VERIFIER, again=False).url).query)
    assert "prompt" not in first
    assert int(first["max_age"][0]) > 0, "so that the provider says when it asked"
    assert asked["redirect_uri"] == ["http://gw.example/signin/provider/return"]


def test_whom_it_vouches_for_is_read_from_the_id_token(teller: TokenTeller) -> None:
    """Subject, name, methods, roles and person; only words that are known, of the types that they should have."""
    teller.claims = {"name": "Dr A", "amr": ["pwd", "mfa", "x", 7], "roles": ["auditor", 3], "person": ["urn:x|1"]}
    found = _vouched(teller, _provider(teller, roles_claim="roles", patient_claim="person"))
    assert (found.subject, found.name, found.methods) == ("dr.a", "Dr A", ("fed", "pwd", "mfa"))
    assert (found.roles, found.patient) == (("auditor",), "urn:x|1")

    teller.claims = {"amr": "mfa", "acr": "gold", "roles": "auditor clinician", "person": ["a|1", "b|2"], "name": 7}
    found = _vouched(teller, _provider(teller, patient_claim="person", second_factor_acr=frozenset(("gold",))))
    assert (found.name, found.methods, found.roles, found.patient) == ("dr.a", ("fed", "mfa"), None, None)


NOT_OURS: list[dict[str, Any]] = [
    {"iss": "https://evil.example"},
    {"iss": None},
    {"aud": "another"},
    {"aud": ["gateway", "another"]},
    {"aud": None},
    {"azp": "another"},
    {"nonce": "of another question"},
    {"nonce": None},
    {"exp": int(time.time()) - 3600},
    {"exp": None},
    {"exp": "9999999999"},
    {"exp": True},
    {"iat": int(time.time()) - 86_400},
    {"iat": int(time.time()) + 86_400},
    {"iat": None},
    {"sub": None},
    {"sub": ""},
    {"sub": 7},
    {"sub": "x" * 300},
]


def test_a_token_with_one_claim_amiss_vouches_for_nobody(teller: TokenTeller) -> None:
    """Another issuer, audience, question or time; nobody named."""
    one = _provider(teller)
    for claims in NOT_OURS:
        teller.claims = claims
        with pytest.raises(ProviderRefused):
            _vouched(teller, one)


def test_a_token_that_the_provider_did_not_sign_vouches_for_nobody(teller: TokenTeller) -> None:
    """Another key under its name, a shared secret made of its public key, no signature at all."""
    one = _provider(teller)
    teller.signing = RSAKey.generate_key(2048, {"kid": "one"})
    with pytest.raises(ProviderRefused):
        _vouched(teller, one)
    confused = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=").decode()
    body = f"{confused}.{teller.id_token().split('.')[1]}"
    mac = hmac.digest(teller.key.as_pem(private=False), body.encode(), "sha256")
    mixed_up = f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    for token in (mixed_up, "", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", 7, None, {}):
        teller.token_answer = ("200 OK", {"access_token": "x", "token_type": "Bearer", "id_token": token})
        with pytest.raises(ProviderRefused):
            _vouched(teller, one)


def test_a_provider_that_has_changed_its_keys_is_asked_for_them_once_more(teller: TokenTeller) -> None:
    """The token of the new key is not the provider's until the keys are read anew, which is not done for each."""
    one = _provider(teller)
    _vouched(teller, one)
    new = RSAKey.generate_key(2048, {"use": "sig", "kid": "two"})
    teller.published, teller.signing, teller.header = [new], new, {"kid": "two"}
    with pytest.raises(ProviderRefused):
        _vouched(teller, one)
    one._keys = (time.monotonic() - 60, one._keys[1])  # type: ignore[index]  # a minute later
    assert _vouched(teller, one).subject == "dr.a"


def test_an_answer_of_another_provider_is_refused(teller: TokenTeller) -> None:
    """RFC 9207: `iss` is compared where it is stated, and missed where the provider says that it always states it."""
    with pytest.raises(ProviderRefused):
        _vouched(teller, iss="https://evil.example")
    assert _vouched(teller, iss=teller.url).subject == "dr.a"
    teller.document = {"authorization_response_iss_parameter_supported": True}
    with pytest.raises(ProviderRefused):
        _vouched(teller)


def test_a_refusal_is_a_refusal_and_silence_is_a_failure(teller: TokenTeller) -> None:
    """`error` in the answer or from the token endpoint; a document of another issuer; redirects; nobody there."""
    with pytest.raises(ProviderRefused):
        _vouched(teller, error="access_denied")
    teller.token_answer = ("400 Bad Request", {"error": "invalid_grant"})
    with pytest.raises(ProviderRefused):
        _vouched(teller)
    teller.token_answer = ("502 Bad Gateway", "not an answer")
    with pytest.raises((DependencyUnavailable, ProviderRefused)):
        _vouched(teller)
    teller.document = {"issuer": "https://evil.example"}
    with pytest.raises(DependencyUnavailable):
        _vouched(teller)
    teller.stop()
    with pytest.raises(DependencyUnavailable):
        _vouched(teller)


def test_the_gateway_proves_itself_by_a_key_where_it_has_one(teller: TokenTeller) -> None:
    """`private_key_jwt`: an assertion for the token endpoint, and no secret."""
    key = RSAKey.generate_key(2048, {"kid": "gw"})
    one = _provider(teller, private_key=key.as_dict(private=True))
    assert _vouched(teller, one).subject == "dr.a"
    (sent,) = [request for request in teller.requests if request.path == "/token"]
    assert "authorization" not in {name.lower() for name in sent.headers}
