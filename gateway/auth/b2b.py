"""What a client's assertion states of the person behind it and of the purpose: the `hl7-b2b` object.

FAST Security (UDAP) B2B authorization extension object, and contract §9 for `break_glass`. The organisation it may
name is not read: the registered one counts.
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
_PATIENT = re.compile(r"Patient/([A-Za-z0-9.-]{1,64})", re.ASCII)
_UNPRINTABLE = frozenset(("Cc", "Cs", "Cn", "Co", "Zl", "Zp"))
_TURNS_TEXT = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The person on whose behalf a system asks."""

    id: str | None = None
    name: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Who stands behind the client, for which purposes, and what is to be overridden."""

    purposes: tuple[str, ...] = ()
    subject: Subject = Subject()
    break_glass: BreakGlass | None = None


def parse_statement(claims: Mapping[str, Any]) -> Statement:
    """What `extensions` of a verified assertion states.

    Raises AccessRefused where it can't be understood: a statement is never half read.
    """
    extensions = _object(claims, "extensions")
    b2b = _object(extensions, "hl7-b2b")
    return Statement(
        purposes=parse_purposes(b2b.get("purpose_of_use")),
        subject=Subject(id=_text(b2b, "subject_id"), name=_text(b2b, "subject_name"), role=_text(b2b, "subject_role")),
        break_glass=_parse_break_glass(extensions),
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
