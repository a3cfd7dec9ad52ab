"""Records are linked as they arrive, or put before a steward, or are persons of their own; SQLite and PostgreSQL."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select

from gateway.db.crypto import KeyRing
from gateway.db.session import reading
from gateway.mpi.algorithm import default_algorithm
from gateway.mpi.history import find_history
from gateway.mpi.tables import block_key, match, record
from tests.factories_mpi import EAST, NOW, SOUTH, Index, StatementCount, a_patient

LATER = NOW + timedelta(hours=1)
HOME = {
    "telecom": [{"system": "phone", "value": "+41 44 555 01 23"}],
    "address": [{"line": ["Seestrasse 12"], "postalCode": "8002", "city": "Zurich"}],
}


@pytest.fixture
def index(engine: Engine, keys: KeyRing) -> Index:
    """An empty index that matches."""
    return Index(engine, keys, matching=True)


def ana(value: str, **changes: Any) -> dict[str, Any]:
    """Ana Rivera of Seestrasse, as one of her domains has her."""
    return a_patient(
        value, **{"family": "Riverastone", "given": ["Anabella"], "birth_date": "1980-02-13", **HOME, **changes}
    )


def twin(value: str, **changes: Any) -> dict[str, Any]:
    """Her twin sister, of the same home and telephone."""
    return ana(value, **{"given": ["Zoe"], **changes})


def test_a_record_that_is_surely_somebodys_is_linked(index: Index) -> None:
    """With the score and the label of the algorithm in its history; nobody has seen another id."""
    index.save(ana("N-1"), ana("S-1", system=SOUTH))
    assert index.person("N-1") == index.person("S-1", SOUTH)
    found = find_history(index.engine, index.keys, index.patients_ref("N-1"))
    assert found is not None
    assert found.former_ids == ()
    why = found.records[1].why
    assert (why.action, why.reason["rule"], why.reason["records"]) == ("link", "alike", [found.records[0].record_id])
    assert why.algorithm == default_algorithm().label
    assert why.score is not None
    assert why.score > default_algorithm().thresholds.link
    assert index.review.count() == 0


def test_t056_a_possible_link_shows_nothing_and_waits_for_a_steward(index: Index) -> None:
    """A twin is a person of her own, with a task that names the guard."""
    index.save(ana("N-1"), twin("S-1", system=SOUTH))
    assert index.person("N-1") != index.person("S-1", SOUTH)
    found = index.find(SOUTH, "S-1")
    assert found is not None
    assert [one.identifier.value for one in found.records] == ["S-1"]
    tasks = index.review.list()
    for task in tasks:
        assert task.persons == (index.person("N-1"), index.person("S-1", SOUTH))
        assert "given-names-differ" in task.guards


def possible(index: Index) -> int:
    """Two records that only a steward can say are one person's; the number of the task."""
    index.save(ana("N-1"), ana("S-1", system=SOUTH, given=[]))
    (task,) = index.review.list()
    return task.number


def test_a_task_shows_both_records_side_by_side(index: Index) -> None:
    """As their domains sent them, with the persons they are today."""
    number = possible(index)
    found = index.review.find(number)
    assert found is not None
    task, sides = found
    assert task.kind == "possible-match"
    assert "no-given-name" in task.guards
    assert [side.identifier.value for side in sides] == ["N-1", "S-1"]
    assert [side.patient["birthDate"] for side in sides] == ["1980-02-13", "1980-02-13"]
    assert index.review.find(number + 1) is None


def test_what_waits_is_counted_by_kind_with_the_age_of_the_oldest(index: Index) -> None:
    """Answered, it waits no more."""
    assert index.review.waiting() == []
    number = possible(index)
    index.save(ana("E-1", system=EAST, given=[], telecom=[]), now=LATER)
    (waiting,) = index.review.waiting()
    assert (waiting.kind, waiting.tasks, waiting.since) == ("possible-match", index.review.count(), NOW)
    index.steward.answer(number, "", LATER, same=False)
    assert all(one.since == LATER for one in index.review.waiting())


def test_an_answer_of_same_joins_and_undoing_it_asks_again(index: Index) -> None:
    """The steward's word links what matching would not."""
    number = possible(index)
    decided = index.steward.answer(number, "", LATER, same=True)
    assert index.person("N-1") == index.person("S-1", SOUTH)
    assert index.review.count() == 0
    index.steward.undo(decided.decision, "", LATER)
    assert index.person("N-1") != index.person("S-1", SOUTH)
    assert [task.number for task in index.review.list()] == [number]


