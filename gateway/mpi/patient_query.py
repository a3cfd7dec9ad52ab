"""Does a record say what a search describes? String, token and date search on Patient, as FHIR R4 has them. Pure.

A string is found by its beginning, without case, accents and punctuation, or with `:exact` as it is written. What a
description asks for is said by one record alone: what two facilities say of a person is not mixed.
"""

import unicodedata
from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar, get_args

from gateway.imaging.matching import holds
from gateway.model import DateBound, Moment, PatientID, Token
from gateway.mpi.demographics import fold
from gateway.mpi.normalise_name import stated_parts

StringField = Literal[
    "family",
    "given",
    "address",
    "address-city",
    "address-country",
    "address-postalcode",
    "address-state",
    "mothersMaidenName",
]
STRING_FIELDS: tuple[StringField, ...] = get_args(StringField)
GENDER = "http://hl7.org/fhir/administrative-gender"
MOTHERS_MAIDEN_NAME = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"
MOST_LISTED = 20
"""Names, addresses and contacts of a record that are looked at."""
_PHONE_DIGITS = 9
_A_DAY = timedelta(days=1)

T = TypeVar("T")
AndOfOrs = tuple[tuple[T, ...], ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A string that is searched for."""

    text: str
    exact: bool = False

    @property
    def folded(self) -> str:
        """Its letters and digits, without case and accents."""
        return fold(self.text)

    def is_in(self, values: Iterable[str]) -> bool:
        """Whether one of `values` begins with it, or is it."""
        if self.exact:
            wanted = unicodedata.normalize("NFC", self.text)
            return any(unicodedata.normalize("NFC", value) == wanted for value in values)
        folded = self.folded
        return any(fold(value).startswith(folded) for value in values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a search says of whom it looks for, identifiers aside. Each value is an AND of ORs."""

    strings: Mapping[StringField, AndOfOrs[Text]] = field(default_factory=dict)
    telecom: AndOfOrs[Token] = ()
    birthdate: AndOfOrs[DateBound] = ()
    gender: AndOfOrs[Token] = ()
    active: AndOfOrs[bool] = ()

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return bool(self.strings or self.telecom or self.birthdate or self.gender or self.active)


def is_described(patient: Mapping[str, Any], asked: Description, now: datetime) -> bool:
    """Whether the record says all that is asked for."""
    return (
        all(
            _any_in(alternatives, READ[name](patient))
            for name, clauses in asked.strings.items()
            for alternatives in clauses
        )
        and all(any(_has_telecom(patient, one) for one in alternatives) for alternatives in asked.telecom)
        and all(any(_is_born(patient, one, now) for one in alternatives) for alternatives in asked.birthdate)
        and all(any(_has_gender(patient, one) for one in alternatives) for alternatives in asked.gender)
        and all(any(_is_active(patient, one) for one in alternatives) for alternatives in asked.active)
    )


def _any_in(alternatives: Sequence[Text], values: Iterable[str]) -> bool:
    listed = list(values)
    return any(one.is_in(listed) for one in alternatives)


def _listed(patient: Mapping[str, Any], element: str) -> Iterator[Mapping[str, Any]]:
    for one in (patient.get(element) or ())[:MOST_LISTED]:
        if isinstance(one, Mapping):
            yield one


def families(patient: Mapping[str, Any]) -> Iterator[str]:
    """The family name of every name."""
    for name in _listed(patient, "name"):
        if family := stated_parts(name)[0]:
            yield family


def givens(patient: Mapping[str, Any]) -> Iterator[str]:
    """Every given name of every name."""
    for name in _listed(patient, "name"):
        yield from [one for one in stated_parts(name)[1] if one][:MOST_LISTED]


def _part(element: str) -> Callable[[Mapping[str, Any]], Iterator[str]]:
    def read(patient: Mapping[str, Any]) -> Iterator[str]:
        for address in _listed(patient, "address"):
            if value := address.get(element):
                yield value

    return read


def address_parts(patient: Mapping[str, Any]) -> Iterator[str]:
    """Everything that an address says: its lines, each other part, its text."""
    for address in _listed(patient, "address"):
        yield from [line for line in address.get("line") or () if line][:MOST_LISTED]
        for element in ("city", "district", "state", "postalCode", "country", "text"):
            if value := address.get(element):
                yield value


def mothers_maiden_names(patient: Mapping[str, Any]) -> Iterator[str]:
    """The mother's maiden name, where it is stated."""
    for extension in _listed(patient, "extension"):
        if extension.get("url") == MOTHERS_MAIDEN_NAME and (value := extension.get("valueString")):
            yield value


READ: Mapping[StringField, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "family": families,
    "given": givens,
    "address": address_parts,
    "address-city": _part("city"),
    "address-country": _part("country"),
    "address-postalcode": _part("postalCode"),
    "address-state": _part("state"),
    "mothersMaidenName": mothers_maiden_names,
}
"""What a record says in each field."""


def contacts(patient: Mapping[str, Any]) -> Iterator[tuple[frozenset[str], str]]:
    """Of each contact, its system and use, and its value as it is compared."""
    for one in _listed(patient, "telecom"):
        if compared := comparable_contact(one.get("value") or ""):
            yield frozenset(filter(None, (one.get("system"), one.get("use")))), compared


def comparable_contact(value: str) -> str:
    """A number by its last nine digits, since country and trunk prefixes vary; anything else without case."""
    if any(letter.isalpha() or letter == "@" for letter in value):
        return value.strip().casefold()
    return "".join(letter for letter in value if letter in "0123456789")[-_PHONE_DIGITS:]


def _has_telecom(patient: Mapping[str, Any], token: Token) -> bool:
    wanted = comparable_contact(token.code or "")
    return any(
        (not token.system or token.system in kinds) and (token.code is None or value == wanted)
        for kinds, value in contacts(patient)
    )


def birth_moment(stated: object) -> Moment | None:
    """The interval that a birth date of any precision denotes; None where there is none."""
    try:
        numbers = [int(part) for part in str(stated or "").partition("T")[0].split("-")]
        year, month, day = [*numbers, 1, 1][:3]
        first = datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        return None
    days = {1: 366 if monthrange(first.year, 2)[1] == 29 else 365, 2: monthrange(first.year, first.month)[1]}
    try:
        return Moment(start=first, end=first + days.get(len(numbers), 1) * _A_DAY)
    except OverflowError:
        return None


def _is_born(patient: Mapping[str, Any], bound: DateBound, now: datetime) -> bool:
    moment = birth_moment(patient.get("birthDate"))
    return moment is not None and holds(bound, moment, now)


def _has_gender(patient: Mapping[str, Any], token: Token) -> bool:
    gender = patient.get("gender")
    return gender is not None and token.system in (None, GENDER) and token.code in (None, gender)


def _is_active(patient: Mapping[str, Any], wanted: bool) -> bool:
    return (patient.get("active", True) is not False) is wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientQuery:
    """One search on Patient: by ids, identifiers and description, all of which hold."""

    ids: AndOfOrs[PatientID] = ()
    identifiers: AndOfOrs[Token] = ()
    described: Description = field(default_factory=Description)
    last_updated: AndOfOrs[DateBound] = ()
    """When what may be seen of the person last changed."""
    domains: frozenset[str] = frozenset()
    """The systems of which identifiers are told (IHE PDQm §2:3.78.4.1.2.3); none: all."""
