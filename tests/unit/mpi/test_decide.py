"""What becomes of a record that has come."""

from gateway.model import PatientID
from gateway.mpi.algorithm import default_algorithm, with_thresholds
from gateway.mpi.decide import Link, Member, NewPerson, Review, decide_link, rank_persons
from gateway.mpi.guards import Guard
from gateway.mpi.match_record import MatchRecord
from tests.factories_matching import a_matcher, a_member

A, B, C = PatientID("a"), PatientID("b"), PatientID("c")
MATCHER = a_matcher()
STRANGER = Member(9, MatchRecord(given="olga", family="smith", birth_date="19330203", sex="female"))


def test_nobody_alike_makes_a_new_person() -> None:
    """A stranger is neither linked nor put before anyone."""
    assert decide_link(a_member(1), {A: [STRANGER]}, MATCHER) == NewPerson()
    assert decide_link(a_member(1), {}, MATCHER) == NewPerson()
    assert decide_link(a_member(1), {A: []}, MATCHER) == NewPerson()


def test_a_certain_person_gets_the_record_with_its_evidence() -> None:
    """The link tells the best record, its weight and the mean."""
    decision = decide_link(a_member(1), {A: [a_member(2), a_member(3, given="bill")], B: [STRANGER]}, MATCHER)

    assert isinstance(decision, Link)
    assert (decision.to.person, decision.to.grade, decision.to.best_record) == (A, "certain", 2)
    assert decision.to.best.bits > decision.to.mean > MATCHER.thresholds.link
    assert decision.merge == decision.review == ()


def test_a_held_person_is_for_a_steward() -> None:
    """A twin scores high and is never linked."""
    twin = a_member(2, given="robert", middle="", national=())
    decision = decide_link(a_member(1, national=(), middle=""), {A: [twin]}, MATCHER)

    assert isinstance(decision, Review)
    assert (decision.review[0].grade, decision.review[0].guards) == ("probable", (Guard.GIVEN_NAMES_DIFFER,))


def test_two_contradictions_are_another_person() -> None:
    """A sister at the same address isn't even asked about."""
    sister = a_member(2, given="mary", middle="", national=(), sex="female", birth_date="19850203")

    assert decide_link(a_member(1, national=()), {A: [sister]}, MATCHER) == NewPerson()


def test_any_record_of_the_person_can_veto() -> None:
    """One contradicted record keeps the others' likeness from linking: there is no chaining."""
    other = a_member(3, given="robert", middle="", national=())
    decision = decide_link(a_member(1, national=()), {A: [a_member(2, national=()), other]}, MATCHER)

    assert isinstance(decision, Review)
    assert decision.review[0].guards == (Guard.GIVEN_NAMES_DIFFER,)


def test_a_record_without_a_given_name_vetoes_nothing() -> None:
    """What isn't known contradicts nobody."""
    nameless = a_member(3, given="", middle="", givens=())
    decision = decide_link(a_member(1, national=()), {A: [a_member(2, national=()), nameless]}, MATCHER)

    assert isinstance(decision, Link)


def test_a_mean_too_low_is_for_a_steward() -> None:
    """A person most of whose records are unlike the newcomer doesn't get it by its best record."""
    strict = a_matcher(with_thresholds(default_algorithm(), mean=200))
    decision = decide_link(a_member(1), {A: [a_member(2)]}, strict)

    assert isinstance(decision, Review)
    assert decision.review[0].grade == "probable"


def test_several_certain_persons_become_one_where_nothing_holds_them_apart() -> None:
    """The most alike gets the record, the other's records follow."""
    persons = {A: [a_member(2, given="bill")], B: [a_member(3)]}
    decision = decide_link(a_member(1), persons, MATCHER)

    assert isinstance(decision, Link)
    assert (decision.to.person, [one.person for one in decision.merge], decision.review) == (B, [A], ())


def test_several_certain_persons_who_contradict_each_other_are_for_a_steward() -> None:
    """Father and son, and a record without a birth date: it goes to one, and the two stay two."""
    persons = {A: [a_member(2, national=(), birth_date="19550102")], B: [a_member(3, national=())]}
    decision = decide_link(a_member(1, national=(), birth_date=""), persons, MATCHER)

    assert isinstance(decision, Link)
    assert (decision.to.person, decision.merge, [one.person for one in decision.review]) == (A, (), [B])


def test_a_steward_who_said_no_is_remembered() -> None:
    """Records said to be two persons' are never linked, merged or asked about again (T108 keeps what was decided)."""
    apart = {frozenset((1, 2))}

    assert decide_link(a_member(1), {A: [a_member(2)]}, MATCHER, apart) == NewPerson()
    persons = {A: [a_member(2)], B: [a_member(3)]}
    decision = decide_link(a_member(1), persons, MATCHER, {frozenset((2, 3))})
    assert isinstance(decision, Link)
    assert (decision.merge, [one.person for one in decision.review]) == ((), [B])


def test_the_order_of_candidates_decides_nothing() -> None:
    """Persons and their records may come in any order."""
    members: list[Member] = [a_member(2), a_member(3, given="bill"), a_member(4, phones=())]
    persons = {A: members, B: [a_member(5)], C: [STRANGER]}
    turned = {person: found[::-1] for person, found in reversed(persons.items())}

    assert rank_persons(a_member(1), persons, MATCHER) == rank_persons(a_member(1), turned, MATCHER)