def test_an_answer_of_apart_is_remembered(index: Index) -> None:
    """Whatever the record says later, it is neither linked nor asked about again."""
    number = possible(index)
    index.steward.answer(number, "", LATER, same=False)
    index.save(ana("S-1", system=SOUTH), now=LATER)
    assert index.person("N-1") != index.person("S-1", SOUTH)
    assert index.review.count() == 0


def test_the_same_two_persons_are_asked_about_once(index: Index) -> None:
    """However often their records come again."""
    possible(index)
    index.save(ana("S-1", system=SOUTH, given=[], family="Riverastone-Kane"), now=LATER)
    assert index.review.count() <= 1


def test_strangers_are_persons_of_their_own(index: Index) -> None:
    """Without a task."""
    index.save(ana("N-1"), a_patient("S-1", system=SOUTH, family="Okafor", given=["Boris"], birth_date="1951-11-30"))
    assert index.person("N-1") != index.person("S-1", SOUTH)
    assert index.review.count() == 0


def test_t055_a_record_that_turns_out_to_be_anothers_leaves_and_a_steward_hears_of_it(index: Index) -> None:
    """It has been overwritten with somebody else's data: it is that one's alone from now on."""
    index.save(ana("N-1"), ana("S-1", system=SOUTH))
    first = index.person("N-1")
    index.save(ana("S-1", system=SOUTH, given=["Boris"], birth_date="1951-11-30"), now=LATER)
    assert index.person("N-1") == first
    assert index.person("S-1", SOUTH) != first
    assert [task.kind for task in index.review.list()] in ([], ["no-longer-alike"])
    index.save(ana("S-1", system=SOUTH), now=LATER)
    assert index.person("S-1", SOUTH) == first


def test_who_is_held_by_a_strong_identifier_is_not_linked_to_another_by_likeness(index: Index) -> None:
    """That would chain two persons by one record: a steward is asked instead."""
    index.save(
        ana("N-1"), a_patient("E-1", system=EAST, family="Okafor", given=(), birth_date=None, national="77-777-1")
    )
    index.save(ana("S-1", system=SOUTH, national="77-777-1"))
    assert index.person("S-1", SOUTH) == index.person("E-1", EAST)
    assert index.person("N-1") != index.person("S-1", SOUTH)
    assert [task.kind for task in index.review.list()] == ["possible-duplicate"]


def test_an_inactive_record_is_no_candidate_and_one_that_returns_is_judged(index: Index) -> None:
    """As for strong identifiers, what a domain has closed says nothing."""
    index.save(ana("N-1", active=False), ana("S-1", system=SOUTH))
    index.save(ana("N-1"), now=LATER)
    assert index.person("N-1") == index.person("S-1", SOUTH)


def test_records_from_before_matching_are_matched_by_a_relink(engine: Engine, keys: KeyRing) -> None:
    """Turning matching on changes nothing by itself."""
    Index(engine, keys).save(ana("N-1"), ana("S-1", system=SOUTH))
    index = Index(engine, keys, matching=True)
    assert index.person("N-1") != index.person("S-1", SOUTH)
    assert index.feed.relink(LATER).retired == 1
    assert index.person("N-1") == index.person("S-1", SOUTH)
    assert index.feed.relink(LATER).moved == 0


def test_a_steward_outweighs_what_was_matched(index: Index) -> None:
    """Parted from the one it was linked to, a record stays parted."""
    index.save(ana("N-1"), ana("S-1", system=SOUTH), ana("E-1", system=EAST))
    person = index.person("N-1")
    index.steward.split(person, [index.record_id("E-1", EAST)], "", LATER)
    index.save(ana("E-1", system=EAST, gender="unknown"), now=LATER)
    index.feed.relink(LATER)
    assert index.person("S-1", SOUTH) == person
    assert index.person("E-1", EAST) != person


def test_candidates_are_found_in_one_statement(index: Index, engine: Engine) -> None:
    """However many keys the record has."""
    index.save(ana("N-1"))
    with StatementCount(engine) as count:
        index.save(ana("S-1", system=SOUTH))
    assert sum("mpi_block_key" in one and one.startswith("SELECT") for one in count.statements) == 1


def test_t155_nothing_of_a_patient_can_be_read_from_keys_and_comparables(index: Index) -> None:
    """Keys are numbers without meaning, what is compared is sealed."""
    index.save(ana("N-1"), ana("S-1", system=SOUTH))
    with reading(index.engine) as connection:
        sealed = b"".join(connection.execute(select(record.c.comparable)).scalars())
        keys = [*connection.execute(select(block_key.c.key)).scalars()]
        pairs = connection.execute(select(match)).all()
    for secret in (b"riverastone", b"anabella", b"19800213", b"seestrasse"):
        assert secret not in sealed.lower()
    assert all(isinstance(key, int) for key in keys)
    assert len(pairs) == 1
