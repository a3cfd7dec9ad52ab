"""What consent withholds can't be found out: not by asking, counting, paging, guessing, writing or failing.

T52, T53, T65 to T69, T129 and the absence of traces, on SQLite with one process, and on PostgreSQL and Redis with two.
(`test_probing.py` asks again and again.)
"""

import re
from collections.abc import Iterator

import pytest
import requests

from tests.facilities.dicomweb import DICOMwebServer
from tests.functional.small_exchange import SmallExchange, gaps, hold_study, identifier, resources, uids
from tests.services.exchange import domain_of
from tests.services.postgres import Postgres
from tests.services.redis import Redis

PEOPLE = ("plain", "down", "counts", "pages", "ghost", "cached", "newly", "writes")
NOWHERE = ("empty", "sealed")


def _settings(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "sqlite":
        return {}
    postgres: Postgres = request.getfixturevalue("postgres")
    redis: Redis = request.getfixturevalue("redis_server")
    return {
        "GATEWAY_DATABASE_URL": postgres.create_empty(),
        "GATEWAY_REDIS_URL": redis.url,
        "GATEWAY_WORKERS": "2",
    }


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def exchange(request: pytest.FixtureRequest) -> Iterator[SmallExchange]:
    """North and south. Everybody has a study in each, but for two without any."""
    made = SmallExchange(**_settings(request))
    north, south = made.add_archive("north"), made.add_archive("south")
    for name in PEOPLE:
        made.add_person(name, "north", "south")
        number = 100 + PEOPLE.index(name)
        hold_study(north, name, f"2.25.{number}1", date="20240301", modalities=("CT",), description="SEEN")
        hold_study(south, name, f"2.25.{number}2", date="20240202", modalities=("MR",), description="HIDDEN")
    for name in NOWHERE:
        made.add_person(name, "north", "south")
    for name in ("down", "counts", "pages"):
        made.bar(name, "south")
    made.file_consent("sealed", {"type": "deny"})
    for number in range(25):
        at = south if number % 2 == 0 and number < 24 else north
        hold_study(at, "pages", f"2.25.9{number:02}", date=f"202301{number + 1:02}")
    yield made.start()
    made.stop()


@pytest.fixture
def south(exchange: SmallExchange) -> DICOMwebServer:
    """The archive that is barred, willing and with no request to show."""
    server = exchange.servers["south"]
    assert isinstance(server, DICOMwebServer)
    server.requests.clear()
    server.manners.status = None
    return server


def seen_uid(name: str) -> str:
    """The UID of the person's study in north."""
    return f"2.25.{100 + PEOPLE.index(name)}1"


def hidden_uid(name: str) -> str:
    """The UID of the person's study in south."""
    return f"2.25.{100 + PEOPLE.index(name)}2"


def id_of(exchange: SmallExchange, name: str, uid: str) -> str:
    """The id by which the study could be read when it could be seen."""
    (study,) = resources(exchange.search(name, "north", identifier=f"urn:oid:{uid}"))
    return str(study["id"])


def without_moments(answer: requests.Response, *also: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body without what differs between two answers to the same request, and without `also`."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("Date", "X-Request-Id")}
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "(instant)", answer.text.replace(answer.headers["X-Request-Id"], "(id)"))
    for word in also:
        text = text.replace(word, "(word)")
    return answer.status_code, headers, text


def test_t052_a_barred_facility_is_never_asked(exchange: SmallExchange, south: DICOMwebServer) -> None:
    """By search, POST, read, include or a page link from before: not one request reaches it, nothing tells of it."""
    name = "plain"
    hidden = id_of(exchange, name, hidden_uid(name))
    first = exchange.search(name, "north", _count="1")
    (following,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
    exchange.bar(name, "south")
    south.requests.clear()

    include = {"_include": ["ImagingStudy:endpoint", "ImagingStudy:patient"]}
    asked = {"patient.identifier": identifier(name, "north"), **include}
    searched = exchange.get("/ImagingStudy", asked)
    posted = exchange.request("POST", "/ImagingStudy/_search", data=asked)
    by_barred = exchange.get("/ImagingStudy", {**asked, "patient.identifier": identifier(name, "south")})
    page = exchange.get(following.removeprefix(exchange.gateway.fhir_url))
    read = exchange.get(f"/ImagingStudy/{hidden}")

    assert south.requests == []
    assert read.status_code == 404
    assert (page.status_code, uids(page.json())) == (200, [])
    assert [link["relation"] for link in page.json()["link"]] == ["self"]
    for answer in (searched, posted, by_barred):
        bundle = answer.json()
        assert (answer.status_code, bundle["total"], uids(bundle)) == (200, 1, [seen_uid(name)])
        assert [one["id"] for one in resources(bundle, "include") if one["resourceType"] == "Endpoint"] == ["north"]
        assert gaps(bundle) == {}
        told = answer.text.replace(bundle["link"][0]["url"], "")
        assert "south" not in told.lower()
        assert domain_of("south") not in told
        assert hidden_uid(name) not in told


def test_t053_a_barred_facility_that_is_down_is_not_mentioned(exchange: SmallExchange, south: DICOMwebServer) -> None:
    """Whether it works or not, the answer is the same."""
    working = exchange.search("down", "north")
    south.manners.status = 503
    broken = exchange.search("down", "north")
    south.manners.status = None

    assert uids(working) == uids(broken) == [seen_uid("down")]
    assert gaps(broken) == {}
    assert south.requests == []


@pytest.mark.parametrize(
    ("params", "entries"),
    [({"_total": "accurate"}, 1), ({"_total": "none"}, 1), ({"_summary": "count"}, 0), ({"_count": "0"}, 0)],
)
def test_t065_no_count_counts_what_is_withheld(exchange: SmallExchange, params: dict[str, str], entries: int) -> None:
    """`total` is of what this caller may see, however it is asked for."""
    bundle = exchange.search("counts", "north", **params)

    assert (bundle["total"], len(bundle.get("entry", []))) == (1, entries)


def test_t066_pages_are_full_though_half_is_withheld(exchange: SmallExchange) -> None:
    """25 studies, of which 12 are withheld, by tens: 10 and 3, no empty page, no link that leads nowhere."""
    extra = "ge2023-01-01&started=lt2024"
    bundle = exchange.get(
        f"/ImagingStudy?patient.identifier={identifier('pages', 'north')}&started={extra}&_count=10"
    ).json()
    pages = [bundle]
    while following := [link["url"] for link in pages[-1]["link"] if link["relation"] == "next"]:
        pages.append(exchange.get(following[0].removeprefix(exchange.gateway.fhir_url)).json())

    assert [len(uids(page)) for page in pages] == [10, 3]
    assert {page["total"] for page in pages} == {13}
    found = [uid for page in pages for uid in uids(page)]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 13


def test_t067_a_withheld_study_looks_like_one_that_is_not_there(exchange: SmallExchange) -> None:
    """By read and by `identifier`: the same status, headers, length and words, and no ETag."""
    name = "ghost"
    hidden = id_of(exchange, name, hidden_uid(name))
    exchange.bar(name, "south")
    absent_uid = hidden_uid(name).replace("2.25.", "2.25.")[:-1] + "9"

    reads = [exchange.get(f"/ImagingStudy/{id_}") for id_ in (hidden, "0123456789abcdef" * 2, "no-such-study")]
    assert [read.status_code for read in reads] == [404] * 3
    assert len({read.content for read in reads}) == 1
    assert len({str(without_moments(read)) for read in reads}) == 1

    found = []
    for uid in (hidden_uid(name), absent_uid):
        wanted = {"patient.identifier": identifier(name, "north"), "identifier": f"urn:dicom:uid|urn:oid:{uid}"}
        found.append(without_moments(exchange.get("/ImagingStudy", wanted), uid))
    assert found[0] == found[1]
    assert found[0][0] == 200
    assert "ETag" not in found[0][1]


def test_t068_a_withheld_study_can_not_be_asked_for_by_its_id(exchange: SmallExchange) -> None:
    """`_id` of a study that was seen before finds what a made-up one finds."""
    hidden = id_of(exchange, "cached", hidden_uid("cached"))
    exchange.bar("cached", "south")
    answers = [
        without_moments(
            exchange.get("/ImagingStudy", {"patient.identifier": identifier("cached", "north"), "_id": id_}), id_
        )
        for id_ in (hidden, "f" * 32)
    ]

    assert answers[0] == answers[1]
    assert '"total":0' in answers[0][2]


def test_t069_writing_to_a_withheld_study_is_like_writing_to_an_absent_one(exchange: SmallExchange) -> None:
    """No method and no precondition tells them apart."""
    hidden = id_of(exchange, "writes", hidden_uid("writes"))
    exchange.bar("writes", "south")
    for method in ("PUT", "PATCH", "DELETE", "POST"):
        for headers in ({}, {"If-Match": 'W/"1"'}, {"If-None-Exist": f"identifier=urn:oid:{hidden_uid('writes')}"}):
            answers = [
                exchange.request(
                    method, f"/ImagingStudy/{id_}", headers=dict(headers), json={"resourceType": "ImagingStudy"}
                )
                for id_ in (hidden, "f" * 32)
            ]
            assert [answer.status_code for answer in answers] == [405, 405]
            assert without_moments(answers[0]) == without_moments(answers[1])


def test_t129_an_answer_from_before_is_never_confirmed(exchange: SmallExchange) -> None:
    """What could be read and is barred now is 404 to `If-None-Match` and `If-Modified-Since`, not 304."""
    study = id_of(exchange, "newly", hidden_uid("newly"))
    before = exchange.get(f"/ImagingStudy/{study}")
    assert before.status_code == 200
    assert "ETag" not in before.headers
    assert before.headers["Cache-Control"] == "no-store"
    exchange.bar("newly", "south")

    for headers in ({"If-None-Match": "*"}, {"If-None-Match": 'W/"1"'}, {"If-Modified-Since": before.headers["Date"]}):
        assert exchange.get(f"/ImagingStudy/{study}", headers=headers).status_code == 404


def test_unknown_without_imaging_and_wholly_withheld_look_the_same(exchange: SmallExchange) -> None:
    """The same bytes, but for the answer's own id and time and the words of the request."""
    asked = {
        "nobody": "urn:oid:2.25.1|nobody",
        "empty": identifier("empty", "north"),
        "sealed": identifier("sealed", "north"),
    }
    for form in ({}, {"_summary": "count"}, {"_include": "ImagingStudy:patient"}, {"_count": "3"}):
        answers = set()
        for who in asked.values():
            answer = exchange.get("/ImagingStudy", {"patient.identifier": who, **form})
            status, headers, text = without_moments(answer, requests.utils.quote(who, safe=":/,"))
            del headers["Content-Length"]  # of the identifier's own length, which `self` repeats
            answers.add((status, str(headers), text))
        assert len(answers) == 1
        assert '"total":0' in text


def test_a_patient_of_whom_nothing_may_be_known_is_not_found(exchange: SmallExchange) -> None:
    """By id and by identifier, like one who does not exist."""
    sealed = exchange.person_id("sealed", "north")
    reads = [exchange.get(f"/Patient/{id_}") for id_ in (sealed, sealed[::-1])]
    searches = [exchange.get("/Patient", {"_id": id_}) for id_ in (sealed, sealed[::-1])]

    assert [read.status_code for read in reads] == [404, 404]
    assert without_moments(reads[0]) == without_moments(reads[1])
    assert without_moments(searches[0], sealed) == without_moments(searches[1], sealed[::-1])
    assert searches[0].json()["total"] == 0
