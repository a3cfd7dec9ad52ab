"""A patient index in dictionaries that links records one at a time by the gateway's own decisions."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gateway.model import PatientID
from gateway.mpi.blocking import HOT_KEY_RECORDS, BlockingKey, tight_keys
from gateway.mpi.decide import Link, Member, NewPerson, PersonMatch, decide_link
from gateway.mpi.match import Matcher
from gateway.mpi.match_record import MatchRecord


@dataclass(frozen=True, slots=True)
class Task:
    """Two records of which a steward has to say whether they are one person's."""

    record: int
    other: int
    guards: tuple[str, ...]
    bits: float


@dataclass(slots=True)
class MemoryLinker:
    """Persons as they come to be, record by record."""

    matcher: Matcher
    keys: Callable[[MatchRecord], tuple[BlockingKey, ...]] = tight_keys
    person_of: dict[int, PatientID] = field(default_factory=dict)
    members: dict[PatientID, list[Member]] = field(default_factory=dict)
    by_key: dict[BlockingKey, list[int]] = field(default_factory=lambda: defaultdict(list))
    tasks: dict[frozenset[PatientID], Task] = field(default_factory=dict)

    def add(self, record_id: int, record: MatchRecord) -> None:
        """The record is linked, or a person of its own, with tasks for a steward."""
        keys = self.keys(record)
        newcomer = Member(record_id, record)
        decision = decide_link(newcomer, self._candidates(keys), self.matcher)
        if isinstance(decision, Link):
            person = decision.to.person
        else:
            person = PatientID(f"{record_id:09d}")
            self.members[person] = []
        self.members[person].append(newcomer)
        self.person_of[record_id] = person
        for key in keys:
            self.by_key[key].append(record_id)
        if isinstance(decision, Link):
            for merged in decision.merge:
                self._merge(merged.person, person)
        if not isinstance(decision, NewPerson):
            for match in decision.review:
                self._ask(record_id, person, match)

    def add_all(self, records: Iterable[tuple[int, MatchRecord]]) -> None:
        """Each record in turn."""
        for record_id, record in records:
            self.add(record_id, record)

    def _candidates(self, keys: Iterable[BlockingKey]) -> dict[PatientID, list[Member]]:
        persons = {
            self.person_of[record_id]
            for key in keys
            if len(found := self.by_key.get(key, ())) <= HOT_KEY_RECORDS
            for record_id in found
        }
        return {person: self.members[person] for person in persons}

    def _merge(self, retired: PatientID, survivor: PatientID) -> None:
        moved = self.members.pop(retired)
        self.members[survivor].extend(moved)
        for member in moved:
            self.person_of[member.record_id] = survivor

    def _ask(self, record_id: int, person: PatientID, match: PersonMatch) -> None:
        pair = frozenset((person, match.person))
        self.tasks.setdefault(pair, Task(record_id, match.best_record, match.guards, match.best.bits))
