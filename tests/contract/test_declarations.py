"""What every store of break-glass declarations does, in memory and in both databases; and the notices beside them."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, select

from gateway.auth.b2b import Subject
from gateway.auth.break_glass import Declarations
from gateway.auth.declarations import StoredDeclarations
from gateway.auth.purpose_of_use import BreakGlass
from gateway.auth.tables import break_glass, patient_notice
from gateway.db.crypto import KeyRing
from gateway.db.session import reading
from gateway.model import ClientID, PatientID
from tests.factories_auth import FakeDeclarations, a_client
from tests.factories_consent import NOW

LASTS = timedelta(minutes=30)
CLIENT = a_client(name="Notfall-EHR Ü")
DOCTOR = Subject(id="npi|7", name="Dr Okafor", role="doctor")
STATED = BreakGlass(patient=PatientID("p-1"), reason="unconscious, no relative reached")


@pytest.fixture
def stored(engine: Engine, keys: KeyRing) -> StoredDeclarations:
    """In each database, empty."""
    return StoredDeclarations(engine, keys, lasts=LASTS)


def check_what_every_store_does(declarations: Declarations) -> None:
    """A statement stands until its end; another person, client, patient or reason is another declaration."""
    declared, is_new = declarations.declare(CLIENT, DOCTOR, STATED, NOW)
    assert is_new
    assert (declared.declared_at, declared.until) == (NOW, NOW + LASTS)
    assert declarations.find(declared.id) == declared
    assert (declared.subject, declared.patient, declared.reason) == (DOCTOR, STATED.patient, STATED.reason)
    assert (declared.client_id, declared.client_name, declared.organization) == (CLIENT.id, CLIENT.name, "north")
    assert declarations.find("absent") is None

    almost = NOW + LASTS - timedelta(microseconds=1)
    assert declarations.declare(CLIENT, DOCTOR, STATED, almost) == (declared, False)
    others = [
        declarations.declare(a_client(id=ClientID("other")), DOCTOR, STATED, NOW),
        declarations.declare(CLIENT, Subject(id="npi|8", role="doctor"), STATED, NOW),
        declarations.declare(CLIENT, DOCTOR, BreakGlass(patient=PatientID("p-2"), reason=STATED.reason), NOW),
        declarations.declare(CLIENT, DOCTOR, BreakGlass(patient=STATED.patient, reason="another"), NOW),
        declarations.declare(CLIENT, DOCTOR, STATED, NOW + LASTS),
    ]
    assert all(new for _, new in others)
    assert len({declared.id, *(one.id for one, _ in others)}) == 6


def test_a_statement_stands_in_memory() -> None:
    """As tests have it."""
    check_what_every_store_does(FakeDeclarations(LASTS))


def test_a_statement_stands_in_a_database(stored: StoredDeclarations) -> None:
    """As a deployment has it."""
    check_what_every_store_does(stored)


def test_t050_each_declaration_queues_one_notice_to_its_patient(stored: StoredDeclarations) -> None:
    """Marked as delivered once, by whom and when; found by patient, and by whether it waits."""
    declared, _ = stored.declare(CLIENT, DOCTOR, STATED, NOW)
    stored.declare(CLIENT, DOCTOR, STATED, NOW + timedelta(minutes=1))
    other, _ = stored.declare(CLIENT, DOCTOR, BreakGlass(patient=PatientID("p-2"), reason="x"), NOW + LASTS)

    assert [one.declaration for one in stored.notices()] == [declared, other]
    (notice,) = stored.notices(patients=["p-1", "former"], waiting=True)
    assert (notice.queued_at, notice.delivered_at, notice.delivered_by) == (NOW, None, None)

    later = NOW + timedelta(days=1)
    assert stored.deliver(notice, "officer", later)
    assert not stored.deliver(notice, "somebody else", later + timedelta(days=1))
    (delivered,) = stored.notices(patients=["p-1"])
    assert (delivered.delivered_at, delivered.delivered_by) == (later, "officer")
    assert [one.declaration.id for one in stored.notices(waiting=True)] == [other.id]


def test_who_and_why_are_sealed(stored: StoredDeclarations, engine: Engine) -> None:
    """A stolen database names nobody."""
    stored.declare(CLIENT, DOCTOR, STATED, NOW)
    (notice,) = stored.notices()
    stored.deliver(notice, "officer", NOW)
    with reading(engine) as connection:
        rows = [connection.execute(select(table)).all() for table in (break_glass, patient_notice)]
    kept = repr(rows)
    assert not [word for word in ("Okafor", "npi", "unconscious", "p-1", "officer", "Notfall") if word in kept]
