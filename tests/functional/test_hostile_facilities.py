"""One facility behaves badly, each in its own way: the others' studies come all the same, in time, and it is named.

T106, T107, T108 and T136 of the security tests, with the gateway as operators run it.
"""

import re
import time
from collections.abc import Iterator

import pytest

from tests import canary
from tests.facilities.dicomweb import DICOMwebServer
from tests.facilities.hostile import MANNERS, BlackHole, HostileServer, refused_url
from tests.facilities.little_server import LittleServer
from tests.facilities.rows import a_study_row
from tests.functional.small_exchange import (
    PLANTED_NAME,
    QUERY_DEADLINE_MS,
    SmallExchange,
    gaps,
    hold_study,
    identifier,
    patient_id,
    resources,
    uids,
)

TOO_LATE = {"timeout"}
FAILED = {"transient"}
PARTLY = {"incomplete"}
EXPECTED = {
    "refused": FAILED,
    "black-hole": TOO_LATE,
    "no-such-host": FAILED | TOO_LATE,  # a resolver may take longer to say so than the facility is given
    "hang": TOO_LATE,
    "headers-then-stall": TOO_LATE,
    "drip": TOO_LATE,
    "drip-headers": TOO_LATE,
    "endless-headers": FAILED | PARTLY,
    "one-gb": PARTLY | TOO_LATE,
    "declared-gb": PARTLY | TOO_LATE,
    "gzip-bomb": PARTLY | TOO_LATE,
    "gzip-garbage": PARTLY,
    "garbage": FAILED | PARTLY,
    "garbage-body": PARTLY,
    "html": PARTLY,
    "truncated-chunk": FAILED | PARTLY,
    "short-body": FAILED | PARTLY,
    "reset-in-body": FAILED,
    "no-answer": FAILED,
    "redirect": FAILED,
    **{str(status): FAILED for status in (400, 401, 403, 404, 429, 500, 502, 503)},
    "deep": PARTLY,
    "nan": PARTLY,
    "duplicate-keys": PARTLY,
    "invalid-utf8": PARTLY,
    "many-empty-lists": PARTLY | TOO_LATE,
    "object": PARTLY,
    "strings": PARTLY,
    "ten-thousand": PARTLY,
    "contradicts": PARTLY,
}
"""By manner, how the facility may be named. What is large may be cut off by its size or by its time."""
HEAVY_DEADLINE_MS = 8000
HEAVY = ("one-gb", "declared-gb", "gzip-bomb", "many-empty-lists", "ten-thousand")
"""These are given longer, so that it is their size that is tried."""
NOT_NAMED = ("other-patients", "knows-no-filter")
"""Everything they answer is somebody else's: dropped, counted and alerted, and nothing of the patient's is missing."""
WILD = {
    "star": "*",
    "question": "12?",
    "backslash": "A\\B",
    "comma": "1,2",
    "all": "A*",
}
"""By name, PatientIDs that an archive would take for several. (With control characters none can be loaded.)"""
ODD = {
    "and": "A&limit=1",
    "hash": "A#b",
    "percent": "A%2FB",
    "plus": "A+B",
    "space": "A B",
    "slash": "../A",
    "equals": "A=B",
}
"""By name, PatientIDs that mean one patient and must arrive as they are."""
ELSEWHERE = "redirect"
MOST_MB = 250


def seen(manner: str) -> list[str]:
    """The UIDs of the studies that the good facilities hold of that manner's person."""
    number = 1000 + (*EXPECTED, *NOT_NAMED).index(manner)
    return [f"2.25.{number}1", f"2.25.{number}2"]


def _archive(manner: str, elsewhere: str) -> LittleServer | str:
    if manner == "refused":
        return refused_url()
    if manner == "no-such-host":
        return "http://archive.invalid/dicom-web"
    if manner == "contradicts":
        rows = [a_study_row(patient_id(manner), "2.25.66", person="Somebody^Else", birth_date="20010101")]
        return DICOMwebServer(rows)
    if manner == "knows-no-filter":
        server = DICOMwebServer([a_study_row(f"OTHER-{n}", f"2.25.77{n}") for n in range(3)])
        server.manners.ignores_patient = True
        return server
    return HostileServer(manner, elsewhere=elsewhere)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[DICOMwebServer]:
    """Where a redirect would lead: an archive that has a study under every PatientID."""
    with DICOMwebServer([a_study_row(patient_id(ELSEWHERE), "2.25.55")]) as server:
        yield server


@pytest.fixture(scope="module")
def exchange(elsewhere: DICOMwebServer) -> Iterator[SmallExchange]:
    """Two good facilities and one of each bad sort; a person for each sort, known in the three."""
    with BlackHole() as hole:
        made = SmallExchange()
        good = {id_: made.add_archive(id_) for id_ in ("north", "south")}
        for manner in (*EXPECTED, *NOT_NAMED):
            archive = hole.url if manner == "black-hole" else _archive(manner, elsewhere.url)
            longer = {"deadline_ms": HEAVY_DEADLINE_MS} if manner in HEAVY else {}
            made.add_facility(f"bad-{manner}", archive, **longer)
            made.add_person(manner, "north", "south", f"bad-{manner}")
            for id_, uid in zip(("north", "south"), seen(manner), strict=True):
                hold_study(good[id_], manner, uid, date="20250101")  # newer than what the bad ones have
        made.add_archive("picky")
        for number, (name, value) in enumerate((*WILD.items(), *ODD.items()), 2000):
            made.add_person(name, "north", "picky", known_as={"picky": value})
            hold_study(good["north"], name, f"2.25.{number}")
        yield made.start()
        made.stop()


