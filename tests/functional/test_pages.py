"""Page links and incremental searches through HTTP: nothing lost, nothing repeated, nobody else's, and not for ever.

T128, T130 and T131 of the security tests, and the promises of contract §6 and §7 about `next` and `_lastUpdated`.
"""

import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.fhir.paging import Cursor, decode_cursor, encode_cursor
from tests.facilities.dicomweb import DICOMwebServer
from tests.facilities.rows import value_of
from tests.factories_auth import a_requester
from tests.functional.small_exchange import (
    SmallExchange,
    hold_study,
    identifier,
    patient_id,
    resources,
    uids,
)

STUDIES = 23
A_MOMENT_S = 0.05


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """Two facilities; `many` has 23 studies in them, `poll` and `opens` one in each, one of `opens` withheld."""
    made = SmallExchange()
    archives = [made.add_archive("north"), made.add_archive("south")]
    for name in ("many", "poll", "opens", "barred"):
        made.add_person(name, "north", "south")
    for number in range(STUDIES):
        # Seven to a day, so that pages end within a day too.
        hold_study(archives[number % 2], "many", f"2.25.1{number:03}", date=f"202401{10 + number // 7}", time="080000")
    for stem, name in (("2.25.2", "poll"), ("2.25.3", "opens"), ("2.25.4", "barred")):
        for number, archive in enumerate(archives):
            hold_study(archive, name, f"{stem}{number}", date=f"2024020{number + 1}")
    made.bar("opens", "south")
    yield made.start()
    made.stop()


@pytest.fixture
def north(exchange: SmallExchange) -> DICOMwebServer:
    """An archive that changes."""
    server = exchange.servers["north"]
    assert isinstance(server, DICOMwebServer)
    return server


def next_of(bundle: dict[str, Any], exchange: SmallExchange) -> str | None:
    """The path and query of the next page, if there is one."""
    found = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
    assert len(found) <= 1
    assert all(url.startswith(exchange.gateway.fhir_url) for url in found)
    return found[0].removeprefix(exchange.gateway.fhir_url) if found else None


def first_page(exchange: SmallExchange, **options: Any) -> tuple[dict[str, Any], str]:
    """The first page of `many`, and the path of the second."""
    asked = {"patient.identifier": identifier("many", "north"), "_count": "5"}
    bundle: dict[str, Any] = exchange.get("/ImagingStudy", asked, **options).json()
    following = next_of(bundle, exchange)
    assert following
    return bundle, following


def cursor_of(path: str) -> str:
    """The cursor in the path of a page."""
    return path.partition("_cursor=")[2]


@pytest.mark.parametrize("sort", ["-started", "started", "_lastUpdated", "-_lastUpdated", "started,-_lastUpdated"])
@pytest.mark.parametrize("count", [1, 4, 23, 50])
def test_pages_hold_everything_once(exchange: SmallExchange, sort: str, count: int) -> None:
    """In every order and by every size: all studies, none twice, the same total on each page."""
    asked = {"patient.identifier": identifier("many", "north"), "_count": str(count), "_sort": sort}
    bundle = exchange.get("/ImagingStudy", asked).json()
    whole = uids(exchange.get("/ImagingStudy", {**asked, "_count": "200"}).json())
    found, totals = uids(bundle), {bundle["total"]}
    while following := next_of(bundle, exchange):
        bundle = exchange.get(following).json()
        assert 0 < len(uids(bundle)) <= count
        found += uids(bundle)
        totals.add(bundle["total"])

    assert found == whole
    assert len(set(found)) == STUDIES
    assert totals == {STUDIES}


