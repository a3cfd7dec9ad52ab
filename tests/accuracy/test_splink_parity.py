"""The weight computed for one pair is Splink's own match weight for the same algorithm."""

import pytest

from gateway.mpi.algorithm import default_algorithm
from gateway.mpi.bulk.splink_model import load_records, memory_database, open_linker
from gateway.mpi.match import Matcher
from tests.accuracy.feeds import febrl, febrl_algorithm, households

BLOCKS = (
    "l.birth_date = r.birth_date",
    "l.family = r.family",
    "l.postcode = r.postcode and l.sex = r.sex",
    "l.phones[1] = r.phones[1]",
    "l.given = r.family or (l.family = r.given and l.given <> '')",
)


@pytest.mark.slow
def test_forty_thousand_pairs_weigh_what_splink_says() -> None:
    """Within 1e-9 bits on 40,000 pairs and more, which show every level that a population shows."""
    generated = [record for _, record in households(11, 20_000)][:6000]
    typed = [record for _, record in febrl("3", national=True)][:3000]
    records = [*generated, *typed]
    pairs = 0
    for algorithm in (default_algorithm(), febrl_algorithm()):
        matcher = Matcher(algorithm, records=len(records))
        with memory_database() as connection:
            load_records(connection, enumerate(records))
            linker = open_linker(connection, algorithm, records=len(records), blocking=BLOCKS)
            found = linker.inference.predict(threshold_match_weight=-200).physical_name
            rows = connection.execute(f"SELECT unique_id_l, unique_id_r, match_weight FROM {found}").fetchall()  # noqa: S608
        off = [abs(matcher.weigh(records[a], records[b])[0] - weight) for a, b, weight in rows]
        assert max(off) <= 1e-9
        pairs += len(rows)
    assert pairs >= 80_000
