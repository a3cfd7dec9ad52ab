"""Tokens that are bound to a facility (RFC 8693, contract §10): good there alone, for minutes, for what they name.

Its audience is the address of that facility, so that neither the gateway nor another facility takes it (RFC 9068 §4).
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.auth.signing_keys import SigningKeys
from gateway.auth.tokens import LIFETIME, sign
from gateway.errors import InvalidQuery, NotAuthenticated
from gateway.model import PatientID, StudyUID

EXTENSION = "retrieval"
_KEPT = ("ihe_iua", "hl7-b2b", "break_glass", "app")
"""What a token says of who asks, why, and on what it rests: said of the one that it is exchanged for as well."""


class InvalidTarget(InvalidQuery):
    """No facility that takes such tokens has that address (RFC 8693 §2.2.2, RFC 8707 §2)."""

    code = "invalid-target"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What a facility-bound token is for."""

    patient: PatientID
    """The person, as the gateway knows them."""
    patient_id: str
    """The PatientID by which the facility knows them."""
    studies: tuple[StudyUID, ...]
    """The studies that it opens; never empty."""
    series: tuple[str, ...] | None = None
    """The only series that it opens, where the study is not open as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FacilityToken:
    """A facility-bound token as it is handed out once."""

    value: str = field(repr=False)
    token_id: str
    expires_at: datetime
    lifetime_s: int


def issue_facility_token(
    keys: SigningKeys,
    *,
    audience: str,
    subject: Mapping[str, Any],
    scopes: Sequence[str],
    binding: Binding,
    pcf: Mapping[str, Any],
    now: datetime,
) -> FacilityToken:
    """A token of at most five minutes for `audience`, which ends no later than the token of the claims `subject`.

    `pcf` is IHE PCF's `ihe_pcf`: on which consents it rests, and what is left out.
    """
    issued = int(now.timestamp())
    expires = min(issued + int(LIFETIME.total_seconds()), int(subject["exp"]))
    token_id = secrets.token_urlsafe(16)
    extensions = {name: subject["extensions"][name] for name in _KEPT if name in subject["extensions"]}
    bound: dict[str, Any] = {"patient_id": binding.patient_id, "studies": list(binding.studies)}
    if binding.series is not None:
        bound["series"] = list(binding.series)
    claims = {
        "iss": subject["iss"],
        "aud": audience,
        "sub": subject["sub"],
        "client_id": subject["client_id"],
        "jti": token_id,
        "iat": issued,
        "exp": expires,
        "scope": " ".join(scopes),
        "patient": binding.patient,
        "extensions": {**extensions, EXTENSION: {**bound, "exchanged": subject["jti"]}, "ihe_pcf": dict(pcf)},
    }
    return FacilityToken(
        value=sign(keys, claims),
        token_id=token_id,
        expires_at=datetime.fromtimestamp(expires, UTC),
        lifetime_s=expires - issued,
    )


def binding_in(claims: Mapping[str, Any]) -> tuple[Binding, str]:
    """What the facility-bound token of these claims is for, and the `jti` of the token that it was got for.

    Raises NotAuthenticated where it doesn't say: such a token opens nothing.
    """
    extensions = claims.get("extensions")
    bound = extensions.get(EXTENSION) if isinstance(extensions, dict) else None
    if not isinstance(bound, dict):
        raise NotAuthenticated("the token is not bound to what it opens")
    patient, patient_id, exchanged = claims.get("patient"), bound.get("patient_id"), bound.get("exchanged")
    studies, series = bound.get("studies"), bound.get("series")
    if not (isinstance(patient, str) and isinstance(patient_id, str) and isinstance(exchanged, str)):
        raise NotAuthenticated("the token is not bound to a patient")
    if not _are_texts(studies) or not studies or not (series is None or _are_texts(series)):
        raise NotAuthenticated("the token is not bound to studies")
    return (
        Binding(
            patient=PatientID(patient),
            patient_id=patient_id,
            studies=tuple(StudyUID(uid) for uid in studies),
            series=None if series is None else tuple(series),
        ),
        exchanged,
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