def test_pages_lose_and_repeat_nothing_while_a_facility_changes(exchange: SmallExchange, north: DICOMwebServer) -> None:
    """A study that comes before the place, one that comes after it, and one that vanishes: the others come once."""
    archive = north.archive
    kept = list(archive.studies), list(archive.series)
    stayed = set(uids(exchange.search("many", "north")))
    try:
        bundle, following = first_page(exchange)
        found = uids(bundle)
        turn = 0
        path: str | None = following
        while path:
            hold_study(north, "many", f"2.25.5{turn}1", date="20300101")  # newer than all: before the place
            hold_study(north, "many", f"2.25.5{turn}2", date=f"{2000 - turn}0101")  # older than all: after it
            gone = found[-1] if turn == 0 else ""
            archive.studies[:] = [row for row in archive.studies if value_of(row, "0020000D") != gone]
            bundle = exchange.get(path).json()
            found += uids(bundle)
            path = next_of(bundle, exchange)
            turn += 1
    finally:
        archive.studies[:], archive.series[:] = kept

    assert turn > 3
    assert len(found) == len(set(found))
    assert stayed <= set(found)
    assert {f"2.25.5{n}2" for n in range(turn)} <= set(found)
    assert not {f"2.25.5{n}1" for n in range(turn)} & set(found)


