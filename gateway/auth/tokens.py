"""The access tokens the gateway signs (RFC 9068): the one place that builds their claims."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.jws import JWSRegistry

from gateway.auth.b2b import Context, Subject
from gateway.auth.clients import Client
from gateway.auth.signing_keys import SigningKeys
from gateway.db.crypto import SIGNING_ALGORITHM
from gateway.model import PatientID
from gateway.purposes import SYSTEM, URN

LIFETIME = timedelta(minutes=5)
TYPE = "at+jwt"
_REGISTRY = JWSRegistry(algorithms=[SIGNING_ALGORITHM])


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """The person who uses an app, and what they granted it."""

    sub: str
    account: str
    grant: str
    delegation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A token as it is handed out once, with what the gateway keeps of it."""

    value: str = field(repr=False)
    token_id: str
    scopes: tuple[str, ...]
    purposes: tuple[str, ...]
    subject: Subject
    expires_at: datetime
    lifetime: timedelta
    """How long it is of use, from when it is issued (RFC 6749 §5.1, `expires_in`)."""


def issue_access_token(
    keys: SigningKeys,
    *,
    issuer: str,
    client: Client,
    scopes: tuple[str, ...],
    purposes: tuple[str, ...],
    now: datetime,
    subject: Subject = Subject(),  # noqa: B008  # frozen
    context: Context = Context(),  # noqa: B008  # frozen
    patient: PatientID | None = None,
    declaration: str | None = None,
    granted: Granted | None = None,
    useful: timedelta = LIFETIME,
) -> AccessToken:
    """A token of five minutes for `client`, its audience the gateway itself.

    `useful` is how long the client is told to use it, where that is less.
    Claims: RFC 9068 §2.2, IHE IUA `ihe_iua`, FAST Security `hl7-b2b` (contract §5), `patient` where it is bound to one,
    `break_glass` with the declaration that it is issued under, `app` with what a person `granted`.
    """
    issued = int(now.timestamp())
    expires = issued + int(LIFETIME.total_seconds())
    token_id = secrets.token_urlsafe(16)
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": issuer,
        "sub": client.id if granted is None else granted.sub,
        "client_id": client.id,
        "jti": token_id,
        "iat": issued,
        "exp": expires,
        "scope": " ".join(scopes),
        "extensions": {
            "ihe_iua": {"purpose_of_use": [{"system": SYSTEM, "code": code} for code in purposes]},
            "hl7-b2b": _b2b(client, purposes, subject, context),
        },
    }
    if patient is not None:
        claims["patient"] = patient
    if declaration is not None:
        claims["extensions"]["break_glass"] = {"declaration": declaration}
    if granted is not None:
        rests_on = {"account": granted.account, "grant": granted.grant, "delegation": granted.delegation}
        claims["extensions"]["app"] = {name: value for name, value in rests_on.items() if value is not None}
    return AccessToken(
        value=sign(keys, claims),
        token_id=token_id,
        scopes=scopes,
        purposes=purposes,
        subject=subject,
        expires_at=datetime.fromtimestamp(expires, UTC),
        lifetime=min(LIFETIME, useful),
    )


def sign(keys: SigningKeys, claims: Mapping[str, Any], kind: str = TYPE) -> str:
    """`claims` as a JWT of that type, signed with the current key."""
    # A key file may leave `kid` out; the set of verifying keys has one for each, its thumbprint where none was given.
    signing = keys.signing
    header = {"alg": SIGNING_ALGORITHM, "typ": kind, "kid": signing.kid or signing.thumbprint()}
    return jwt.encode(header, dict(claims), signing, registry=_REGISTRY)


def _b2b(client: Client, purposes: tuple[str, ...], subject: Subject, context: Context) -> dict[str, Any]:
    # The name is that of the organisation that is stated: it stands beside the registered one only where they agree.
    agrees = context.organization_id in (None, client.organization)
    stated = {
        "version": "1",
        "organization_id": client.organization,
        "organization_name": context.organization_name if agrees else None,
        "subject_id": subject.id,
        "subject_name": subject.name,
        "subject_role": subject.role,
        "purpose_of_use": [f"{URN}#{code}" for code in purposes],
        "consent_policy": list(context.consent_policies) or None,
        "consent_reference": list(context.consent_references) or None,
    }
    return {name: value for name, value in stated.items() if value is not None}
