"""What matching and stewards have said about two records, inside one transaction of `index_writing`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BindParameter,
    Boolean,
    Connection,
    bindparam,
    delete,
    insert,
    literal,
    null,
    or_,
    select,
    union_all,
    update,
)

from gateway.db.prepared import Prepared, PreparedInsert
from gateway.db.session import in_parts
from gateway.mpi.grouping import Pair
from gateway.mpi.tables import decision, match, verdict

_WANTED: BindParameter[int] = bindparam("wanted", expanding=True)
_SAID = Prepared(
    union_all(
        select(
            *(match.c.record_id, match.c.other_id, literal(0).label("decision"), null().cast(Boolean).label("same")),
            *(match.c.score, match.c.algorithm),
        ).where(or_(match.c.record_id.in_(_WANTED), match.c.other_id.in_(_WANTED))),
        select(
            *(verdict.c.record_id, verdict.c.other_id, verdict.c.decision_id, verdict.c.same),
            *(null().label("score"), null().label("algorithm")),
        )
        .join(decision, decision.c.id == verdict.c.decision_id)
        .where(decision.c.undone_at.is_(None), or_(verdict.c.record_id.in_(_WANTED), verdict.c.other_id.in_(_WANTED))),
    ).order_by("decision")
)
_PARTNERS = Prepared(
    select(match.c.record_id, match.c.other_id).where(
        or_(match.c.record_id == bindparam("record"), match.c.other_id == bindparam("record"))
    )
)
_ADD = PreparedInsert(match, "record_id", "other_id", "score", "algorithm", "at")
_PART = delete(match).where(match.c.record_id == bindparam("one"), match.c.other_id == bindparam("another"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Two records that matching has linked."""

    one: int
    other: int
    score: float
    algorithm: str


class PairStore:
    """Pairs of records; of several words on one pair the latest standing decision counts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, records: Sequence[int]) -> dict[tuple[int, int], Pair]:
        """What is said today about pairs with at least one of `records`, by the pair, the smaller id first."""
        said: dict[tuple[int, int], Pair] = {}
        for part in in_parts(records):
            for one, other, _, same, score, algorithm in _SAID.all(self._connection, wanted=part):
                if same is None:
                    pair = Pair(one=one, other=other, verdict="matched", score=score, algorithm=algorithm)
                else:
                    pair = Pair(one=one, other=other, verdict="same" if same else "apart")
                said[one, other] = pair
        return said

    def add_matches(self, matches: Iterable[Matched], now: datetime) -> None:
        """Each pair is matched."""
        rows = [
            (min(pair.one, pair.other), max(pair.one, pair.other), pair.score, pair.algorithm, now) for pair in matches
        ]
        _ADD.run(self._connection, rows)

    def find_partners(self, record_id: int) -> list[int]:
        """The records that are matched to `record_id`."""
        rows = _PARTNERS.all(self._connection, record=record_id)
        return sorted(other if one == record_id else one for one, other in rows)

    def part(self, record_id: int, partners: Iterable[int]) -> None:
        """The record is no longer matched to any of `partners`."""
        for partner in partners:
            one, another = sorted((record_id, partner))
            self._connection.execute(_PART, {"one": one, "another": another})

    def withdraw_merges(self, record_id: int, who: str, now: datetime) -> None:
        """What its domain said when the record was replaced by another holds no longer."""
        theirs = select(verdict.c.decision_id).where(
            (verdict.c.record_id == record_id) | (verdict.c.other_id == record_id)
        )
        undone = update(decision).where(
            decision.c.id.in_(theirs), decision.c.kind == "feed-merge", decision.c.undone_at.is_(None)
        )
        self._connection.execute(undone.values(undone_at=now, undone_by=who))

    def add_verdicts(self, decision_id: int, pairs: Iterable[tuple[int, int]], *, same: bool) -> None:
        """The decision says of each pair that it is one person's, or two persons'."""
        rows = [
            {"decision_id": decision_id, "record_id": one, "other_id": other, "same": same}
            for one, other in sorted({(min(pair), max(pair)) for pair in pairs})
        ]
        if rows:
            self._connection.execute(insert(verdict), rows)
