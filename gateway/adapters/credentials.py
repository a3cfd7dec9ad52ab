"""Access tokens that facilities want of the gateway: OAuth 2.0 client credentials (RFC 6749 §4.4, RFC 7523).

A token is asked for inside the facility's own conversation, so its time counts and other facilities don't wait for it.
"""

import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from msgspec.structs import replace

from gateway.adapters.base import Conversation, FacilityReply, HTTPExchange, HTTPResult
from gateway.model import Facility, FacilityAuth

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIVES_S = 240
_USED_UP_S = 30.0
"""A token that would run out within so many seconds is not used any more."""
_LIFE_IF_UNSAID_S = 60.0
_REFUSED = HTTPResult(status=401)

Fetching = Generator[Sequence[HTTPExchange], Sequence[HTTPResult], "_Token | HTTPResult"]


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    good_until: float


class UnusableKey(ValueError):
    """The private key of a facility's registration is none that can sign."""


class FacilityTokens:
    """The tokens in use, kept in this process until they are nearly used up. One object serves all threads."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._tokens: dict[tuple[str, FacilityAuth], _Token] = {}

    def authorized(self, facility: Facility, conversation: Conversation) -> Conversation:
        """The same conversation, each of its exchanges with a token.

        Without a token its exchanges end as the request for one did. A token that the facility refuses (401) is
        replaced, once.
        """
        key = (facility.id, facility.auth)
        results: Sequence[HTTPResult] | None = None
        replaced = False
        try:
            while True:
                # The first `send` of a generator takes None; the type of later ones is the protocol's.
                wanted = conversation.send(results)  # type: ignore[arg-type]
                results = yield from self._exchange(key, wanted)
                if not replaced and any(result.status == 401 for result in results):
                    replaced = True
                    self._tokens.pop(key, None)
                    results = yield from self._exchange(key, wanted)
        except StopIteration as stop:
            reply: FacilityReply = stop.value
        finally:
            conversation.close()
        return reply

    def _exchange(
        self, key: tuple[str, FacilityAuth], wanted: Sequence[HTTPExchange]
    ) -> Generator[Sequence[HTTPExchange], Sequence[HTTPResult], Sequence[HTTPResult]]:
        token = self._tokens.get(key)
        if token is None or token.good_until <= self._clock():
            fetched = yield from self._fetch(key[1])
            if isinstance(fetched, HTTPResult):
                return [fetched] * len(wanted)
            token = self._tokens[key] = fetched
        header = ("Authorization", f"Bearer {token.value}")
        return (yield [replace(exchange, headers=(*exchange.headers, header)) for exchange in wanted])

    def _fetch(self, auth: FacilityAuth) -> Fetching:
        try:
            exchange = token_request(auth, self._wall_clock())
        except UnusableKey:
            return _REFUSED
        (result,) = yield [exchange]
        if result.failure is not None or result.status >= 500:
            return result
        token = _token_in(result, self._clock())
        return _REFUSED if token is None else token


def token_request(auth: FacilityAuth, now: float) -> HTTPExchange:
    """The request for a token, proven by the client's key or by its secret. Raises UnusableKey."""
    form = {"grant_type": "client_credentials"}
    if auth.scope:
        form["scope"] = auth.scope
    headers: tuple[tuple[str, str], ...] = (("Accept", "application/json"),)
    if auth.private_key is not None:
        form |= {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": _assertion(auth, now)}
    else:
        pair = f"{quote_plus(auth.client_id or '')}:{quote_plus(auth.client_secret or '')}"  # RFC 6749 §2.3.1
        headers += (("Authorization", "Basic " + b64encode(pair.encode()).decode()),)
    return HTTPExchange(url=auth.token_url or "", headers=headers, form=urlencode(form).encode())


def _assertion(auth: FacilityAuth, now: float) -> str:
    key = signing_key(auth.private_key or "")
    header: dict[str, str] = {
        "alg": "RS384" if isinstance(key, RSAKey) else _EC_ALGORITHMS[key.curve_name],
        "typ": "JWT",
    }
    if key.kid:
        header["kid"] = key.kid
    claims = {
        "iss": auth.client_id,
        "sub": auth.client_id,
        "aud": auth.token_url,
        "iat": int(now),
        "exp": int(now) + _ASSERTION_LIVES_S,
        "jti": str(uuid.uuid4()),
    }
    return jwt.encode(header, claims, key, algorithms=[header["alg"]])


_EC_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


def signing_key(text: str) -> RSAKey | ECKey:
    """The private key in `text`, PEM or JWK. Raises UnusableKey."""
    for kind in (RSAKey, ECKey):
        try:
            key = kind.import_key(orjson.loads(text) if text.lstrip().startswith("{") else text)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue
        if key.is_private and (isinstance(key, RSAKey) or key.curve_name in _EC_ALGORITHMS):
            return key
    raise UnusableKey("not a private RSA or EC key, PEM or JWK")


def _token_in(result: HTTPResult, now: float) -> _Token | None:
    """The token of a successful answer (RFC 6749 §5.1)."""
    if result.status != 200:
        return None
    try:
        answer = orjson.loads(result.body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(answer, dict) or str(answer.get("token_type", "")).lower() != "bearer":
        return None
    value, life = answer.get("access_token"), answer.get("expires_in", _LIFE_IF_UNSAID_S)
    if not isinstance(value, str) or not value or any(not "!" <= character <= "~" for character in value):
        return None  # RFC 6749 appendix A.12; a line break would write a header of its own
    try:
        seconds = float(life)
    except (TypeError, ValueError):
        seconds = _LIFE_IF_UNSAID_S
    return _Token(value, now + max(seconds / 2, seconds - _USED_UP_S))
