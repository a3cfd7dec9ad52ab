"""Which rows are believed, and which identifiers are never sent."""

import pytest

from gateway.adapters.qido import patient_parameters
from gateway.adapters.row_check import RowCheck, can_be_sent, issuers_of, judge_row
from gateway.imaging.from_dicom import RowPatient
from tests.factories_adapters import SYSTEM, a_facility, a_record


def a_row_patient(
    patient_id: str | None = "N-1",
    *,
    issuer: str | None = None,
    family: tuple[str, ...] = ("Nordqvist",),
    birth_date: str | None = "1961-02-03",
) -> RowPatient:
    return RowPatient(patient_id=patient_id, issuer=issuer, family=family, birth_date=birth_date)


@pytest.mark.parametrize(
    "patient_id",
    ["", " ", "*", "12?", "A\\B", "A,B", "A*", "A\x00", "A\r\nHost: evil", "A\u200b", "A\u2028", "A\ud800", "9" * 65],
)
def test_t108_an_identifier_that_would_ask_for_others_is_never_sent(patient_id: str) -> None:
    """Empty is everyone, wildcards and lists are several, control characters are somebody's trick."""
    assert not can_be_sent(patient_id)


@pytest.mark.parametrize("patient_id", ["N-1", "A&B", "A B", "Müller 7", "50%", "1+1", "A#1", "A^B", "A=B", "9" * 64])
def test_an_odd_identifier_that_names_one_patient_is_sent(patient_id: str) -> None:
    """Characters that a URL must escape are no reason to leave a patient's studies out."""
    assert can_be_sent(patient_id)


@pytest.mark.parametrize("patient_id", ["n-1", "N-10", "N-", "N -1", "", None])
def test_t107_only_exactly_the_patient_asked_for_is_believed(patient_id: str | None) -> None:
    """Another case, a prefix, a blank within, an empty or no PatientID are another patient."""
    assert judge_row(a_row_patient(patient_id), a_record(), issuers_of(a_facility(), [])) == "another_patient"


@pytest.mark.parametrize("recorded", ["N-1", " N-1", "N-1 ", "  N-1  "])
@pytest.mark.parametrize("told", ["N-1", " N-1", "N-1 "])
def test_blanks_around_an_identifier_are_padding(recorded: str, told: str) -> None:
    """DICOM PS3.5 §6.2: neither leading nor trailing spaces of LO are significant, in the record and in the row."""
    row = {"00100020": {"vr": "LO", "Value": [told]}}

    assert RowCheck(a_record(recorded), issuers_of(a_facility(), [])).verdict(row) == "accepted"


def test_padding_changes_nothing_of_what_is_sent() -> None:
    """A leading blank that the record has is asked for: an archive may compare text as it stands."""
    assert patient_parameters(" N-1")[0].text == "PatientID=%20N-1"


@pytest.mark.parametrize("issuer", ["NORTH", SYSTEM, SYSTEM.removeprefix("urn:oid:"), None])
def test_the_registered_issuer_and_the_domain_itself_are_believed(issuer: str | None) -> None:
    """An archive may write the issuer as registered, as the domain's URI or OID, or not at all."""
    issuers = issuers_of(a_facility(issuer="NORTH"), [issuer])

    assert judge_row(a_row_patient(issuer=issuer), a_record(), issuers) == "accepted"


@pytest.mark.parametrize("issuer", ["SOUTH", "north", "2.25.1002"])
def test_t107_a_row_of_another_issuer_is_another_patients(issuer: str) -> None:
    """The same PatientID under another issuer is another person's."""
    issuers = issuers_of(a_facility(issuer="NORTH"), [issuer])

    assert judge_row(a_row_patient(issuer=issuer), a_record(), issuers) == "another_patient"


def test_without_a_registered_issuer_one_that_is_always_stated_is_believed() -> None:
    """The registration may leave the issuer out."""
    issuers = issuers_of(a_facility(), ["NORTH", "NORTH", None])

    assert judge_row(a_row_patient(issuer="NORTH"), a_record(), issuers) == "accepted"


@pytest.mark.parametrize("stated", [["NORTH", "SOUTH"], ["NORTH", SYSTEM]])
def test_t107_without_a_registered_issuer_several_cant_be_told_apart(stated: list[str]) -> None:
    """Where an answer states several issuers, only the domain's own is the patient's."""
    issuers = issuers_of(a_facility(), stated)

    assert judge_row(a_row_patient(issuer="NORTH"), a_record(), issuers) == "another_patient"


@pytest.mark.parametrize(
    ("known", "stated"),
    [
        (("Nordqvist",), ("NORDQVIST",)),
        (("Müller",), ("Mueller",)),
        (("Muller",), ("Müller",)),
        (("Sørensen",), ("Sorensen",)),
        (("Łukasz",), ("LUKASZ",)),
        (("O'Brien",), ("OBRIEN",)),
        (("García Márquez",), ("Marquez",)),
        (("Smith-Jones",), ("Smith",)),
        (("van der Berg",), ("Vanderberg",)),
        (("Ямада", "Yamada"), ("山田", "YAMADA")),
        (("Иванов",), ("Ivanov",)),
        (("Straße",), ("STRASSE",)),
        ((), ("Other",)),
        (("Nordqvist",), ()),
        (("Nordqvist",), ("-",)),
    ],
)
def test_a_name_that_may_be_the_same_never_contradicts(known: tuple[str, ...], stated: tuple[str, ...]) -> None:
    """Case, marks, compound names, scripts that don't compare and missing names are no contradiction."""
    row = a_row_patient(family=stated, birth_date="1999-09-09")

    assert judge_row(row, a_record(family=known), issuers_of(a_facility(), [])) == "accepted"


@pytest.mark.parametrize(
    ("known", "stated", "verdict"),
    [
        ("1961-02-03", "1999-09-09", "contradicts"),
        ("1961", "1999-09-09", "contradicts"),
        ("1961-02-03", "1961-02-03", "accepted"),
        ("1961-02", "1961-02-03", "accepted"),
        (None, "1999-09-09", "accepted"),
        ("1961-02-03", None, "accepted"),
    ],
)
def test_another_name_with_another_birth_date_contradicts(known: str | None, stated: str | None, verdict: str) -> None:
    """Both must speak against the record: one alone may be a marriage or a slip of the pen."""
    row = a_row_patient(family=("Somebody",), birth_date=stated)

    assert judge_row(row, a_record(birth_date=known), issuers_of(a_facility(), [])) == verdict
