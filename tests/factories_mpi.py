"""Patients and an index to put them in, for tests of who is who."""

import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import IO, Any

import psycopg
from sqlalchemy import Connection, Engine, event

from gateway.audit.record import AuditRecord, Who
from gateway.consent.belonging import Identity
from gateway.db.crypto import KeyRing
from gateway.model import Identifier, PatientID, PatientIdentity, PatientRef
from gateway.mpi.algorithm import default_algorithm
from gateway.mpi.carried import CARRIED, CARRIED_BY
from gateway.mpi.feed import PatientFeed
from gateway.mpi.fhir_patient import read_patient
from gateway.mpi.matching import MatchingRule
from gateway.mpi.patient_record import PatientRecord
from gateway.mpi.resolve import PatientIndex
from gateway.mpi.retired import RETIRED_INTO
from gateway.mpi.review import ReviewQueue
from gateway.mpi.steward import Stewardship

NORTH = "urn:oid:1.2.36.1.10"
SOUTH = "urn:oid:1.2.36.1.20"
EAST = "urn:oid:1.2.36.1.30"
DOMAINS = frozenset((NORTH, SOUTH, EAST))
NATIONAL = "http://example.org/national-id"
INSURANCE = "http://example.org/insurance"
STRONG = frozenset((NATIONAL,))
IDENTITY = Identity(retired=RETIRED_INTO, carried=CARRIED_BY, known=CARRIED)
"""How the index tells the consent store whose a consent is."""
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def a_patient(
    value: str = "N-1",
    *,
    system: str = NORTH,
    family: str | None = "Rivera",
    given: Sequence[str] = ("Ana",),
    birth_date: str | None = "1980-02-03",
    national: Sequence[str] | str = (),
    active: bool | None = None,
    **elements: Any,
) -> dict[str, Any]:
    """A FHIR Patient of one domain, with any number of national ids."""
    nationals = [national] if isinstance(national, str) else national
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "identifier": [
            {"system": system, "value": value},
            *({"system": NATIONAL, "value": one} for one in nationals),
        ],
        "gender": "female",
    }
    if family or given:
        patient["name"] = [{**({"family": family} if family else {}), **({"given": list(given)} if given else {})}]
    if birth_date:
        patient["birthDate"] = birth_date
    if active is not None:
        patient["active"] = active
    return {**patient, **elements}


def a_record(*args: Any, **kwargs: Any) -> PatientRecord:
    """`a_patient`, read."""
    return read_patient(a_patient(*args, **kwargs), DOMAINS)


class AuditList:
    """An AuditLog that keeps its records in a list."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []

    def record(self, records: Sequence[AuditRecord]) -> None:
        """They are in the list."""
        self.records.extend(records)

    def record_within(self, _connection: Connection, records: Sequence[AuditRecord]) -> None:
        """They are in the list, whatever becomes of the transaction."""
        self.records.extend(records)


class Index:
    """An index in a database, with both its doors."""

    def __init__(
        self, engine: Engine, keys: KeyRing, strong: frozenset[str] = STRONG, *, matching: bool = False
    ) -> None:
        self.engine = engine
        self.keys = keys
        self.audit = AuditList()
        rule = MatchingRule(default_algorithm(), strong) if matching else None
        self.feed = PatientFeed(engine, keys, self.audit, strong_systems=strong, who="test", matching=rule)
        self.review = ReviewQueue(engine, keys)
        self.patients = PatientIndex(engine, keys)
        steward = Who(subject_id="sam", subject_role="operator")
        self.steward = Stewardship(engine, keys, self.audit, strong_systems=strong, who=steward)

    def save(self, *patients: Mapping[str, Any], now: datetime = NOW) -> list[str]:
        """`patients` are stored, each in a transaction of its own; what became of each."""
        return [str(self.feed.save([read_patient(patient, DOMAINS)], now)[0]) for patient in patients]

    def find(self, system: str, value: str) -> PatientIdentity | None:
        """The person with that identifier."""
        return self.patients.resolve(PatientRef(identifier=Identifier(system, value)))

    def read(self, person_id: str) -> PatientIdentity | None:
        """The person with that id."""
        return self.patients.resolve(PatientRef(id=PatientID(person_id)))

    def patients_ref(self, value: str, system: str = NORTH) -> PatientRef:
        """How a question names the patient with that identifier."""
        return PatientRef(identifier=Identifier(system, value))

    def record_id(self, value: str, system: str = NORTH) -> int:
        """The number of the record that is known by that in its domain."""
        found = self.find(system, value)
        assert found is not None, f"nobody is {value}"
        (record_id,) = [one.record_id for one in found.records if one.identifier == Identifier(system, value)]
        return record_id

    def person(self, value: str, system: str = NORTH) -> PatientID:
        """The id of the person with that identifier, who must be there."""
        found = self.find(system, value)
        assert found is not None, f"nobody is {value}"
        return found.id

    def partition(self, values: Iterable[str], system: str = NORTH) -> set[frozenset[str]]:
        """Which of the records belong together."""
        persons: dict[str, set[str]] = {}
        for value in values:
            persons.setdefault(self.person(value, system), set()).add(value)
        return {frozenset(group) for group in persons.values()}


class StatementCount:
    """Counts the SQL statements that reach the database through `engine` between entering and leaving."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lite: list[sqlite3.Connection] = []
        self._traced: dict[psycopg.Connection[Any], IO[str]] = {}
        self.statements: list[str] = []

    def _note(self, text: str) -> None:
        if not text.startswith(("BEGIN", "COMMIT", "PRAGMA", "ROLLBACK")):
            self.statements.append(text)

    def _watch(self, connection: Any, *_rest: object) -> None:
        # At the driver, where what runs past SQLAlchemy's own execution is seen too.
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(self._note)
            self._lite.append(connection)
        elif connection not in self._traced:
            self._traced[connection] = tempfile.TemporaryFile("w+")  # noqa: SIM115  # until it is read
            connection.pgconn.trace(self._traced[connection].fileno())

    def __enter__(self) -> "StatementCount":
        event.listen(self._engine, "checkout", self._watch)
        return self

    def __exit__(self, *_exc: object) -> None:
        event.remove(self._engine, "checkout", self._watch)
        for lite in self._lite:
            lite.set_trace_callback(None)
        for connection, trace in self._traced.items():
            connection.pgconn.untrace()
            known = connection.execute("SELECT name, statement FROM pg_prepared_statements").fetchall()
            with trace:
                trace.seek(0)
                for text in _executed(trace.read(), dict(known)):
                    self._note(text)


_SENT = re.compile(r'\tF\t\d+\t(Query|Parse|Bind)\t (?:"([^"]*)" )?"([^"]*)')
"""A simple statement, a text and its name, or the use of a text by its name."""


def _executed(trace: str, known: dict[str, str]) -> Iterator[str]:
    """What a trace of libpq says was executed; `known` are the statements prepared on the connection."""
    unnamed = ""
    for kind, name, text in _SENT.findall(trace):
        if kind == "Query":
            yield text
        elif kind == "Parse" and not name:
            unnamed = text
        elif kind == "Bind":
            yield known[text] if text else unnamed
