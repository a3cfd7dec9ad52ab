"""What an app is told of the person who uses it: an ID token (OpenID Connect Core §2), and SMART's `fhirUser`."""

from datetime import datetime
from typing import Any

from gateway.auth.app_grants import AppGrant, Capacity
from gateway.auth.signing_keys import SigningKeys
from gateway.auth.tokens import LIFETIME, sign
from gateway.model import PatientID

TYPE = "JWT"
"""Not an access token's type, so that it is never taken for one (RFC 9068 §4)."""


def issue_id_token(
    keys: SigningKeys, grant: AppGrant, *, issuer: str, fhir_base: str, nonce: str | None, now: datetime
) -> str | None:
    """The ID token for `grant`; None where `openid` was not granted."""
    if "openid" not in grant.scopes:
        return None
    issued = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": grant.sub,
        "aud": grant.client_id,
        "iat": issued,
        "exp": issued + int(LIFETIME.total_seconds()),
        "auth_time": int(grant.signed_in_at.timestamp()),
        "amr": list(grant.methods),
    }
    if nonce is not None:
        claims["nonce"] = nonce
    if {"fhirUser", "profile"} & set(grant.scopes):
        claims["fhirUser"] = fhir_user(grant.capacity, grant.patient, grant.account_id, fhir_base)
    if "profile" in grant.scopes and grant.person.name:
        claims["name"] = grant.person.name
    return sign(keys, claims, TYPE)


def fhir_user(capacity: Capacity, patient: PatientID | None, account: str, fhir_base: str) -> str:
    """The person as a FHIR resource (SMART App Launch 2.2, `fhirUser`)."""
    if capacity == "patient":
        return f"{fhir_base}/Patient/{patient}"
    return f"{fhir_base}/{'RelatedPerson' if capacity == 'delegate' else 'Practitioner'}/{account}"
