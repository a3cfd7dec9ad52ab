"""How the gateway gets the tokens that facilities want, inside their own conversations."""

from base64 import b64decode
from urllib.parse import parse_qs

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from gateway.adapters.base import Conversation, FacilityReply, HTTPExchange, HTTPResult
from gateway.adapters.credentials import FacilityTokens, UnusableKey, signing_key, token_request
from gateway.model import Facility, FacilityAuth
from tests.factories_adapters import Exchanges, a_facility

TOKEN_URL = "https://login.archive.example/token"
AUTH = FacilityAuth(type="oauth2", token_url=TOKEN_URL, client_id="gw", client_secret="s&cret", scope="dicom")


class Login:
    """A token endpoint and an archive that takes what it gave."""

    def __init__(self, **answer: object) -> None:
        self.given = 0
        self.refused: set[str] = set()
        self.status = 200
        self._answer = {"token_type": "Bearer", "expires_in": 300, **answer}

    def __call__(self, exchange: HTTPExchange) -> HTTPResult:
        if exchange.url == TOKEN_URL:
            assert exchange.form is not None
            self.given += 1
            return HTTPResult(
                status=self.status, body=orjson.dumps({"access_token": f"token-{self.given}", **self._answer})
            )
        authorization = dict(exchange.headers).get("Authorization", "")
        taken = authorization.startswith("Bearer token-") and authorization not in self.refused
        return HTTPResult(status=200 if taken else 401)


def two_questions(facility: Facility) -> Conversation:
    """Asks twice; its reply counts the answers."""
    first = yield [HTTPExchange(url="http://archive.example/a"), HTTPExchange(url="http://archive.example/b")]
    second = yield [HTTPExchange(url="http://archive.example/c")]
    results = [*first, *second]
    status = "answered" if all(result.status == 200 for result in results) else "refused"
    return FacilityReply(facility=facility, status=status, dropped=len(results))  # type: ignore[arg-type]


def hold(tokens: FacilityTokens, login: object, auth: FacilityAuth = AUTH) -> tuple[FacilityReply, Exchanges]:
    facility = a_facility(auth=auth)
    exchanges = Exchanges(login)  # type: ignore[arg-type]
    return exchanges.hold(tokens.authorized(facility, two_questions(facility))), exchanges


def test_every_exchange_carries_the_token() -> None:
    """One token, fetched first, serves the whole conversation."""
    login = Login()
    reply, exchanges = hold(FacilityTokens(), login)

    assert (reply.status, reply.dropped, login.given) == ("answered", 3, 1)
    assert [one.url for one in exchanges.rounds[0]] == [TOKEN_URL]


def test_a_token_is_kept_until_it_is_nearly_used_up() -> None:
    """The next query needs no new one; one that is about to run out is not used."""
    now = [0.0]
    tokens, login = FacilityTokens(clock=lambda: now[0]), Login()
    hold(tokens, login)
    now[0] = 269.0
    hold(tokens, login)
    assert login.given == 1
    now[0] = 271.0
    hold(tokens, login)
    assert login.given == 2


def test_facilities_and_credentials_have_their_own_tokens() -> None:
    """A changed secret is not served by the old one's token."""
    tokens, login = FacilityTokens(), Login()
    hold(tokens, login)
    hold(tokens, login, FacilityAuth(type="oauth2", token_url=TOKEN_URL, client_id="gw", client_secret="new"))

    assert login.given == 2


def test_a_token_that_was_withdrawn_is_replaced_once() -> None:
    """The archive says 401; the same exchanges go out again with a fresh token."""
    tokens, login = FacilityTokens(), Login()
    hold(tokens, login)
    login.refused.add("Bearer token-1")
    reply, _ = hold(tokens, login)

    assert (reply.status, login.given) == ("answered", 2)


