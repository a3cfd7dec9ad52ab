"""What a client's assertion states of the person behind it and of the purpose: the `hl7-b2b` object.

FAST Security (UDAP) B2B authorization extension object, and contract §9 for `break_glass`. The organisation, the
consent policies and the consents it may name are understood, handed on in the token and recorded, and decide nothing:
the organisation that the client is registered for counts, and the consents that are on file here.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.auth.purpose_of_use import BreakGlass, parse_purposes
from gateway.errors import AccessRefused
from gateway.model import PatientID

MOST_CHARACTERS = 256
MOST_REASON_CHARACTERS = 1000
MOST_LISTED = 4
VERSION = "1"
_PATIENT = re.compile(r"Patient/([A-Za-z0-9.-]{1,64})", re.ASCII)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_FACILITY = re.compile(r"[a-z0-9-]{1,32}")
_CONSENT = re.compile(
    r"https?://[^/?#\s]+/(?:[!-~]+/)?(?:Consent|DocumentReference)/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?"
)
_UNPRINTABLE = frozenset(("Cc", "Cs", "Cn", "Co", "Zl", "Zp"))
_TURNS_TEXT = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The person on whose behalf a system asks."""

    id: str | None = None
    name: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What else is stated of the request. None of it is trusted, and none of it decides."""

    organization_id: str | None = None
    organization_name: str | None = None
    consent_policies: tuple[str, ...] = ()
    consent_references: tuple[str, ...] = ()

    def facts(self) -> tuple[tuple[str, str], ...]:
        """What is stated, as the audit keeps it."""
        named = (("stated_organization_id", self.organization_id), ("stated_organization_name", self.organization_name))
        return (
            *((name, value) for name, value in named if value is not None),
            *(("stated_consent_policy", one) for one in self.consent_policies),
            *(("stated_consent_reference", one) for one in self.consent_references),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Who stands behind the client, for which purposes, and what is to be overridden."""

    purposes: tuple[str, ...] = ()
    subject: Subject = Subject()
    context: Context = Context()
    break_glass: BreakGlass | None = None


def parse_statement(claims: Mapping[str, Any]) -> Statement:
    """What `extensions` of a verified assertion states.

    Raises AccessRefused where it can't be understood: a statement is never half read.
    """
    extensions = _object(claims, "extensions")
    b2b = _object(extensions, "hl7-b2b")
    if b2b.get("version", VERSION) != VERSION:
        raise AccessRefused(f'hl7-b2b has another version than "{VERSION}"')
    return Statement(
        purposes=parse_purposes(b2b.get("purpose_of_use")),
        subject=Subject(id=_text(b2b, "subject_id"), name=_text(b2b, "subject_name"), role=_text(b2b, "subject_role")),
        context=_parse_context(b2b),
        break_glass=_parse_break_glass(extensions),
    )


def _parse_context(b2b: Mapping[str, Any]) -> Context:
    organization = _text(b2b, "organization_id")
    if organization is not None and not (_URI.fullmatch(organization) or _FACILITY.fullmatch(organization)):
        raise AccessRefused("organization_id is neither a URI nor the id of a facility")
    policies = _texts(b2b, "consent_policy", _URI, "URIs")
    references = _texts(b2b, "consent_reference", _CONSENT, "absolute URLs of a Consent or DocumentReference")
    if references and not policies:
        raise AccessRefused("consent_reference comes with the consent_policy that it is about")
    return Context(
        organization_id=organization,
        organization_name=_text(b2b, "organization_name"),
        consent_policies=policies,
        consent_references=references,
    )


def _parse_break_glass(extensions: Mapping[str, Any]) -> BreakGlass | None:
    if "break_glass" not in extensions:
        return None
    declared = _object(extensions, "break_glass")
    patient = _PATIENT.fullmatch(_text(declared, "patient") or "")
    reason = _text(declared, "reason", MOST_REASON_CHARACTERS)
    if patient is None or reason is None:
        raise AccessRefused("break_glass names one Patient/{id} and a reason")
    return BreakGlass(patient=PatientID(patient[1]), reason=reason)


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name, {})
    if not isinstance(value, dict):
        raise AccessRefused(f"{name} is not a JSON object")
    return value


def _text(parent: Mapping[str, Any], name: str, most: int = MOST_CHARACTERS) -> str | None:
    """The text, None where absent or blank. Raises AccessRefused for anything a log or a page could stumble over."""
    value = parent.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > most:
        raise AccessRefused(f"{name} is not a text of at most {most} characters")
    if any(character in _TURNS_TEXT or unicodedata.category(character) in _UNPRINTABLE for character in value):
        raise AccessRefused(f"{name} has characters that can't be shown")
    return value.strip() or None


def _texts(parent: Mapping[str, Any], name: str, form: re.Pattern[str], what: str) -> tuple[str, ...]:
    """A list of texts of that form, each once."""
    stated = parent.get(name, [])
    well_formed = (
        isinstance(stated, list)
        and len(stated) <= MOST_LISTED
        and all(isinstance(one, str) and len(one) <= MOST_CHARACTERS and form.fullmatch(one) for one in stated)
    )
    if not well_formed:
        raise AccessRefused(f"{name} is not a list of at most {MOST_LISTED} {what}")
    return tuple(dict.fromkeys(stated))
