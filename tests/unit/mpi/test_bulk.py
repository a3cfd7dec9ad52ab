"""Training and linking in bulk, on Splink in this process's memory."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pytest

from gateway.model import PatientID
from gateway.mpi.algorithm import default_algorithm, parse_algorithm, to_json
from gateway.mpi.bulk.columns import tabulate
from gateway.mpi.bulk.relink import RelinkPlan, plan_relink
from gateway.mpi.bulk.report import plan_html, to_html
from gateway.mpi.bulk.splink_model import load_records, memory_database
from gateway.mpi.bulk.sql import CONDITIONS
from gateway.mpi.bulk.train import TrainingFailed, train
from gateway.mpi.comparison import LEVELS
from gateway.mpi.match import Matcher
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
    matched: set[frozenset[int]] = field(default_factory=set)
    asked: set[frozenset[int]] = field(default_factory=set)

    def tables(self) -> Iterable[pa.Table]:
        return [tabulate(self.rows)]

    def find_matched(self) -> Collection[frozenset[int]]:
        return self.matched

    def find_asked(self) -> Collection[frozenset[int]]:
        return self.asked

    def find_apart(self) -> Collection[frozenset[int]]:
        return self.apart

    def find_together(self) -> Collection[frozenset[int]]:
        return self.together


def linked(*rows: tuple[str, MatchRecord]) -> LinkedInMemory:
    """Records in order, each linked to the person named."""
    return LinkedInMemory([(number, PatientID(person), record) for number, (person, record) in enumerate(rows)])


def planned(store: LinkedInMemory) -> RelinkPlan:
    """What re-linking by the shipped algorithm would change."""
    return plan_relink(store, Matcher(default_algorithm()))


def changes_of(store: LinkedInMemory) -> set[tuple[str, tuple[int, int]]]:
    """Each change as its kind and the records it rests on."""
    return {(one.kind, one.records) for one in planned(store).changes}


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
    plan = planned(store)

    assert plan.algorithm == default_algorithm().label
    assert plan.records == 5
    kinds = {(one.kind, one.persons) for one in plan.changes}
    assert ("merge", ("a", "b")) in kinds
    assert any(kind == "review-merge" and "c" in persons for kind, persons in kinds)
    assert not any("a" in persons and "d" in persons for _, persons in kinds)

    split = planned(linked(("a", a_record(national=())), ("a", twin), ("d", STRANGER)))
    assert [(one.kind, one.records, one.why) for one in split.changes] == [
        ("review-split", (0, 1), ("given-names-differ",))
    ]


def test_a_dry_run_keeps_to_what_stewards_have_said() -> None:
    """Records kept apart are no proposal, and records put together are no split."""
    store = linked(("a", a_record()), ("b", a_record()), ("c", STRANGER), ("c", a_record(given="robert", national=())))
    store.apart = {frozenset((0, 1))}
    store.together = {frozenset((2, 3))}

    changes = planned(store).changes

    assert not [one for one in changes if set(one.persons) == {"a", "b"}]
    assert not [one for one in changes if one.kind == "review-split"]


def test_what_matching_would_no_longer_link_is_parted() -> None:
    """Unless a steward has put the two together."""
    twin = a_record(given="robert", middle="", national=())
    store = linked(("a", a_record(national=())), ("a", twin), ("d", STRANGER))
    store.matched = {frozenset((0, 1))}
    assert changes_of(store) == {("split", (0, 1))}
    store.together = {frozenset((0, 1))}
    assert changes_of(store) == set()


def test_a_chain_of_likenesses_makes_no_person() -> None:
    """Two that contradict each other don't come together through a third: one of them joins it, a steward is asked
    about the other."""
    born = {"birth_date": "20150512", "national": (), "middle": ""}
    initial = a_record(given="a", given_forms=("a",), **born)
    anna = a_record(given="anna", given_forms=("anna",), **born)
    amber = a_record(given="amber", given_forms=("amber",), **born)
    found = changes_of(linked(("a", anna), ("b", initial), ("c", amber)))
    assert sorted(kind for kind, _ in found) == ["merge", "review-merge"]

    together = linked(("a", anna), ("a", initial), ("a", amber))
    together.matched = {frozenset((0, 1)), frozenset((1, 2))}
    assert [kind for kind, _ in changes_of(together)] == ["split"]


def test_what_is_asked_already_is_not_asked_again() -> None:
    """A task that waits is no news."""
    twin = a_record(given="robert", middle="", national=())
    store = linked(("a", a_record(national=())), ("b", twin))
    ((kind, records),) = changes_of(store)
    assert kind == "review-merge"
    store.asked = {frozenset(records)}
    assert changes_of(store) == set()


def test_the_report_of_a_plan_names_nobody() -> None:
    """Counts, the chart with its thresholds, what stewards have decided, the changes by record."""
    store = linked(("a", a_record()), ("b", a_record()), ("c", STRANGER), ("d", STRANGER))
    store.apart = {frozenset((2, 3))}
    plan = planned(store)
    page = plan_html(plan, default_algorithm())

    assert plan.stewards == (("apart, would link", 1),)
    assert page.count("<svg") == 1
    assert "two persons become one" in page
    assert a_record().family not in page
