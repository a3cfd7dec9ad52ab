"""What a steward decides holds, is remembered, and can be taken back; in SQLite and in PostgreSQL."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, select

from gateway.audit.record import AuditRecord
from gateway.db.crypto import KeyRing
from gateway.db.session import reading
from gateway.errors import AuditUnavailable, LoadRefused
from gateway.model import PatientID
from gateway.mpi.history import find_history
from gateway.mpi.tables import decision
from tests.factories_mpi import EAST, NOW, SOUTH, AuditList, Index, a_patient

LATER = NOW + timedelta(hours=1)
BOB = {"given": ["Bob"], "birth_date": "1955-05-05"}


@pytest.fixture
def index(engine: Engine, keys: KeyRing) -> Index:
    """An empty index in which national ids are strong."""
    return Index(engine, keys)


def test_a_merge_makes_one_person_and_the_retired_id_leads_to_it(index: Index) -> None:
    """The survivor is who the steward named, not the older one."""
    index.save(a_patient("N-1"), a_patient("N-2"))
    older, younger = index.person("N-1"), index.person("N-2")
    decided = index.steward.merge(older, younger, "same passport", LATER)
    assert (decided.persons, decided.moved) == ((younger,), 1)
    assert index.person("N-1") == younger
    found = index.read(older)
    assert found is not None
    assert found.id == younger


def test_a_merge_joins_persons_who_contradict_each_other_because_a_steward_said_so(index: Index) -> None:
    """And neither a feed nor a relink parts them again."""
    index.save(a_patient("N-1", national="1"), a_patient("N-2", national="1", **BOB))
    index.steward.merge(index.person("N-2"), index.person("N-1"), "", LATER)
    index.save(a_patient("N-2", national="1", family="Other", **BOB), now=LATER)
    index.feed.relink(LATER)
    assert index.partition(["N-1", "N-2"]) == {frozenset(("N-1", "N-2"))}


def test_a_decision_that_can_not_be_audited_is_not_made(index: Index) -> None:
    """Neither it nor its undoing: who is who stays as it was, and nothing is remembered."""
    index.save(a_patient("N-1"), a_patient("N-2"), a_patient("N-3"))
    made = index.steward.merge(index.person("N-3"), index.person("N-2"), "", LATER)

    class Broken(AuditList):
        def record_within(self, _connection: Connection, records: Sequence[AuditRecord]) -> None:
            raise AuditUnavailable("no audit")

    index.steward._audit = Broken()
    with pytest.raises(AuditUnavailable):
        index.steward.merge(index.person("N-2"), index.person("N-1"), "", LATER)
    with pytest.raises(AuditUnavailable):
        index.steward.undo(made.decision, "", LATER)

    assert index.partition(["N-1", "N-2", "N-3"]) == {frozenset(("N-1",)), frozenset(("N-2", "N-3"))}
    with reading(index.engine) as connection:
        assert connection.execute(select(decision.c.id, decision.c.undone_at)).all() == [(made.decision, None)]


def test_undoing_a_merge_gives_each_its_own_id_back(index: Index) -> None:
    """Also those ids that led to the one that had been retired."""
    index.save(a_patient("N-1"), a_patient("N-2"), a_patient("N-3"))
    one, two, three = (index.person(value) for value in ("N-1", "N-2", "N-3"))
    first = index.steward.merge(three, two, "", LATER)
    second = index.steward.merge(two, one, "", LATER)
    assert {index.person(value) for value in ("N-1", "N-2", "N-3")} == {one}
    index.steward.undo(second.decision, "", LATER)
    assert [index.person(value) for value in ("N-1", "N-2", "N-3")] == [one, two, two]
    assert index.read(three) == index.read(two)
    index.steward.undo(first.decision, "", LATER)
    assert [index.person(value) for value in ("N-1", "N-2", "N-3")] == [one, two, three]


def test_an_unmerge_parts_what_was_merged_and_is_remembered(index: Index) -> None:
    """The identifier that had joined them joins them no more, whatever comes."""
    index.save(a_patient("N-1", national="1"), a_patient("N-2", national="2"))
    one, two = index.person("N-1"), index.person("N-2")
    index.save(a_patient("N-2", national="1"), now=LATER)
    assert index.person("N-2") == one
    index.steward.unmerge(two, "two sisters", LATER)
    assert (index.person("N-1"), index.person("N-2")) == (one, two)
    index.save(a_patient("N-1", national="1", family="Other"), now=LATER)
    index.feed.relink(LATER)
    assert (index.person("N-1"), index.person("N-2")) == (one, two)


def test_what_came_after_a_merge_stays_where_its_own_words_put_it(index: Index) -> None:
    """A record that has come since hangs together with one side only, and goes with it."""
    index.save(a_patient("N-1", national="1"), a_patient("N-2", national="2"))
    one, two = index.person("N-1"), index.person("N-2")
    index.steward.merge(two, one, "", NOW)
    index.save(a_patient("S-1", system=SOUTH, national="2"), a_patient("E-1", system=EAST, national="1"), now=LATER)
    index.steward.unmerge(two, "", LATER)
    assert (index.person("S-1", SOUTH), index.person("E-1", EAST)) == (two, one)


def test_a_split_takes_the_named_records_out(index: Index) -> None:
    """They are one person, the others keep the id; a relink doesn't join them again."""
    index.save(
        a_patient("N-1", national="1"), a_patient("S-1", system=SOUTH, national="1"),
        a_patient("E-1", system=EAST, national="1"),
    )  # fmt: skip
    whole = index.person("N-1")
    decided = index.steward.split(whole, [index.record_id("E-1", EAST)], "another patient's card", LATER)
    assert len(decided.persons) == 2
    index.feed.relink(LATER)
    assert index.person("N-1") == index.person("S-1", SOUTH) == whole
    assert index.person("E-1", EAST) != whole
    index.steward.undo(decided.decision, "", LATER)
    assert index.person("E-1", EAST) == whole


