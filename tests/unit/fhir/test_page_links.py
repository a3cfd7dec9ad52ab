"""Page links: sealed, bound to the caller, running out; and the order of pages."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from gateway.db.crypto import KeyRing
from gateway.errors import ExpiredCursor, InvalidQuery, NotFound
from gateway.fhir.paging import LIFETIME, Cursor, cursor_in, decode_cursor, encode_cursor, page_of, page_url
from gateway.imaging.matching import sort_key
from gateway.imaging.study import Started, Study
from gateway.model import ClientID, Moment, PatientID, Requester, StudyUID

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
REQUESTER = Requester(
    client_id=ClientID("ehr"),
    client_name="EHR",
    organization="urn:oid:1.2",
    scopes=("system/ImagingStudy.rs",),
    purposes=("TREAT",),
    issuer="https://gateway.example",
    subject="ehr",
    token_id="t1",
    expires_at=NOW + timedelta(minutes=5),
    subject_id="dr-1",
)
CURSOR = Cursor(pairs=(("patient", "p1"), ("identifier", "urn:s|é")), after=(0, -5, "s1"))


def _encoded(keys: KeyRing, requester: Requester = REQUESTER) -> str:
    return encode_cursor(keys, CURSOR, resource_type="ImagingStudy", requester=requester, now=NOW)


def _decoded(keys: KeyRing, text: str, requester: Requester = REQUESTER, now: datetime = NOW) -> Cursor:
    return decode_cursor(keys, text, resource_type="ImagingStudy", requester=requester, now=now)


def a_study(id_: str, started: datetime | None, last_updated: datetime = NOW) -> Study:
    """A study with only what pages look at."""
    moment = Moment(start=started, end=started) if started else None
    return Study(
        id=id_,
        uid=StudyUID("1.2.3"),
        sources=(),
        started=Started(text="", moment=moment) if moment else None,
        modalities=(),
        description=None,
        accessions=(),
        referrer=None,
        procedure_codes=(),
        availability="available",
        number_of_series=None,
        number_of_instances=None,
        series=None,
        series_holders=(),
        last_updated=last_updated,
    )


def test_a_page_link_goes_on_where_the_page_ended(keys: KeyRing) -> None:
    """The search and the place come back as they were, also with the caller's next token."""
    later = replace(REQUESTER, token_id="t2", expires_at=NOW + timedelta(hours=1), purposes=("TREAT", "HPAYMT"))

    assert _decoded(keys, _encoded(keys)) == CURSOR
    assert _decoded(keys, _encoded(keys), later, NOW + LIFETIME - timedelta(seconds=1)) == CURSOR


def test_t131a_a_page_link_shows_nothing(keys: KeyRing) -> None:
    """Sealed, and another each time: no parameter, place or count can be read from it."""
    text = _encoded(keys)

    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert all(part not in raw for part in (b"patient", b"p1", b"s1", b"urn:s"))
    assert _encoded(keys) != text
    assert page_url("https://x/fhir/r4", "ImagingStudy", text) == f"https://x/fhir/r4/ImagingStudy?_cursor={text}"


@pytest.mark.parametrize(
    "other",
    [
        {"client_id": "other"},
        {"subject": "other"},
        {"subject_id": "dr-2"},
        {"subject_id": None},
        {"patient": PatientID("p1")},
        {"issuer": "https://other.example"},
    ],
)
def test_t130a_somebody_elses_page_link_is_not_found(keys: KeyRing, other: dict[str, str]) -> None:
    """Another client, user or patient binding: 404, even when the link has run out."""
    stranger = replace(REQUESTER, **other)  # type: ignore[arg-type]

    for now in (NOW, NOW + timedelta(days=365)):
        with pytest.raises(NotFound):
            _decoded(keys, _encoded(keys), stranger, now)


def test_t130b_a_page_link_runs_out(keys: KeyRing) -> None:
    """Ten minutes, or a year: 410."""
    for age in (LIFETIME, timedelta(days=365)):
        with pytest.raises(ExpiredCursor):
            _decoded(keys, _encoded(keys), REQUESTER, NOW + age)


