"""With which of a client's keys a signature is checked, and how long a fetched set is used."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from gateway.auth.client_keys import REFETCH_AFTER_S, ClientKeys, problems_of_jwks, usable_keys
from gateway.auth.jwks_fetch import FetchedJWKS, JWKSUnavailable
from gateway.errors import NotAuthenticated
from tests.factories_auth import FakeClock, FakeKeyServer, a_client, a_client_key, a_jwks

URI = "https://ehr.example/jwks"
EC, RSA = a_client_key("ES384", "key-1"), a_client_key("RS384", "key-2")


def _public(key: Any, **changes: Any) -> dict[str, Any]:
    jwk = key.as_dict(private=False) | changes
    return {name: value for name, value in jwk.items() if value is not None}


def _jwks(*members: dict[str, Any]) -> str:
    return json.dumps({"keys": members})


def test_a_registered_key_is_found_by_its_kid_and_type() -> None:
    """Each algorithm finds its own kind of key."""
    keys = ClientKeys(FakeKeyServer())
    client = a_client(jwks=a_jwks(EC, RSA))
    assert keys.find(client, kid="key-1", algorithm="ES384").as_dict(private=False)["kty"] == "EC"
    assert keys.find(client, kid="key-2", algorithm="RS384").as_dict(private=False)["kty"] == "RSA"


def test_t018_not_exactly_one_key_is_no_key() -> None:
    """No kid, an unknown one, one of another type, or two that are the same."""
    keys = ClientKeys(FakeKeyServer())
    client = a_client(jwks=a_jwks(EC, RSA))
    doubled = a_client(jwks=_jwks(_public(EC), _public(ECKey.generate_key("P-384"), kid="key-1")))
    for who, kid, algorithm in (
        (client, None, "ES384"),
        (client, "key-9", "ES384"),
        (client, "key-1", "RS384"),
        (client, "key-2", "ES384"),
        (doubled, "key-1", "ES384"),
        (a_client(jwks="{}"), "key-1", "ES384"),
        (a_client(jwks=None), "key-1", "ES384"),
    ):
        with pytest.raises(NotAuthenticated):
            keys.find(who, kid=kid, algorithm=algorithm)


def test_two_types_may_share_a_kid() -> None:
    """SMART Backend Services: the pair of `kid` and `kty` names a key."""
    client = a_client(jwks=_jwks(_public(EC, kid="k"), _public(RSA, kid="k")))
    keys = ClientKeys(FakeKeyServer())
    assert keys.find(client, kid="k", algorithm="ES384").as_dict(private=False)["kty"] == "EC"


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"alg": "ES256"},
        {"crv": "P-256"},
        {"kid": None},
        {"kid": 7},
        {"x": "AA"},
        {"x": None},
        {"x": 7},
        {"d": "AA"},
        {"kty": "OKP"},
        {"kty": ["EC"]},
    ],
)
def test_a_key_that_is_not_for_this_is_passed_over(changes: dict[str, Any]) -> None:
    """Encryption keys, other curves, broken points, private parts."""
    assert usable_keys(_jwks(_public(EC, **changes))) == ()


def test_a_weak_or_monstrous_rsa_key_is_passed_over() -> None:
    """Below 2048 bits it can be broken; beyond 8192 it can be used to keep us busy."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weak = RSAKey.generate_key(1024, {"kid": "weak"})
    assert usable_keys(_jwks(_public(weak))) == ()
    exponent = {"e": "AQAAAAAAAAAAAAAB"}
    assert usable_keys(_jwks(_public(RSA, **exponent))) == ()


@pytest.mark.parametrize(
    "document",
    [
        "",
        "x",
        "[]",
        "null",
        '{"keys": {}}',
        '{"keys": [1]}',
        '{"keys": null}',
        "[" * 5000,
        '{"keys": ' + str([{}] * 33),
    ],
)
def test_what_is_no_jwk_set_is_told(document: str) -> None:
    """As a ValueError, and as one problem at registration."""
    with pytest.raises(ValueError, match="JWKS"):
        usable_keys(document)
    assert len(problems_of_jwks(document)) == 1


def test_a_set_to_register_names_every_problem_and_repeats_no_key() -> None:
    """Private parts, missing kids, weak curves; sound keys for other purposes are no problem."""
    private = a_client_key("ES384", "mine").as_dict(private=True)
    secret = OctKey.generate_key(256, {"kid": "s"}).as_dict(private=True)
    document = _jwks(
        private, secret, _public(EC, kid=None), _public(ECKey.generate_key("P-256", {"kid": "w"})), _public(EC)
    )
    problems = problems_of_jwks(document)
    assert [text.split(":")[0] for text in problems] == [f"JWKS key {number}" for number in (1, 2, 3, 4)]
    assert private["d"] not in " ".join(problems)
    assert problems_of_jwks(_jwks(_public(EC), _public(EC, kid="e", use="enc"))) == []
    assert problems_of_jwks(_jwks(_public(EC), _public(EC))) == ["JWKS: two keys have the same kid and kty"]
    assert problems_of_jwks(_jwks()) == ["JWKS: no key can verify RS384 or ES384"]


