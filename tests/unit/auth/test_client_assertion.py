"""Which client assertions hold (SMART App Launch 2.2 Backend Services, RFC 7523), and which do not."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from gateway.auth.client_assertion import AssertionRefused, AssertionVerifier
from gateway.auth.jwks_fetch import JWKSUnavailable
from tests.factories_auth import (
    BASE_URL,
    TOKEN_URL,
    FakeKeyServer,
    a_client,
    a_client_key,
    a_jwks,
    a_verifier,
    an_assertion,
)

EC, RSA = a_client_key("ES384", "key-1"), a_client_key("RS384", "key-2")


def _now() -> datetime:
    return datetime.now(UTC)


def _refused(verifier: AssertionVerifier, assertion: str, client_id: str | None = None) -> AssertionRefused:
    with pytest.raises(AssertionRefused) as refused:
        verifier.verify(assertion, client_id=client_id, now=_now())
    return refused.value


@pytest.fixture
def verifier() -> AssertionVerifier:
    """Knows the EHR with an EC and an RSA key, and another client with a key of its own."""
    other = a_client(id="other", jwks=a_jwks(a_client_key("ES384", "other-key")))
    return a_verifier(a_client(jwks=a_jwks(EC, RSA)), other)


@pytest.mark.parametrize("key", [EC, RSA], ids=["ES384", "RS384"])
def test_t012_both_algorithms_hold(key: Any, verifier: AssertionVerifier) -> None:
    """SMART Backend Services: servers support RS384 and ES384."""
    verified = verifier.verify(an_assertion(key), client_id=None, now=_now())
    assert verified.client.id == "ehr"


def test_the_client_id_parameter_agrees_or_refuses(verifier: AssertionVerifier) -> None:
    """RFC 7521 §4.2."""
    assert verifier.verify(an_assertion(), client_id="ehr", now=_now()).client.id == "ehr"
    assert _refused(verifier, an_assertion(), client_id="other").client is None


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "RS512"])
def test_t013_another_rsa_algorithm_is_refused(algorithm: str, verifier: AssertionVerifier) -> None:
    """Only what the metadata names."""
    key = RSAKey.import_key(RSA.as_dict(private=True) | {"alg": algorithm})
    assert _refused(verifier, an_assertion(key, algorithm=algorithm)).client is None


def test_t013_a_mac_and_no_signature_are_refused(verifier: AssertionVerifier) -> None:
    """`none`, and HS256 over the public key."""
    import base64
    import hashlib
    import hmac

    _, payload, signature = an_assertion().split(".")

    def head(algorithm: str) -> str:
        raw = json.dumps({"alg": algorithm, "typ": "JWT", "kid": "key-1"}).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    mac = hmac.new(a_jwks(EC).encode(), f"{head('HS256')}.{payload}".encode(), hashlib.sha256).digest()
    forged = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    for token in (
        f"{head('none')}.{payload}.",
        f"{head('none')}.{payload}.{signature}",
        f"{head('HS256')}.{payload}.{forged}",
    ):
        _refused(verifier, token)


@pytest.mark.parametrize(
    ("claim", "offset"), [("exp", 600), ("exp", 302), ("exp", -1), ("exp", 0), ("iat", 600), ("nbf", 600)]
)
def test_t014_times_out_of_bounds_are_refused(claim: str, offset: int, verifier: AssertionVerifier) -> None:
    """`exp` at most five minutes ahead and not past; `iat` and `nbf` not in the future."""
    refused = _refused(verifier, an_assertion(**{claim: int(time.time()) + offset}))
    assert refused.client is not None, "the signature was proved, so the refusal is the client's own"


def test_a_clock_that_runs_a_little_fast_is_forgiven_in_iat(verifier: AssertionVerifier) -> None:
    """A minute, and fractions of a second are read."""
    now = time.time()
    verifier.verify(an_assertion(iat=int(now) + 50, nbf=int(now) + 50), client_id=None, now=_now())
    verifier.verify(an_assertion(iat=now, exp=now + 120.5), client_id=None, now=_now())


@pytest.mark.parametrize("expires", ["9999999999", None, True, [1], 1e308, -1])
def test_t014_an_expiry_that_is_no_time_is_refused(expires: object, verifier: AssertionVerifier) -> None:
    """Missing, a text, beyond sense."""
    _refused(verifier, an_assertion(exp=expires))
    _refused(verifier, an_assertion(without=["exp"]))


def test_t015_an_assertion_is_used_once(verifier: AssertionVerifier) -> None:
    """The second time is a refusal of a client whose signature was proved."""
    assertion = an_assertion()
    verifier.verify(assertion, client_id=None, now=_now())
    refused = _refused(verifier, assertion)
    assert refused.client is not None
    assert refused.reason == "the assertion was used before"


def test_t015_another_assertion_with_the_same_jti_is_a_replay_too(verifier: AssertionVerifier) -> None:
    """`jti` is what is used, per client."""
    verifier.verify(an_assertion(jti="same"), client_id=None, now=_now())
    _refused(verifier, an_assertion(jti="same"))
    key = a_client_key("ES384", "other-key")
    assert verifier.verify(an_assertion(key, iss="other", jti="same"), client_id=None, now=_now()).client.id == "other"


def test_an_assertion_that_does_not_hold_uses_nothing_up(verifier: AssertionVerifier) -> None:
    """A stranger can't burn the `jti` of a client."""
    stranger = ECKey.generate_key("P-384", {"kid": "key-1"})
    _refused(verifier, an_assertion(stranger, jti="j"))
    verifier.verify(an_assertion(jti="j"), client_id=None, now=_now())


