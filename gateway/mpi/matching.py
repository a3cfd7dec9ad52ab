"""Matching as records arrive: what the algorithm links by itself, and what it puts before a steward.

What is found is kept as pairs of records; which records are then one person's is for `grouping` to say. So a match
never outweighs a steward's word, and a strong identifier holds as it stands.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import lru_cache

import orjson
from sqlalchemy import Connection, bindparam, func, select

from gateway.db.crypto import KeyRing
from gateway.model import PatientID
from gateway.mpi.algorithm import Algorithm
from gateway.mpi.blocking_index import BlockingIndex, Readied
from gateway.mpi.decide import Link, Member, NewPerson, PersonMatch, Persons, decide_link
from gateway.mpi.match import Matcher
from gateway.mpi.match_record import MatchRecord
from gateway.mpi.normalise import normalise
from gateway.mpi.pairs import Matched, PairStore
from gateway.mpi.review import Question, TaskKind
from gateway.mpi.tables import record, record_identifier

_SHARERS = (
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
_OWNERS = select(record.c.person_id).distinct().where(record.c.record_id.in_(bindparam("wanted", expanding=True)))


class MatchingRule:
    """How records are matched, as long as this process runs."""

    def __init__(self, algorithm: Algorithm, strong_systems: frozenset[str]) -> None:
        self.algorithm = algorithm
        self.strong_systems = strong_systems
        self._made = lru_cache(maxsize=8)(self._make)

    def matcher(self, records: int) -> Matcher:
        """The matcher for an index of so many records.

        The prior falls as the index grows, in steps of a bit. It never rises above that of the training: that an index
        holds two records only makes them no more alike.
        """
        size = self.algorithm.records
        while size < records:
            size *= 2
        return self._made(size)

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
        self._matcher = rule.matcher(_size(connection))

    def read(self, source: bytes, content: bytes, now: datetime) -> Readied:
        """What a Patient of that source key is to be found and compared by."""
        return self._index.ready(source, self._normalise(content, now))

    def known_keys(self, wanted: Collection[int]) -> set[int]:
        """Those of the blocking keys that some record has."""
        return self._index.known(wanted)

    def add_keys(self, keyed: Iterable[tuple[int, Iterable[int]]]) -> None:
        """Each record is found by its blocking keys from now on."""
        self._index.add_keys(keyed)

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
        persons = self._index.find(said, without=record_id)
        apart = self._apart(newcomer, persons)
        decision = decide_link(newcomer, persons, self._matcher, apart)
        if isinstance(decision, NewPerson):
            return questions
        if not isinstance(decision, Link):
            return [*questions, *self._questions(newcomer, decision.review, "possible-match")]
        targets = (decision.to, *decision.merge)
        if not self._held_by(record_id, kept, strong) <= {target.person for target in targets}:
            return [*questions, *self._questions(newcomer, (*targets, *decision.review), "possible-duplicate")]
        self._pairs.add_matches(
            (self._matched(newcomer, target) for target in targets if target.best_record not in kept), now
        )
        return [*questions, *self._questions(newcomer, decision.review, "possible-duplicate")]

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
            carriers = self._connection.execute(_SHARERS, {"wanted": sorted(strong), "without": record_id})
            held.update(PatientID(one) for one in carriers.scalars())
        if ties := sorted({*kept, *same}):
            owners = self._connection.execute(_OWNERS, {"wanted": ties})
            held.update(PatientID(one) for one in owners.scalars())
        return held

    def _matched(self, newcomer: Member, target: PersonMatch) -> Matched:
        return Matched(
            one=newcomer.record_id,
            other=target.best_record,
            score=target.best.bits,
            algorithm=self._rule.algorithm.label,
        )

    def _questions(self, newcomer: Member, asked: Iterable[PersonMatch], kind: TaskKind) -> list[Question]:
        return [
            Question(
                one=newcomer.record_id,
                other=match.best_record,
                kind=kind,
                score=match.best.bits,
                guards=tuple(match.guards),
                algorithm=self._rule.algorithm.label,
            )
            for match in asked
        ]


def _size(connection: Connection) -> int:
    return connection.execute(select(func.max(record.c.record_id))).scalar() or 0
