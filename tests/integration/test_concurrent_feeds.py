"""Four processes that feed one index at once end in the same persons as one that feeds alone (PostgreSQL)."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.db.crypto import read_key_file
from gateway.db.session import open_database, reading
from gateway.mpi.sealed import open_patient
from gateway.mpi.tables import person, record
from tests.factories_mpi import EAST, NATIONAL, NORTH, SOUTH, a_patient
from tests.functional.consent_community import Shell
from tests.functional.test_cli_patients import FACILITIES
from tests.services.postgres import Postgres

pytestmark = pytest.mark.integration
PERSONS = 120
PROCESSES = 4
GIVEN = ("Anabella", "Boris", "Chloe", "Dimitri", "Esther", "Farouk", "Greta", "Hamid", "Ingrid", "Jorge")
FAMILY = ("Riverastone", "Okafor", "Lindqvist", "Marchetti", "Novakova", "Thistlewood", "Yamaguchi", "Zielinski")


def people() -> list[dict[str, Any]]:
    """Each person in two or three domains: some with a national id there, some to be known by what they say alone."""
    found = []
    for number in range(PERSONS):
        said: dict[str, Any] = {
            "family": FAMILY[number % len(FAMILY)] + "abcdefghijklmno"[number // len(FAMILY)],
            "given": [GIVEN[number % len(GIVEN)]],
            "birth_date": f"19{40 + number % 50}-{1 + number % 12:02}-{1 + number % 28:02}",
            "telecom": [{"system": "phone", "value": f"+41 44 55{number:03} 7{number % 10}"}],
            "address": [{"line": [f"Seestrasse {number}"], "postalCode": f"8{number:03}", "city": "Zurich"}],
        }
        national = f"756-{number:05}" if number % 3 else ()
        for system in (NORTH, SOUTH, EAST)[: 2 + number % 2]:
            found.append(a_patient(f"P-{number}", system=system, national=national, **said))
    return found


@pytest.fixture(params=["off", "on"])
def gateway(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[Shell]:
    """A gateway on PostgreSQL, with matching and without."""
    settings = {"GATEWAY_STRONG_IDENTIFIER_SYSTEMS": NATIONAL, "GATEWAY_MATCHING": request.param}
    one = Shell({"GATEWAY_DATABASE_URL": postgres.create_empty(), **settings})
    one.run("db", "upgrade")
    one.run("facilities", "apply", str(one.write("facilities.toml", FACILITIES)))
    yield one
    one.stop()


def feed(gateway: Shell, parts: list[list[dict[str, Any]]]) -> None:
    """Each part is loaded by a process of its own, all at once."""
    running = []
    for number, part in enumerate(parts):
        file = gateway.write(f"part{number}.ndjson", "".join(json.dumps(one) + "\n" for one in part))
        argv = [sys.executable, "-m", "gateway", "patients", "load", str(file)]
        running.append(subprocess.Popen(argv, env=gateway.env, cwd=gateway.folder, stdout=subprocess.DEVNULL))
    assert [process.wait(timeout=240) for process in running] == [0] * len(parts)


def persons(gateway: Shell) -> set[frozenset[tuple[str, str]]]:
    """Who is together, by source identifier; every person that is not retired has a record."""
    engine = open_database(gateway.env["GATEWAY_DATABASE_URL"])
    keys = read_key_file(gateway.folder / "var" / "keys.json")
    found: dict[str, set[tuple[str, str]]] = {}
    with reading(engine) as connection:
        for row in connection.execute(record.select()):
            patient = open_patient(keys, row.identifier_key, row.content)
            value = next(one["value"] for one in patient["identifier"] if one["system"] == row.system)
            found.setdefault(row.person_id, set()).add((row.system, value))
        living = {row.id for row in connection.execute(person.select()) if row.retired_at is None}
    engine.dispose()
    assert living == found.keys()
    return {frozenset(group) for group in found.values()}


def test_concurrent_feeds_end_in_the_persons_of_a_serial_one(gateway: Shell) -> None:
    """Whatever comes between whose records."""
    patients = people()
    random.Random(7).shuffle(patients)
    feed(gateway, [patients[start::PROCESSES] for start in range(PROCESSES)])
    together = persons(gateway)
    expected: dict[str, set[tuple[str, str]]] = {}
    for one in patients:
        source = one["identifier"][0]
        known = source["value"] if gateway.env["GATEWAY_MATCHING"] == "on" or len(one["identifier"]) > 1 else None
        expected.setdefault(known or f"{source}", set()).add((source["system"], source["value"]))
    assert together == {frozenset(group) for group in expected.values()}
