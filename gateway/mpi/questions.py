"""Whom may a description mean? Candidates by wide keys, judged by the matching algorithm; nothing is linked."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, bindparam, exists, func, select

from gateway.db.crypto import KeyRing
from gateway.db.session import in_parts, reading
from gateway.model import PatientID
from gateway.mpi.blocking import MOST_CANDIDATES, tight_keys, wide_keys
from gateway.mpi.decide import Member, PersonMatch, rank_persons
from gateway.mpi.grade import Grade, grade_answer
from gateway.mpi.match_record import MatchRecord, unpack
from gateway.mpi.matching import MatchingRule
from gateway.mpi.normalise import normalise
from gateway.mpi.tables import block_key, hot_key, record

_NOBODY = 0
_LIKELIEST = (
    select(record.c.person_id)
    .join(block_key, block_key.c.record_id == record.c.record_id)
    .where(
        block_key.c.key.in_(bindparam("wanted", expanding=True)),
        record.c.active,
        ~exists(select(hot_key.c.key).where(hot_key.c.key == block_key.c.key)),
    )
    .group_by(record.c.record_id, record.c.person_id)
    .order_by(func.count().desc(), record.c.record_id)
    .limit(MOST_CANDIDATES)
)
_MEMBERS = select(record.c.record_id, record.c.person_id, record.c.identifier_key, record.c.comparable).where(
    record.c.person_id.in_(bindparam("wanted", expanding=True)), record.c.active, record.c.comparable.is_not(None)
)
_SIZE = select(func.max(record.c.record_id))

Persons = Mapping[PatientID, Sequence[Member]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """A question and everybody it may mean, as compared."""

    question: MatchRecord
    persons: Persons
    records: int
    """About how many records the index holds."""


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
        keys = dict.fromkeys((*tight_keys(question), *wide_keys(question)))
        wanted = [int.from_bytes(self._keys.blind("mpi.block", *key)[:8], signed=True) for key in keys]
        persons: defaultdict[PatientID, list[Member]] = defaultdict(list)
        with reading(self._engine) as connection:
            size = connection.execute(_SIZE).scalar() or 0
            likeliest = connection.execute(_LIKELIEST, {"wanted": wanted}).scalars().all() if wanted else []
            for part in in_parts(sorted(set(likeliest))):
                for record_id, person, source, sealed in connection.execute(_MEMBERS, {"wanted": part}):
                    opened = unpack(self._keys.open(f"{record.name}.comparable", source.hex(), sealed))
                    persons[PatientID(person)].append(Member(record_id, opened))
        return Candidates(question=question, persons=dict(persons), records=size)

    def rank(self, candidates: Candidates, persons: Persons) -> tuple[PersonMatch, ...]:
        """Those of `persons` that are at least possible, by the records given for them, the most alike first."""
        return rank_persons(Member(_NOBODY, candidates.question), persons, self._rule.matcher(candidates.records))

    def grade(self, match: PersonMatch, candidates: Candidates) -> Grade:
        """How sure the answer is: `certain` only where the question says enough for it."""
        return grade_answer(match.grade, candidates.question)


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
