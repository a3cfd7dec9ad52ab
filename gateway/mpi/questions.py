"""Whom may a description mean? Candidates by wide keys, judged by the matching algorithm; nothing is linked."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, bindparam, case, exists, func, select

from gateway.db.crypto import KeyRing
from gateway.db.lookup import looking
from gateway.db.prepared import Prepared
from gateway.model import PatientID
from gateway.mpi.blocking import MOST_CANDIDATES, tight_keys, wide_keys
from gateway.mpi.decide import Member, PersonMatch, rank_persons
from gateway.mpi.grade import Grade, grade_answers
from gateway.mpi.match import Matcher
from gateway.mpi.match_record import MatchRecord
from gateway.mpi.matching import MatchingRule
from gateway.mpi.normalise import normalise
from gateway.mpi.sealed import block_hashes, open_comparable
from gateway.mpi.tables import block_key, hot_key, record

_NOBODY = 0
_LONE_KINDS = frozenset(("identifier", "email", "phone"))
"""Keys that say something even where nothing else is shared; of another one alone no likeness is made."""
_shared = (
    # The keys alone tell who shares most, without reading a record.
    select(block_key.c.record_id, func.count().label("keys"))
    .where(
        block_key.c.key.in_(bindparam("wanted", expanding=True)),
        ~exists(select(hot_key.c.key).where(hot_key.c.key == block_key.c.key)),
    )
    .group_by(block_key.c.record_id)
    .having((func.count() > 1) | (func.max(case((block_key.c.key.in_(bindparam("lone", expanding=True)), 1))) == 1))
    .order_by(func.count().desc(), block_key.c.record_id)
    .limit(MOST_CANDIDATES)
    .subquery()
)
_sharer = record.alias("sharer")
_MEMBERS = Prepared(
    select(record.c.record_id, record.c.person_id, record.c.identifier_key, record.c.comparable).where(
        record.c.active,
        record.c.comparable.is_not(None),
        record.c.person_id.in_(
            select(_sharer.c.person_id)
            .join(_shared, _shared.c.record_id == _sharer.c.record_id)
            .where(_sharer.c.active)
        ),
    )
)

Persons = Mapping[PatientID, Sequence[Member]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """A question and everybody it may mean, as compared."""

    question: MatchRecord
    persons: Persons
    matcher: Matcher
    """For an index of its size."""


class PatientQuestions:
    """Questions to the index by description."""

    def __init__(self, engine: Engine, keys: KeyRing, rule: MatchingRule) -> None:
        self._engine = engine
        self._keys = keys
        self._rule = rule

    @property
    def algorithm(self) -> str:
        """The label of the algorithm that judges."""
        return self._rule.algorithm.label

    def find(self, patient: Mapping[str, Any], now: datetime) -> Candidates:
        """The persons that share most keys with the description. Raises DependencyUnavailable."""
        question = normalise(patient, today=now.date(), strong_systems=self._rule.strong_systems)
        keys = tuple(dict.fromkeys((*tight_keys(question), *wide_keys(question))))
        wanted = block_hashes(self._keys, keys)
        lone = [value for (kind, _), value in zip(keys, wanted, strict=True) if kind in _LONE_KINDS]
        persons: defaultdict[PatientID, list[Member]] = defaultdict(list)
        with looking(self._engine) as session:
            matcher = self._rule.matcher_in(session)
            rows = _MEMBERS.all(session, wanted=wanted, lone=lone or wanted[:1]) if len(wanted) > 1 or lone else []
        for record_id, person, source, sealed in rows:
            persons[PatientID(person)].append(Member(record_id, open_comparable(self._keys, source, sealed)))
        return Candidates(question=question, persons=dict(persons), matcher=matcher)

    def rank(self, candidates: Candidates, persons: Persons) -> tuple[PersonMatch, ...]:
        """Those of `persons` that are at least possible, by the records given for them, the most alike first."""
        return rank_persons(Member(_NOBODY, candidates.question), persons, candidates.matcher)

    def grades(self, ranked: Sequence[PersonMatch], candidates: Candidates) -> tuple[Grade, ...]:
        """How sure each answer is: `certain` only where the question says enough, and nobody is far more alike."""
        return grade_answers([(one.grade, one.best.bits) for one in ranked], candidates.question)


def score(match: PersonMatch, question: MatchRecord) -> float:
    """`search.score`: the probability of the match, never above what so much being said may count for.

    The bounds are those of HL7 Identity Matching: .99 with an identifier, .8 with an address or e-mail, .7 with a
    phone, postcode or middle name, .6 by name, birth date and sex alone.
    """
    if question.national or question.identifiers:
        bound = 0.99
    elif question.emails or (question.street and question.postcode):
        bound = 0.8
    elif question.phones or question.postcode or question.middle:
        bound = 0.7
    else:
        bound = 0.6
    return round(min(match.best.probability, bound), 4)
