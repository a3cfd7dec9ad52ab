"""Who a bearer token proves (RFC 9068 §4, RFC 6750), and which tokens prove nothing."""

import base64
import hashlib
import hmac
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry

from gateway.auth.bearer import BearerAuthenticator
from gateway.auth.clients import ClientRegistry
from gateway.db.crypto import KeyRing
from gateway.errors import DependencyUnavailable, NotAuthenticated, PurposeNotAllowed
from tests.factories_auth import (
    BASE_URL,
    FakeClientStore,
    FakeClock,
    a_client,
    access_token_claims,
    an_access_token,
    an_assertion,
    an_authenticator,
)


def the_moment() -> datetime:
    """Now, in whole seconds. Not a constant: the suite runs for longer than a token is young."""
    return datetime.fromtimestamp(int(time.time()), UTC)


Authenticate = Callable[[str], Any]


@pytest.fixture
def authenticate(keys: KeyRing) -> Authenticate:
    """Authenticates one token, now."""
    authenticator = an_authenticator(keys)
    return lambda token: authenticator.authenticate([f"Bearer {token}"], the_moment())


def _signed(keys: KeyRing, header: Mapping[str, Any], key: Any = None, **claims: Any) -> str:
    head = {"alg": "RS256", "typ": "at+jwt", "kid": keys.signing.kid, **header}
    head = {name: value for name, value in head.items() if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jwt.encode(
            head,
            access_token_claims(**claims),
            key or keys.signing,
            registry=JWSRegistry(algorithms=[head["alg"]], strict_check_header=False),
            default_type=None,
        )


def _segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _sign_raw(keys: KeyRing, payload: bytes) -> str:
    """A token of ours around bytes that no JSON library would write."""
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.hashes import SHA256

    signed = f"{_segment({'alg': 'RS256', 'typ': 'at+jwt', 'kid': keys.signing.kid})}.{_segment(payload)}"
    signature = keys.signing.private_key.sign(signed.encode(), padding.PKCS1v15(), SHA256())  # type: ignore[union-attr]
    return f"{signed}.{_segment(signature)}"


def test_a_token_names_who_asks_and_why(keys: KeyRing, authenticate: Authenticate) -> None:
    """Client, scopes and purposes are the token's; the client's name and organisation are the registered ones."""
    b2b = {"organization_id": "elsewhere", "subject_id": "npi|1", "subject_name": "Dr A", "subject_role": "doctor"}
    requester = authenticate(an_access_token(keys, jti="j1", b2b=b2b, purposes=("TREAT", "HPAYMT")))
    assert (requester.client_id, requester.client_name, requester.organization) == ("ehr", "An EHR", "north")
    assert requester.scopes == ("system/ImagingStudy.rs", "system/Patient.rs")
    assert requester.purposes == ("TREAT", "HPAYMT")
    assert (requester.subject_id, requester.subject_name, requester.subject_role) == ("npi|1", "Dr A", "doctor")
    assert (requester.issuer, requester.subject, requester.token_id) == (BASE_URL, "ehr", "j1")
    assert requester.patient is None
    assert not requester.is_the_patient


def test_a_patient_claim_binds_the_token(keys: KeyRing, authenticate: Authenticate) -> None:
    """The id goes to the requester; the patient in person is told from anybody else."""
    assert authenticate(an_access_token(keys, patient="p-1")).patient == "p-1"
    mine = authenticate(an_access_token(keys, patient="p-1", sub="Patient/p-1"))
    assert mine.is_the_patient


@pytest.mark.parametrize("patient", ["", " ", "a b", 7, ["p-1"], {"id": "p"}, "p|1", "x" * 65, "Patient/"])
def test_a_patient_claim_that_cannot_be_read_is_never_taken_for_none(
    patient: object, keys: KeyRing, authenticate: Authenticate
) -> None:
    """A token bound to something unreadable reaches nobody."""
    with pytest.raises(NotAuthenticated):
        authenticate(an_access_token(keys, patient=patient))


def test_t001_no_header_is_told_from_a_token_that_does_not_hold(keys: KeyRing) -> None:
    """RFC 6750 §3: no error code where nothing was sent, or another scheme."""
    authenticator = an_authenticator(keys)
    for header, presented in (([], False), (["Basic YTpi"], False), (["Bearer x"], True), (["Bearer"], True)):
        with pytest.raises(NotAuthenticated) as refused:
            authenticator.authenticate(header, the_moment())
        assert refused.value.presented is presented


def test_t002_expired_early_foreign_and_random_tokens_prove_nothing(keys: KeyRing, authenticate: Authenticate) -> None:
    """Times, issuer, audience and key each count."""
    now = int(the_moment().timestamp())
    other = RSAKey.generate_key(2048, {"kid": keys.signing.kid})
    for token in (
        "a.b.c",
        "random",
        an_access_token(keys, exp=now),
        an_access_token(keys, nbf=now + 600),
        an_access_token(keys, iat=now + 600),
        an_access_token(keys, iss="http://127.0.0.1:9999"),
        an_access_token(keys, aud="http://127.0.0.1:9999"),
        an_access_token(keys, aud=[BASE_URL, "http://127.0.0.1:9999"]),
        an_access_token(keys, aud=[]),
        _signed(keys, {}, other),
        _signed(keys, {"kid": "other"}, other),
    ):
        with pytest.raises(NotAuthenticated):
            authenticate(token)


def test_an_expired_token_is_told_from_others(keys: KeyRing, authenticate: Authenticate) -> None:
    """So that a face can say `expired`."""
    with pytest.raises(NotAuthenticated) as refused:
        authenticate(an_access_token(keys, exp=int(the_moment().timestamp()) - 1))
    assert refused.value.expired
    assert refused.value.presented


def test_the_audience_may_be_a_list_of_the_one(keys: KeyRing, authenticate: Authenticate) -> None:
    """RFC 7519 §4.1.3: a text and a list of it say the same."""
    assert authenticate(an_access_token(keys, aud=[BASE_URL])).client_id == "ehr"


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "", "RS384", "PS256", "HS256"])
def test_t003_another_algorithm_proves_nothing(algorithm: str, keys: KeyRing, authenticate: Authenticate) -> None:
    """With an empty signature, and with the right one of an honest token."""
    honest = an_access_token(keys).split(".")
    head = _segment({"alg": algorithm, "typ": "at+jwt", "kid": keys.signing.kid})
    for token in (f"{head}.{honest[1]}.", f"{head}.{honest[1]}.{honest[2]}", f"{honest[0]}.{honest[1]}."):
        with pytest.raises(NotAuthenticated):
            authenticate(token)


