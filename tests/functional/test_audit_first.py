"""When the gateway can't be sure, it releases nothing: no consents, index, memory or audit is 503 (T58, T59)."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
import requests

from tests.facilities.dicomweb import DICOMwebServer
from tests.functional.small_exchange import SmallExchange, hold_study, identifier, resources, uids
from tests.services.postgres import Postgres
from tests.services.redis import Redis

UID = "2.25.71"
MOST_S = 10


def an_exchange(**settings: str) -> SmallExchange:
    """One facility, one person with one study that has been seen once."""
    made = SmallExchange(**settings)
    hold_study(made.add_archive("north"), "a", UID)
    made.add_person("a", "north")
    made.start()
    assert uids(made.search("a", "north")) == [UID]
    return made


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """An exchange whose database a test may break, and mends again."""
    made = an_exchange()
    yield made
    made.stop()


def database(exchange: SmallExchange) -> sqlite3.Connection:
    """Another process's connection to the gateway's database."""
    path = Path(exchange.gateway.env["GATEWAY_DATA_DIR"]) / "gateway.db"
    return sqlite3.connect(path, timeout=10, isolation_level=None)


@contextmanager
def without(exchange: SmallExchange, table: str) -> Iterator[None]:
    """The table is not there meanwhile."""
    with closing(database(exchange)) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO gone")
        try:
            yield
        finally:
            connection.execute(f"ALTER TABLE gone RENAME TO {table}")


@contextmanager
def facility_down(exchange: SmallExchange) -> Iterator[None]:
    """The only facility answers nothing but errors meanwhile."""
    north = exchange.servers["north"]
    assert isinstance(north, DICOMwebServer)
    north.manners.status = 503
    try:
        yield
    finally:
        north.manners.status = None


def ways_in(exchange: SmallExchange, study: str, person: str) -> list[requests.Response]:
    """Every way to a person's data, tried once."""
    named = {"patient.identifier": identifier("a", "north")}
    return [
        exchange.get("/ImagingStudy", named),
        exchange.get("/ImagingStudy", {"patient": person, "_summary": "count"}),
        exchange.request("POST", "/ImagingStudy/_search", data=named),
        exchange.get(f"/ImagingStudy/{study}"),
        exchange.get(f"/Patient/{person}"),
        exchange.get("/Patient", {"identifier": identifier("a", "north")}),
    ]


def require_nothing_released(answer: requests.Response) -> None:
    """503 with Retry-After, an OperationOutcome `transient`, and nothing of the patient."""
    assert answer.status_code == 503, answer.text[:300]
    assert int(answer.headers["Retry-After"]) > 0
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert [issue["code"] for issue in outcome["issue"]] == ["transient"]
    assert UID not in answer.text
    for word in ("sqlite", "table", "psycopg", "database", "audit"):
        assert word not in answer.text.lower()


@pytest.mark.parametrize(
    ("table", "what"),
    [("consent", "consents"), ("consent_version", "consents"), ("audit_record", "audit"), ("mpi_record", "index")],
)
def test_t058_t059_without_consents_audit_or_index_nothing_is_released(
    exchange: SmallExchange, table: str, what: str
) -> None:
    """By no way in; an error is never "nothing on file"."""
    (study,) = resources(exchange.search("a", "north"))
    person = study["subject"]["reference"].removeprefix("Patient/")
    asked_before = len(exchange.servers["north"].requests)
    with without(exchange, table):
        answers = ways_in(exchange, study["id"], person)

    for answer in answers:
        require_nothing_released(answer)
    if what in ("consents", "index"):
        assert len(exchange.servers["north"].requests) == asked_before
    assert "dependency-unavailable" in exchange.gateway.log()