def test_every_manner_is_tried() -> None:
    """A manner that is added to the hostile servers is a case here."""
    assert set(MANNERS) <= {*EXPECTED, *NOT_NAMED}


@pytest.mark.parametrize("manner", EXPECTED)
def test_t106_t136_the_others_answer_in_time_and_the_bad_one_is_named(manner: str, exchange: SmallExchange) -> None:
    """200, both good facilities' studies, one outcome that names the bad one, before the deadline."""
    began = time.monotonic()
    bundle = exchange.search(manner, "north")
    took = time.monotonic() - began

    assert took < QUERY_DEADLINE_MS / 1000
    found = uids(bundle)
    assert set(seen(manner)) <= set(found)
    assert manner == "ten-thousand" or sorted(found) == seen(manner)
    (named,) = gaps(bundle)
    assert named == f"bad-{manner}"
    assert gaps(bundle)[named] in EXPECTED[manner]
    (outcome,) = resources(bundle, "outcome")
    assert [issue["severity"] for issue in outcome["issue"]] == ["warning"]
    assert f"Bad-{manner.title()} Hospital" in outcome["issue"][0]["diagnostics"]


def test_t107_what_is_somebody_elses_is_dropped_counted_and_alerted(exchange: SmallExchange) -> None:
    """Other patients' rows, whether the filter is known or not, and rows that contradict the record."""
    for manner in (*NOT_NAMED, "contradicts"):
        bundle = exchange.search(manner, "north")
        assert sorted(uids(bundle)) == seen(manner)
        assert gaps(bundle) == ({} if manner in NOT_NAMED else {"bad-contradicts": "incomplete"})
        assert "OTHER" not in str(bundle)
        assert "Somebody" not in str(bundle)

    metrics = exchange.gateway.metrics()
    alerts = [str(record["details"]) for record in exchange.audit() if record["kind"] == "alert"]
    for manner in (*NOT_NAMED, "contradicts"):
        assert re.search(rf'rows_refused_total{{facility="bad-{manner}",reason="[^"]+"}} [1-9]', metrics)
        assert any(f"bad-{manner}" in alert for alert in alerts)


@pytest.mark.parametrize("wild", WILD)
def test_t108_an_identifier_that_means_many_is_never_sent(exchange: SmallExchange, wild: str) -> None:
    """A wildcard or a list: the facility is not asked, and is named as incomplete."""
    server = exchange.servers["picky"]
    server.requests.clear()
    bundle = exchange.search(wild, "north")

    assert server.requests == []
    assert sorted(uids(bundle)) == [f"2.25.{2000 + list(WILD).index(wild)}"]
    assert gaps(bundle) == {"picky": "incomplete"}


@pytest.mark.parametrize("odd", ODD)
def test_t108_an_odd_identifier_is_sent_as_that_one_value(exchange: SmallExchange, odd: str) -> None:
    """Nothing in it becomes a parameter, a path or a header of its own."""
    server = exchange.servers["picky"]
    server.requests.clear()
    exchange.search(odd, "north")

    assert server.requests
    for request in server.requests:
        assert request.path in ("/dicom-web/studies", "/dicom-web/series")
        assert [value for name, value in request.parameters if name == "PatientID"] == [ODD[odd]]
        assert {name for name, _ in request.parameters} <= {"PatientID", "includefield", "limit", "offset"}


def test_t104_a_redirect_is_not_followed(exchange: SmallExchange, elsewhere: DICOMwebServer) -> None:
    """Nothing arrives where it leads."""
    exchange.search(ELSEWHERE, "north")

    assert elsewhere.requests == []


def test_ten_thousand_rows_are_cut_off_and_paged(exchange: SmallExchange) -> None:
    """The first page is a page; the facility is named because not all of its rows were read."""
    bundle = exchange.search("ten-thousand", "north", _count="5")

    assert len(resources(bundle)) == 5
    assert bundle["total"] > 1000
    assert gaps(bundle) == {"bad-ten-thousand": "incomplete"}


def test_t106_the_memory_of_the_worker_stays_flat(exchange: SmallExchange) -> None:
    """After a gigabyte, a bomb and millions of lists, twice each, it has never held more than a part of them."""
    for manner in ("one-gb", "declared-gb", "gzip-bomb", "many-empty-lists", "deep", "ten-thousand") * 2:
        exchange.search(manner, "north")

    peaks = exchange.gateway.peak_memory_mb()
    assert max(peaks) < MOST_MB, peaks


def test_metrics_and_log_name_facilities_and_no_patient(exchange: SmallExchange) -> None:
    """The scanner has something to look at, and would find the planted person if it were there."""
    answer = exchange.get(
        "/ImagingStudy", {"patient.identifier": identifier("hang", "north"), "_include": "ImagingStudy:patient"}
    )
    assert {leak.value for leak in canary.found_in(answer.text, "an answer")} >= {canary.FAMILY, canary.MRN}
    assert PLANTED_NAME.split("^", 1)[0] in answer.text

    for text, where in ((exchange.gateway.metrics(), "metrics"), (exchange.gateway.log(), "log")):
        assert "bad-hang" in text
        assert canary.found_in(text, where) == []