def test_t004_a_mac_with_the_public_key_proves_nothing(keys: KeyRing, authenticate: Authenticate) -> None:
    """HS256 over the PEM and over the JWK of our own key."""
    public = keys.verifying.keys[0]
    for secret in (public.as_pem(private=False), json.dumps(public.as_dict(private=False)).encode()):  # type: ignore[attr-defined]
        signed = f"{_segment({'alg': 'HS256', 'typ': 'at+jwt'})}.{_segment(access_token_claims())}"
        mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        with pytest.raises(NotAuthenticated):
            authenticate(f"{signed}.{_segment(mac)}")


def test_t005_a_key_that_the_token_brings_along_is_not_used(keys: KeyRing, authenticate: Authenticate) -> None:
    """`jwk`, `jku`, `x5u` and `x5c` refuse the token, whoever signed it."""
    attacker = RSAKey.generate_key(2048, {"kid": "evil"})
    jwk = attacker.as_dict(private=False)
    for key, header in (
        (attacker, {"jwk": jwk, "kid": "evil"}),
        (attacker, {"jwk": jwk}),
        (attacker, {"jku": "http://127.0.0.1:1/jwks", "kid": "evil"}),
        (attacker, {"x5u": "http://127.0.0.1:1/x"}),
        (keys.signing, {"jwk": jwk}),
        (keys.signing, {"jku": "http://127.0.0.1:1/jwks"}),
        (keys.signing, {"x5c": ["AA"]}),
    ):
        with pytest.raises(NotAuthenticated):
            authenticate(_signed(keys, header, key))


@pytest.mark.parametrize("kid", ["../../../../dev/null", "' OR 1=1--", "x" * 100_000, "", 7, ["a"], {"a": 1}])
def test_t006_a_strange_kid_proves_nothing(kid: object, keys: KeyRing, authenticate: Authenticate) -> None:
    """It is looked up among our few keys, and nowhere else."""
    honest = an_access_token(keys).split(".")
    head = _segment({"alg": "RS256", "typ": "at+jwt", "kid": kid})
    with pytest.raises(NotAuthenticated):
        authenticate(f"{head}.{honest[1]}.{honest[2]}")


