"""Which client signed a request: the check of a `private_key_jwt` assertion (RFC 7523, SMART Backend Services).

joserfc verifies; Authlib's assertion check is not used, because it refuses RS384 and ES384, takes an `exp` ten years
ahead and an empty `jti`, and reads nothing of the duplicate names and header parameters that are refused here.

Times: `exp` may be at most five minutes ahead and is taken as it is; `iat` and `nbf` may be up to a minute ahead of our
clock, since a client's clock runs a little fast as often as slow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from gateway.auth.client_keys import ALGORITHMS, ClientKeys
from gateway.auth.clients import Client, ClientRegistry
from gateway.auth.jws import Header, JWSProfile, SigningKey, numeric_date, open_jws, read_claims_unverified
from gateway.errors import NotAuthenticated

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""`client_assertion_type` (RFC 7523 §2.2)."""

MOST_AHEAD_S = 300
SKEW_S = 60
_MOST_ID_CHARACTERS = 255

_PROFILE = JWSProfile.of(
    algorithms=ALGORITHMS,
    # SMART fixes `JWT`; RFC 7515 lets it be left out, and the update of RFC 7523 has a type of its own.
    types=("jwt", None, "client-authentication+jwt"),
    parameters="alg kid typ jku",
    most_characters=16 * 1024,
)


class AssertionRefused(NotAuthenticated):
    """An assertion that does not hold. `client` is the client whose signature was proved, None where none was."""

    def __init__(self, reason: str, client: Client | None = None) -> None:
        super().__init__(reason)
        self.client = client


class SingleUse(Protocol):
    """Remembers which assertions were used."""

    def use(self, issuer: str, token_id: str, *, expires_at: datetime, now: datetime) -> bool:
        """True for exactly one caller, ever, until `expires_at`. Raises DependencyUnavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAssertion:
    """Who signed, and everything that was said under the signature."""

    client: Client
    claims: Mapping[str, Any]


def claimed_client(assertion: str) -> str:
    """Whom an assertion says it comes from, believed by nobody; empty where that can't be read."""
    try:
        named = read_claims_unverified(assertion, _PROFILE).get("sub")
    except NotAuthenticated:
        return ""
    return named[:_MOST_ID_CHARACTERS] if isinstance(named, str) else ""


class AssertionVerifier:
    """Verifies client assertions for one token endpoint."""

    def __init__(self, clients: ClientRegistry, keys: ClientKeys, used: SingleUse, *, audience: str) -> None:
        self._clients = clients
        self._keys = keys
        self._used = used
        self._audience = audience

    def verify(self, assertion: str, *, client_id: str | None, now: datetime) -> VerifiedAssertion:
        """The client that signed `assertion`, which is used up by it.

        `client_id` is the request parameter of that name, if it was sent (RFC 7521 §4.2: it has to agree).
        Raises AssertionRefused (T13–T20); DependencyUnavailable where clients or used assertions can't be looked up.
        """
        client = self._named_client(assertion, client_id)
        claims = self._verified_claims(assertion, client)
        try:
            expires_at = _check_claims(claims, client, self._audience, now)
        except NotAuthenticated as exc:
            raise AssertionRefused(exc.reason, client) from exc
        if not self._used.use(client.id, claims["jti"], expires_at=expires_at, now=now):
            raise AssertionRefused("the assertion was used before", client)
        return VerifiedAssertion(client=client, claims=claims)

    def _named_client(self, assertion: str, client_id: str | None) -> Client:
        try:
            named = read_claims_unverified(assertion, _PROFILE).get("sub")
            if not isinstance(named, str) or not 0 < len(named) <= _MOST_ID_CHARACTERS:
                raise NotAuthenticated("sub names no client")
            if client_id is not None and client_id != named:
                raise NotAuthenticated("client_id is another than the assertion's sub")
            return self._clients.require_enabled(named)
        except NotAuthenticated as exc:
            raise AssertionRefused(exc.reason) from exc

    def _verified_claims(self, assertion: str, client: Client) -> Mapping[str, Any]:
        def find_key(header: Header) -> SigningKey:
            if header.jku is not None and header.jku != client.jwks_uri:
                raise NotAuthenticated("jku is not the registered address")
            return self._keys.find(client, kid=header.kid, algorithm=header.algorithm)

        try:
            return open_jws(assertion, _PROFILE, find_key)
        except NotAuthenticated as exc:
            raise AssertionRefused(exc.reason) from exc


def _check_claims(claims: Mapping[str, Any], client: Client, audience: str, now: datetime) -> datetime:
    if claims.get("iss") != client.id or claims.get("sub") != client.id:
        raise NotAuthenticated("iss and sub are not the client's id")
    if claims.get("aud") not in (audience, [audience]):
        raise NotAuthenticated("aud is not exactly the token endpoint")
    token_id = claims.get("jti")
    if not isinstance(token_id, str) or not 0 < len(token_id) <= _MOST_ID_CHARACTERS:
        raise NotAuthenticated("jti is not a text of 1 to 255 characters")
    return _check_times(claims, now)


def _check_times(claims: Mapping[str, Any], now: datetime) -> datetime:
    moment = now.timestamp()
    expires = numeric_date(claims, "exp", whole=False)
    if expires is None or expires <= moment:
        raise NotAuthenticated("the assertion has expired, or never does")
    if expires > moment + MOST_AHEAD_S:
        raise NotAuthenticated("exp is more than five minutes ahead")
    for name in ("iat", "nbf"):
        begins = numeric_date(claims, name, whole=False)
        if begins is not None and begins > moment + SKEW_S:
            raise NotAuthenticated(f"{name} is in the future")
    return datetime.fromtimestamp(expires, UTC)
