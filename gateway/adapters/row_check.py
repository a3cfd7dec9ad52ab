"""May this row be used? Is it of the patient who was asked for, and does it not speak against the record?

Archives ignore filters they don't know, treat an empty value as "everyone" and expand wildcards: what they return is
believed only after this.
"""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from gateway.imaging.dicom_json import Row
from gateway.imaging.from_dicom import RowPatient, birth_date_of, issuer_of, patient_id_of, patient_of
from gateway.imaging.plain_rows import StudyRow
from gateway.model import Demographics, Facility, SourceRecord

Verdict = Literal["accepted", "another_patient", "contradicts"]

LONGEST_PATIENT_ID = 64
"""DICOM PS3.5 §6.2, LO."""
_FOR_MANY = frozenset("*?\\,")
_NO_TEXT = frozenset(("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"))
"""Unicode's categories of what is no character of a text, and of what ends a line of it."""
_URN_OID = "urn:oid:"
# Letters that Unicode does not take apart, and how they are written where there are none.
_LETTERS = {ord("ø"): "o", ord("œ"): "oe", ord("æ"): "ae", ord("ł"): "l", ord("đ"): "d", ord("þ"): "th", ord("ı"): "i"}
_UMLAUTS = {ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue", ord("å"): "aa"}


def can_be_sent(patient_id: str) -> bool:
    """Whether a query with this PatientID asks about one patient: it is none of DICOM's matches for many.

    Empty matches everyone (PS3.4 §C.2.2.2.3), `*` and `?` are wildcards (§C.2.2.2.4), `\\` and `,` make lists.
    """
    return (
        0 < len(patient_id.strip()) <= LONGEST_PATIENT_ID
        and _FOR_MANY.isdisjoint(patient_id)
        and ((patient_id.isascii() and patient_id.isprintable()) or _categories(patient_id).isdisjoint(_NO_TEXT))
    )


def _categories(text: str) -> set[str]:
    return {unicodedata.category(character) for character in text}


def issuers_of(facility: Facility, stated: Iterable[str | None]) -> frozenset[str]:
    """The issuers that a row of this facility may state, `stated` being those that its answer does state.

    Where the facility's registration names none, an archive that always states the same one is believed; one that
    states several can't be, since the same PatientID may be another person's under each.
    """
    system = facility.identifier_system
    known = {system, system.removeprefix(_URN_OID), *((facility.issuer.rstrip(" "),) if facility.issuer else ())}
    if facility.issuer is None:
        others = {issuer for issuer in stated if issuer is not None} - known
        if len(others) == 1 and not known.intersection(stated):
            known |= others
    return frozenset(known)


class RowCheck:
    """What may be done with the rows that came back when `record` was asked for."""

    def __init__(self, record: SourceRecord, issuers: frozenset[str]) -> None:
        self._record = record
        self._issuers = issuers
        self._patient_id = record.identifier.value.strip(" ")
        self._born = _written_as_da(record.demographics.birth_date)
        self._plain_id, self._plain_born = (self._patient_id,), (self._born,)

    def verdict(self, row: Row | StudyRow) -> Verdict:
        """What may be done with this one."""
        # Nearly every row says the very PatientID and birth date of the record; then its name has nothing to decide.
        if isinstance(row, StudyRow) and row.issuer is None:
            stated, born = row.patient_id, row.birth_date
            if stated and born and stated.Value == self._plain_id and born.Value == self._plain_born:
                return "accepted"
        if patient_id_of(row) == self._patient_id and issuer_of(row) is None and birth_date_of(row) == self._born:
            return "accepted"
        return judge_row(patient_of(row), self._record, self._issuers)


def _written_as_da(birth_date: str | None) -> str | None:
    """A whole birth date as DICOM writes it (PS3.5 §6.2 DA)."""
    return birth_date.replace("-", "") if birth_date else None


def judge_row(row: RowPatient, record: SourceRecord, issuers: frozenset[str]) -> Verdict:
    """What may be done with a row that came back when `record` was asked for."""
    if row.patient_id is None or row.patient_id != record.identifier.value.strip(" "):
        return "another_patient"
    if row.issuer is not None and row.issuer not in issuers:
        return "another_patient"
    known = record.demographics
    if _dates_differ(row.birth_date, known) and _families_differ(row.family, known.family):
        return "contradicts"
    return "accepted"


def _dates_differ(stated: str | None, known: Demographics) -> bool:
    if stated is None or known.birth_date is None:
        return False
    return not (stated.startswith(known.birth_date) or known.birth_date.startswith(stated))


def _families_differ(stated: tuple[str, ...], known: tuple[str, ...]) -> bool:
    """Whether no spelling of one is, or holds, a spelling of the other. Names in different scripts don't compare."""
    compared = False
    for one in stated:
        for other in known:
            first, second = _spellings(one), _spellings(other)
            if not first or not second or _is_latin(first) != _is_latin(second):
                continue
            if first & second:
                return False
            compared = True
    return compared


def _is_latin(spellings: frozenset[str]) -> bool:
    return all(word.isascii() for word in spellings)


@lru_cache(maxsize=4096)
def _spellings(name: str) -> frozenset[str]:
    """The words of a name and the name as one word, without case, marks and punctuation, umlauts in both ways."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())
    return frozenset(
        word for text in (folded, folded.translate(_UMLAUTS)) for word in (*_words(text), "".join(_words(text))) if word
    )


def _words(text: str) -> list[str]:
    bare = "".join(
        character
        for character in unicodedata.normalize("NFKD", text.translate(_LETTERS))
        if not unicodedata.combining(character)
    )
    spaced = "".join(character if character.isalnum() else "" if character in "'’`" else " " for character in bare)
    words = spaced.split()
    return [word for word in words if len(word) > 2 or not word.isascii()] or words
