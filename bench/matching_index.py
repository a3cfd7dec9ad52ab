"""A large index to measure in: the same tables, sealing and keys as a feed writes, filled without its decisions.

Who is who is known, so records are put with their person at once. SQLite is filled first, in the order of each table's
key; PostgreSQL gets a copy of its rows.
"""

import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import orjson
import psycopg
from sqlalchemy import make_url

from gateway.db.base import EPOCH
from gateway.db.crypto import read_key_file
from gateway.model import Identifier
from gateway.mpi.demographics import demographics_of, identifiers_of
from gateway.mpi.links import ALGORITHM
from gateway.mpi.patient_record import PatientRecord
from gateway.mpi.ready import Readier
from gateway.mpi.search_keys import VERSION
from tests.accuracy.population import SSN, TODAY, Labelled, Population

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
STRONG = frozenset((SSN,))
SYSTEMS = tuple(f"urn:oid:1.2.36.1.{number}" for number in (10, 20, 30, 40))
"""The identifier systems of four facilities."""
_PART = 20_000
"""Records of one population: a hospital's catchment, with its households."""
_UNSEEN = 3_000
"""Further records of each, which the index doesn't hold: what comes next."""
_TABLES = {
    "mpi_person": "id, created_at",
    "mpi_record": "record_id, identifier_key, system, content, content_key, person_id, linked_at, updated_at, active,"
    " comparable, search_keys",
    "mpi_record_identifier": "record_id, identifier_key",
    "mpi_link_event": "record_id, person_id, action, reason, algorithm, who, at",
    "mpi_block_key": "key, record_id",
    "mpi_search_key": "key, record_id",
}
_ORDERED = {
    "mpi_record_identifier": "identifier_key, record_id",
    "mpi_block_key": "key, record_id",
    "mpi_search_key": "key, record_id",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A record that the index holds, or one that comes next, and whose it is."""

    person: str
    patient: PatientRecord
    resource: dict[str, Any]


def unseen(records: int, most: int) -> list[Known]:
    """Records that come to an index of so many, in the mixture of its populations."""
    parts = min(max(1, records // _PART), -(-most // _UNSEEN))
    found = [known for part in range(parts) for known in _populated(part)[1]]
    Random(1).shuffle(found)
    return found[:most]


def fill_sqlite(path: Path, keys_file: Path, records: int) -> None:
    """`path`, a migrated and empty SQLite file, holds `records` records. Two processes make the rows."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-800000")
    connection.execute("PRAGMA foreign_keys=OFF")
    for table, columns in _TABLES.items():
        connection.execute(f"CREATE TEMP TABLE filled_{table} AS SELECT {columns} FROM {table} LIMIT 0")  # noqa: S608
    with ProcessPoolExecutor(2) as makers:
        for rows in makers.map(partial(_rows, keys_file), range(max(1, records // _PART))):
            connection.execute("BEGIN")
            for table, columns in _TABLES.items():
                into = f"filled_{table}" if table in _ORDERED else table
                marks = ", ".join("?" * len(columns.split(",")))
                connection.executemany(f"INSERT INTO {into} ({columns}) VALUES ({marks})", rows[table])  # noqa: S608
            connection.execute("COMMIT")
    for table, order in _ORDERED.items():
        columns = _TABLES[table]
        chosen = f"SELECT {columns} FROM filled_{table} ORDER BY {order}"  # noqa: S608
        connection.execute(f"INSERT INTO {table} ({columns}) {chosen}")
    connection.execute("ANALYZE")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def copy_to_postgres(path: Path, url: str) -> None:
    """The migrated and empty database at `url` holds what the SQLite file holds."""
    source = sqlite3.connect(path)
    parsed = make_url(url)
    with psycopg.connect(
        host=parsed.host, port=parsed.port, user=parsed.username, dbname=parsed.database, autocommit=True
    ) as target:
        target.execute("SET maintenance_work_mem = '512MB'")
        for table, columns in _TABLES.items():
            with target.transaction():
                _copy_table(source, target, table, columns)
        target.execute("SELECT setval('mpi_record_record_id_seq', (SELECT max(record_id) FROM mpi_record))")
        target.execute("SELECT setval('mpi_link_event_id_seq', (SELECT max(id) FROM mpi_link_event))")
        target.execute("VACUUM ANALYZE")
        target.execute("CHECKPOINT")
    source.close()


def _copy_table(source: sqlite3.Connection, target: psycopg.Connection, table: str, columns: str) -> None:
    # Indexes are made once the rows are there, as a load into an empty table does.
    made = target.execute(
        "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i LEFT JOIN pg_constraint c"
        " ON c.conindid = i.indexrelid WHERE i.indrelid = %s::regclass AND c.oid IS NULL",
        (table,),
    ).fetchall()
    target.execute("SET LOCAL session_replication_role = replica")
    for index, _ in made:
        target.execute(f"DROP INDEX {index}")
    with target.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copying:
        for row in source.execute(f"SELECT {columns} FROM {table}"):  # noqa: S608
            copying.write_row(
                tuple(bool(one) if name.strip() == "active" else one for name, one in _named(columns, row))
            )
    for _, definition in made:
        target.execute(definition)


def _named(columns: str, row: Sequence[object]) -> Iterator[tuple[str, object]]:
    return zip(columns.split(","), row, strict=True)


def _populated(part: int) -> tuple[list[Known], list[Known]]:
    random = Random(part)
    made = Population(1000 + part).records(_PART + _UNSEEN)
    known = [_known(part, number, one, random) for number, one in enumerate(made)]
    return known[:_PART], known[_PART:]


def _known(part: int, number: int, one: Labelled, random: Random) -> Known:
    source = Identifier(random.choice(SYSTEMS), f"{part}-{number:06}")
    resource = {
        **{name: value for name, value in one.patient.items() if value},
        "identifier": [{"system": source.system, "value": source.value}, *one.patient["identifier"]],
    }
    patient = PatientRecord(
        source=source,
        identifiers=identifiers_of(resource),
        demographics=demographics_of(resource),
        active=True,
        content=orjson.dumps(resource, option=orjson.OPT_SORT_KEYS),
    )
    return Known(person=str(uuid.UUID(int=(part << 64) + one.person)), patient=patient, resource=resource)


def _rows(keys_file: Path, part: int) -> dict[str, list[tuple[object, ...]]]:
    readier = Readier(read_key_file(keys_file), STRONG, matched=True)
    rows: dict[str, list[tuple[object, ...]]] = {table: [] for table in _TABLES}
    at = int((NOW - EPOCH).total_seconds() * 1_000_000)
    persons: set[str] = set()
    for number, one in enumerate(_populated(part)[0]):
        _add(rows, readier, part * _PART + number + 1, one, at, first=one.person not in persons)
        persons.add(one.person)
    return rows


def _add(
    rows: dict[str, list[tuple[object, ...]]], readier: Readier, record_id: int, one: Known, at: int, *, first: bool
) -> None:
    ready = readier.ready(one.patient, TODAY)
    if first:
        rows["mpi_person"].append((one.person, at))
    told = (ready.source, ready.system, ready.content, ready.content_key)
    rows["mpi_record"].append((record_id, *told, one.person, at, at, 1, ready.comparable, VERSION))
    rows["mpi_record_identifier"].extend((record_id, key) for key in ready.identifiers)
    action, rule = ("new-person", "alone") if first else ("link", "shares-identifier")
    reason = orjson.dumps({"rule": rule, "system": None, "records": []}).decode()
    rows["mpi_link_event"].append((record_id, one.person, action, reason, ALGORITHM, "bench", at))
    rows["mpi_block_key"].extend((key, record_id) for key in ready.block_keys)
    rows["mpi_search_key"].extend((key, record_id) for key in ready.search_keys)
