"""What becomes of a record that has come: linked to a person, put before a steward, or a person of its own. Pure.

A person is judged by all of its records, not by the one that is most alike: a chain of likenesses is no person. So a
record may be linked only where no record of that person is held by a guard and the mean over them is high enough.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from gateway.model import PatientID
from gateway.mpi.grade import Grade, grade_person
from gateway.mpi.guards import VETOES, Guard, is_another
from gateway.mpi.match import Matcher, PairScore
from gateway.mpi.match_record import MatchRecord


@dataclass(frozen=True, slots=True)
class Member:
    """A stored record of a person."""

    record_id: int
    record: MatchRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonMatch:
    """How a record stands to a person: the grade, and the evidence behind it."""

    person: PatientID
    grade: Grade
    best: PairScore
    best_record: int
    mean: float
    """Of the match weights with all of the person's records, in bits."""
    guards: tuple[Guard, ...]
    """Of the best pair, and the vetoes of all of the person's records, each once."""
    kept_apart: bool = False
    """A steward has said that they are two persons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The record belongs to `to.person`, and the persons of `merge` are that person too."""

    to: PersonMatch
    merge: tuple[PersonMatch, ...] = ()
    review: tuple[PersonMatch, ...] = ()
    """Persons that may be the same one: a steward says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The record becomes a person of its own until a steward has seen each of `review`."""

    review: tuple[PersonMatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPerson:
    """Nobody of the index is like the record."""


Decision = Link | Review | NewPerson
Persons = Mapping[PatientID, Sequence[Member]]
Apart = Collection[frozenset[int]]
"""Pairs of records that a steward has said are two persons'."""


def decide_link(newcomer: Member, persons: Persons, matcher: Matcher, apart: Apart = frozenset()) -> Decision:
    """What becomes of `newcomer`. `persons` are the candidates with all of their records, in any order.

    Of several certain persons the most alike gets the record; another becomes part of that person only where none of
    their records are held apart by a guard or a steward and they are alike on the whole. Otherwise a steward decides.
    """
    found = rank_persons(newcomer, persons, matcher, apart)
    certain = [one for one in found if one.grade == "certain"]
    others = tuple(one for one in found if one.grade != "certain" and not one.kept_apart)
    if not certain:
        return Review(review=others) if others else NewPerson()
    to, *rest = certain
    merge = tuple(one for one in rest if are_one(persons[to.person], persons[one.person], matcher, apart))
    return Link(to=to, merge=merge, review=tuple(one for one in rest if one not in merge))


def rank_persons(
    newcomer: Member, persons: Persons, matcher: Matcher, apart: Apart = frozenset()
) -> tuple[PersonMatch, ...]:
    """Each person that is at least possible, the most alike first; equal ones in the order of their ids."""
    found = (_judge(newcomer, person, members, matcher, apart) for person, members in persons.items() if members)
    reached = [one for one in found if one.grade != "certainly-not"]
    return tuple(sorted(reached, key=lambda one: (-one.best.bits, one.person)))


def _judge(
    newcomer: Member, person: PatientID, members: Sequence[Member], matcher: Matcher, apart: Apart
) -> PersonMatch:
    scores = [(matcher.score(newcomer.record, member.record), member.record_id) for member in members]
    best, best_record = max(scores, key=lambda one: (one[0].bits, -one[1]))
    mean = sum(score.bits for score, _ in scores) / len(scores)
    vetoes = (guard for score, _ in scores for guard in score.guards if guard in VETOES)
    guards = _each_once((*best.guards, *vetoes))
    kept_apart = any(frozenset((newcomer.record_id, member.record_id)) in apart for member in members)
    grade = grade_person(best.bits, mean, bool(guards) or kept_apart, matcher.thresholds)
    return PersonMatch(
        person=person,
        grade="certainly-not" if is_another(best.guards) else grade,
        best=best,
        best_record=best_record,
        mean=mean,
        guards=guards,
        kept_apart=kept_apart,
    )


def are_one(some: Sequence[Member], others: Sequence[Member], matcher: Matcher, apart: Apart = frozenset()) -> bool:
    """Whether two persons may become one: nothing holds any two of their records apart, and on the whole they agree."""
    total = 0.0
    for one, other in product(some, others):
        score = matcher.score(one.record, other.record)
        if not VETOES.isdisjoint(score.guards) or frozenset((one.record_id, other.record_id)) in apart:
            return False
        total += score.bits
    return total / (len(some) * len(others)) >= matcher.thresholds.mean


def _each_once(guards: Iterable[Guard]) -> tuple[Guard, ...]:
    return tuple(sorted(set(guards)))
