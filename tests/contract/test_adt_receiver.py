"""What an HL7 v2 sender is told when a message can't be taken in: SQLite and PostgreSQL."""

from collections.abc import Sequence
from threading import Lock

import pytest
from sqlalchemy import Connection, Engine

from gateway.audit.record import AuditRecord
from gateway.db.crypto import KeyRing
from gateway.errors import AuditUnavailable
from gateway.hl7v2.order import PatientOrder
from gateway.hl7v2.receive import AdtReceiver, Peer
from gateway.identity_desk import IdentityDesk
from gateway.model import Facility, FacilityID
from gateway.mpi.domain_words import DomainWords
from gateway.mpi.feed import PatientFeed
from gateway.mpi.source import SourceRecords
from tests.factories_mpi import NORTH, NOW, STRONG, AuditList, Index, a_patient

FACILITY = Facility(id=FacilityID("north"), name="North", identifier_system=NORTH, query_url="")


class FailingAudit(AuditList):
    """An audit that can be taken away."""

    away = False

    def record_within(self, connection: Connection, records: Sequence[AuditRecord]) -> None:
        """They are in the list, unless it is away."""
        if self.away:
            raise AuditUnavailable("no audit")
        super().record_within(connection, records)


class Sender:
    """A receiver, and what it answers."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self.index = Index(engine, keys)
        self.audit = FailingAudit()

        def feed(who: str) -> tuple[PatientFeed, DomainWords]:
            patients = PatientFeed(engine, keys, self.audit, strong_systems=STRONG, who=who)
            return patients, DomainWords(engine, keys, patients, strong_systems=STRONG, who=who)

        desk = IdentityDesk(
            facilities=lambda: [FACILITY],
            facility_of=lambda _: None,
            feed=feed,
            records=SourceRecords(engine, keys),
            audit=self.audit,
            strong_systems=STRONG,
        )
        self.receiver = AdtReceiver(desk=desk, order=PatientOrder(engine, keys), clock=lambda: NOW, taking=Lock())

    def send(self, event: str, *segments: str, version: str = "2.5.1", more: str = "") -> tuple[str, str]:
        """The acknowledgement code, and the condition where it isn't AA."""
        header = f"MSH|^~\\&|E|north|G||20260301120000||ADT^{event}|C1|P|{version}{more}"
        said = "\r".join((header, f"EVN|{event}|20260301120000+0000", *segments)).encode()
        lines = self.receiver.receive(said, Peer()).decode().split("\r")
        condition = lines[2].split("|")[3].partition("^")[0] if lines[2].startswith("ERR") else ""
        return lines[1].split("|")[1], condition


@pytest.fixture
def sender(engine: Engine, keys: KeyRing) -> Sender:
    """An empty index with one feed."""
    return Sender(engine, keys)


def pid(value: str) -> str:
    """A patient of that identifier."""
    return f"PID|1||{value}^^^^MR||Rivera^Ana||19800203|F"


def test_what_can_not_be_audited_is_not_acknowledged_and_not_stored(sender: Sender) -> None:
    """Sent again once the audit is back, the same message is taken in."""
    sender.audit.away = True
    assert sender.send("A28", pid("N-1")) == ("AE", "207")
    assert sender.index.find(NORTH, "N-1") is None

    sender.audit.away = False
    assert sender.send("A28", pid("N-1")) == ("AA", "")
    assert sender.index.find(NORTH, "N-1") is not None
    assert [one.reason for one in sender.audit.records] == ["patient filed"]


@pytest.mark.parametrize("event", ["A24", "A40"])
def test_a_feed_outweighs_no_steward(sender: Sender, event: str) -> None:
    """Two whom a steward has kept apart are neither linked nor merged, and the sender is told so."""
    sender.index.save(a_patient("N-1", national="1"), a_patient("N-2", national="1"))
    person, record = sender.index.person("N-1"), sender.index.record_id("N-2")
    sender.index.steward.split(person, [record], "", NOW)
    said = (pid("N-1"), "MRG|N-2^^^^MR") if event == "A40" else (pid("N-1"), "PID|2||N-2^^^^MR")

    assert sender.send(event, *said) == ("AE", "207")
    assert sender.index.person("N-1") != sender.index.person("N-2")


@pytest.mark.parametrize(
    ("version", "more", "expected"),
    [("3.0", "", ("AR", "203")), ("2.5.1", "||||||EBCDIC", ("AR", "103")), ("2.3", "", ("AA", ""))],
)
def test_a_version_or_character_set_that_is_not_read_is_rejected(
    sender: Sender, version: str, more: str, expected: tuple[str, str]
) -> None:
    """AR: sending it again will not help."""
    assert sender.send("A28", pid("N-1"), version=version, more=more) == expected


def test_linking_and_parting_again_changes_nothing(sender: Sender) -> None:
    """A24 twice, then A37 twice: each is acknowledged, and holds."""
    sender.index.save(a_patient("N-1"), a_patient("N-2"))
    both = (pid("N-1"), "PID|2||N-2^^^^MR")
    for event, persons in (("A24", 1), ("A24", 1), ("A37", 2), ("A37", 2)):
        assert sender.send(event, *both) == ("AA", "")
        assert len({sender.index.person(value) for value in ("N-1", "N-2")}) == persons
