"""What a domain says of two of its own records, in SQLite and in PostgreSQL: it holds, and outweighs no steward."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from gateway.db.crypto import KeyRing
from gateway.errors import Conflict, LoadRefused
from gateway.hl7v2.order import PatientOrder
from gateway.model import Identifier
from gateway.mpi.domain_words import DomainWords
from gateway.mpi.feed import no_note
from gateway.mpi.fhir_patient import read_patient
from gateway.mpi.patient_record import PatientRecord
from gateway.mpi.source import SourceRecords
from tests.factories_mpi import DOMAINS, NORTH, NOW, STRONG, Index, a_patient

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def index(engine: Engine, keys: KeyRing) -> Index:
    """An empty index in which national ids are strong."""
    return Index(engine, keys)


@pytest.fixture
def words(engine: Engine, keys: KeyRing, index: Index) -> DomainWords:
    """The north's feed."""
    return DomainWords(engine, keys, index.feed, strong_systems=STRONG, who="feed north")


def gone(value: str) -> PatientRecord:
    """The record, inactive."""
    return read_patient(a_patient(value, active=False), DOMAINS)


def north(value: str) -> Identifier:
    """An identifier of the north."""
    return Identifier(NORTH, value)


def test_the_replaced_persons_id_leads_to_the_survivor(index: Index, words: DomainWords) -> None:
    """Also where the survivor is the younger person, and the same again says nothing new."""
    index.save(a_patient("N-1"), a_patient("N-2"))
    older, younger = index.person("N-1"), index.person("N-2")

    assert words.replace(gone("N-1"), north("N-2"), LATER) == "updated"
    assert words.replace(gone("N-1"), north("N-2"), LATER) == "unchanged"
    found = index.read(older)
    assert found is not None
    assert found.id == younger
    assert [one.identifier.value for one in found.records] == ["N-2"]


def test_an_identifier_nobody_knew_may_be_replaced(
    engine: Engine, keys: KeyRing, index: Index, words: DomainWords
) -> None:
    """What is filed under it later finds the survivor."""
    index.save(a_patient("N-2"))

    assert words.replace(gone("N-1"), north("N-2"), LATER) == "loaded"
    found = SourceRecords(engine, keys).find(north("N-1"))
    assert found is not None
    assert (found.person, found.active) == (index.person("N-2"), False)


def test_a_survivor_is_an_active_record(index: Index, words: DomainWords) -> None:
    """Neither unknown, nor replaced itself, nor the same."""
    index.save(a_patient("N-1"), a_patient("N-2"), a_patient("N-3"))
    words.replace(gone("N-2"), north("N-3"), LATER)

    for survivor in ("N-9", "N-2", "N-1"):
        with pytest.raises(LoadRefused):
            words.replace(gone("N-1"), north(survivor), LATER)


def test_a_replaced_record_that_is_released_is_its_own(index: Index, words: DomainWords) -> None:
    """Once it is active again it isn't the survivor's."""
    index.save(a_patient("N-1"), a_patient("N-2"))
    words.replace(gone("N-1"), north("N-2"), LATER)

    index.feed.file(read_patient(a_patient("N-1"), DOMAINS), LATER, no_note)

    assert index.person("N-1") != index.person("N-2")


def test_a_word_about_two_records_holds_until_the_other_is_said(index: Index, words: DomainWords) -> None:
    """One person's, then two persons' though they share a strong identifier, then one person's again."""
    index.save(a_patient("N-1", national="1"), a_patient("N-2"))
    words.say(north("N-1"), north("N-2"), LATER, same=True)
    assert index.person("N-1") == index.person("N-2")

    index.save(a_patient("N-2", national="1"), now=LATER)
    words.say(north("N-1"), north("N-2"), LATER, same=False)
    assert index.person("N-1") != index.person("N-2")
    words.say(north("N-1"), north("N-2"), LATER, same=True)
    assert index.person("N-1") == index.person("N-2")


def test_a_steward_is_not_outweighed(index: Index, words: DomainWords) -> None:
    """Who a steward has parted, the feed neither links nor merges."""
    index.save(a_patient("N-1", national="1"), a_patient("N-2", national="1"))
    shown = index.read(index.person("N-1"))
    assert shown is not None
    index.steward.split(shown.id, [shown.records[0].record_id], "", LATER)

    with pytest.raises(Conflict):
        words.say(north("N-1"), north("N-2"), LATER, same=True)
    with pytest.raises(Conflict):
        words.replace(gone("N-1"), north("N-2"), LATER)
    assert index.person("N-1") != index.person("N-2")


def test_the_order_of_events_is_kept_over_connections(engine: Engine, keys: KeyRing) -> None:
    """An older event is stale for each of its patients; the same one is not; a restart forgets nothing."""
    order = PatientOrder(engine, keys)
    order.advance([north("N-1"), north("N-2")], LATER)

    again = PatientOrder(engine, keys)
    assert again.is_stale([north("N-3"), north("N-2")], NOW)
    assert not again.is_stale([north("N-2")], LATER)
    assert not again.is_stale([north("N-3")], NOW)
    again.advance([north("N-2")], LATER + timedelta(seconds=1))
    assert order.is_stale([north("N-2")], LATER)