def test_an_archive_that_refuses_every_token_ends() -> None:
    """One new try, then its refusal stands."""
    tokens, login = FacilityTokens(), Login()
    login.refused = {f"Bearer token-{number}" for number in range(9)}
    reply, _ = hold(tokens, login)

    assert (reply.status, login.given) == ("refused", 2)


@pytest.mark.parametrize(
    "answer",
    [
        {"access_token": "a\r\nX-Evil: 1"},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": "a b"},
        {"token_type": "mac"},
        {"token_type": None},
    ],
)
def test_what_is_no_bearer_token_is_not_used(answer: dict[str, object]) -> None:
    """A token with a line break would write a header of its own (RFC 6749 appendix A.12)."""
    reply, exchanges = hold(FacilityTokens(), Login(**answer))

    assert reply.status == "refused"
    assert all(exchange.url == TOKEN_URL for round_ in exchanges.rounds for exchange in round_)


@pytest.mark.parametrize("result", [HTTPResult(failure="timed_out"), HTTPResult(status=503)])
def test_without_a_token_the_conversation_hears_why(result: HTTPResult) -> None:
    """A login service that is away makes its facility unreachable, not empty."""
    heard: list[HTTPResult] = []

    def conversation() -> Conversation:
        heard.extend((yield [HTTPExchange(url="http://archive.example/a")]))
        return FacilityReply(facility=a_facility(), status="unreachable")

    Exchanges(lambda _: result).hold(FacilityTokens().authorized(a_facility(auth=AUTH), conversation()))

    assert heard == [result]


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"access_token":"a"}'])
def test_an_answer_of_another_shape_is_a_refusal(body: bytes) -> None:
    """Nothing is guessed."""
    reply, _ = hold(FacilityTokens(), lambda _: HTTPResult(status=200, body=body))

    assert reply.status == "refused"


def test_a_secret_is_sent_as_rfc_6749_says() -> None:
    """Form-encoded, then Basic (§2.3.1)."""
    exchange = token_request(AUTH, 0)
    authorization = dict(exchange.headers)["Authorization"]

    assert b64decode(authorization.removeprefix("Basic ")) == b"gw:s%26cret"
    assert exchange.form == b"grant_type=client_credentials&scope=dicom"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSAKey.generate_key(2048), "RS384"),
        (ECKey.generate_key("P-384"), "ES384"),
        (ECKey.generate_key("P-256"), "ES256"),
    ],
    ids=["rsa", "p384", "p256"],
)
def test_a_key_signs_an_assertion(key: RSAKey | ECKey, algorithm: str) -> None:
    """RFC 7523 §3: issuer and subject are the client, the audience is the token endpoint, it is short-lived."""
    pem = key.as_pem(private=True).decode()
    exchange = token_request(FacilityAuth(type="oauth2", token_url=TOKEN_URL, client_id="gw", private_key=pem), 1000)
    form = parse_qs((exchange.form or b"").decode())
    token = jwt.decode(form["client_assertion"][0], key, algorithms=[algorithm])

    assert (token.claims["iss"], token.claims["sub"], token.claims["aud"]) == ("gw", "gw", TOKEN_URL)
    assert token.claims["exp"] - token.claims["iat"] <= 300
    assert form["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]


def test_a_jwk_serves_too() -> None:
    """And its `kid` is stated."""
    key = ECKey.generate_key("P-384", {"kid": "k1"})

    assert signing_key(orjson.dumps(key.as_dict(private=True)).decode()).kid == "k1"


PUBLIC_KEY = ECKey.generate_key("P-256").as_pem(private=False).decode()


@pytest.mark.parametrize(
    "text", ["", "nonsense", "{}", '{"kty":"oct","k":"AAAA"}', PUBLIC_KEY], ids=lambda text: text[:8]
)
def test_what_can_not_sign_is_no_key(text: str) -> None:
    """Public halves and shared secrets are refused when they are registered."""
    with pytest.raises(UnusableKey):
        signing_key(text)
