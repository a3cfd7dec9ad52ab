"""Matching as records arrive: what the algorithm links by itself, and what it puts before a steward.

What is found is kept as pairs of records; which records are then one person's is for `grouping` to say. So a match
never outweighs a steward's word, and a strong identifier holds as it stands.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import orjson
from sqlalchemy import Connection, bindparam, func, select

from gateway.db.crypto import KeyRing
from gateway.db.prepared import Prepared, Session
from gateway.model import PatientID
from gateway.mpi.algorithm import Algorithm
from gateway.mpi.blocking_index import BlockingIndex
from gateway.mpi.decide import Link, Member, NewPerson, PersonMatch, Persons, decide_link
from gateway.mpi.match import Matcher
from gateway.mpi.match_record import MatchRecord
from gateway.mpi.normalise import normalise
from gateway.mpi.pairs import Matched, PairStore
from gateway.mpi.review import Question, TaskKind
from gateway.mpi.tables import record, record_identifier

_SHARERS = Prepared(
    select(record.c.person_id)
    .distinct()
    .join(record_identifier, record_identifier.c.record_id == record.c.record_id)
    .where(
        record_identifier.c.identifier_key.in_(bindparam("wanted", expanding=True)),
        record.c.active,
        record.c.record_id != bindparam("without"),
    )
    .limit(50)
)
_OWNERS = Prepared(
    select(record.c.person_id).distinct().where(record.c.record_id.in_(bindparam("wanted", expanding=True)))
)
_SIZE = Prepared(select(func.max(record.c.record_id)))
_NOBODY = 0
"""No record's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Whom a record that is new to the index is matched to by itself, and whom a steward is asked about."""

    algorithm: str
    matched: tuple[PersonMatch, ...] = ()
    asked: tuple[PersonMatch, ...] = ()
    kind: TaskKind = "possible-match"

    def matches(self, record_id: int) -> list[Matched]:
        """The pairs it is matched to, once it has a number."""
        return [_matched(record_id, target, self.algorithm) for target in self.matched]

    def questions(self, record_id: int) -> list[Question]:
        """What a steward is asked, once it has a number."""
        return _questions(record_id, self.asked, self.kind, self.algorithm)


_USES_OF_A_COUNT = 64
"""How often the size of the index is counted: its prior changes where it doubles."""


class MatchingRule:
    """How records are matched, as long as this process runs."""

    def __init__(self, algorithm: Algorithm, strong_systems: frozenset[str]) -> None:
        self.algorithm = algorithm
        self.strong_systems = strong_systems
        self._made = lru_cache(maxsize=8)(self._make)
        self._records, self._uses = 0, 0

    def matcher(self, records: int) -> Matcher:
        """The matcher for an index of so many records.

        The prior falls as the index grows, in steps of a bit. It never rises above that of the training: that an index
        holds two records only makes them no more alike.
        """
        size = self.algorithm.records
        while size < records:
            size *= 2
        return self._made(size)

    def matcher_in(self, session: Session) -> Matcher:
        """The matcher for the index there, as large as it was a moment ago."""
        if self._uses % _USES_OF_A_COUNT == 0:
            self._records = _SIZE.all(session)[0][0] or 0
        self._uses += 1
        return self.matcher(self._records)

    def _make(self, size: int) -> Matcher:
        # Making one takes longer than matching a record.
        return Matcher(self.algorithm, size)


