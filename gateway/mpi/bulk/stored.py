"""The records of the index as bulk jobs read them: opened in memory, page by page, by several processes where many."""

import random
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
from sqlalchemy import Engine, bindparam, case, func, select

from gateway.db.crypto import KeyRing, read_key_file
from gateway.db.session import open_database, reading
from gateway.errors import DependencyUnavailable
from gateway.model import PatientID
from gateway.mpi.bulk.columns import SCHEMA, tabulate
from gateway.mpi.match_record import MatchRecord
from gateway.mpi.normalise import normalise
from gateway.mpi.sealed import open_comparable, open_patient
from gateway.mpi.tables import decision, match, record, review_task, verdict

Progress = Callable[[int, int], None]
"""Told how many of how many records have been read."""
PAGE = 10_000
_ALONE_UNTIL = 50_000
"""Fewer records are read sooner than another process has started."""
_ROWS = select(
    *(record.c.record_id, record.c.person_id, record.c.identifier_key, record.c.comparable),
    case((record.c.comparable.is_(None), record.c.content)).label("content"),
).where(record.c.active, record.c.record_id > bindparam("after"), record.c.record_id <= bindparam("last"))


class StoredRecords:
    """What bulk jobs ask of the index, all of it active records. Every method raises DependencyUnavailable."""

    def __init__(
        self,
        engine: Engine,
        keys: KeyRing,
        *,
        strong_systems: frozenset[str],
        today: date,
        keys_file: Path | None = None,
        processes: int = 1,
        progress: Progress = lambda _done, _of: None,
    ) -> None:
        """With a `keys_file`, up to so many `processes` read at once."""
        self._engine = engine
        self._keys = keys
        self._strong_systems = strong_systems
        self._today = today
        self._keys_file = keys_file
        self._processes = processes
        self._progress = progress

    def last(self) -> int:
        """The highest number of a record."""
        with reading(self._engine) as connection:
            return connection.execute(select(func.max(record.c.record_id))).scalar() or 0

    def tables(self) -> Iterator[pa.Table]:
        """Every record once, in tables of `columns.SCHEMA`; at least one table."""
        yield SCHEMA.empty_table()
        last = self.last()
        pages = [(after, min(after + PAGE, last)) for after in range(0, last, PAGE)]
        if self._keys_file is None or self._processes < 2 or last < _ALONE_UNTIL:
            for page in pages:
                yield tabulate(self.read(*page))
                self._progress(page[1], last)
            return
        begun = (self._engine.url.render_as_string(hide_password=False), self._keys_file)
        workers = ProcessPoolExecutor(
            self._processes, get_context("spawn"), _begin, (*begun, self._strong_systems, self._today)
        )
        try:
            with workers:
                for page, table in zip(pages, workers.map(_read_page, pages), strict=True):
                    yield table
                    self._progress(page[1], last)
        except BrokenProcessPool as exc:
            raise DependencyUnavailable("a process that reads the index has ended") from exc

    def sample(self, most: int, seed: int) -> list[MatchRecord]:
        """`most` of the records by chance, or all where there are no more."""
        with reading(self._engine) as connection:
            numbers = connection.execute(select(record.c.record_id).where(record.c.active)).scalars().all()
        chosen = sorted(random.Random(seed).sample(numbers, min(most, len(numbers))))  # noqa: S311 - a sample
        found: list[MatchRecord] = []
        for start in range(0, len(chosen), PAGE):
            part = chosen[start : start + PAGE]
            wanted = set(part)
            # Neighbours are read too where the sample is thin; opening is what costs, and only the chosen are opened.
            found.extend(one for _, _, one in self.read(part[0] - 1, part[-1], wanted))
            self._progress(len(found), len(chosen))
        return found

    def find_apart(self) -> Collection[frozenset[int]]:
        """Pairs of records that a steward has said are two persons'."""
        return self._said()[False]

    def find_together(self) -> Collection[frozenset[int]]:
        """Pairs of records that a steward has said are one person's."""
        return self._said()[True]

    def find_matched(self) -> Collection[frozenset[int]]:
        """Pairs of records that matching has linked."""
        with reading(self._engine) as connection:
            return {frozenset(pair) for pair in connection.execute(select(match.c.record_id, match.c.other_id))}

    def find_asked(self) -> Collection[frozenset[int]]:
        """Pairs of records that wait for a steward."""
        waiting = (
            select(review_task.c.record_id, review_task.c.other_id)
            .outerjoin(decision, decision.c.id == review_task.c.decision_id)
            .where(review_task.c.decision_id.is_(None) | decision.c.undone_at.is_not(None))
        )
        with reading(self._engine) as connection:
            return {frozenset(pair) for pair in connection.execute(waiting)}

    def _said(self) -> dict[bool, set[frozenset[int]]]:
        standing = (
            select(verdict.c.record_id, verdict.c.other_id, verdict.c.same)
            .join(decision, decision.c.id == verdict.c.decision_id)
            .where(decision.c.undone_at.is_(None))
            .order_by(verdict.c.decision_id)
        )
        with reading(self._engine) as connection:
            latest = {frozenset((one, other)): same for one, other, same in connection.execute(standing)}
        return {word: {pair for pair, same in latest.items() if same is word} for word in (True, False)}

    def read(
        self, after: int, last: int, chosen: Collection[int] | None = None
    ) -> Iterator[tuple[int, PatientID, MatchRecord]]:
        """Those of `chosen`, or all, whose numbers are above `after` and not above `last`."""
        with reading(self._engine) as connection:
            rows = connection.execute(_ROWS.order_by(record.c.record_id), {"after": after, "last": last}).all()
        for number, person, source, sealed, content in rows:
            if chosen is None or number in chosen:
                yield number, PatientID(person), self._opened(source, sealed, content)

    def _opened(self, source: bytes, sealed: bytes | None, content: bytes | None) -> MatchRecord:
        if sealed is not None:
            return open_comparable(self._keys, source, sealed)
        patient = open_patient(self._keys, source, content or b"")
        return normalise(patient, today=self._today, strong_systems=self._strong_systems)


_reader: StoredRecords


def _begin(url: str, keys_file: Path, strong_systems: frozenset[str], today: date) -> None:
    global _reader
    _reader = StoredRecords(
        open_database(url, threads=1), read_key_file(keys_file), strong_systems=strong_systems, today=today
    )


def _read_page(page: tuple[int, int]) -> pa.Table:
    return tabulate(_reader.read(*page))
