"""The patient index keeps who is who, in SQLite and in PostgreSQL alike."""

import subprocess
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Connection, Engine, select, update

from gateway.audit.record import AuditRecord
from gateway.db.crypto import KeyRing, SealBroken
from gateway.db.session import reading, writing
from gateway.errors import AuditUnavailable, DependencyUnavailable, GatewayError
from gateway.model import Demographics, Identifier, PatientRef
from gateway.mpi.fhir_patient import read_patient
from gateway.mpi.links import MOST_CARRIERS
from gateway.mpi.tables import conflict, link_event, person, record, record_identifier
from tests.factories_mpi import (
    DOMAINS,
    EAST,
    INSURANCE,
    NATIONAL,
    NORTH,
    NOW,
    SOUTH,
    AuditList,
    Index,
    StatementCount,
    a_patient,
)
from tests.services.process import binary

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def index(engine: Engine, keys: KeyRing) -> Index:
    """An empty index in which national ids are strong."""
    return Index(engine, keys)


def _open_conflicts(index: Index) -> list[tuple[str, str, int]]:
    with reading(index.engine) as connection:
        found = connection.execute(
            select(conflict.c.system, conflict.c.reason, conflict.c.persons).where(conflict.c.closed_at.is_(None))
        )
        return [tuple(row) for row in found]


def _history(index: Index, value: str) -> list[tuple[str, str | None, str]]:
    with reading(index.engine) as connection:
        rows = connection.execute(
            select(link_event.c.action, link_event.c.previous_person_id, link_event.c.person_id)
            .join(record, record.c.record_id == link_event.c.record_id)
            .where(record.c.record_id == _record_id(index, value))
            .order_by(link_event.c.id)
        )
        return [tuple(row) for row in rows]


def _record_id(index: Index, value: str) -> int:
    found = index.find(NORTH, value) or index.find(SOUTH, value)
    assert found is not None
    return next(one.record_id for one in found.records if one.identifier.value == value)


def _alerts(kind: str) -> float:
    return REGISTRY.get_sample_value("gateway_alerts_total", {"kind": kind}) or 0.0


# What a query asks of it.


def test_a_loaded_record_is_found_by_its_identifier_and_by_the_persons_id(index: Index) -> None:
    """Both ways lead to the same person, with what the domain said of them."""
    assert index.save(a_patient("N-1")) == ["loaded"]

    found = index.find(NORTH, "N-1")

    assert found is not None
    assert index.read(found.id) == found
    (only,) = found.records
    assert only.identifier == Identifier(NORTH, "N-1")
    assert only.demographics == Demographics(family=("Rivera",), given=("Ana",), birth_date="1980-02-03", sex="female")
    assert (only.linked_at, only.updated_at) == (NOW, NOW)


def test_any_identifier_of_a_record_names_its_person(index: Index) -> None:
    """An insurance number finds the person whose record carries it; the same number elsewhere does not."""
    patient = a_patient("N-1")
    patient["identifier"].append({"system": INSURANCE, "value": "77"})
    index.save(patient)

    assert index.find(INSURANCE, "77") == index.find(NORTH, "N-1")
    assert index.find(NATIONAL, "77") is None
    assert index.find(SOUTH, "N-1") is None
    assert index.find(INSURANCE, "7") is None


def test_white_space_around_a_value_is_no_part_of_it(index: Index) -> None:
    """A padded identifier (DICOM pads to even length) is the same identifier."""
    index.save(a_patient("N-1 "))

    found = index.find(NORTH, " N-1")

    assert found is not None
    assert found.records[0].identifier.value == "N-1"


@pytest.mark.parametrize("value", ["*", "12?", "A\\B", "A,B"])
def test_t108_values_that_no_archive_may_be_asked_for_are_kept_exactly(index: Index, value: str) -> None:
    """The index holds them as they are and matches them exactly; not asking for them is the adapters' part."""
    index.save(a_patient(value), a_patient("123"))

    found = index.find(NORTH, value)

    assert found is not None
    assert [one.identifier.value for one in found.records] == [value]