class Matching:
    """Matching inside one transaction of `index_writing`."""

    def __init__(self, connection: Connection, keys: KeyRing, rule: MatchingRule) -> None:
        self._connection = connection
        self._rule = rule
        self._index = BlockingIndex(connection, keys)
        self._pairs = PairStore(connection)
        self._matcher = rule.matcher_in(connection)

    def judge(self, said: MatchRecord, keys: Sequence[int], holders: Collection[PatientID]) -> Judged:
        """Whom a record that isn't in the index yet is matched to, by what it says and its tight `keys`.

        `holders` are those that it shares a strong identifier with: as in `take_in`, they hold it.
        """
        newcomer = Member(_NOBODY, said)
        persons = self._index.find(keys)
        decision = decide_link(newcomer, persons, self._matcher)
        if isinstance(decision, Link) and decision.merge:
            # Nothing has been said of the newcomer yet, but of those that it would make one.
            decision = decide_link(newcomer, persons, self._matcher, self._apart(newcomer, persons))
        label = self._rule.algorithm.label
        if isinstance(decision, NewPerson):
            return Judged(algorithm=label)
        if not isinstance(decision, Link):
            return Judged(algorithm=label, asked=decision.review)
        targets = (decision.to, *decision.merge)
        if set(holders) <= {target.person for target in targets}:
            return Judged(algorithm=label, matched=targets, asked=decision.review, kind="possible-duplicate")
        return Judged(algorithm=label, asked=(*targets, *decision.review), kind="possible-duplicate")

    def add_matches(self, matches: Iterable[Matched], now: datetime) -> None:
        """Each pair is matched."""
        self._pairs.add_matches(matches, now)

    def take_in(
        self,
        record_id: int,
        content: bytes,
        strong: Collection[bytes],
        now: datetime,
        *,
        active: bool = True,
        returning: bool = False,
    ) -> list[Question]:
        """The record is compared by what it says now: the pairs it is matched to are stored, what a steward has to
        answer is returned, to be put once the links are made.

        `strong` are the keyed hashes of its strong identifiers: who carries one of them too is its person as it stands,
        so that nobody else is linked by itself unless that person is as certain. A record that says what it said before
        isn't judged again, unless it is `returning` from being inactive.
        """
        said = self._normalise(content, now)
        before = self._index.store(record_id, said)
        if not active or (before == said and not returning):
            return []
        newcomer = Member(record_id, said)
        partners = self._pairs.find_partners(record_id) if before is not None else []
        kept, questions = self._judge_again(newcomer, partners)
        persons = self._index.find(self._index.tight(said), without=record_id)
        apart = self._apart(newcomer, persons)
        decision = decide_link(newcomer, persons, self._matcher, apart)
        label = self._rule.algorithm.label
        if isinstance(decision, NewPerson):
            return questions
        if not isinstance(decision, Link):
            return [*questions, *_questions(record_id, decision.review, "possible-match", label)]
        targets = (decision.to, *decision.merge)
        if not self._held_by(record_id, kept, strong) <= {target.person for target in targets}:
            asked = (*targets, *decision.review)
            return [*questions, *_questions(record_id, asked, "possible-duplicate", label)]
        self._pairs.add_matches(
            (_matched(record_id, target, label) for target in targets if target.best_record not in kept), now
        )
        return [*questions, *_questions(record_id, decision.review, "possible-duplicate", label)]

    def _normalise(self, content: bytes, now: datetime) -> MatchRecord:
        return normalise(orjson.loads(content), today=now.date(), strong_systems=self._rule.strong_systems)

    def _judge_again(self, newcomer: Member, partners: Iterable[int]) -> tuple[set[int], list[Question]]:
        kept: set[int] = set()
        lost: list[Question] = []
        for partner in self._index.open_records(list(partners)):
            score = self._matcher.score(newcomer.record, partner.record)
            if score.bits >= self._matcher.thresholds.link and not score.guards:
                kept.add(partner.record_id)
                continue
            lost.append(
                Question(
                    one=newcomer.record_id,
                    other=partner.record_id,
                    kind="no-longer-alike",
                    score=score.bits,
                    guards=tuple(score.guards),
                    algorithm=self._rule.algorithm.label,
                )
            )
        self._pairs.part(newcomer.record_id, [question.other for question in lost])
        return kept, lost

    def _apart(self, newcomer: Member, persons: Persons) -> set[frozenset[int]]:
        records = [newcomer.record_id, *(member.record_id for members in persons.values() for member in members)]
        said = self._pairs.find(records) if persons else {}
        return {frozenset(pair) for pair, word in said.items() if word.verdict == "apart"}

    def _held_by(self, record_id: int, kept: Collection[int], strong: Collection[bytes]) -> set[PatientID]:
        held: set[PatientID] = set()
        same = {
            other
            for pair, word in self._pairs.find([record_id]).items()
            if word.verdict == "same"
            for other in pair
            if other != record_id
        }
        if strong:
            carriers = _SHARERS.all(self._connection, wanted=sorted(strong), without=record_id)
            held.update(PatientID(one) for (one,) in carriers)
        if ties := sorted({*kept, *same}):
            held.update(PatientID(one) for (one,) in _OWNERS.all(self._connection, wanted=ties))
        return held


def _matched(record_id: int, target: PersonMatch, label: str) -> Matched:
    return Matched(one=record_id, other=target.best_record, score=target.best.bits, algorithm=label)


def _questions(record_id: int, asked: Iterable[PersonMatch], kind: TaskKind, label: str) -> list[Question]:
    return [
        Question(
            one=record_id,
            other=match.best_record,
            kind=kind,
            score=match.best.bits,
            guards=tuple(match.guards),
            algorithm=label,
        )
        for match in asked
    ]