def test_t130c_an_altered_page_link_is_refused(keys: KeyRing) -> None:
    """Any change, junk, padding, another resource type: 400, never a crash."""
    text = _encoded(keys)
    flipped = [text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :] for at in range(0, len(text), 7)]
    last = urlsafe_b64encode(urlsafe_b64decode(text + "=" * (-len(text) % 4))[:-1]).decode().rstrip("=")
    junk = ["", "x", "é", text + "=", text + "A", text[:-4], last, " " + text, text + "\n", "A" * 9000, "*" * 40, "AQ"]
    for altered in (*flipped, *junk):
        with pytest.raises(InvalidQuery):
            _decoded(keys, altered)
    with pytest.raises(InvalidQuery):
        decode_cursor(keys, text, resource_type="Endpoint", requester=REQUESTER, now=NOW)


def test_t130d_a_page_link_has_one_spelling(keys: KeyRing) -> None:
    """The spare bits of its last character can't be used to make another link that works."""
    texts = [_encoded(keys) for _ in range(1)]
    cursor = Cursor(pairs=(("patient", "p"),), after=("s",))
    for length in range(3):
        longer = replace(cursor, after=("s" * (length + 1),))
        texts.append(encode_cursor(keys, longer, resource_type="ImagingStudy", requester=REQUESTER, now=NOW))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for text in texts:
        for letter in set(alphabet) - {text[-1]}:
            with pytest.raises(InvalidQuery):
                _decoded(keys, text[:-1] + letter)


def test_nothing_is_added_to_a_page_link() -> None:
    """T32: a patient beside a cursor could only confuse."""
    assert cursor_in([("_cursor", "x")]) == "x"
    assert cursor_in([("patient", "A")]) is None
    assert cursor_in([]) is None
    for pairs in ([("_cursor", "x"), ("patient", "B")], [("_cursor", "x"), ("_cursor", "y")]):
        with pytest.raises(InvalidQuery):
            cursor_in(pairs)


def test_the_longest_search_fits_into_a_request_line(keys: KeyRing) -> None:
    """Four kilobytes of parameters make a link below the eight that servers read."""
    cursor = Cursor(pairs=(("patient", "p" * 2000), ("identifier", "é" * 1024)), after=(0, -(10**17), "s" * 64))
    text = encode_cursor(keys, cursor, resource_type="ImagingStudy", requester=REQUESTER, now=NOW)

    assert len(page_url("https://gateway.example/fhir/r4", "ImagingStudy", text)) < 8000
    assert _decoded(keys, text) == cursor


@pytest.mark.parametrize(
    ("descends", "order"), [(True, ["new", "old-a", "old-b", "none"]), (False, ["old-a", "old-b", "new", "none"])]
)
def test_studies_without_a_date_come_last_and_ties_go_by_id(descends: bool, order: list[str]) -> None:
    """Whichever way `started` is sorted."""
    old, new = datetime(1969, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
    studies = [a_study("none", None), a_study("old-b", old), a_study("new", new), a_study("old-a", old)]

    page, _ = page_of(studies, partial(sort_key, sort=(("started", descends),)), 10)

    assert [study.id for study in page] == order


def test_a_second_key_decides_between_equals() -> None:
    """`_sort=started,-_lastUpdated`."""
    day = datetime(2024, 1, 1, tzinfo=UTC)
    studies = [a_study("a", day, NOW), a_study("b", day, NOW + timedelta(microseconds=1)), a_study("c", None)]

    page, _ = page_of(studies, partial(sort_key, sort=(("started", False), ("_lastUpdated", True))), 10)

    assert [study.id for study in page] == ["b", "a", "c"]


def test_t066a_thirteen_visible_studies_are_pages_of_ten_and_three() -> None:
    """No empty page, and no link that leads to one."""
    ids = [f"s{number:02}" for number in range(13)]
    first, after = page_of(ids, lambda id_: (id_,), 10)
    second, end = page_of(ids, lambda id_: (id_,), 10, after)

    assert (first, second, end) == (ids[:10], ids[10:], None)
    assert page_of(ids[:10], lambda id_: (id_,), 10) == (ids[:10], None)
    assert page_of([], lambda id_: (id_,), 10) == ([], None)