def test_whoever_is_not_there_is_nobody(index: Index) -> None:
    """Unknown ids, ids that can't be ids, and empty references resolve to None."""
    index.save(a_patient("N-1"))

    assert index.read("00000000-0000-4000-8000-000000000000") is None
    assert index.read("'; DROP TABLE mpi_person; --\x00") is None
    assert index.find(NORTH, "") is None
    assert index.find("", "N-1") is None
    assert index.find(NORTH, "\ud800") is None
    assert index.patients.resolve(PatientRef()) is None


def test_an_identifier_of_two_persons_names_nobody_and_is_alerted(
    index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    """An identifier that two persons carry is ambiguous: no answer is better than somebody else's."""
    shared = {"system": INSURANCE, "value": "family-7"}
    for value in ("N-1", "N-2"):
        patient = a_patient(value)
        patient["identifier"].append(shared)
        index.save(patient)
    before = _alerts("identifier-ambiguous")

    with caplog.at_level("WARNING", logger="gateway"):
        assert index.find(INSURANCE, "family-7") is None

    assert _alerts("identifier-ambiguous") == before + 1
    assert [line.message for line in caplog.records] == ["identifier-ambiguous"]
    assert "family-7" not in caplog.text


def test_a_resolve_takes_one_statement_however_many_records_there_are(index: Index) -> None:
    """By id or identifier, one person with five records or an ambiguous identifier: one statement."""
    index.save(*(a_patient(f"N-{n}", national="1") for n in range(5)))
    found = index.find(NATIONAL, "1")
    assert found is not None
    assert len(found.records) == 5

    for ref in (PatientRef(id=found.id), PatientRef(identifier=Identifier(NATIONAL, "1"))):
        with StatementCount(index.engine) as count:
            assert index.patients.resolve(ref) == found
        assert len(count.statements) == 1


def test_the_full_patients_of_a_person_come_by_record(index: Index) -> None:
    """A Patient read gets what each domain sent, whole."""
    one, other = a_patient("N-1", national="1"), a_patient("S-1", system=SOUTH, national="1", telecom=[{"value": "1"}])
    index.save(one, other)
    found = index.find(NATIONAL, "1")
    assert found is not None

    patients = index.patients.find_record_patients(found)

    by_value = {record.identifier.value: patients[record.record_id] for record in found.records}
    assert by_value == {"N-1": one, "S-1": other}


# What a feed does to it.


def test_an_unchanged_record_does_nothing(index: Index) -> None:
    """Loading the same Patient again, even with its members in another order, writes nothing."""
    patient = a_patient("N-1", national="1")
    index.save(patient)
    before = index.find(NORTH, "N-1")

    assert index.save(dict(reversed(patient.items())), now=LATER) == ["unchanged"]

    assert index.find(NORTH, "N-1") == before
    assert len(_history(index, "N-1")) == 1


def test_a_changed_record_replaces_what_was_said_before(index: Index) -> None:
    """The person stays, the demographics and identifiers are the new ones, the old identifier is gone."""
    index.save(a_patient("N-1", national="1"))
    before = index.person("N-1")

    assert index.save(a_patient("N-1", family="Stone", national="2"), now=LATER) == ["updated"]

    found = index.find(NATIONAL, "2")
    assert found is not None
    assert found.id == before
    assert found.records[0].demographics.family == ("Stone",)
    assert (found.records[0].linked_at, found.records[0].updated_at) == (NOW, LATER)
    assert index.find(NATIONAL, "1") is None


def test_the_last_line_of_a_batch_about_a_record_counts(index: Index) -> None:
    """One transaction may hold a record twice: it is loaded, then updated."""
    records = [read_patient(a_patient("N-1", family=family), DOMAINS) for family in ("Rivera", "Stone", "Stone")]

    assert index.feed.save(records, NOW) == ["loaded", "updated", "unchanged"]

    found = index.find(NORTH, "N-1")
    assert found is not None
    assert found.records[0].demographics.family == ("Stone",)


def test_records_without_a_shared_strong_identifier_stay_apart(index: Index) -> None:
    """The same name and birth date link nobody in this form; neither does an identifier that isn't strong."""
    patients = [a_patient("N-1"), a_patient("N-2")]
    for patient in patients:
        patient["identifier"].append({"system": INSURANCE, "value": "5"})
    index.save(*patients)

    assert index.partition(["N-1", "N-2"]) == {frozenset(["N-1"]), frozenset(["N-2"])}


def test_a_shared_strong_identifier_makes_one_person(index: Index) -> None:
    """Records of three domains with one national id are one person; the oldest person's id stays."""
    index.save(a_patient("N-1", national="1"))
    first = index.person("N-1")
    index.save(
        a_patient("S-1", system=SOUTH, national="1", family="Rivera-Stone"),
        a_patient("E-1", system=EAST, national="1", birth_date="1980-03-02"),
        now=LATER,
    )

    found = index.find(EAST, "E-1")

    assert found is not None
    assert found.id == first
    assert {one.identifier.value for one in found.records} == {"N-1", "S-1", "E-1"}
    assert [one.linked_at for one in found.records] == [NOW, LATER, LATER]
    assert _history(index, "S-1") == [("link", None, first)]
    assert _open_conflicts(index) == []


def test_one_conflict_alone_does_not_keep_records_apart(index: Index) -> None:
    """Another given name with the same birth date, or another birth date with the same given name, still links."""
    index.save(
        a_patient("N-1", national="1"),
        a_patient("N-2", national="1", given=("Zoe",)),
        a_patient("N-3", national="2"),
        a_patient("N-4", national="2", birth_date="1999-09-09"),
    )

    assert index.partition(["N-1", "N-2"]) == {frozenset(["N-1", "N-2"])}
    assert index.partition(["N-3", "N-4"]) == {frozenset(["N-3", "N-4"])}


def test_records_that_contradict_each_other_stay_apart_and_are_reported(
    index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    """Given name and birth date both conflict: two persons, a conflict on file, a log line, a count, an audit alert."""
    index.save(a_patient("N-1", national="1"))
    before = _alerts("strong-identifier-conflict")

    with caplog.at_level("WARNING", logger="gateway"):
        index.save(a_patient("N-2", national="1", given=("Bob",), birth_date="1955-05-05"))

    assert index.partition(["N-1", "N-2"]) == {frozenset(["N-1"]), frozenset(["N-2"])}
    assert index.find(NATIONAL, "1") is None
    assert _open_conflicts(index) == [(NATIONAL, "contradiction", 2)]
    assert _alerts("strong-identifier-conflict") == before + 1
    assert caplog.records[0].message == "strong-identifier-conflict"
    (alert,) = index.audit.records
    assert (alert.kind, alert.outcome) == ("alert", "success")
    assert dict(alert.details)["records"] == f"{_record_id(index, 'N-1')} {_record_id(index, 'N-2')}"
    assert "Bob" not in repr(alert)


def test_a_conflict_is_alerted_once_and_again_when_it_grows(index: Index) -> None:
    """Loading what is known says nothing new; a third person with the same identifier does."""
    people = [("N-1", "Ana", "1980-02-03"), ("N-2", "Bob", "1955-05-05"), ("N-3", "Cid", "1922-02-02")]
    patients = [a_patient(value, national="1", given=(given,), birth_date=date) for value, given, date in people]
    index.save(*patients[:2])
    index.save(*patients[:2], a_patient("N-1", national="1", telecom=[{"value": "5"}]))
    assert len(index.audit.records) == 1

    index.save(patients[2])

    assert len(index.audit.records) == 2
    assert _open_conflicts(index) == [(NATIONAL, "contradiction", 3)]


def test_a_corrected_record_closes_the_conflict_and_joins(index: Index) -> None:
    """When the domain corrects the birth date, the records become one person and nothing is left to look at."""
    index.save(a_patient("N-1", national="1"), a_patient("N-2", national="1", given=("Bob",), birth_date="1955-05-05"))
    first, second = index.person("N-1"), index.person("N-2")

    index.save(a_patient("N-2", national="1", given=("Bob",)), now=LATER)

    assert index.person("N-2") == first
    assert _open_conflicts(index) == []
    survivor = index.read(second)
    assert survivor is not None
    assert survivor.id == first
    assert _history(index, "N-2") == [("new-person", None, second), ("merge", second, first)]


def test_a_record_that_agrees_with_two_apart_persons_joins_neither(index: Index) -> None:
    """Ambiguity never links: the third record is a person of its own, and the conflict says three."""
    index.save(
        a_patient("N-1", national="1"),
        a_patient("N-2", national="1", given=("Bob",), birth_date="1955-05-05"),
        a_patient("N-3", national="1", given=(), birth_date=None),
    )

    assert index.partition(["N-1", "N-2", "N-3"]) == {frozenset(["N-1"]), frozenset(["N-2"]), frozenset(["N-3"])}
    assert _open_conflicts(index) == [(NATIONAL, "contradiction", 3)]


def test_a_record_that_bridges_two_persons_merges_them(index: Index) -> None:
    """With the ids of both, contradicting neither: the older person survives, and the other id leads there."""
    index.save(a_patient("N-1", national="1"))
    index.save(a_patient("N-2", national="2"), now=LATER)
    older, younger = index.person("N-1"), index.person("N-2")
    assert older != younger

    index.save(a_patient("N-3", national=("1", "2")), now=LATER + timedelta(hours=1))

    assert index.partition(["N-1", "N-2", "N-3"]) == {frozenset(["N-1", "N-2", "N-3"])}
    assert index.person("N-1") == older
    found = index.read(younger)
    assert found is not None
    assert found.id == older


def test_ids_retired_one_after_the_other_all_lead_to_the_last_survivor(index: Index) -> None:
    """A survivor that retires in its turn takes those along that led to it, in one step each."""
    for number, value in enumerate(("N-1", "N-2", "N-3"), start=1):
        index.save(a_patient(value, national=str(number)), now=NOW + timedelta(hours=number))
    oldest, middle, youngest = (index.person(value) for value in ("N-1", "N-2", "N-3"))
    index.save(a_patient("N-4", national=("2", "3")), now=NOW + timedelta(hours=5))
    index.save(a_patient("N-5", national=("1", "2")), now=NOW + timedelta(hours=6))

    for retired in (middle, youngest):
        with StatementCount(index.engine) as count:
            found = index.read(retired)
        assert found is not None
        assert found.id == oldest
        assert len(count.statements) == 1


def test_a_record_that_loses_its_strong_identifier_leaves_its_person(index: Index) -> None:
    """The link is looked at again: nothing holds the record there any more. The history tells where it was."""
    index.save(a_patient("N-1", national="1"), a_patient("S-1", system=SOUTH, national="1"))
    together = index.person("N-1")

    index.save(a_patient("S-1", system=SOUTH), now=LATER)

    assert index.person("N-1") == together
    alone = index.person("S-1", SOUTH)
    assert alone != together
    assert _history(index, "S-1") == [("link", None, together), ("unlink", together, alone)]
    found = index.find(SOUTH, "S-1")
    assert found is not None
    assert found.records[0].linked_at == LATER


def test_losing_the_bridge_parts_the_persons_it_joined(index: Index) -> None:
    """What only one record held together falls apart when that record says otherwise."""
    index.save(a_patient("N-1", national="1"), a_patient("N-2", national="2"), a_patient("N-3", national=("1", "2")))
    assert len(index.partition(["N-1", "N-2", "N-3"])) == 1

    index.save(a_patient("N-3", national="1"), now=LATER)

    assert index.partition(["N-1", "N-2", "N-3"]) == {frozenset(["N-1", "N-3"]), frozenset(["N-2"])}


def test_an_inactive_record_is_kept_but_not_found(index: Index) -> None:
    """Its domain withdrew it: no facility is asked for it, its identifiers name nobody, and its person is unknown."""
    index.save(a_patient("N-1", national="1"))
    found = index.person("N-1")

    assert index.save(a_patient("N-1", national="1", active=False), now=LATER) == ["updated"]

    assert index.find(NORTH, "N-1") is None
    assert index.find(NATIONAL, "1") is None
    assert index.read(found) is None
    assert index.save(a_patient("N-1", national="1"), now=LATER) == ["updated"]
    assert index.person("N-1") == found


def test_an_inactive_record_is_no_evidence(index: Index) -> None:
    """It joins nobody, and does not hold together what only it joined."""
    index.save(
        a_patient("N-1", national="1"),
        a_patient("N-2", national="2"),
        a_patient("N-3", national=("1", "2"), active=False),
    )
    assert index.partition(["N-1", "N-2"]) == {frozenset(["N-1"]), frozenset(["N-2"])}
    index.save(a_patient("N-3", national=("1", "2")))
    assert len(index.partition(["N-1", "N-2", "N-3"])) == 1

    index.save(a_patient("N-3", national=("1", "2"), active=False))

    assert index.partition(["N-1", "N-2"]) == {frozenset(["N-1"]), frozenset(["N-2"])}


def test_an_identifier_on_very_many_records_says_nothing(index: Index) -> None:
    """A dummy value links up to the limit and parts all of them when the limit is passed; somebody is told once."""
    records = [read_patient(a_patient(f"N-{n}", national="group-4711"), DOMAINS) for n in range(MOST_CARRIERS)]
    index.feed.save(records, NOW)
    assert len(index.partition(["N-0", f"N-{MOST_CARRIERS - 1}"])) == 1

    for number in range(MOST_CARRIERS, MOST_CARRIERS + 3):
        index.save(a_patient(f"N-{number}", national="group-4711"))

    values = [f"N-{n}" for n in range(MOST_CARRIERS + 3)]
    assert index.partition(values) == {frozenset([value]) for value in values}
    assert _open_conflicts(index) == [(NATIONAL, "overused", MOST_CARRIERS + 1)]
    assert len(index.audit.records) == 1


def test_relinking_applies_the_settings_of_today(engine: Engine, keys: KeyRing) -> None:
    """A system declared strong later links what was loaded before; one declared weak again parts it."""
    weak = Index(engine, keys, frozenset())
    weak.save(a_patient("N-1", national="1"), a_patient("N-2", national="1"))
    assert len(weak.partition(["N-1", "N-2"])) == 2
    strong = Index(engine, keys)

    changed = strong.feed.relink(LATER)

    assert (changed.moved, changed.retired, changed.conflicts) == (1, 1, 0)
    assert len(strong.partition(["N-1", "N-2"])) == 1
    assert strong.feed.relink(LATER).moved == 0
    assert weak.feed.relink(LATER).moved == 1
    assert len(weak.partition(["N-1", "N-2"])) == 2


# What must never happen.


def test_two_feeds_at_once_make_one_person_of_one(index: Index) -> None:
    """Eight feeds load eight records with one national id at the same moment; there is one person, and one only."""
    ready = threading.Barrier(8)
    failures: list[GatewayError] = []

    def load(number: int) -> None:
        ready.wait()
        try:
            for turn in range(3):
                index.save(a_patient(f"N-{number}-{turn}", national=str(turn)))
        except GatewayError as exc:
            failures.append(exc)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    for turn in range(3):
        assert len(index.partition(f"N-{number}-{turn}" for number in range(8))) == 1
    with reading(index.engine) as connection:
        living = connection.execute(select(person.c.id).where(person.c.retired_at.is_(None))).all()
    assert len(living) == 3


def test_the_same_record_loaded_twice_at_once_is_there_once(index: Index) -> None:
    """Racing loads of one source identifier store one record."""
    ready = threading.Barrier(4)
    outcomes: list[str] = []

    def load() -> None:
        ready.wait()
        outcomes.extend(index.save(a_patient("N-1", national="1")))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["loaded", "unchanged", "unchanged", "unchanged"]


def test_a_batch_is_stored_whole_or_not_at_all(index: Index) -> None:
    """A failure in the middle of a batch leaves nothing of it: neither records, persons nor history."""
    records = [read_patient(a_patient(value), DOMAINS) for value in ("N-1", "N-2")]
    with writing(index.engine) as connection:
        connection.exec_driver_sql("DROP TABLE mpi_conflict")
        connection.exec_driver_sql("DROP TABLE mpi_link_event")

    with pytest.raises(DependencyUnavailable):
        index.feed.save(records, NOW)

    with reading(index.engine) as connection:
        for table in (person, record, record_identifier):
            assert connection.execute(select(table)).all() == []


def test_t156_a_sealed_record_moved_to_another_row_is_refused(index: Index) -> None:
    """Content copied into another record's row, or altered by one bit, is an error and never an answer."""
    index.save(a_patient("N-1"), a_patient("N-2"))
    with reading(index.engine) as connection:
        rows = connection.execute(select(record.c.record_id, record.c.content).order_by(record.c.record_id)).all()

    for content in (rows[1].content, rows[0].content[:-1] + bytes([rows[0].content[-1] ^ 1]), b"\x01none"):
        with writing(index.engine) as connection:
            connection.execute(update(record).where(record.c.record_id == rows[0].record_id), {"content": content})
        with pytest.raises(SealBroken):
            index.find(NORTH, "N-1")

    assert index.find(NORTH, "N-2") is not None


def test_t155_nothing_of_a_patient_is_readable_in_the_files(index: Index, database_url: str) -> None:
    """Names, birth dates, addresses and identifier values are in no file of the database and in no dump of it."""
    canaries = ("Zebulon", "Quetzalcoatl", "1931-07-19", "CANARY-MRN-77", "CANARY-NATIONAL-88", "Canary Street")
    patient = a_patient(
        "CANARY-MRN-77",
        family="Quetzalcoatl",
        given=("Zebulon",),
        birth_date="1931-07-19",
        national="CANARY-NATIONAL-88",
        address=[{"line": ["Canary Street 1"]}],
    )
    index.save(patient, {**patient, "gender": "unknown"}, a_patient("N-2", national="CANARY-NATIONAL-88"))
    index.save(a_patient("N-3", national="CANARY-NATIONAL-88", given=("Bob",), birth_date="1900-01-01"))
    assert index.find(NORTH, "CANARY-MRN-77") is not None

    dump = _everything(database_url)

    assert b"mpi_record" in dump
    assert NATIONAL.encode() in dump
    for canary in canaries:
        for encoding in ("utf-8", "utf-16-le"):
            assert canary.encode(encoding) not in dump, canary
        assert canary.encode().hex().encode() not in dump, canary


def _everything(url: str) -> bytes:
    if url.startswith("postgresql"):
        return subprocess.run([binary("pg_dump"), url], check=True, capture_output=True).stdout
    path = Path(url.removeprefix("sqlite:///"))
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


def test_t158_one_identifier_has_another_hash_in_each_place(index: Index) -> None:
    """The source identifier is an ordinary one too: its two keyed hashes don't tell that they are one value."""
    index.save(a_patient("N-1"))

    with reading(index.engine) as connection:
        (source,) = connection.execute(select(record.c.identifier_key)).scalars()
        (ordinary,) = connection.execute(select(record_identifier.c.identifier_key)).scalars()

    assert len(source) == len(ordinary) == 16
    assert source != ordinary


def test_history_says_why(index: Index) -> None:
    """A link names its rule, the identifier system and the record it rests on, and no value."""
    index.save(a_patient("N-1", national="1"), a_patient("S-1", system=SOUTH, national="1"))

    with reading(index.engine) as connection:
        events = connection.execute(select(link_event).order_by(link_event.c.id)).all()

    assert [orjson.loads(one.reason) for one in events] == [
        {"rule": "alone", "system": None, "records": []},
        {"rule": "shares-identifier", "system": NATIONAL, "records": [_record_id(index, "N-1")]},
    ]
    assert {(one.algorithm, one.who, one.score) for one in events} == {("strong-identifier/1", "test", None)}


def test_what_can_not_be_audited_is_not_stored(index: Index) -> None:
    """An alert that can't be recorded fails the feed, and the record that it is about isn't there."""

    class Broken(AuditList):
        def record_within(self, _connection: Connection, records: Sequence[AuditRecord]) -> None:
            raise AuditUnavailable("no audit")

    index.feed._audit = Broken()
    index.save(a_patient("N-1", national="1"))
    with pytest.raises(AuditUnavailable):
        index.save(a_patient("N-2", national="1", given=("Bob",), birth_date="1955-05-05"))
    assert index.find(NORTH, "N-2") is None
    assert index.find(NORTH, "N-1") is not None
