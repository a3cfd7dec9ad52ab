"""A FHIR Patient as matching compares it. Pure.

Li, Xu and Grannis (J Med Internet Res 2022;24(9):e33775) show what treating missing as disagreement costs; so whatever
can't be this person's own value (placeholders, defaults, impossible dates) is set aside here and is neutral later.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from gateway.mpi.match_record import MatchRecord
from gateway.mpi.nicknames import given_forms
from gateway.mpi.normalise_contact import read_emails, read_homes, read_phones
from gateway.mpi.normalise_identifier import read_identifiers
from gateway.mpi.normalise_name import read_names

_OLDEST_YEARS = 125
_DEFAULT_DATES = frozenset(("19000101", "19000102", "19001231", "18991230", "19010101", "11111111", "19111111"))
"""What systems write where a birth date isn't known."""


def normalise(patient: Mapping[str, Any], *, today: date, strong_systems: frozenset[str] = frozenset()) -> MatchRecord:
    """What `patient` (a FHIR R4 Patient that has been checked) says of the person, ready to be compared.

    `strong_systems` are the exchange's own identifier systems that name one person; `today` tells which dates are
    still to come.
    """
    names = read_names(patient.get("name") or ())
    telecom = patient.get("telecom") or ()
    homes = read_homes(patient.get("address") or ())
    current = homes[0] if homes else None
    national, identifiers = read_identifiers(patient.get("identifier") or (), strong_systems)
    return MatchRecord(
        given=names.given,
        given_forms=given_forms(names.given),
        givens=names.givens,
        middle=names.middle,
        family=names.family,
        families=names.families,
        given_native=names.given_native,
        family_native=names.family_native,
        suffix=names.suffix,
        newborn=names.newborn,
        mother_given=names.mother_given,
        birth_order=_birth_order(patient) or names.birth_order,
        birth_date=read_birth_date(patient.get("birthDate"), today),
        sex=sex if (sex := patient.get("gender")) in ("male", "female") else "",
        phones=read_phones(telecom),
        emails=read_emails(telecom),
        number=current.number if current else "",
        street=current.street if current else "",
        unit=current.unit if current else "",
        postcode=current.postcode if current else "",
        city=current.city if current else "",
        homes=tuple(f"{home.door} {home.postcode}" for home in homes if home.door and home.postcode),
        doors=tuple(dict.fromkeys(home.door for home in homes if home.door)),
        national=national,
        national_systems=tuple(dict.fromkeys(one.rpartition("|")[0] for one in national)),
        identifiers=identifiers,
    )


def read_birth_date(stated: object, today: date) -> str:
    """`YYYYMMDD`, `YYYYMM` or `YYYY`; empty for a default, a day that never was or is still to come, or an age no
    person has reached."""
    digits = str(stated or "").partition("T")[0].replace("-", "")
    if not digits.isascii() or not digits.isdigit() or len(digits) not in (4, 6, 8) or digits in _DEFAULT_DATES:
        return ""
    padded = digits + "0101"[len(digits) - 4 :]
    try:
        born = date(int(padded[:4]), int(padded[4:6]), int(padded[6:]))
    except ValueError:
        return ""
    return digits if born <= today and born.year >= today.year - _OLDEST_YEARS else ""


def _birth_order(patient: Mapping[str, Any]) -> int:
    order = patient.get("multipleBirthInteger")
    return order if isinstance(order, int) and 0 < order < 10 else 0
