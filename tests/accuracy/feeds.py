"""The labelled collections that accuracy is measured on, normalised once a run."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import orjson

from gateway.mpi.algorithm import Algorithm, default_algorithm, parse_algorithm
from gateway.mpi.blocking import loose_keys
from gateway.mpi.match import Matcher
from gateway.mpi.match_record import MatchRecord
from gateway.mpi.normalise import normalise
from tests.accuracy.febrl import NATIONAL, read_febrl
from tests.accuracy.measure import Quality, after_review, measure
from tests.accuracy.memory_linker import MemoryLinker
from tests.accuracy.population import TODAY, Population

BASELINE = Path(__file__).with_name("baseline.json")
TRAINING_SEED = 7
"""The shipped algorithm was trained on this population; it is measured on others."""
Feed = Sequence[tuple[int, MatchRecord]]
"""(whose it is, the record), in the order of arrival."""


@cache
def households(seed: int, records: int) -> Feed:
    """A generated population with its households."""
    return [(one.person, normalise(one.patient, today=TODAY)) for one in Population(seed).records(records)]


def febrl(dataset: str, *, national: bool) -> Feed:
    """One of the FEBRL data sets."""
    rows = read_febrl(dataset, national=national)
    return [(owner, normalise(one, today=TODAY, strong_systems=frozenset((NATIONAL,)))) for owner, one in rows]


@cache
def guarded_febrl_algorithm() -> Algorithm:
    """The same with every guard: as safe as the gateway is, in a collection whose mistakes look like a household."""
    return parse_algorithm(Path(__file__).with_name("febrl_algorithm.json").read_bytes())


@cache
def febrl_algorithm() -> Algorithm:
    """Trained without labels on FEBRL 3, used for all four; FEBRL has no households, and replaces given names and
    birth dates at random, so no guard holds a pair there."""
    return replace(guarded_febrl_algorithm(), guards=())


def link(feed: Feed, algorithm: Algorithm | None = None, *, loose: bool = False) -> tuple[Quality, Quality]:
    """The quality of linking `feed` one record at a time: by itself, and after a steward's review."""
    matcher = Matcher(algorithm or default_algorithm(), records=len(feed))
    linker = MemoryLinker(matcher=matcher, keys=loose_keys) if loose else MemoryLinker(matcher=matcher)
    linker.add_all(enumerate(record for _, record in feed))
    truth = {number: person for number, (person, _) in enumerate(feed)}
    return measure(linker.person_of, truth, linker.tasks.values()), after_review(linker, truth)


def baseline(name: str) -> Quality:
    """What was measured when the algorithm was last changed."""
    return Quality(**orjson.loads(BASELINE.read_bytes())[name])


def write_baseline(name: str, quality: Quality) -> None:
    """`quality` is what later runs are held to."""
    stored = orjson.loads(BASELINE.read_bytes()) if BASELINE.exists() else {}
    stored[name] = asdict(quality)
    BASELINE.write_bytes(
        orjson.dumps(stored, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    )
