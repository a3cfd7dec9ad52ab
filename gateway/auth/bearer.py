"""Who is asking: the `Requester` that an `Authorization` header proves, or nobody."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc.jwk import KeySet

from gateway.auth.clients import ClientRegistry
from gateway.auth.jws import Header, JWSProfile, SigningKey, numeric_date, open_jws
from gateway.auth.revoked_tokens import NOTHING_REVOKED, Revocations
from gateway.auth.signing_keys import SigningKeys
from gateway.auth.standing import People, require_person_standing
from gateway.auth.tokens import TYPE
from gateway.db.crypto import SIGNING_ALGORITHM
from gateway.errors import NotAuthenticated, PurposeNotAllowed
from gateway.model import ClientID, PatientID, Requester
from gateway.purposes import KNOWN, SYSTEM

MOST_LIFETIME = timedelta(hours=1)
"""The longest an access token may still have to live (IHE IUA: one hour); the gateway's own live five minutes."""
SKEW_S = 60
"""By how much another of the exchange's own machines may be ahead in `iat`; `exp` and `nbf` are taken as they are."""

_PROFILE = JWSProfile.of(
    algorithms=(SIGNING_ALGORITHM,),
    types=(TYPE, f"application/{TYPE}"),
    parameters="alg kid typ",
    most_characters=8192,
)
_PATIENT = re.compile(r"(?:Patient/)?([A-Za-z0-9.-]{1,64})", re.ASCII)


class BearerAuthenticator:
    """Checks access tokens by RFC 9068 §4 and RFC 6750. Nothing of a decision is remembered between requests."""

    def __init__(
        self,
        keys: SigningKeys,
        clients: ClientRegistry,
        *,
        issuer: str,
        revoked: Revocations = NOTHING_REVOKED,
        people: People | None = None,
    ) -> None:
        """`people` are those who may stand behind a token; a person's token doesn't hold where there are none."""
        self._keys = keys
        self._known = _by_kid(keys.verifying)
        self._clients = clients
        self._issuer = issuer
        self._revoked = revoked
        self._people = people

    def authenticate(self, authorization: Sequence[str], now: datetime) -> Requester:
        """Who the one bearer token names. `authorization` holds every value of that header.

        Raises NotAuthenticated (T1–T11); PurposeNotAllowed where a token that holds states no known purpose;
        DelegationEnded where the person behind it no longer acts for its patient; DependencyUnavailable where the
        client, what was revoked or the person can't be looked up.
        """
        requester, _ = self.read(token_of(authorization), (self._issuer,), now)
        return requester

    def read(self, token: str, audiences: Sequence[str], now: datetime) -> tuple[Requester, Mapping[str, Any]]:
        """Who `token` names, which is meant for one of `audiences` alone, and all that it claims.

        Raises as `authenticate` does.
        """
        claims = open_jws(token, _PROFILE, self._find_key)
        if claims.get("iss") != self._issuer:
            raise NotAuthenticated("another issuer")
        if claims.get("aud") not in (*audiences, *([one] for one in audiences)):
            raise NotAuthenticated("another audience")
        _check_times(claims, now)
        client = self._clients.require_enabled(_text(claims, "client_id"))
        b2b, app = _extension(claims, "hl7-b2b"), _extension(claims, "app")
        token_id, grant = _text(claims, "jti"), _text_or_none(app, "grant")
        if self._revoked.has_ended(token_id, grant):
            raise NotAuthenticated("the token was revoked")
        requester = Requester(
            client_id=ClientID(client.id),
            client_name=client.name,
            organization=client.organization,
            scopes=tuple(_text(claims, "scope").split(" ")),
            purposes=_purposes(claims),
            issuer=self._issuer,
            subject=_text(claims, "sub"),
            token_id=token_id,
            expires_at=datetime.fromtimestamp(claims["exp"], UTC),
            subject_id=_text_or_none(b2b, "subject_id"),
            subject_name=_text_or_none(b2b, "subject_name"),
            subject_role=_text_or_none(b2b, "subject_role"),
            patient=_patient(claims),
            declaration=_text_or_none(_extension(claims, "break_glass"), "declaration"),
            token_exchange=client.token_exchange,
            account=_text_or_none(app, "account"),
            grant=grant,
            delegation=_text_or_none(app, "delegation"),
        )
        require_person_standing(self._people, requester, now)
        return requester, claims

    def _find_key(self, header: Header) -> SigningKey:
        verifying = self._keys.verifying
        if verifying is not self._known[0]:
            self._known = _by_kid(verifying)
        key = verifying.keys[0] if header.kid is None else self._known[1].get(header.kid)
        if key is None:
            raise NotAuthenticated("signed with a key that is not ours")
        return key  # type: ignore[return-value]  # a key ring holds RSA keys for signing


def _by_kid(verifying: KeySet) -> tuple[KeySet, Mapping[str | None, Any]]:
    return verifying, {key.kid: key for key in verifying.keys}


def token_of(authorization: Sequence[str]) -> str:
    """The one bearer token in every value of that header. Raises NotAuthenticated."""
    if not authorization:
        raise NotAuthenticated("a token is needed", presented=False)
    if len(authorization) > 1:
        raise NotAuthenticated("more than one Authorization header")
    scheme, _, token = authorization[0].partition(" ")
    if scheme.lower() != "bearer":
        # RFC 6750 §3.1: another scheme is as if nothing had been sent; a broken bearer is not.
        raise NotAuthenticated("not a bearer token", presented=scheme[:6].lower() == "bearer")
    return token.lstrip(" ")


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    moment = now.timestamp()
    expires = numeric_date(claims, "exp", whole=True)
    issued = numeric_date(claims, "iat", whole=True)
    not_before = numeric_date(claims, "nbf", whole=True)
    if expires is None or issued is None:
        raise NotAuthenticated("exp and iat are needed")
    if moment >= expires:
        raise NotAuthenticated("the token has expired", expired=True)
    if expires - moment > MOST_LIFETIME.total_seconds():
        raise NotAuthenticated("the token lives too long")
    if issued > moment + SKEW_S or (not_before is not None and not_before > moment):
        raise NotAuthenticated("the token is not valid yet")


def _purposes(claims: Mapping[str, Any]) -> tuple[str, ...]:
    stated = _extension(claims, "ihe_iua").get("purpose_of_use")
    if not isinstance(stated, list) or not stated:
        raise PurposeNotAllowed("the token states no purpose of use")
    codes = tuple(dict.fromkeys(_code(coding) for coding in stated))
    if None in codes:
        raise PurposeNotAllowed("the token states a purpose of use that is not known here")
    return tuple(code for code in codes if code is not None)


def _code(coding: object) -> str | None:
    if not isinstance(coding, dict) or coding.get("system") != SYSTEM:
        return None
    code = coding.get("code")
    return code if isinstance(code, str) and code in KNOWN else None


def _patient(claims: Mapping[str, Any]) -> PatientID | None:
    if "patient" not in claims:
        return None
    value = claims["patient"]
    match = _PATIENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        # A binding that can't be read is never taken for "not bound".
        raise NotAuthenticated("patient is not an id")
    return PatientID(match[1])


def _extension(claims: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    extensions = claims.get("extensions")
    value = extensions.get(name, {}) if isinstance(extensions, dict) else {}
    if not isinstance(value, dict):
        raise NotAuthenticated(f"{name} is not a JSON object")
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise NotAuthenticated(f"{name} is needed")
    return value


def _text_or_none(claims: Mapping[str, Any], name: str) -> str | None:
    return None if claims.get(name) is None else _text(claims, name)
