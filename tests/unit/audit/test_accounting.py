"""An accounting's rows and pages, whatever its names are written in."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings

from gateway.audit.accounting import Accounting, Directory, disclosures_in, span_of, years_before
from gateway.audit.accounting_pdf import FONTS, as_pdf, printable
from gateway.audit.accounting_table import as_csv, as_json, neutral
from gateway.audit.record import AuditRecord, Decided, Released
from gateway.errors import InvalidQuery
from tests.factories_audit import NOON, PERSON, POLICY, a_record, a_who, any_record

NAMES = Directory(names={"north": "North Hospital"}, part2={"south"})


def _accounting(*records: AuditRecord) -> Accounting:
    found = tuple(disclosures_in(records, "hipaa", NAMES))
    return Accounting(patient=PERSON, kind="hipaa", since=NOON, until=NOON, made_at=NOON, disclosures=found)


def test_what_was_refused_failed_or_empty_is_no_disclosure() -> None:
    """Nothing left with it."""
    records = (
        a_record(outcome="failed"),
        a_record(released=(), resources=()),
        a_record(kind="access-refused", outcome="refused", released=()),
        a_record(kind="token-issued", released=()),
        a_record(kind="audit-read", released=(), resources=("AuditEvent/x",)),
    )

    assert list(disclosures_in(records, "hipaa", NAMES)) == []


def test_who_a_patient_is_and_what_they_decided_are_disclosures_too() -> None:
    """A Patient or a Consent that was found or read; not in the list of Part 2 programmes."""
    records = (
        a_record(kind="patient-read", released=(), resources=(f"Patient/{PERSON}",)),
        a_record(kind="consent-read", released=(), resources=("Consent/c1/_history/1",)),
        a_record(kind="consent-search", released=(), resources=("Consent/c1/_history/1", "Consent/c2/_history/3")),
        a_record(kind="consent-search", released=(), resources=()),
    )

    assert {one.act for one in disclosures_in(records, "hipaa", NAMES)} == {"record"}
    assert [one.other for one in disclosures_in(records, "hipaa", NAMES)] == [
        (f"Patient/{PERSON}",),
        ("Consent/c1/_history/1",),
        ("Consent/c1/_history/1", "Consent/c2/_history/3"),
    ]
    assert list(disclosures_in(records, "part2", NAMES)) == []


def test_images_that_were_fetched_are_told_from_links() -> None:
    """Each fetch that was let through is a disclosure of its own."""
    (fetched,) = disclosures_in([a_record(kind="retrieval", decided=())], "hipaa", NAMES)

    assert fetched.act == "images"
    assert as_pdf(_accounting(a_record(kind="retrieval"))).startswith(b"%PDF-")


def test_the_word_relied_on_is_the_consent_else_the_policy_else_the_right() -> None:
    """Decisions about other facilities, other studies and denials are no basis."""
    record = a_record(
        released=(Released(facility="north", studies=("1.2",)),),
        decided=(
            Decided(facility="north", decision="permit", reason="own right"),
            Decided(facility="north", decision="permit", reason="p", policy=POLICY),
            Decided(facility="north", decision="permit", reason="c", consents=("Consent/c/_history/2",), study="1.2"),
            Decided(facility="north", decision="permit", reason="other", consents=("Consent/d/_history/1",), study="9"),
            Decided(facility="north", decision="deny", reason="no", consents=("Consent/e/_history/1",)),
            Decided(facility="south", decision="permit", reason="s", consents=("Consent/f/_history/1",)),
        ),
    )
    (one,) = disclosures_in([record], "hipaa", NAMES)

    assert one.given[0].basis == ("own right", POLICY, "Consent/c/_history/2")
    assert one.given[0].name == "North Hospital"


def test_six_years_before_a_leap_day_there_is_a_day() -> None:
    """The span never fails."""
    assert years_before(datetime(2028, 2, 29, tzinfo=UTC), 6) == datetime(2022, 2, 28, tzinfo=UTC)


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "reason"),
    [
        ("2025-12-31", "2025-01-01", "ends before it begins"),
        ("2025-01-01", "2025-01-01", "ends before it begins"),
        ("2027-01-01", None, "begins in the future"),
        ("2027-01-01", "2028-01-01", "begins in the future"),
        (None, "0001-01-02", "no 6 years before"),
        (None, "0006-12-31", "no 6 years before"),
    ],
)
def test_a_time_that_can_hold_nothing_is_refused_and_not_taken_for_one_without_disclosures(
    since: str | None, until: str | None, reason: str
) -> None:
    """Ends first, is yet to come, or goes back to before the calendar."""
    with pytest.raises(InvalidQuery, match=reason):
        span_of("hipaa", _day("2026-11-24"), _day(since) if since else None, _day(until) if until else None)


def test_a_time_is_as_it_was_asked_for_else_the_laws_up_to_its_end() -> None:
    """Also where it ends only in the future, or in the first year with six before it."""
    now, later, first = _day("2026-11-24"), _day("2027-01-01"), _day("0007-01-01")

    assert span_of("hipaa", now, None, None) == (_day("2020-11-24"), now)
    assert span_of("part2", now, None, later) == (_day("2024-01-01"), later)
    assert span_of("hipaa", now, None, first) == (_day("0001-01-01"), first)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"])
def test_t092_what_a_spreadsheet_takes_for_a_formula_is_led_by_an_apostrophe(cell: str) -> None:
    """ASVS 1.2.10."""
    assert neutral(cell) == f"'{cell}"
    assert neutral(f"a{cell}") == f"a{cell}"


@settings(max_examples=60)
@given(any_record)
def test_t092_no_cell_of_any_record_is_a_formula(record: AuditRecord) -> None:
    """Hostile names, organisations and addresses included; JSON has an entry for each disclosure."""
    accounting = _accounting(record)

    for line in as_csv(accounting).split('"\r\n"')[1:]:
        assert not [cell for cell in line.split('","') if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert len(as_json(accounting)["disclosures"]) == len(accounting.disclosures)


@pytest.mark.parametrize("fonts", [FONTS, ()], ids=["fonts of the system", "no font at all"])
def test_names_of_every_script_and_very_much_at_once_are_printed(fonts: tuple[str, ...]) -> None:
    """Letters that no font has are spelled out; an answer of hundreds of studies takes several pages."""
    whos = ("Мария", "王小東", "أحمد", "می‌خواهم", "\x1b[2J\u202e", "x" * 4096, "😀", "\ud800")
    records = [a_record(who=a_who(subject_name=name, client_name=name)) for name in whos]
    many = tuple(f"1.2.840.{n}.{'9' * 50}" for n in range(300))
    pdf = as_pdf(_accounting(*records, a_record(released=(Released(facility="north", studies=many),))), fonts)

    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Type /Page\n") >= 8
    assert as_pdf(replace(_accounting(), kind="part2"), fonts).startswith(b"%PDF-")


def test_a_letter_that_can_not_be_printed_is_spelled_out() -> None:
    """By its code point; lines stay lines."""
    assert printable("a王\nb\u202e", {ord("a"), ord("b")}) == "a[U+738B]\nb[U+202E]"
    assert printable("é王", None) == "é[U+738B]"
