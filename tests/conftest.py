"""What every test may ask for. Nothing here starts a server until a test asks for it."""

import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway.db.crypto import KeyRing, create_key_file, read_key_file
from gateway.db.session import open_database
from gateway.db.upgrade import upgrade_to_head
from tests import canary, network_guard
from tests.services import dicom_files, exchange
from tests.services.exchange import Exchange
from tests.services.fhir_validator import FHIRValidator
from tests.services.gateway import Gateway
from tests.services.orthanc import Orthanc
from tests.services.pgbouncer import PgBouncer
from tests.services.postgres import Postgres
from tests.services.process import Server
from tests.services.redis import Redis
from tests.services.tiny_pacs import TinyPacs

LOG_SHOWN = 3000
"""Characters of each server's log that a failed test shows."""

_said_before: dict[Server, int] = {}
"""How much each server had said when the test began."""


@pytest.fixture(autouse=True)
def reach_loopback_only() -> Iterator[None]:
    """A test that tries to reach another machine fails, even where the code under test swallows the refusal."""
    seen = len(network_guard.refused)
    with network_guard.loopback_only():
        yield
    assert network_guard.refused[seen:] == []


def pytest_runtest_setup() -> None:
    """From here on, what servers say is this test's."""
    _said_before.clear()
    _said_before.update((server, server.log_size()) for server in Server.running)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the servers said while it ran."""
    report = yield
    if report.failed:
        for server in Server.running:
            if text := server.log_text(since=_said_before.get(server, 0)):
                report.sections.append((f"log of {server.name}", text[-LOG_SHOWN:]))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run in which a planted patient's value was readable from outside has failed."""
    if canary.leaks():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Each leak is named, with where it was seen."""
    for leak in canary.leaks():
        terminalreporter.write_line(f"CANARY {leak.value!r} was readable in {leak.where}: {leak.excerpt!r}", red=True)


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key file, the same for the whole run: making an RSA key takes a while."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    create_key_file(path)
    return path


@pytest.fixture(scope="session")
def keys(keys_file: Path) -> KeyRing:
    """The gateway's keys."""
    return read_key_file(keys_file)


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the gateway's schema and no rows; tests work on copies of it."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    engine = open_database(f"sqlite:///{path}")
    upgrade_to_head(engine)
    engine.dispose()
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, migrated_sqlite_file: Path) -> str:
    """The URL of a SQLite database of the test's own, migrated and empty."""
    path = tmp_path / "gateway.db"
    shutil.copyfile(migrated_sqlite_file, path)
    return f"sqlite:///{path}"


@pytest.fixture
def sqlite_engine(sqlite_url: str) -> Iterator[Engine]:
    """A SQLite database of the test's own, migrated and empty."""
    engine = open_database(sqlite_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL server of this run."""
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a PostgreSQL database of the test's own, migrated and empty."""
    url = postgres.create_migrated()
    yield url
    postgres.drop(url)


@pytest.fixture
def empty_postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a PostgreSQL database of the test's own, without any table."""
    url = postgres.create_empty()
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database of the test's own, migrated and empty: SQLite, then PostgreSQL."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A database of the test's own, migrated and empty: SQLite, then PostgreSQL."""
    opened = open_database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """The Redis server of this run."""
    server = Redis()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """The URL of a Redis that holds nothing yet."""
    redis_server.clear()
    return redis_server.url


@pytest.fixture(scope="session")
def pgbouncer(postgres: Postgres) -> Iterator[PgBouncer]:
    """The pooler before this run's PostgreSQL, in transaction mode."""
    server = PgBouncer(postgres)
    yield server
    server.stop()


@pytest.fixture
def pgbouncer_url(pgbouncer: PgBouncer, postgres_url: str) -> str:
    """The URL of a PostgreSQL database of the test's own, through PgBouncer."""
    return pgbouncer.url(postgres_url)


@pytest.fixture(scope="session")
def orthanc_archives() -> Iterator[Mapping[str, Orthanc]]:
    """NORTH, SOUTH and EAST, each holding its studies of `dicom_files.ARCHIVES`. A test changes nothing in them."""
    archives = {}
    for name, studies in dicom_files.ARCHIVES.items():
        archives[name] = Orthanc(name)
        archives[name].load(studies)
    yield archives
    for archive in archives.values():
        archive.stop()


@pytest.fixture(scope="session")
def tiny_pacs() -> Iterator[TinyPacs]:
    """The archive that answers unlike Orthanc, holding EAST's studies. A test changes nothing in it."""
    archive = TinyPacs("EAST")
    archive.load(dicom_files.ARCHIVES["EAST"])
    yield archive
    archive.stop()


@pytest.fixture(scope="session")
def fhir_validator() -> Iterator[FHIRValidator]:
    """Judges FHIR R4 resources by checkers that know nothing of the gateway."""
    checker = FHIRValidator()
    yield checker
    checker.stop()


@pytest.fixture
def make_gateway() -> Iterator[Callable[..., Gateway]]:
    """Makes gateways with given settings (`make_gateway(GATEWAY_WORKERS="2")`); they end with the test.

    What they log and count is searched for the planted patient.
    """
    made: list[Gateway] = []

    def make(**settings: str) -> Gateway:
        made.append(Gateway(settings))
        return made[-1]

    yield make
    for gateway in made:
        gateway.stop()


@pytest.fixture(scope="session")
def real_exchange(orthanc_archives: Mapping[str, Orthanc], tiny_pacs: TinyPacs) -> Iterator[Exchange]:
    """A serving gateway over north, south and east (Orthanc) and west (tiny_pacs). A test changes nothing in it."""
    archives = {name.lower(): archive for name, archive in orthanc_archives.items()}
    running = exchange.start({**archives, "west": tiny_pacs})
    yield running
    running.gateway.stop()