@pytest.mark.parametrize("jti", ["", "x" * 10_240, "x" * 256, 7, None, ["a"]])
def test_t016_a_jti_that_is_no_id_is_refused(jti: object, verifier: AssertionVerifier) -> None:
    """Missing, empty, of 10 kB, of another type."""
    _refused(verifier, an_assertion(jti=jti))
    _refused(verifier, an_assertion(without=["jti"]))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "other", "sub": "ehr"},
        {"iss": "ehr", "sub": "other"},
        {"iss": "other", "sub": "other"},
        {"aud": BASE_URL},
        {"aud": TOKEN_URL + "/"},
        {"aud": [TOKEN_URL, BASE_URL]},
        {"aud": []},
        {"aud": [[TOKEN_URL]]},
        {"aud": None},
    ],
)
def test_t017_names_and_audience_are_exact(claims: dict[str, Any], verifier: AssertionVerifier) -> None:
    """`iss` and `sub` are the client that signed; `aud` is the token endpoint and nothing beside it."""
    _refused(verifier, an_assertion(**claims))


def test_t017_the_audience_may_be_a_list_of_the_token_endpoint(verifier: AssertionVerifier) -> None:
    """The rule for lists: exactly the one."""
    assert verifier.verify(an_assertion(aud=[TOKEN_URL]), client_id=None, now=_now())


@pytest.mark.parametrize(
    "header",
    [
        {"kid": None},
        {"kid": "key-9"},
        {"kid": "key-2"},
        {"jwk": {"kty": "EC"}},
        {"x5u": "https://evil.example"},
        {"crit": ["kid"]},
        {"b64": False, "crit": ["b64"]},
        {"typ": "at+jwt"},
        {"jku": "https://evil.example"},
        {"zip": "DEF"},
    ],
)
def test_t018_a_header_that_points_elsewhere_is_refused(header: dict[str, Any], verifier: AssertionVerifier) -> None:
    """No kid, another's kid, a key brought along, an address that is not the registered one."""
    assert _refused(verifier, an_assertion(header=header)).client is None


def test_the_type_may_be_left_out_or_lower_case(verifier: AssertionVerifier) -> None:
    """Many libraries do."""
    for typ in (None, "jwt", "JWT", "client-authentication+jwt"):
        assert verifier.verify(an_assertion(header={"typ": typ}), client_id=None, now=_now())


def test_a_registered_jku_is_accepted_and_not_fetched_from_the_header() -> None:
    """Exactly the registered address may be named."""
    server = FakeKeyServer()
    server.answers["https://ehr.example/jwks"] = a_jwks(EC).encode()
    verifier = a_verifier(a_client(jwks=None, jwks_uri="https://ehr.example/jwks"), fetch=server)
    assert verifier.verify(an_assertion(header={"jku": "https://ehr.example/jwks"}), client_id=None, now=_now())
    _refused(verifier, an_assertion(header={"jku": "https://ehr.example/jwks?x"}))
    assert server.asked == 1


def test_t019_keys_that_cannot_be_read_refuse_the_client() -> None:
    """Whatever the reason was."""
    server = FakeKeyServer()
    server.answers["https://ehr.example/jwks"] = JWKSUnavailable("no answer in time")
    verifier = a_verifier(a_client(jwks=None, jwks_uri="https://ehr.example/jwks"), fetch=server)
    assert _refused(verifier, an_assertion()).client is None


@pytest.mark.parametrize(
    "assertion", ["", "x", "a.b.c", "a" * 20_000, "..", "é.é.é", "e30.e30.e30", "bnVsbA.bnVsbA.AA"]
)
def test_garbage_is_refused(assertion: str, verifier: AssertionVerifier) -> None:
    """Without a crash."""
    _refused(verifier, assertion)


def test_unknown_and_disabled_clients_are_refused(verifier: AssertionVerifier) -> None:
    """Nobody was proved."""
    assert _refused(verifier, an_assertion(iss="nobody")).client is None
    disabled: Callable[[], AssertionVerifier] = lambda: a_verifier(a_client(disabled_at=_now()))  # noqa: E731
    assert _refused(disabled(), an_assertion()).client is None
