"""T63 from end to end: a mother's app opens her child's imaging until the child's birthday begins, and not after."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.auth.people import Role
from tests.factories_mpi import Index, a_patient
from tests.functional.app_exchange import AppExchange, serving_apps
from tests.functional.people_tokens import PATIENT_SCOPES, delegate, register_apps, token_for

ZONE = "Europe/Zurich"
BORN = "2008-02-29"
OF_AGE = datetime(2026, 3, 1, tzinfo=ZoneInfo(ZONE))
"""2026 has no 29 February: the day after the 28th."""


@pytest.fixture
def exchange(tmp_path: Path, migrated_sqlite_file: Path, keys_file: Path) -> Iterator[AppExchange]:
    """An exchange in Zurich, a child in its index, and the child's mother."""
    with serving_apps(tmp_path, migrated_sqlite_file, keys_file, {"GATEWAY_TIME_ZONE": ZONE}) as one:
        register_apps(one)
        yield one


def test_t063_a_mothers_tokens_end_when_the_childs_birthday_begins(exchange: AppExchange) -> None:
    """A minute before midnight of 28 February, Zurich: 200. At midnight: 403, and no new token is had."""
    index = Index(exchange.engine, exchange.house.keys)
    index.save(a_patient("kim", given=["Kim"], birthDate=BORN))
    child = index.person("kim")
    exchange.clock.now = OF_AGE - timedelta(minutes=2)
    mother = exchange.add("mother", Role.DELEGATE)
    delegate(exchange, mother, child, basis="parent", days=3650)
    token = token_for(exchange, "mother", PATIENT_SCOPES)

    exchange.clock.now = OF_AGE - timedelta(minutes=1)
    assert exchange.get(f"ImagingStudy?patient={child}", token).status_code == 200
    time.sleep(1.1)  # what a process knows of a delegation is at most a second old
    exchange.clock.now = OF_AGE
    assert exchange.get(f"ImagingStudy?patient={child}", token).status_code in (401, 403)
    page = exchange.ask(exchange.signed_in("mother"), client_id="all", scope=PATIENT_SCOPES)
    assert "Kim" not in page.text
    assert list(exchange.people.delegations.acts_for(mother, exchange.clock())) == []


def test_t063_a_guardian_acts_beyond_that_day(exchange: AppExchange) -> None:
    """Age is a matter of parents alone."""
    index = Index(exchange.engine, exchange.house.keys)
    index.save(a_patient("kim", given=["Kim"], birthDate=BORN))
    child = index.person("kim")
    exchange.clock.now = OF_AGE - timedelta(minutes=1)
    delegate(exchange, exchange.add("guardian", Role.DELEGATE), child, basis="guardian", days=3650)
    token = token_for(exchange, "guardian", PATIENT_SCOPES)
    exchange.clock.now = OF_AGE + timedelta(minutes=1)
    assert exchange.get(f"ImagingStudy?patient={child}", token).status_code == 200
