"""A load reads ahead with several processes, in the file's order, and says so when one of them is gone."""

from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, cast

import pytest

from gateway.cli.ndjson import RawLine
from gateway.cli.patients_load import _read_ahead
from gateway.errors import DependencyUnavailable


class Pool:
    """Reads at once, as many batches as it lives for."""

    def __init__(self, lives: int) -> None:
        self.lives = lives
        self.submitted = 0

    def submit(self, _work: object, lines: Sequence[RawLine]) -> Future[Any]:
        """What the batch came to, or that the process is gone."""
        read: Future[Any] = Future()
        if self.submitted < self.lives:
            read.set_result([(line.number, "refused") for line in lines])
        else:
            read.set_exception(BrokenProcessPool())
        self.submitted += 1
        return read


def batches(count: int) -> list[list[RawLine]]:
    """`count` batches of two lines."""
    return [[RawLine(2 * number + 1, b"{"), RawLine(2 * number + 2, b"{")] for number in range(count)]


def test_batches_come_back_in_the_order_of_the_file_and_few_are_read_ahead() -> None:
    """So that a stopped load has done everything up to some line, and holds little in memory."""
    pool = Pool(lives=9)
    read = _read_ahead(cast(ProcessPoolExecutor, pool), batches(9), 2)
    assert next(read)[0] == 2
    assert pool.submitted == 3
    assert [number for number, _ in read] == [4, 6, 8, 10, 12, 14, 16, 18]


def test_a_reading_process_that_is_gone_ends_the_load_with_a_reason() -> None:
    """What came before it was read is there."""
    read = _read_ahead(cast(ProcessPoolExecutor, Pool(lives=1)), batches(3), 1)
    assert next(read)[0] == 2
    with pytest.raises(DependencyUnavailable, match="process"):
        list(read)
