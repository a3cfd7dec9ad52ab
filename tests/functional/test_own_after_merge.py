"""A patient's own access follows them: the index says that two persons are one, or that they are two again."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.auth.people import Role
from tests.factories_mpi import Index
from tests.functional.app_exchange import AppExchange, serving_apps
from tests.functional.people_tokens import PATIENT_SCOPES, register_apps, token_for


@pytest.fixture
def exchange(tmp_path: Path, migrated_sqlite_file: Path, keys_file: Path) -> Iterator[AppExchange]:
    """An exchange with an app for everything."""
    with serving_apps(tmp_path, migrated_sqlite_file, keys_file, {}) as one:
        register_apps(one)
        yield one


def test_a_patient_whose_id_was_retired_lets_apps_in_as_the_survivor(exchange: AppExchange) -> None:
    """After the merge the older token ends and a new one is the survivor's; after the unmerge it is the other way."""
    ann, anna = exchange.add_person("ann"), exchange.add_person("anna")
    exchange.add("ann", Role.PATIENT, patient=ann)
    index = Index(exchange.engine, exchange.house.keys)
    before = token_for(exchange, "ann", PATIENT_SCOPES)
    assert exchange.get(f"ImagingStudy?patient={ann}", before).status_code == 200
    assert exchange.get(f"ImagingStudy?patient={anna}", before).status_code == 403

    index.steward.merge(ann, anna, "the same", exchange.clock())
    time.sleep(1.1)  # what a process knows of an account is at most a second old
    assert exchange.get(f"ImagingStudy?patient={anna}", before).status_code == 401
    merged = token_for(exchange, "ann", PATIENT_SCOPES)
    assert exchange.get(f"ImagingStudy?patient={anna}", merged).status_code == 200
    assert exchange.get(f"ImagingStudy?patient={ann}", merged).status_code == 200

    index.steward.unmerge(ann, "not the same", exchange.clock())
    time.sleep(1.1)
    assert exchange.get(f"ImagingStudy?patient={anna}", merged).status_code == 401
    parted = token_for(exchange, "ann", PATIENT_SCOPES)
    assert exchange.get(f"ImagingStudy?patient={ann}", parted).status_code == 200
    assert exchange.get(f"ImagingStudy?patient={anna}", parted).status_code == 403
