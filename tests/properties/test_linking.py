"""What holds of linking for all records, in all orders."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import combinations, count

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Demographics, PatientID
from gateway.mpi.demographics import comparable, contradicts
from gateway.mpi.grouping import Candidate, Pair, group_records
from gateway.mpi.links import Neighbourhood, Plan, plan_links

BORN = datetime(2026, 1, 1, tzinfo=UTC)
GIVEN = st.sampled_from([(), ("Ana",), ("Bob",), ("Ana", "Maria"), ("A",), ("Cid",)])
DATES = st.sampled_from([None, "1980", "1980-02-03", "1980-03-02", "1955-05-05"])
SAYINGS = st.builds(lambda names, date: comparable(Demographics(given=names, birth_date=date)), GIVEN, DATES)
KEYS = st.sets(st.sampled_from([b"A", b"B", b"C", b"D"]), max_size=2)

_NUMBERS = count(1000)
"""Ids of new persons: like random ones, none is ever given twice."""


@st.composite
def populations(draw: st.DrawFn, most: int = 9) -> list[Candidate]:
    """Records that share identifiers, agree and contradict in every way, linked anyhow to persons."""
    size = draw(st.integers(1, most))
    return [
        Candidate(
            record_id=number,
            person_id=PatientID(f"p{draw(st.integers(1, size))}"),
            active=draw(st.integers(0, 5)) > 0,
            strong=dict.fromkeys(draw(KEYS), "urn:national"),
            names=draw(SAYINGS),
        )
        for number in range(1, size + 1)
    ]


@st.composite
def words(draw: st.DrawFn, most: int = 9) -> tuple[Pair, ...]:
    """What matching and stewards may have said about pairs of the first records, one word a pair."""
    numbers = st.integers(1, most)
    pairs = draw(st.sets(st.tuples(numbers, numbers).filter(lambda two: two[0] < two[1]), max_size=8))
    verdict = st.sampled_from(["matched", "same", "apart"])
    return tuple(Pair(one=one, other=other, verdict=draw(verdict)) for one, other in sorted(pairs))


def _plan(candidates: list[Candidate], said: tuple[Pair, ...] = ()) -> Plan:
    born = {one.person_id: BORN + timedelta(days=int(one.person_id.strip("pnew"))) for one in candidates}
    around = Neighbourhood(candidates=tuple(candidates), born=born, pairs=said)
    return plan_links(around, lambda: PatientID(f"new{next(_NUMBERS)}"))


def _after(candidates: list[Candidate], plan: Plan) -> list[Candidate]:
    moved = {move.record_id: move.person_id for move in plan.moves}
    return [
        Candidate(
            record_id=one.record_id,
            person_id=moved.get(one.record_id, one.person_id),
            active=one.active,
            strong=one.strong,
            names=one.names,
        )
        for one in candidates
    ]


@given(populations(), st.randoms(use_true_random=False))
def test_the_persons_do_not_depend_on_the_order(candidates: list[Candidate], random) -> None:  # type: ignore[no-untyped-def]
    """Any order of the same records makes the same groups."""
    shuffled = list(candidates)
    random.shuffle(shuffled)

    assert group_records(candidates) == group_records(shuffled)


@given(populations(), words(), st.randoms(use_true_random=False))
def test_nor_does_what_was_said_depend_on_it(candidates: list[Candidate], said: tuple[Pair, ...], random) -> None:  # type: ignore[no-untyped-def]
    """Records and words in any order make the same groups."""
    shuffled, other_words = list(candidates), list(said)
    random.shuffle(shuffled)
    random.shuffle(other_words)

    assert group_records(candidates, (), said) == group_records(shuffled, (), other_words)


@given(populations(), words())
def test_two_that_a_steward_has_parted_are_never_one(candidates: list[Candidate], said: tuple[Pair, ...]) -> None:
    """Whatever they share, whatever matching found, whoever stands between them."""
    group_of = {record_id: group for group in group_records(candidates, (), said) for record_id in group}

    for pair in said:
        if pair.verdict == "apart" and pair.one in group_of and pair.other in group_of:
            assert group_of[pair.one] != group_of[pair.other]


@given(populations(), words())
def test_two_that_a_steward_has_joined_are_one_where_nothing_was_said_against_it(
    candidates: list[Candidate], said: tuple[Pair, ...]
) -> None:
    """However much they contradict each other."""
    joined = tuple(pair for pair in said if pair.verdict == "same")
    group_of = {record_id: group for group in group_records(candidates, (), joined) for record_id in group}

    for pair in joined:
        if pair.one in group_of and pair.other in group_of:
            assert group_of[pair.one] == group_of[pair.other]


@given(populations(), words())
def test_planning_twice_by_the_same_words_changes_nothing_more(
    candidates: list[Candidate], said: tuple[Pair, ...]
) -> None:
    """As without any."""
    again = _plan(_after(candidates, _plan(candidates, said)), said)

    assert (again.moves, again.new_persons, again.retired) == ((), (), {})


@given(populations())
def test_no_person_holds_a_contradiction(candidates: list[Candidate]) -> None:
    """Whatever the chain of shared identifiers, no two records of one person conflict in given name and birth date."""
    by_id = {one.record_id: one for one in candidates}

    for group in group_records(candidates):
        for one, other in combinations(group, 2):
            assert not contradicts(by_id[one].names, by_id[other].names)


@given(populations())
def test_every_record_is_in_one_group_with_those_it_hangs_together_with(candidates: list[Candidate]) -> None:
    """Nobody is lost or doubled, and a group is joined by shared identifiers all through."""
    by_id = {one.record_id: one for one in candidates}
    groups = group_records(candidates)

    assert sorted(record_id for group in groups for record_id in group) == sorted(by_id)
    for group in groups:
        reached, waiting = {group[0]}, [group[0]]
        while waiting:
            keys = by_id[waiting.pop()].strong.keys()
            near = {other for other in group if by_id[other].strong.keys() & keys} - reached
            reached |= near
            waiting.extend(near)
        assert reached == set(group)


@given(populations())
def test_two_who_share_an_identifier_with_nobody_else_are_one_unless_they_contradict(
    candidates: list[Candidate],
) -> None:
    """The plain rule of the contract, where no third record makes it hard."""
    carriers: defaultdict[bytes, list[Candidate]] = defaultdict(list)
    for one in candidates:
        for key in one.strong:
            carriers[key].append(one)
    group_of = {record_id: group for group in group_records(candidates) for record_id in group}

    for sharers in carriers.values():
        if len(sharers) == 2 and all(len(carriers[key]) <= 2 for one in sharers for key in one.strong):
            one, other = sharers
            alone = not any(len(carriers[key]) == 2 and key not in other.strong for key in one.strong) and not any(
                len(carriers[key]) == 2 and key not in one.strong for key in other.strong
            )
            if alone:
                together = group_of[one.record_id] == group_of[other.record_id]
                assert together is not contradicts(one.names, other.names)


@given(populations())
def test_planning_twice_changes_nothing_more(candidates: list[Candidate]) -> None:
    """The plan leads where the rule wants to be: from there, no move is left."""
    after = _after(candidates, _plan(candidates))

    again = _plan(after)

    assert (again.moves, again.new_persons, again.retired) == ((), (), {})


@given(populations())
def test_after_the_plan_persons_are_the_groups(candidates: list[Candidate]) -> None:
    """Active records share a person exactly when they share a group."""
    live = [one for one in candidates if one.active]
    person_of = {one.record_id: one.person_id for one in _after(candidates, _plan(candidates))}

    persons: defaultdict[str, list[int]] = defaultdict(list)
    for one in live:
        persons[person_of[one.record_id]].append(one.record_id)

    assert sorted(tuple(sorted(group)) for group in persons.values()) == sorted(group_records(live))


@given(populations())
def test_ids_are_neither_lost_nor_doubled(candidates: list[Candidate]) -> None:
    """A person that retires has a living survivor, and no record is left with it."""
    plan = _plan(candidates)
    holding = {one.person_id for one in _after(candidates, plan)}

    assert not plan.retired.keys() & holding
    assert set(plan.retired.values()) <= holding
    assert {one.person_id for one in candidates} == (holding - set(plan.new_persons)) | plan.retired.keys()


@given(populations(), st.data())
def test_arrival_one_by_one_ends_where_all_at_once_does(candidates: list[Candidate], data: st.DataObject) -> None:
    """Records that come in any order, each linked as it comes, end as the same persons."""
    arriving = data.draw(st.permutations(candidates))
    there: list[Candidate] = []
    for number, one in enumerate(arriving, start=1):
        fresh = Candidate(
            record_id=one.record_id,
            person_id=PatientID(f"p{number + 100}"),
            active=one.active,
            strong=one.strong,
            names=one.names,
            fresh=True,
        )
        there = sorted([*there, fresh], key=lambda candidate: candidate.record_id)
        there = _after(there, _plan(there))

    persons: defaultdict[str, set[int]] = defaultdict(set)
    for one in there:
        if one.active:
            persons[one.person_id].add(one.record_id)
    groups = {frozenset(group) for group in group_records([one for one in candidates if one.active])}
    assert {frozenset(group) for group in persons.values()} == groups
