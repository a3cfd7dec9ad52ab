"""Training and linking in bulk, on Splink in this process's memory."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import pytest

from gateway.model import PatientID
from gateway.mpi.algorithm import default_algorithm, parse_algorithm, to_json
from gateway.mpi.bulk.relink import plan_relink
from gateway.mpi.bulk.report import to_html
from gateway.mpi.bulk.splink_model import load_records, memory_database
from gateway.mpi.bulk.sql import CONDITIONS
from gateway.mpi.bulk.train import TrainingFailed, train
from gateway.mpi.comparison import LEVELS
from gateway.mpi.match_record import MatchRecord
from tests.accuracy.feeds import households
from tests.factories_matching import a_record

STRANGER = MatchRecord(given="olga", family="smith", families=("smith",), birth_date="19330203", sex="female")


@dataclass
class LinkedInMemory:
    """What re-linking reads, in memory."""

    rows: list[tuple[int, PatientID, MatchRecord]]
    apart: set[frozenset[int]] = field(default_factory=set)
    together: set[frozenset[int]] = field(default_factory=set)

    def find_match_records(self) -> Iterable[tuple[int, PatientID, MatchRecord]]:
        return self.rows

    def find_apart(self) -> Collection[frozenset[int]]:
        return self.apart

    def find_together(self) -> Collection[frozenset[int]]:
        return self.together


def linked(*rows: tuple[str, MatchRecord]) -> LinkedInMemory:
    """Records in order, each linked to the person named."""
    return LinkedInMemory([(number, PatientID(person), record) for number, (person, record) in enumerate(rows)])


def test_every_level_but_the_last_has_its_condition() -> None:
    """Python and SQL name the same levels; that they agree is the parity test's."""
    assert {one: len(levels) - 1 for one, levels in LEVELS.items()} == {
        one: len(said) for one, said in CONDITIONS.items()
    }


def test_what_bulk_jobs_work_on_stays_in_memory() -> None:
    """The database has no file and nowhere to spill to: no demographics reach a disk."""
    with memory_database() as connection:
        load_records(connection, [(1, a_record())])
        places = connection.execute("SELECT path FROM duckdb_databases() WHERE NOT internal").fetchall()
        spill = connection.execute("SELECT current_setting('temp_directory')").fetchall()
        stored = connection.execute("SELECT given, families, birth_order FROM records").fetchall()

    assert places == [(None,)]
    assert spill == [("",)]
    assert stored == [("william", ["wintergate"], 0)]


@pytest.mark.slow
def test_training_makes_an_algorithm_and_its_report() -> None:
    """Each weight is there and of the right sign; the report has its charts and names nobody."""
    records = [record for _, record in households(3, 4000)]
    said: list[str] = []
    training = train(records, "test/1", progress=said.append)

    assert parse_algorithm(to_json(training.algorithm)) == training.algorithm
    assert "Trained on 4000 records" in training.algorithm.description
    assert len(said) >= 4
    for one in training.algorithm.comparisons:
        assert one.levels[1].bits > 0 > one.levels[-1].bits, one.field
    page = to_html(training)
    assert page.count("<svg") == 4
    assert "http" not in page
    assert not [record.family for record in records if f">{record.family}<" in page]


def test_too_few_records_train_nothing() -> None:
    """Rather than weights that mean nothing."""
    with pytest.raises(TrainingFailed, match="500"):
        train([a_record()] * 10, "test/1")


def test_a_dry_run_lists_what_would_change() -> None:
    """Two persons who are one are merged, a held pair is reviewed, a contradicted person is reviewed for a split."""
    twin = a_record(given="robert", middle="", national=())
    store = linked(
        ("a", a_record()),
        ("b", a_record(given="bill")),
        ("c", a_record(given="robert", middle="", national=(), birth_date="19800512")),
        ("d", STRANGER),
        ("e", STRANGER._replace(family="zhukova", families=("zhukova",))),
    )
    plan = plan_relink(store, default_algorithm())

    assert plan.algorithm == default_algorithm().label
    assert plan.records == 5
    kinds = {(one.kind, one.persons) for one in plan.changes}
    assert ("merge", ("a", "b")) in kinds
    assert any(kind == "review-merge" and "c" in persons for kind, persons in kinds)
    assert not any("a" in persons and "d" in persons for _, persons in kinds)

    split = plan_relink(linked(("a", a_record(national=())), ("a", twin), ("d", STRANGER)), default_algorithm())
    assert [(one.kind, one.records, one.why) for one in split.changes] == [
        ("review-split", (0, 1), ("given-names-differ",))
    ]


def test_a_dry_run_keeps_to_what_stewards_have_said() -> None:
    """Records kept apart are no proposal, and records put together are no split."""
    store = linked(("a", a_record()), ("b", a_record()), ("c", STRANGER), ("c", a_record(given="robert", national=())))
    store.apart = {frozenset((0, 1))}
    store.together = {frozenset((2, 3))}

    changes = plan_relink(store, default_algorithm()).changes

    assert not [one for one in changes if set(one.persons) == {"a", "b"}]
    assert not [one for one in changes if one.kind == "review-split"]