def test_a_record_is_reassigned_from_one_person_to_another(index: Index) -> None:
    """It leaves those it was with and belongs to those it is given to."""
    index.save(a_patient("N-1", national="1"), a_patient("S-1", system=SOUTH, national="1"), a_patient("N-2", **BOB))
    one, two = index.person("N-1"), index.person("N-2")
    decided = index.steward.reassign(index.record_id("S-1", SOUTH), two, "", LATER)
    assert (index.person("S-1", SOUTH), index.person("N-1")) == (two, one)
    index.feed.relink(LATER)
    assert index.person("S-1", SOUTH) == two
    index.steward.undo(decided.decision, "", LATER)
    assert (index.person("S-1", SOUTH), index.person("N-2")) == (one, two)


def test_the_latest_decision_about_a_pair_counts_and_undoing_it_brings_the_one_before_back(index: Index) -> None:
    """Merged, parted, merged again, each undone in turn."""
    index.save(a_patient("N-1"), a_patient("N-2"))
    one, two = index.person("N-1"), index.person("N-2")
    index.steward.merge(two, one, "", LATER)
    parted = index.steward.unmerge(two, "", LATER)
    again = index.steward.merge(two, one, "", LATER)
    assert index.person("N-2") == one
    index.steward.undo(again.decision, "", LATER)
    assert index.person("N-2") == two
    index.steward.undo(parted.decision, "", LATER)
    assert index.person("N-2") == one


def test_what_can_not_be_done_is_refused_and_changes_nothing(index: Index) -> None:
    """With the reason, and without a decision on file."""
    index.save(a_patient("N-1"), a_patient("N-2"), a_patient("N-3", active=False))
    one = index.person("N-1")
    nobody = PatientID("00000000-0000-4000-8000-000000000000")
    record_id, other = index.record_id("N-1"), index.record_id("N-2")
    for refused in (
        lambda: index.steward.merge(one, one, "", LATER),
        lambda: index.steward.merge(nobody, one, "", LATER),
        lambda: index.steward.unmerge(one, "", LATER),
        lambda: index.steward.split(one, [record_id], "", LATER),
        lambda: index.steward.split(one, [other], "", LATER),
        lambda: index.steward.split(one, [], "", LATER),
        lambda: index.steward.reassign(record_id, one, "", LATER),
        lambda: index.steward.reassign(4711, one, "", LATER),
        lambda: index.steward.reassign(other + 1, one, "", LATER),
        lambda: index.steward.answer(4711, "", LATER, same=True),
        lambda: index.steward.undo(4711, "", LATER),
    ):
        with pytest.raises(LoadRefused):
            refused()
    with reading(index.engine) as connection:
        assert connection.execute(select(decision)).all() == []
    assert index.audit.records == []


def test_a_decision_can_be_undone_once(index: Index) -> None:
    """What says nothing any more can't be taken back."""
    index.save(a_patient("N-1"), a_patient("N-2"))
    decided = index.steward.merge(index.person("N-2"), index.person("N-1"), "", LATER)
    index.steward.undo(decided.decision, "", LATER)
    with pytest.raises(LoadRefused):
        index.steward.undo(decided.decision, "", LATER)


def test_who_decided_what_is_in_the_history_and_in_the_audit(index: Index) -> None:
    """With the rule, the record it rests on, who and when; the steward's words are sealed where they are kept."""
    index.save(a_patient("N-1"), a_patient("N-2"))
    one, two = index.person("N-1"), index.person("N-2")
    decided = index.steward.merge(two, one, "same passport", LATER)
    found = find_history(index.engine, index.keys, index.patients_ref("N-2"))
    assert found is not None
    assert found.former_ids == (two,)
    why = next(entry.why for entry in found.records if entry.record_id == index.record_id("N-2"))
    assert (why.action, why.reason["rule"], why.reason["records"]) == ("merge", "steward", [index.record_id("N-1")])
    assert (why.who, why.at) == ("operator sam", LATER)
    (noted,) = index.audit.records
    assert (noted.reason, noted.patient, noted.who.subject_id) == ("patients merge", one, "sam")
    assert dict(noted.details)["decision"] == str(decided.decision)
    with reading(index.engine) as connection:
        note = connection.execute(select(decision.c.note)).scalar_one()
    assert b"passport" not in note
    assert index.keys.open("mpi_decision", str(decided.decision), note) == b"same passport"
