"""Identifiers as matching compares them: those that name one person, and those that can't be anybody's. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_MOST = 50
_LEAST_REPEATED = 4
_SSN = ("http://hl7.org/fhir/sid/us-ssn", "urn:oid:2.16.840.1.113883.4.1")
_MEDICARE = ("http://hl7.org/fhir/sid/us-mbi", "http://hl7.org/fhir/sid/us-medicare")
_NHS = ("https://fhir.nhs.uk/Id/nhs-number", "urn:oid:2.16.840.1.113883.2.1.4.1")
_IHI = ("http://ns.electronichealth.net.au/id/hi/ihi/1.0",)
NATIONAL_SYSTEMS = frozenset((*_SSN, *_MEDICARE, *_NHS, *_IHI))
"""Systems that name one person everywhere. The exchange adds its own (`GATEWAY_STRONG_IDENTIFIER_SYSTEMS`)."""
_PERSON_TYPES = frozenset(("SS", "NI", "NNxxx"))
"""HL7 v2 table 0203: social security number, national unique individual identifier, national person identifier."""
_NOT_KEPT = re.compile(r"[^0-9A-Z]")
_WORDS = frozenset(
    ("UNKNOWN", "UNK", "NONE", "NA", "NULL", "TEST", "REFUSED", "PENDING", "TEMP", "NOTKNOWN", "DECLINED", "XXX")
)
_NEVER_ISSUED = frozenset(("123456789", "987654321", "078051120", "219099999", "457555462", "1234567890", "0123456789"))


def read_identifiers(
    identifiers: Sequence[Mapping[str, Any]], strong_systems: frozenset[str] = frozenset()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(those that name one person, the others), each `system|value` once; invalid and placeholder values set aside."""
    national: dict[str, None] = {}
    others: dict[str, None] = {}
    for one in identifiers[:_MOST]:
        system, value = one.get("system") or "", _NOT_KEPT.sub("", str(one.get("value") or "")[:100].upper())
        if not system or one.get("use") == "temp" or not _is_somebodys(system, value):
            continue
        if system in NATIONAL_SYSTEMS or system in strong_systems or _is_personal(one):
            national[f"{system}|{value}"] = None
        else:
            others[f"{system}|{value}"] = None
    return tuple(national), tuple(others)


def is_placeholder(system: str, value: str) -> bool:
    """Whether `value` is one that systems write where they know none (`999999999`), or that was never issued."""
    kept = _NOT_KEPT.sub("", value[:100].upper())
    if kept in _WORDS or kept in _NEVER_ISSUED or (len(kept) >= _LEAST_REPEATED and len(set(kept)) == 1):
        return True
    return system in _SSN and not _is_ssn(kept)


def _is_personal(identifier: Mapping[str, Any]) -> bool:
    codings = (identifier.get("type") or {}).get("coding") or ()
    return any(coding.get("code") in _PERSON_TYPES for coding in codings)


def _is_somebodys(system: str, value: str) -> bool:
    if len(value) < 3 or len(set(value)) == 1 or value in _WORDS or value in _NEVER_ISSUED:
        return False
    rule = _RULES.get(system)
    return rule is None or rule(value)


def _is_ssn(value: str) -> bool:
    # Never issued: area 000, 666 and 900-999, group 00, serial 0000 (Social Security Administration, since 2011 too).
    return (
        re.fullmatch(r"\d{9}", value) is not None
        and value[:3] not in ("000", "666")
        and value[0] != "9"
        and value[3:5] != "00"
        and value[5:] != "0000"
    )


def _is_nhs_number(value: str) -> bool:
    # NHS Data Dictionary: ten digits, the last one their check digit modulo 11.
    if not re.fullmatch(r"\d{10}", value):
        return False
    weighted = sum(int(digit) * weight for digit, weight in zip(value, range(10, 1, -1), strict=False))
    return (11 - weighted % 11) % 11 == int(value[9])


def _is_luhn(value: str) -> bool:
    # ISO/IEC 7812-1 annex B; the Australian IHI is sixteen digits of it.
    if not value.isdigit():
        return False
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(value)))
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


_RULES: Mapping[str, Callable[[str], bool]] = {
    **dict.fromkeys(_SSN, _is_ssn),
    **dict.fromkeys(_NHS, _is_nhs_number),
    **dict.fromkeys(_IHI, _is_luhn),
}