@pytest.mark.parametrize("position", ["first", "middle", "last", "cut", "longer", "other spelling", "empty", "spaces"])
def test_t130_a_page_link_that_was_altered_is_refused(exchange: SmallExchange, position: str) -> None:
    """One character is enough."""
    _, path = first_page(exchange)
    text = cursor_of(path)

    def flipped(at: int) -> str:
        return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]

    altered = {
        "first": flipped(0),
        "middle": flipped(len(text) // 2),
        "last": flipped(len(text) - 2),
        "cut": text[:-4],
        "longer": text + "AAAA",
        "other spelling": text + "=",
        "empty": "",
        "spaces": text[:10] + "%20" + text[10:],
    }[position]
    answer = exchange.get(f"/ImagingStudy?_cursor={altered}")

    assert answer.status_code == 400
    assert not altered or altered not in answer.text


def test_t130_nothing_is_added_to_a_page_link(exchange: SmallExchange) -> None:
    """Neither another patient nor another size, by GET or POST."""
    _, path = first_page(exchange)
    for more in (
        f"&patient.identifier={identifier('poll', 'north')}",
        "&_count=200",
        "&_summary=count",
        f"&{path[14:]}",
    ):
        assert exchange.get(path + more).status_code == 400
    posted = exchange.request("POST", path.replace("?", "/_search?"), data={"_count": "200"})
    assert posted.status_code == 400


def test_t130_a_page_link_is_for_the_caller_it_was_given_to(exchange: SmallExchange) -> None:
    """Another client, another user behind the client, another binding: not found, as if there were no such page."""
    bundle, path = first_page(exchange)
    person = exchange.person_id("many", "north")
    other_user = {"version": "1", "organization_id": "north", "subject_id": "dr-other"}
    others = [
        exchange.signed_token(sub="somebody-else", scope="user/ImagingStudy.rs"),
        exchange.signed_token(b2b=other_user),
        exchange.signed_token(patient=person, scope="patient/ImagingStudy.rs"),
    ]
    answers = [exchange.get(path, token=token) for token in others]

    assert [answer.status_code for answer in answers] == [404] * 3
    assert len({answer.content for answer in answers}) == 1
    assert exchange.get(path, token=None).status_code == 401
    assert exchange.get(path, token=exchange.signed_token(exp=1)).status_code == 401
    assert exchange.get(path, token=exchange.signed_token(scope="system/Patient.rs")).status_code == 403
    again = exchange.get(path, token=exchange.client.token(exchange.gateway))
    assert again.status_code == 200
    assert not set(uids(again.json())) & set(uids(bundle))


def test_t130_a_page_link_runs_out(exchange: SmallExchange) -> None:
    """Of a year ago: 410. One for another kind of resource is as good as altered."""
    who = a_requester(issuer=exchange.gateway.url)
    pairs = (("patient.identifier", identifier("many", "north")),)

    def link(age: timedelta, kind: str = "ImagingStudy") -> str:
        at = datetime.now(UTC) - age
        cursor = Cursor(pairs=pairs, after=(0, "x"))
        return encode_cursor(exchange.keys, cursor, resource_type=kind, requester=who, now=at)

    assert exchange.get("/ImagingStudy", {"_cursor": link(timedelta(days=365))}).status_code == 410
    assert exchange.get("/ImagingStudy", {"_cursor": link(timedelta(minutes=11))}).status_code == 410
    assert exchange.get("/ImagingStudy", {"_cursor": link(timedelta(0), "Patient")}).status_code == 400


def test_t130_a_page_after_a_revocation_holds_nothing_withheld(exchange: SmallExchange) -> None:
    """Every page is decided afresh."""
    asked = {"patient.identifier": identifier("barred", "north"), "_count": "1", "_sort": "started"}
    bundle = exchange.get("/ImagingStudy", asked).json()
    path = next_of(bundle, exchange)
    assert path
    assert uids(exchange.get(path).json()) == ["2.25.41"]
    exchange.bar("barred", "south")

    page = exchange.get(path).json()
    assert (page["total"], uids(page), next_of(page, exchange)) == (1, [], None)


def test_t131_nothing_can_be_read_from_a_page_link(exchange: SmallExchange) -> None:
    """No UID, no identifier, no place; and the same page has another link each time."""
    bundle, path = first_page(exchange)
    _, again = first_page(exchange)
    text = cursor_of(path)
    content = urlsafe_b64decode(text + "=" * (-len(text) % 4))

    assert cursor_of(again) != text
    for word in (patient_id("many"), *uids(bundle), "started", "_count"):
        assert word not in text
        assert word.encode() not in content
    who = a_requester(issuer=exchange.gateway.url)
    opened = decode_cursor(exchange.keys, text, resource_type="ImagingStudy", requester=who, now=datetime.now(UTC))
    assert opened.pairs[0] == ("patient.identifier", identifier("many", "north"))


def test_t128_nobody_may_keep_an_answer(exchange: SmallExchange) -> None:
    """Neither a page nor a read nor a refusal, so a shared proxy serves each caller its own."""
    bundle, path = first_page(exchange)
    study = resources(bundle)[0]["id"]
    for answer in (exchange.get(path), exchange.get(f"/ImagingStudy/{study}"), exchange.get("/ImagingStudy/nothing")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert "ETag" not in answer.headers
        assert "Last-Modified" not in answer.headers


def instant() -> str:
    """This moment, as `_lastUpdated` takes it, with a little time before and after it."""
    time.sleep(A_MOMENT_S)
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    time.sleep(A_MOMENT_S)
    return now


def test_last_updated_finds_new_and_changed_studies(exchange: SmallExchange, north: DICOMwebServer) -> None:
    """What polls with `_lastUpdated=gt…` is told of each once, and of nothing else."""
    assert len(uids(exchange.search("poll", "north"))) == 2
    since = instant()
    assert uids(exchange.search("poll", "north", _lastUpdated=f"gt{since}")) == []

    hold_study(north, "poll", "2.25.29", date="20100101")
    assert uids(exchange.search("poll", "north", _lastUpdated=f"gt{since}")) == ["2.25.29"]
    since = instant()

    row = next(row for row in north.studies if value_of(row, "0020000D") == "2.25.20")
    row["00081030"] = {"vr": "LO", "Value": ["CHANGED"]}
    assert uids(exchange.search("poll", "north", _lastUpdated=f"gt{since}")) == ["2.25.20"]
    since = instant()
    assert uids(exchange.search("poll", "north", _lastUpdated=f"gt{since}")) == []
    assert len(uids(exchange.search("poll", "north", _lastUpdated=f"le{since}"))) == 3


def test_last_updated_finds_what_has_become_visible_and_betrays_nothing_before(exchange: SmallExchange) -> None:
    """A consent that opens a facility is news; while it was shut, its study moved nothing."""
    assert uids(exchange.search("opens", "north")) == ["2.25.30"]
    since = instant()
    assert uids(exchange.search("opens", "north", _lastUpdated=f"gt{since}")) == []
    exchange.file_consent("opens", {"type": "permit"})

    assert "2.25.31" in uids(exchange.search("opens", "north", _lastUpdated=f"gt{since}"))
    assert len(uids(exchange.search("opens", "north"))) == 2
