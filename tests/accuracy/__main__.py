"""Measures every feed, prints the table, and with `--store` makes it the baseline; `--page` writes the page instead."""

import sys
from functools import partial
from pathlib import Path

from gateway.mpi.algorithm import default_algorithm
from gateway.mpi.algorithm_page import to_markdown
from tests.accuracy import feeds
from tests.accuracy.measure import Quality


def _febrl(dataset: str, *, national: bool) -> tuple[Quality, Quality]:
    return feeds.link(feeds.febrl(dataset, national=national), feeds.febrl_algorithm(), loose=True)


def _guarded(dataset: str, *, national: bool) -> tuple[Quality, Quality]:
    return feeds.link(feeds.febrl(dataset, national=national), feeds.guarded_febrl_algorithm(), loose=True)


FEEDS = {
    **{f"febrl{one}": partial(_febrl, one, national=True) for one in "1234"},
    **{f"febrl{one} without the national identifier": partial(_febrl, one, national=False) for one in "1234"},
    **{f"febrl{one} with every guard": partial(_guarded, one, national=True) for one in "1234"},
    **{
        f"febrl{one} without the national identifier, with every guard": partial(_guarded, one, national=False)
        for one in "1234"
    },
    "households 20k": lambda: feeds.link(feeds.households(11, 20_000)),
    "households 100k": lambda: feeds.link(feeds.households(21, 100_000)),
}

PAGE = Path(__file__).parents[2] / "docs/reference/matching.md"

if __name__ == "__main__":
    if "--page" in sys.argv:
        PAGE.write_text(to_markdown(default_algorithm()))
        sys.exit()
    for name, run in FEEDS.items():
        quality, reviewed = run()
        sys.stdout.write(
            f"{name:42} P {quality.precision:.4f} R {quality.recall:.4f} F1 {quality.f1:.4f} "
            f"false {quality.false_pairs:3} tasks/1000 {quality.tasks_per_thousand:5.1f} "
            f"true {quality.true_tasks:4} reviewed F1 {reviewed.f1:.4f}\n"
        )
        sys.stdout.flush()
        if "--store" in sys.argv:
            feeds.write_baseline(name, quality)