def test_a_token_without_a_kid_is_checked_with_the_current_key(keys: KeyRing, authenticate: Authenticate) -> None:
    """`kid` is optional in RFC 7515; there is one key that signs."""
    assert authenticate(_signed(keys, {"kid": None})).client_id == "ehr"


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": ["x"], "x": 1},
        {"b64": False, "crit": ["b64"]},
        {"b64": False},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"x": "y" * 9000},
        {"x": "y"},
    ],
)
def test_t007_header_parameters_that_steer_the_reading_refuse_the_token(
    header: Mapping[str, Any], keys: KeyRing, authenticate: Authenticate
) -> None:
    """Only `alg`, `kid` and `typ` may occur."""
    honest = an_access_token(keys).split(".")
    head = _segment({"alg": "RS256", "typ": "at+jwt", "kid": keys.signing.kid, **header})
    with pytest.raises(NotAuthenticated):
        authenticate(f"{head}.{honest[1]}.{honest[2]}")


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "id_token", "", "at+JWT+x", 7, ["at+jwt"]])
def test_t008_a_document_of_another_type_is_no_access_token(
    typ: object, keys: KeyRing, authenticate: Authenticate
) -> None:
    """`typ` is needed and exact (RFC 9068 §4), upper or lower case."""
    if typ is None or isinstance(typ, str):
        with pytest.raises(NotAuthenticated):
            authenticate(_signed(keys, {"typ": typ}))
    else:
        honest = an_access_token(keys).split(".")
        with pytest.raises(NotAuthenticated):
            authenticate(f"{_segment({'alg': 'RS256', 'typ': typ})}.{honest[1]}.{honest[2]}")


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_type_is_written_in_any_case_and_in_full(typ: str, keys: KeyRing, authenticate: Authenticate) -> None:
    """RFC 9068 §4 and RFC 7515 §4.1.9."""
    assert authenticate(_signed(keys, {"typ": typ})).client_id == "ehr"


def test_t008_a_clients_assertion_is_no_access_token(authenticate: Authenticate) -> None:
    """Even one whose audience is the gateway."""
    with pytest.raises(NotAuthenticated):
        authenticate(an_assertion(aud=BASE_URL))


@pytest.mark.parametrize("name", ["exp", "iat", "jti", "sub", "client_id", "iss", "aud", "scope"])
def test_t009_a_claim_that_is_needed_is_needed(name: str, keys: KeyRing, authenticate: Authenticate) -> None:
    """RFC 9068 §2.2, and scope."""
    for value in (None, "", 7.5, [], {}):
        with pytest.raises(NotAuthenticated):
            authenticate(an_access_token(keys, **{name: value}))


@pytest.mark.parametrize(
    "expires", [b"1e308", b'"9999999999"', b"-1", b"true", b"null", b"9999999999", b"1" * 5000, b"NaN", b"Infinity"]
)
def test_t009_an_expiry_that_is_no_sane_time_proves_nothing(
    expires: bytes, keys: KeyRing, authenticate: Authenticate
) -> None:
    """A number of seconds, whole, within the hour."""
    claims = json.dumps(access_token_claims(exp=12345678)).encode()
    with pytest.raises(NotAuthenticated):
        authenticate(_sign_raw(keys, claims.replace(b"12345678", expires)))


def test_t009_a_name_that_occurs_twice_refuses_the_token(keys: KeyRing, authenticate: Authenticate) -> None:
    """At the top and inside, so that two readers can't see two tokens."""
    claims = json.dumps(access_token_claims()).encode()
    assert authenticate(_sign_raw(keys, claims)).client_id == "ehr"
    for doubled in (
        claims[:-1] + b', "exp": %d}' % int(the_moment().timestamp() + 300),
        claims.replace(b'"organization_id"', b'"version": "1", "organization_id"'),
    ):
        with pytest.raises(NotAuthenticated):
            authenticate(_sign_raw(keys, doubled))