def test_t059_a_refusal_that_can_not_be_audited_is_503(exchange: SmallExchange) -> None:
    """Whoever is turned away is on record too."""
    narrow = exchange.signed_token(scope="system/Patient.rs")
    named = {"patient.identifier": identifier("a", "north")}
    assert exchange.get("/ImagingStudy", named, token=narrow).status_code == 403
    with without(exchange, "audit_record"):
        require_nothing_released(exchange.get("/ImagingStudy", named, token=narrow))
        require_nothing_released(exchange.get("/ImagingStudy", {"patient.identifier": "urn:x|nobody"}))


def test_t059_an_audit_that_is_locked_is_given_up_on_in_time(exchange: SmallExchange) -> None:
    """Another process holds the database: 503 in seconds, and all is well once it lets go."""
    named = {"patient.identifier": identifier("a", "north")}
    with closing(database(exchange)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = exchange.get("/ImagingStudy", named)
        other.execute("ROLLBACK")
    require_nothing_released(answer)
    assert answer.elapsed.total_seconds() < MOST_S
    assert uids(exchange.search("a", "north")) == [UID]


def test_t058_a_study_that_can_not_be_remembered_is_not_released(exchange: SmallExchange) -> None:
    """Without the memory of what was seen, no id is stable and no `lastUpdated` true."""
    named = {"patient.identifier": identifier("a", "north")}
    with without(exchange, "last_answer"):
        require_nothing_released(exchange.get("/ImagingStudy", named))
    with closing(database(exchange)) as connection:
        connection.execute("DELETE FROM last_answer")
    with without(exchange, "sighting"):
        require_nothing_released(exchange.get("/ImagingStudy", named))
    assert uids(exchange.search("a", "north")) == [UID]


def test_readiness_looks_at_our_own_database_and_liveness_at_nothing(exchange: SmallExchange) -> None:
    """A facility that is down does not make the gateway unready."""
    with facility_down(exchange):
        assert requests.get(f"{exchange.gateway.url}/readyz", timeout=10).status_code == 200
    with without(exchange, "alembic_version"):
        unready = requests.get(f"{exchange.gateway.url}/readyz", timeout=10)
        assert (unready.status_code, unready.json()["checks"]["database"]) == (503, "unavailable")
        assert requests.get(f"{exchange.gateway.url}/livez", timeout=10).status_code == 200
    assert exchange.gateway.is_ready()


@pytest.mark.integration
def test_t058_t059_on_postgresql_a_locked_table_is_503_in_time_and_recovers(
    postgres: Postgres, redis_server: Redis
) -> None:
    """Consents locked, then the audit, by another session: two workers, each answers 503, and afterwards 200."""
    url = postgres.create_empty()
    made = an_exchange(GATEWAY_DATABASE_URL=url, GATEWAY_REDIS_URL=redis_server.url, GATEWAY_WORKERS="2")
    try:
        for table in ("audit_record", "consent"):
            with psycopg.connect(url) as other:
                other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                answer = made.get("/ImagingStudy", {"patient.identifier": identifier("a", "north")})
                other.rollback()
            require_nothing_released(answer)
            assert answer.elapsed.total_seconds() < MOST_S
            assert uids(made.search("a", "north")) == [UID]
    finally:
        made.stop()
        postgres.drop(url)


def test_t137_when_every_facility_fails_each_is_named(exchange: SmallExchange) -> None:
    """503 with Retry-After, never an empty list; a patient whom nobody knows is still simply not there."""
    named = {"patient.identifier": identifier("a", "north")}
    with facility_down(exchange):
        answers = [exchange.get("/ImagingStudy", named | form) for form in ({}, {"_summary": "count"}, {"_count": "0"})]
        assert exchange.get("/ImagingStudy", {"patient.identifier": "urn:x|nobody"}).json()["total"] == 0
    for answer in answers:
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        (issue,) = answer.json()["issue"]
        assert issue["severity"] == "error"
        assert issue["code"] == "transient"
        assert issue["diagnostics"].startswith("north (North Hospital)")
    kinds = [(record["kind"], record["outcome"]) for record in exchange.audit()]
    assert kinds.count(("imaging-search", "failed")) == 3
