"""What matching costs in one process, without a store: python -m bench.matching [records].

With `--bulk N`, what loading, training and linking N records costs: see `bench/bulk.py`. With `--store N`, what the
feed, `$match` and look-ups cost in an index of N records: see `bench/online.py`."""

import sys
import time
from collections.abc import Callable
from typing import Any

from gateway.mpi.algorithm import default_algorithm
from gateway.mpi.blocking import tight_keys, wide_keys
from gateway.mpi.match import Matcher
from gateway.mpi.match_record import pack, unpack
from gateway.mpi.normalise import normalise
from tests.accuracy.memory_linker import MemoryLinker
from tests.accuracy.population import TODAY, Population


def _per_second(work: Callable[[], Any], times: int) -> float:
    start = time.perf_counter()
    work()
    return times / (time.perf_counter() - start)


def main(count: int) -> None:
    """Prints one line for each step: how many a second on one core."""
    patients = [one.patient for one in Population(5).records(count)]
    records = [normalise(one, today=TODAY) for one in patients]
    packed = [pack(record) for record in records]
    matcher = Matcher(default_algorithm(), records=count)
    strangers = list(zip(records, records[1:] + records[:1], strict=True))
    linker = MemoryLinker(matcher=matcher)
    steps: dict[str, Callable[[], Any]] = {
        "Patients normalised": lambda: [normalise(one, today=TODAY) for one in patients],
        "records keyed, tight": lambda: [tight_keys(record) for record in records],
        "records keyed, wide": lambda: [wide_keys(record) for record in records],
        "stored records opened (without decryption)": lambda: [unpack(one) for one in packed],
        "pairs of strangers scored": lambda: [matcher.score(a, b) for a, b in strangers],
        "records scored against themselves": lambda: [matcher.score(one, one) for one in records],
        "records linked one by one, in memory": lambda: linker.add_all(enumerate(records)),
    }
    for name, work in steps.items():
        print(f"{name:45} {_per_second(work, count):>10,.0f}/s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bulk"]:
        from bench import bulk

        bulk.run(int(sys.argv[2]))
    elif sys.argv[1:2] == ["--store"]:
        from bench import online

        online.run(int(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
