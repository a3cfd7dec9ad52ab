"""Which records are one person, by the rule of shared strong identifiers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, permutations

import pytest

from gateway.model import Demographics, PatientID
from gateway.mpi.demographics import comparable
from gateway.mpi.grouping import Candidate, Pair, group_records
from gateway.mpi.links import Conflict, Move, Neighbourhood, Plan, Reason, plan_links

BORN = datetime(2026, 1, 1, tzinfo=UTC)
SYSTEM = "http://example.org/national-id"
ANA = Demographics(given=("Ana",), birth_date="1980-02-03")
BOB = Demographics(given=("Bob",), birth_date="1955-05-05")
SOMEONE = Demographics()


def _one(
    record_id: int, strong: str, said: Demographics = ANA, *, person: str = "", active: bool = True, fresh: bool = False
) -> Candidate:
    return Candidate(
        record_id=record_id,
        person_id=PatientID(person or f"p{record_id}"),
        active=active,
        strong={key.encode(): SYSTEM for key in strong},
        names=comparable(said),
        fresh=fresh,
    )


def _plan(*candidates: Candidate, overused: str = "") -> Plan:
    persons = sorted({one.person_id for one in candidates})
    numbers = count()
    around = Neighbourhood(
        candidates=candidates,
        born={person: BORN + timedelta(days=day) for day, person in enumerate(persons)},
        overused={key.encode(): SYSTEM for key in overused},
    )
    return plan_links(around, lambda: PatientID(f"new{next(numbers)}"))


def _moves(plan: Plan) -> Iterator[tuple[int, str, str | None, str]]:
    return ((move.record_id, move.person_id, move.previous, move.action) for move in plan.moves)


@pytest.mark.parametrize(
    ("candidates", "groups"),
    [
        ([_one(1, "A"), _one(2, "A")], ((1, 2),)),
        ([_one(1, "A"), _one(2, "B")], ((1,), (2,))),
        ([_one(1, ""), _one(2, "")], ((1,), (2,))),
        ([_one(1, "A"), _one(2, "A", BOB)], ((1,), (2,))),
        ([_one(1, "A"), _one(2, "A", SOMEONE)], ((1, 2),)),
        ([_one(1, "A"), _one(2, "B"), _one(3, "AB")], ((1, 2, 3),)),
        # A bridge between persons that contradict each other joins neither of them.
        ([_one(1, "A"), _one(2, "B", BOB), _one(3, "AB", SOMEONE)], ((1,), (2,), (3,))),
        ([_one(1, "A"), _one(2, "A", BOB), _one(3, "A", SOMEONE)], ((1,), (2,), (3,))),
        # Those contradicted by the same others stay together, and so do those who agree with everybody.
        ([_one(1, "A"), _one(2, "A"), _one(3, "A", BOB), _one(4, "A", BOB)], ((1, 2), (3, 4))),
        ([_one(1, "A"), _one(2, "A"), _one(3, "A", BOB), _one(4, "A", SOMEONE)], ((1, 2), (3,), (4,))),
        ([_one(1, "A"), _one(2, "A", BOB), _one(3, "A", SOMEONE), _one(4, "A", SOMEONE)], ((1,), (2,), (3, 4))),
        # A contradiction that only meets through a record that contradicts it touches nobody else.
        ([_one(1, "A"), _one(2, "A", SOMEONE), _one(3, "AB"), _one(4, "B", BOB)], ((1, 2, 3), (4,))),
    ],
)
def test_records_are_grouped_whatever_their_order(
    candidates: list[Candidate], groups: tuple[tuple[int, ...], ...]
) -> None:
    """The same records make the same persons in every order."""
    for order in permutations(candidates):
        assert group_records(order) == groups


MATCHED, SAME, APART = (
    lambda one, other, verdict=verdict: Pair(one=one, other=other, verdict=verdict)
    for verdict in ("matched", "same", "apart")
)


@pytest.mark.parametrize(
    ("candidates", "pairs", "groups"),
    [
        ([_one(1, ""), _one(2, "")], [MATCHED(1, 2)], ((1, 2),)),
        ([_one(1, ""), _one(2, "", BOB)], [SAME(1, 2)], ((1, 2),)),
        ([_one(1, "A"), _one(2, "A")], [APART(1, 2)], ((1,), (2,))),
        # Who agrees with both of two parted ones joins neither; who agrees with one of them goes along.
        ([_one(1, "A"), _one(2, "A"), _one(3, "A")], [APART(1, 2)], ((1,), (2,), (3,))),
        ([_one(1, "A"), _one(2, "AB"), _one(3, "B")], [APART(1, 2)], ((1,), (2, 3))),
        # A steward's word goes before what matching found, and holds against a stranger who contradicts one of two.
        ([_one(1, ""), _one(2, ""), _one(3, "")], [MATCHED(1, 2), MATCHED(2, 3), APART(1, 3)], ((1,), (2,), (3,))),
        ([_one(1, "A"), _one(2, "", BOB), _one(3, "A", BOB)], [SAME(1, 2)], ((1, 2), (3,))),
        # Words that can't all hold join nobody who was parted.
        ([_one(1, ""), _one(2, ""), _one(3, "")], [SAME(1, 2), SAME(2, 3), APART(1, 3)], ((1,), (2,), (3,))),
    ],
)
def test_what_was_said_of_pairs_counts(
    candidates: list[Candidate], pairs: list[Pair], groups: tuple[tuple[int, ...], ...]
) -> None:
    """In every order of the records and of the words."""
    for order in permutations(candidates):
        assert group_records(order, (), pairs) == groups
        assert group_records(order, (), pairs[::-1]) == groups


def test_an_overused_identifier_links_nobody() -> None:
    """It says nothing; another one still does."""
    assert group_records([_one(1, "A"), _one(2, "A"), _one(3, "AB"), _one(4, "B")], {b"A"}) == ((1,), (2,), (3, 4))


def test_a_new_record_without_company_is_a_new_person() -> None:
    """Its event says so; nothing else changes."""
    plan = _plan(_one(1, "A", fresh=True))

    assert plan == Plan(
        new_persons=(),
        moves=(
            Move(
                record_id=1, person_id=PatientID("p1"), previous=None, action="new-person", reason=Reason(rule="alone")
            ),
        ),
        retired={},
        conflicts={},
    )


def test_a_new_record_joins_the_person_it_belongs_to() -> None:
    """The person made for it a moment ago is not needed."""
    plan = _plan(_one(1, "A"), _one(2, "A", fresh=True))

    assert list(_moves(plan)) == [(2, "p1", None, "link")]
    assert plan.moves[0].reason == Reason(rule="shares-identifier", system=SYSTEM, records=(1,))
    assert plan.retired == {"p2": "p1"}


def test_links_that_are_right_are_left_alone() -> None:
    """Planning again changes nothing."""
    plan = _plan(_one(1, "A", person="p"), _one(2, "A", person="p"), _one(3, "B"))

    assert (plan.moves, plan.new_persons, plan.retired, plan.conflicts) == ((), (), {}, {})


def test_the_older_person_survives_a_merge() -> None:
    """However few records it has; those that move say why."""
    plan = _plan(_one(1, "A", person="p2"), _one(2, "A", person="p2"), _one(3, "A", person="p1"))

    assert list(_moves(plan)) == [(1, "p1", "p2", "merge"), (2, "p1", "p2", "merge")]
    assert plan.retired == {"p2": "p1"}


def test_a_person_that_falls_apart_keeps_its_id_where_most_of_its_records_are() -> None:
    """The others get persons of their own."""
    plan = _plan(_one(1, "A", person="p"), _one(2, "B", person="p"), _one(3, "B", person="p"))

    assert list(_moves(plan)) == [(1, "new0", "p", "unlink")]
    assert plan.moves[0].reason == Reason(rule="alone")
    assert plan.new_persons == ("new0",)
    assert plan.retired == {}


def test_inactive_records_are_no_evidence_and_move_with_their_person() -> None:
    """They bridge nothing; where their person goes, they go."""
    plan = _plan(
        _one(1, "A", person="p1"),
        _one(2, "A", person="p2"),
        _one(3, "", person="p2", active=False),
        _one(4, "AZ", person="p4", active=False),
        _one(5, "Z", person="p5"),
    )

    assert list(_moves(plan)) == [(2, "p1", "p2", "merge"), (3, "p1", "p2", "merge")]
    assert plan.moves[1].reason == Reason(rule="follows-its-person")
    assert plan.retired == {"p2": "p1"}


def test_a_person_with_inactive_records_only_stays() -> None:
    """Nobody moved, so nobody retires."""
    plan = _plan(_one(1, "A", active=False), _one(2, "A"))

    assert (plan.moves, plan.retired) == ((), {})


def test_a_new_record_that_is_inactive_is_a_person_of_its_own() -> None:
    """It may be the first that is heard of somebody."""
    plan = _plan(_one(1, "A"), _one(2, "A", active=False, fresh=True))

    assert list(_moves(plan)) == [(2, "p2", None, "new-person")]
    assert plan.moves[0].reason == Reason(rule="alone")


def test_conflicts_tell_contradiction_ambiguity_and_overuse_apart() -> None:
    """One conflict an identifier, with how many persons share it and which records carry it."""
    plan = _plan(_one(1, "A"), _one(2, "AC", BOB), _one(3, "ABC", SOMEONE), _one(4, "BD", SOMEONE), overused="D")

    assert plan.conflicts == {
        b"A": Conflict(system=SYSTEM, reason="contradiction", persons=3, records=(1, 2, 3)),
        b"C": Conflict(system=SYSTEM, reason="ambiguous", persons=2, records=(2, 3)),
        b"D": Conflict(system=SYSTEM, reason="overused", persons=201, records=()),
    }


def test_a_record_kept_apart_says_from_whom() -> None:
    """The reason names the records it shares the identifier with."""
    plan = _plan(_one(1, "A"), _one(2, "A", BOB, fresh=True))

    assert plan.moves[0].reason == Reason(rule="kept-apart", system=SYSTEM, records=(1,))
