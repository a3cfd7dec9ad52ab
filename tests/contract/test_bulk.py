"""Records stored first and linked all at once, in both databases: what arriving would have made, and nothing undone."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from gateway.audit.record import Who
from gateway.db.crypto import KeyRing
from gateway.db.session import reading
from gateway.mpi.algorithm import default_algorithm
from gateway.mpi.bulk.apply import Applied, PlanDoer
from gateway.mpi.bulk.index import index_unmatched
from gateway.mpi.bulk.relink import RelinkPlan, plan_relink
from gateway.mpi.bulk.stored import StoredRecords
from gateway.mpi.fhir_patient import read_patient
from gateway.mpi.match import Matcher
from gateway.mpi.ready import Readier
from gateway.mpi.sealed import open_patient
from gateway.mpi.tables import record
from tests.accuracy.measure import measure
from tests.accuracy.population import Population
from tests.factories_mpi import DOMAINS, NORTH, NOW, SOUTH, STRONG, Index, a_patient

LATER = NOW + timedelta(hours=1)
HOME = {"address": [{"line": ["12 Oak Avenue"], "postalCode": "10001", "city": "Ashdale"}]}
MATCHER = Matcher(default_algorithm())


@pytest.fixture
def index(engine: Engine, keys: KeyRing) -> Index:
    """An index with matching."""
    return Index(engine, keys, matching=True)


def store(index: Index, patients: Iterable[dict[str, Any]], *, matched: bool = True) -> list[str]:
    """They are stored, to be linked later; what became of each."""
    readier = Readier(index.keys, STRONG, matched=matched)
    ready = [readier.ready(read_patient(one, DOMAINS), NOW.date()) for one in patients]
    return [str(one) for one in index.feed.save_ready(ready, NOW, link_later=True)]


def planned(index: Index) -> RelinkPlan:
    """What re-linking would change."""
    stored = StoredRecords(index.engine, index.keys, strong_systems=STRONG, today=NOW.date())
    return plan_relink(stored, MATCHER)


def carry_out(index: Index, plan: RelinkPlan, at: datetime = NOW) -> Applied:
    """The plan is carried out; what that has changed."""
    steward = Who(subject_id="sam", subject_role="operator")
    doer = PlanDoer(
        index.engine, index.keys, index.audit, index.feed, matcher=MATCHER, strong_systems=STRONG, who=steward
    )
    return [Applied(), *doer.apply(plan, at, lambda: LATER)][-1]


def a_couple_of_records() -> list[dict[str, Any]]:
    """William in two facilities, and somebody else."""
    return [
        a_patient("N-1", family="Wintergate", given=["William"], birth_date="1980-05-12", **HOME),
        a_patient("S-1", system=SOUTH, family="Wintergate", given=["Bill"], birth_date="1980-05-12", **HOME),
        a_patient("N-2", family="Adeyemi", given=["Tunde"], birth_date="1931-01-30"),
    ]


def test_what_is_linked_later_is_nobody_elses_until_then(index: Index) -> None:
    """Then it is one person; the same file again does nothing."""
    assert store(index, a_couple_of_records()) == ["loaded"] * 3
    assert index.person("N-1") != index.person("S-1", SOUTH)

    done = carry_out(index, planned(index))

    assert (done.merged, done.split, done.asked, done.passed_over) == (1, 0, 0, 0)
    assert index.person("N-1") == index.person("S-1", SOUTH)
    assert planned(index).changes == ()
    assert store(index, a_couple_of_records()) == ["unchanged"] * 3


def test_records_that_matching_never_saw_are_made_comparable(index: Index) -> None:
    """A dry run reads them all the same; once indexed, they are found as they arrive."""
    store(index, a_couple_of_records()[:2], matched=False)
    assert planned(index).count("merge") == 1
    assert list(index_unmatched(index.engine, index.keys, STRONG, NOW.date())) == [2]
    assert list(index_unmatched(index.engine, index.keys, STRONG, NOW.date())) == []
    index.save(a_patient("N-9", family="Wintergate", given=["William"], birth_date="1980-05-12", **HOME))
    assert index.person("N-9") in (index.person("N-1"), index.person("S-1", SOUTH))


def a_steward_parts_them(index: Index) -> None:
    index.steward.merge(index.person("S-1", SOUTH), index.person("N-1"), "", NOW)
    index.steward.split(index.person("N-1"), [index.record_id("S-1", SOUTH)], "", NOW)


def a_record_says_something_else(index: Index) -> None:
    index.save(a_patient("N-1", family="Wintergate", given=["Walter"], birth_date="1991-11-30"), now=LATER)


def a_record_is_made_inactive(index: Index) -> None:
    index.save({**a_couple_of_records()[0], "active": False}, now=LATER)


@pytest.mark.parametrize("meanwhile", [a_steward_parts_them, a_record_says_something_else, a_record_is_made_inactive])
def test_what_has_changed_since_the_plan_was_made_is_passed_over(
    index: Index, meanwhile: Callable[[Index], None]
) -> None:
    """Whoever changed it has the last word."""
    store(index, a_couple_of_records())
    plan = planned(index)
    assert plan.count("merge") == 1
    meanwhile(index)
    done = carry_out(index, plan)
    assert (done.merged, done.passed_over) == (0, 1)


def test_every_merge_is_in_the_audit_with_the_algorithm(index: Index) -> None:
    """Under the person that is left, naming the records that came."""
    store(index, a_couple_of_records())
    carry_out(index, planned(index))
    (written,) = [one for one in index.audit.records if one.reason == "patients relink: merge"]
    assert written.patient == index.person("N-1")
    assert written.algorithm == default_algorithm().label
    assert dict(written.details)["records"] in {str(index.record_id("S-1", SOUTH)), str(index.record_id("N-1"))}


@pytest.mark.slow
def test_linked_at_once_it_is_what_arriving_makes_of_it(index: Index) -> None:
    """Of a population with households: no more false links, no fewer right ones than record by record."""
    feed = []
    for number, one in enumerate(Population(23).records(700)):
        known = {"system": NORTH, "value": f"P{number:06}"}
        kept = {key: value for key, value in one.patient.items() if value is not None}
        feed.append((one.person, {**kept, "identifier": [known, *(kept.get("identifier") or ())]}))
    store(index, [patient for _, patient in feed])
    carry_out(index, planned(index))

    with reading(index.engine) as connection:
        rows = connection.execute(record.select()).all()
    owner = {f"P{number:06}": person for number, (person, _) in enumerate(feed)}
    value = {
        row.record_id: open_patient(index.keys, row.identifier_key, row.content)["identifier"][0]["value"]
        for row in rows
    }
    truth = {row.record_id: owner[value[row.record_id]] for row in rows}
    quality = measure({row.record_id: row.person_id for row in rows}, truth)
    assert quality.false_pairs <= 1
    assert quality.f1 >= 0.95
