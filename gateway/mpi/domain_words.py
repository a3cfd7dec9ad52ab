"""What a domain says of two of its own records: that one has replaced the other, that they are one person's or are not.

Such a word is a decision like a steward's, remembered as what it says of a pair of records, and links follow from it.
It never outweighs a steward who has said that the two are two persons'.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, Engine, insert, select, update

from gateway.db.crypto import KeyRing
from gateway.errors import Conflict as Contradicted
from gateway.errors import LoadRefused
from gateway.model import Identifier, PatientID
from gateway.mpi.feed import Note, Outcome, PatientFeed, announce, no_note
from gateway.mpi.linker import Linker, Relinked
from gateway.mpi.links import Conflict
from gateway.mpi.pairs import PairStore
from gateway.mpi.patient_record import PatientRecord
from gateway.mpi.store import RecordStore, StoredRecord, index_writing
from gateway.mpi.tables import decision, record, verdict

Word = Literal["feed-merge", "feed-link", "feed-unlink"]


class DomainWords:
    """Words of one domain's feed. Every method raises DependencyUnavailable, and AuditUnavailable as `PatientFeed`."""

    def __init__(
        self, engine: Engine, keys: KeyRing, feed: PatientFeed, *, strong_systems: frozenset[str], who: str
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._feed = feed
        self._strong_systems = strong_systems
        self._who = who

    def replace(self, subsumed: PatientRecord, survivor: Identifier, now: datetime, note: Note = no_note) -> Outcome:
        """`subsumed`, which says that it is inactive, belongs to the person of `survivor` and says nothing any more.

        References to it lead to the survivor, and the other records of its person are linked by what they say
        themselves (IHE ITI-8 and ITI-104: references are replaced, then the cross-referencing logic is applied again).
        Raises LoadRefused where the survivor is no active record, Conflict where a steward has kept the two apart.
        """
        with index_writing(self._engine) as connection:
            turn = _Turn(connection, self._keys, self._strong_systems, self._who, now)
            outcome = turn.replace(subsumed, turn.require_active(survivor))
            persons = turn.persons_of(subsumed.source, survivor)
            self._feed.record(connection, turn.alerts, note(persons, outcome), now)
        announce(turn.alerts)
        return outcome

    def say(self, one: Identifier, other: Identifier, now: datetime, note: Note = no_note, *, same: bool) -> None:
        """The two records are one person's, or two persons'. Raises LoadRefused where one isn't active, Conflict."""
        with index_writing(self._engine) as connection:
            turn = _Turn(connection, self._keys, self._strong_systems, self._who, now)
            turn.say(turn.require_active(one), turn.require_active(other), "feed-link" if same else "feed-unlink")
            self._feed.record(connection, turn.alerts, note(turn.persons_of(one, other), "updated"), now)
        announce(turn.alerts)


class _Turn:
    """The words of one transaction of `index_writing`."""

    def __init__(
        self, connection: Connection, keys: KeyRing, strong_systems: frozenset[str], who: str, now: datetime
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._records = RecordStore(connection, keys)
        self._linker = Linker(connection, keys, strong_systems, who)
        self._pairs = PairStore(connection)
        self._who = who
        self._now = now
        self.relinked: list[Relinked] = []

    @property
    def alerts(self) -> list[Conflict]:
        """Conflicts that are new or have grown."""
        return [alert for one in self.relinked for alert in one.alerts]

    def persons_of(self, *sources: Identifier) -> list[PatientID]:
        """The persons that those records belong to now."""
        found = [self._records.find_source(one) for one in sources]
        return list(dict.fromkeys(one.person_id for one in found if one is not None))

    def require_active(self, source: Identifier) -> StoredRecord:
        stored = self._records.find_source(source)
        if stored is None or not stored.active:
            raise LoadRefused(["Patient.link: the other patient is not known, or is not active"])
        return stored

    def replace(self, subsumed: PatientRecord, survivor: StoredRecord) -> Outcome:
        strong = self._linker.strong_keys(subsumed.identifiers).keys()
        stored = self._records.find(subsumed)
        if stored is not None and stored.record_id == survivor.record_id:
            raise LoadRefused(["Patient.link: a patient is not replaced by itself"])
        outcome: Outcome = "updated"
        if stored is None:
            outcome = "loaded"
            stored = self._records.add(replace(subsumed, active=True), self._now)
            self._link([stored.person_id], strong, fresh=stored.record_id)
        elif self._already(stored, subsumed, survivor):
            return "unchanged"
        else:
            self._pairs.withdraw_merges(stored.record_id, self._who, self._now)
            revive = update(record).where(record.c.record_id == stored.record_id)
            self._connection.execute(revive.values(active=True))
        # Linked first while it still has a word, so that its person leads to the survivor; then it says nothing.
        self.say(stored, survivor, "feed-merge")
        lost = self._records.replace(stored, subsumed, self._now)
        self._link([self._person_of(stored.record_id)], strong | lost)
        return outcome

    def say(self, one: StoredRecord, other: StoredRecord, word: Word) -> None:
        if one.record_id == other.record_id:
            raise LoadRefused(["a patient is not linked with itself"])
        pair = (min(one.record_id, other.record_id), max(one.record_id, other.record_id))
        if self._settled_by_steward(pair, same=word != "feed-unlink"):
            raise Contradicted("a steward has decided otherwise about these two patients")
        values = {"kind": word, "who": self._who, "at": self._now}
        number: int = self._connection.execute(insert(decision).returning(decision.c.id), values).scalar_one()
        self._pairs.add_verdicts(number, [pair], same=word != "feed-unlink")
        survivor = self._person_of(other.record_id)
        self._link([self._person_of(one.record_id), survivor], (), survivor=survivor)

    def _already(self, stored: StoredRecord, subsumed: PatientRecord, survivor: StoredRecord) -> bool:
        same = stored.content_key == self._records.content_key(subsumed) and not stored.active
        return same and stored.person_id == survivor.person_id

    def _settled_by_steward(self, pair: tuple[int, int], *, same: bool) -> bool:
        words = (
            select(decision.c.kind, verdict.c.same)
            .join(decision, decision.c.id == verdict.c.decision_id)
            .where(verdict.c.record_id == pair[0], verdict.c.other_id == pair[1], decision.c.undone_at.is_(None))
            .order_by(decision.c.id.desc())
        )
        return any(
            not kind.startswith("feed-") and said != same for kind, said in self._connection.execute(words).all()[:1]
        )

    def _person_of(self, record_id: int) -> PatientID:
        found = self._connection.execute(select(record.c.person_id).where(record.c.record_id == record_id))
        return PatientID(found.scalar_one())

    def _link(
        self,
        persons: Iterable[PatientID],
        keys: Iterable[bytes],
        *,
        fresh: int | None = None,
        survivor: PatientID | None = None,
    ) -> None:
        self.relinked.append(self._linker.link(persons, self._now, keys=keys, fresh=fresh, survivor=survivor))
