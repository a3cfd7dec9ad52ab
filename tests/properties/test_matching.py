"""What holds of matching for all records."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import PatientID
from gateway.mpi.blocking import loose_keys, tight_keys, wide_keys
from gateway.mpi.decide import Link, Member, decide_link
from gateway.mpi.match_record import MatchRecord, pack, unpack
from gateway.mpi.normalise import normalise
from tests.accuracy.population import TODAY
from tests.factories_matching import a_matcher, a_record

MATCHER = a_matcher()
WORDS = st.sampled_from(["", "w", "william", "bill", "robert", "james", "wintergate", "smith", "wintergaet"])
RECORDS: st.SearchStrategy[MatchRecord] = st.builds(
    a_record,
    given=WORDS,
    middle=WORDS,
    family=WORDS,
    birth_date=st.sampled_from(["", "1980", "198005", "19800512", "19801205", "19800101", "19550212"]),
    sex=st.sampled_from(["", "male", "female"]),
    phones=st.lists(st.sampled_from(["1", "2"]), unique=True).map(tuple),
    street=st.sampled_from(["", "oak av", "elm rd"]),
    postcode=st.sampled_from(["", "10001", "20002"]),
    city=st.sampled_from(["", "ashdale", "ashdael"]),
    national=st.lists(st.sampled_from(["urn:n|536221234", "urn:n|536221243", "urn:m|1"]), unique=True).map(tuple),
    suffix=st.sampled_from(["", "1", "2"]),
    birth_order=st.sampled_from([0, 1, 2]),
)
TEXT = st.text(max_size=30)
PATIENTS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "family": TEXT,
                    "given": st.lists(st.none() | TEXT, max_size=3),
                    "text": TEXT,
                    "suffix": st.lists(TEXT, max_size=2),
                },
            ),
            max_size=3,
        ),
        "birthDate": TEXT,
        "gender": TEXT,
        "telecom": st.lists(
            st.fixed_dictionaries({"system": st.sampled_from(["phone", "email"]), "value": TEXT}), max_size=3
        ),
        "address": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "line": st.lists(st.none() | TEXT, max_size=2),
                    "city": TEXT,
                    "postalCode": TEXT,
                    "text": TEXT,
                },
            ),
            max_size=2,
        ),
        "identifier": st.lists(st.fixed_dictionaries({"system": TEXT, "value": TEXT}), max_size=3),
    },
)


@given(RECORDS, RECORDS)
def test_a_pair_has_one_score(one: MatchRecord, other: MatchRecord) -> None:
    """Which record comes first decides nothing."""
    assert MATCHER.score(one, other).levels == MATCHER.score(other, one).levels
    assert abs(MATCHER.score(one, other).bits - MATCHER.score(other, one).bits) < 1e-9
    assert set(MATCHER.score(one, other).guards) == set(MATCHER.score(other, one).guards)


@given(RECORDS)
def test_no_record_contradicts_itself(record: MatchRecord) -> None:
    """A record against itself is held at most for the given name it doesn't have."""
    assert set(MATCHER.score(record, record).guards) <= {"no-given-name"}


@given(PATIENTS)
@settings(max_examples=200)
def test_any_patient_is_read_and_keyed(patient: dict[str, Any]) -> None:
    """Reading fails for nothing, gives what can be stored, and no key is empty."""
    record = normalise(patient, today=TODAY)

    assert unpack(pack(record)) == record
    assert all(kind and text for kind, text in (*tight_keys(record), *wide_keys(record), *loose_keys(record)))


@given(RECORDS, st.lists(RECORDS, max_size=5), st.integers(0, 2**32))
def test_no_link_is_made_over_a_contradiction_by_a_national_identifier(
    record: MatchRecord, others: list[MatchRecord], seed: int
) -> None:
    """Whatever order candidates come in, the decision is one, and it links no wholly other national identifier."""
    persons = {PatientID(f"p{number}"): [Member(number, other)] for number, other in enumerate(others)}
    turned = list(persons.items())
    random.Random(seed).shuffle(turned)
    decision = decide_link(Member(99, record), persons, MATCHER)

    assert decision == decide_link(Member(99, record), dict(turned), MATCHER)
    if isinstance(decision, Link):
        for linked in (decision.to, *decision.merge):
            for member in persons[linked.person]:
                levels = MATCHER.score(record, member.record).levels
                assert MATCHER.algorithm.comparisons[-1].levels[levels[-1]].name != "different"