class _Published:
    """A client that publishes its keys, and the clock that ages them."""

    def __init__(self, fresh_s: float = 300.0) -> None:
        self.clock = FakeClock()
        self.server = FakeKeyServer(fresh_s)
        self.server.answers[URI] = a_jwks(EC).encode()
        self.keys = ClientKeys(self.server, self.clock)
        self.client = a_client(jwks=None, jwks_uri=URI)

    def find(self, kid: str = "key-1") -> Any:
        return self.keys.find(self.client, kid=kid, algorithm="ES384" if kid == "key-1" else "RS384")


def test_published_keys_are_fetched_once_while_fresh() -> None:
    """And once more when they are not."""
    published = _Published()
    for _ in range(5):
        published.find()
    assert published.server.asked == 1
    published.clock.now += 300
    published.find()
    assert published.server.asked == 2


def test_t018_a_rotated_key_is_refused_once_the_set_has_aged() -> None:
    """Never beyond the time its cache header gave."""
    published = _Published(fresh_s=60)
    published.find()
    published.server.answers[URI] = a_jwks(RSA).encode()
    published.clock.now += 59
    published.find()
    published.clock.now += 1
    with pytest.raises(NotAuthenticated):
        published.find()


def test_a_set_that_may_not_be_kept_is_fetched_each_time() -> None:
    """`no-store` means it."""
    published = _Published(fresh_s=0)
    published.find()
    published.find()
    assert published.server.asked == 2


def test_a_new_key_is_looked_for_at_most_every_ten_seconds() -> None:
    """So that nobody can make us ask for ever with kids that don't exist."""
    published = _Published()
    published.find()
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            published.find("key-2")
    assert published.server.asked == 1
    published.server.answers[URI] = a_jwks(EC, RSA).encode()
    published.clock.now += REFETCH_AFTER_S
    published.find("key-2")
    assert published.server.asked == 2


@pytest.mark.parametrize("answer", [JWKSUnavailable("no answer in time"), b"<html>", b'{"keys": 1}'])
def test_t019_keys_past_their_time_are_not_used_where_new_ones_fail(answer: bytes | Exception) -> None:
    """And the address is left alone for a while."""
    published = _Published(fresh_s=60)
    published.find()
    published.server.answers[URI] = answer
    published.clock.now += 60
    for _ in range(3):
        with pytest.raises(NotAuthenticated):
            published.find()
    assert published.server.asked == 2
    published.server.answers[URI] = a_jwks(EC).encode()
    published.clock.now += REFETCH_AFTER_S
    published.find()


def test_a_strangers_unknown_kid_does_not_take_fresh_keys_away() -> None:
    """Also while the address fails."""
    published = _Published()
    published.find()
    published.server.answers[URI] = JWKSUnavailable("down")
    published.clock.now += REFETCH_AFTER_S
    with pytest.raises(NotAuthenticated):
        published.find("key-2")
    published.find()


def test_a_slow_address_holds_up_nobody_for_long() -> None:
    """One request reads, others wait for it a little and are then refused."""
    reading, finish = threading.Event(), threading.Event()

    def fetch(_uri: str) -> FetchedJWKS:
        reading.set()
        finish.wait(10)
        return FetchedJWKS(a_jwks(EC).encode(), 300)

    keys = ClientKeys(fetch, wait_s=0.05)
    client = a_client(jwks=None, jwks_uri=URI)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(keys.find, client, kid="key-1", algorithm="ES384")
        assert reading.wait(10)
        with pytest.raises(NotAuthenticated):
            keys.find(client, kid="key-1", algorithm="ES384")
        finish.set()
        assert first.result(10)
    assert keys.find(client, kid="key-1", algorithm="ES384")


def test_a_changed_address_is_asked_at_once() -> None:
    """Nothing of the old one is used."""
    published = _Published()
    published.find()
    other = a_client(jwks=None, jwks_uri="https://ehr.example/new")
    published.server.answers["https://ehr.example/new"] = a_jwks(RSA).encode()
    assert published.keys.find(other, kid="key-2", algorithm="RS384")
    with pytest.raises(NotAuthenticated):
        published.keys.find(other, kid="key-1", algorithm="ES384")