@pytest.mark.parametrize("payload", [b"[]", b"null", b'"x"', b"", b"{", b"\xff\xfe", b"[" * 5000, b"{}"])
def test_a_payload_that_is_no_object_of_claims_proves_nothing(
    payload: bytes, keys: KeyRing, authenticate: Authenticate
) -> None:
    """Never a crash, whatever is signed."""
    with pytest.raises(NotAuthenticated):
        authenticate(_sign_raw(keys, payload) if payload else _sign_raw(keys, b" "))


def test_t011_two_tokens_prove_nothing_and_the_scheme_has_no_case(keys: KeyRing) -> None:
    """Two headers, two tokens in one, tabs and trailing words are refused; `bearer` works."""
    authenticator, token = an_authenticator(keys), an_access_token(keys)
    assert authenticator.authenticate([f"bearer {token}"], the_moment()).client_id == "ehr"
    assert authenticator.authenticate([f"BEARER  {token}"], the_moment()).client_id == "ehr"
    bad: Sequence[Sequence[str]] = (
        [f"Bearer {token}", f"Bearer {token}"],
        [f"Bearer {token}, Bearer {token}"],
        [f"Bearer {token},Bearer {token}"],
        [f"Bearer\t{token}"],
        [f"Bearer {token} x"],
        [f" Bearer {token}"],
        [f"Bearer{token}"],
        [f"Bearer {token}\n"],
    )
    for header in bad:
        with pytest.raises(NotAuthenticated):
            authenticator.authenticate(header, the_moment())


def test_a_token_that_is_too_long_is_not_looked_at(keys: KeyRing, authenticate: Authenticate) -> None:
    """Before anything is decoded."""
    with pytest.raises(NotAuthenticated) as refused:
        authenticate(an_access_token(keys, padding="x" * 9000))
    assert refused.value.reason == "too long"


@pytest.mark.parametrize(
    "stated",
    [
        None,
        [],
        "TREAT",
        ["TREAT"],
        [{"code": "TREAT"}],
        [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "FUN"}],
        [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": ["TREAT"]}],
        [{"system": "urn:x", "code": "TREAT"}],
        [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}, {}],
    ],
)
def test_a_token_without_a_known_purpose_reaches_nothing(
    stated: object, keys: KeyRing, authenticate: Authenticate
) -> None:
    """The purpose is taken from the token and from nowhere else, so there must be one."""
    with pytest.raises(PurposeNotAllowed):
        authenticate(an_access_token(keys, extensions={"ihe_iua": {"purpose_of_use": stated}}))


@pytest.mark.parametrize(
    "b2b", [[], "dr", {"subject_id": 7}, {"subject_id": ""}, {"subject_name": ["A"]}, {"subject_role": False}]
)
def test_a_person_that_cannot_be_read_refuses_the_token(b2b: object, keys: KeyRing, authenticate: Authenticate) -> None:
    """An audit must not say "nobody" where somebody was meant."""
    with pytest.raises(NotAuthenticated):
        authenticate(an_access_token(keys, b2b=b2b))


def test_a_client_that_is_disabled_or_gone_is_refused_within_a_second_with_tokens_it_holds(keys: KeyRing) -> None:
    """Tokens end with their client, in every process."""
    store, clock = FakeClientStore(a_client()), FakeClock()
    authenticator = BearerAuthenticator(keys, ClientRegistry(store, clock), issuer=BASE_URL)
    token = [f"Bearer {an_access_token(keys)}"]
    assert authenticator.authenticate(token, the_moment()).client_id == "ehr"
    store.disable("ehr", the_moment())
    clock.now += 1.0
    with pytest.raises(NotAuthenticated):
        authenticator.authenticate(token, the_moment())
    store.clients.clear()
    clock.now += 1.0
    with pytest.raises(NotAuthenticated):
        authenticator.authenticate(token, the_moment())


def test_a_registry_that_cannot_be_read_lets_nobody_in(keys: KeyRing) -> None:
    """Not even who was known a moment ago."""

    class Broken(FakeClientStore):
        def find(self, client_id: str) -> Any:
            raise DependencyUnavailable("down")

    authenticator = BearerAuthenticator(keys, ClientRegistry(Broken()), issuer=BASE_URL)
    with pytest.raises(DependencyUnavailable):
        authenticator.authenticate([f"Bearer {an_access_token(keys)}"], the_moment())
