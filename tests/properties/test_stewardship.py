"""Whatever stewards decide and feeds say, taking it back leads to where it was; nobody contradicts without a word."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import combinations
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.db.crypto import KeyRing
from gateway.db.session import open_database, reading
from gateway.errors import LoadRefused
from gateway.model import PatientID
from gateway.mpi.demographics import comparable, contradicts
from gateway.mpi.steward import Decided
from gateway.mpi.tables import record
from tests.factories_mpi import NOW, Index, a_patient

Patients = list[tuple[set[str], tuple[str | None, str | None]]]
Steps = list[tuple[str, int, int]]
LATER = NOW + timedelta(hours=1)
VALUES = tuple(f"N-{number}" for number in range(1, 7))
NAMES = st.sampled_from([("Ana", "1980-02-03"), ("Bob", "1955-05-05"), (None, None)])
PATIENTS = st.lists(st.tuples(st.sets(st.sampled_from("AB"), max_size=2), NAMES), min_size=2, max_size=6)
STEPS = st.lists(
    st.tuples(st.sampled_from(["merge", "split", "reassign", "unmerge", "feed"]), st.integers(0, 5), st.integers(0, 5)),
    min_size=1,
    max_size=5,
)


@contextmanager
def an_index(file: Path, keys: KeyRing, patients: Patients) -> Iterator[Index]:
    """An index that these patients have just come to."""
    with tempfile.TemporaryDirectory() as folder:
        path = shutil.copyfile(file, Path(folder) / "index.db")
        engine = open_database(f"sqlite:///{path}")
        index = Index(engine, keys)
        for value, (national, (given_name, birth_date)) in zip(VALUES, patients, strict=False):
            index.save(_said(value, national, given_name, birth_date))
        yield index
        engine.dispose()


def _said(value: str, national: set[str], given_name: str | None, birth_date: str | None) -> dict[str, object]:
    names = [given_name] if given_name else []
    return a_patient(value, given=names, birth_date=birth_date, national=sorted(national))


def persons(index: Index) -> dict[int, str]:
    """Whose each record is."""
    with reading(index.engine) as connection:
        rows = connection.execute(record.select().with_only_columns(record.c.record_id, record.c.person_id))
        return dict(iter(rows))


def groups(index: Index) -> set[frozenset[int]]:
    """Which records are one person's."""
    found: dict[str, set[int]] = {}
    for record_id, owner in persons(index).items():
        found.setdefault(owner, set()).add(record_id)
    return {frozenset(group) for group in found.values()}


def decide(index: Index, step: tuple[str, int, int], formers: list[PatientID]) -> Decided | None:
    """One decision, if it can be carried out as things stand."""
    kind, first, second = step
    of = persons(index)
    records = sorted(of)
    one, other = records[first % len(records)], records[second % len(records)]
    steward = index.steward
    try:
        if kind == "merge":
            return steward.merge(PatientID(of[one]), PatientID(of[other]), "", LATER)
        if kind == "split":
            return steward.split(PatientID(of[one]), [one], "", LATER)
        if kind == "reassign":
            return steward.reassign(one, PatientID(of[other]), "", LATER)
        if kind == "unmerge" and formers:
            return steward.unmerge(formers[first % len(formers)], "", LATER)
    except LoadRefused:
        return None
    return None


@settings(max_examples=25, deadline=None)
@given(PATIENTS, STEPS)
def test_undoing_decisions_in_any_state_leads_back(
    migrated_sqlite_file: Path, keys: KeyRing, patients: Patients, steps: Steps
) -> None:
    """The last first: each undo restores exactly the persons before, and every id ever given still resolves."""
    with an_index(migrated_sqlite_file, keys, patients) as index:
        before, made, ids = [groups(index)], [], set(persons(index).values())
        for step in steps:
            formers = sorted(PatientID(one) for one in ids - set(persons(index).values()))
            decided = decide(index, step, formers)
            ids |= set(persons(index).values())
            if decided is not None:
                made.append(decided.decision)
                before.append(groups(index))
        while made:
            assert groups(index) == before.pop()
            index.steward.undo(made.pop(), "", LATER)
        assert groups(index) == before.pop()
        index.feed.relink(LATER)
        for one in ids:
            assert index.read(one) is not None


@settings(max_examples=25, deadline=None)
@given(PATIENTS, STEPS)
def test_nobody_holds_a_contradiction_that_no_steward_asked_for(
    migrated_sqlite_file: Path, keys: KeyRing, patients: Patients, steps: Steps
) -> None:
    """After any decisions and their undoing, records of one person that contradict each other are none."""
    with an_index(migrated_sqlite_file, keys, patients) as index:
        for step in steps:
            decided = decide(index, step, [])
            if decided is not None:
                index.steward.undo(decided.decision, "", LATER)
        for value in VALUES[: len(patients)]:
            found = index.find("urn:oid:1.2.36.1.10", value)
            assert found is not None
            for one, other in combinations(found.records, 2):
                assert not contradicts(comparable(one.demographics), comparable(other.demographics))
