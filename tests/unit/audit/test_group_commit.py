"""Whoever waits shares the next commit; nobody waits for ever; a failure reaches those it concerns."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from gateway.audit.group_commit import GroupCommit, Row
from gateway.errors import AuditUnavailable, DependencyUnavailable

SOON = timedelta(milliseconds=200)


class Store:
    """A store that waits until it is let go, and refuses rows that are marked."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.commits: list[list[Row]] = []
        self.away = False

    def commit(self, rows: Sequence[Row]) -> None:
        self.entered.set()
        assert self.open.wait(10)
        if self.away:
            raise DependencyUnavailable("away")
        if any("bad" in row for row in rows):
            raise DependencyUnavailable("refused") from IntegrityError("insert", {}, Exception())
        self.commits.append(list(rows))


class Caller(threading.Thread):
    """Submits rows and remembers how that ended."""

    def __init__(self, group: GroupCommit, *rows: Row) -> None:
        super().__init__()
        self.group = group
        self.rows = rows
        self.error: AuditUnavailable | None = None
        self.start()

    def run(self) -> None:
        try:
            self.group.submit(self.rows)
        except AuditUnavailable as exc:
            self.error = exc


def _waiting(group: GroupCommit, count: int) -> None:
    _until(lambda: len(group._waiting) == count)


def _until(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        threading.Event().wait(0.005)
    raise AssertionError


def _busy_with_one(store: Store, group: GroupCommit) -> Caller:
    first = Caller(group, {"n": 0})
    assert store.entered.wait(5)
    return first


def test_all_that_waits_goes_into_one_commit_in_the_order_it_came() -> None:
    """Three callers that came during a commit share the next one."""
    store = Store()
    group = GroupCommit(store.commit)
    callers = [_busy_with_one(store, group)]
    for n in (1, 2, 3):
        callers.append(Caller(group, {"n": n}))
        _waiting(group, n)
    store.open.set()
    for caller in callers:
        caller.join()
    group.close()

    assert store.commits == [[{"n": 0}], [{"n": 1}, {"n": 2}, {"n": 3}]]


def test_a_transaction_is_no_larger_than_it_may_be_and_a_batch_is_never_split() -> None:
    """The most rows bound a commit, unless one caller alone brings more."""
    store = Store()
    group = GroupCommit(store.commit, most_rows=2)
    callers = [_busy_with_one(store, group)]
    for n, rows in enumerate(([{"n": 1}], [{"n": 2}, {"n": 3}, {"n": 4}], [{"n": 5}], [{"n": 6}]), start=1):
        callers.append(Caller(group, *rows))
        _waiting(group, n)
    store.open.set()
    for caller in callers:
        caller.join()
    group.close()

    assert [[row["n"] for row in commit] for commit in store.commits] == [[0], [1], [2, 3, 4], [5, 6]]


def test_a_refused_row_fails_its_own_caller_alone() -> None:
    """The others of the same transaction are stored after all."""
    store = Store()
    group = GroupCommit(store.commit)
    first = _busy_with_one(store, group)
    good, bad, fine = (Caller(group, row) for row in ({"n": 1}, {"bad": 1}, {"n": 2}))
    _waiting(group, 3)
    store.open.set()
    for caller in (first, good, bad, fine):
        caller.join()
    group.close()

    assert [caller.error is None for caller in (first, good, bad, fine)] == [True, True, False, True]
    assert [row for commit in store.commits for row in commit] == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_a_store_that_is_away_fails_everyone_in_one_try() -> None:
    """No caller is tried again one by one against a database that does not answer."""
    store = Store()
    store.away = True
    group = GroupCommit(store.commit)
    callers = [_busy_with_one(store, group), Caller(group, {"n": 1}), Caller(group, {"n": 2})]
    _waiting(group, 2)
    store.open.set()
    for caller in callers:
        caller.join()
    group.close()

    assert all(caller.error for caller in callers)


def test_t059_a_caller_gives_up_in_time_and_what_still_waited_is_not_written() -> None:
    """A store that hangs costs a caller its patience and no more; its rows leave the queue."""
    store = Store()
    group = GroupCommit(store.commit, patience=SOON)
    first, second = _busy_with_one(store, group), Caller(group, {"n": 1})
    first.join()
    second.join()
    store.open.set()
    _until(lambda: bool(store.commits))
    group.close()

    assert first.error is not None
    assert second.error is not None
    assert store.commits == [[{"n": 0}]], "what was being written may end up stored, what waited may not"


def test_t059_too_many_waiting_callers_are_turned_away_at_once() -> None:
    """Memory is bounded while the store hangs."""
    store = Store()
    group = GroupCommit(store.commit, most_waiting=2)
    callers = [_busy_with_one(store, group), Caller(group, {"n": 1}), Caller(group, {"n": 2})]
    _waiting(group, 2)

    with pytest.raises(AuditUnavailable, match="too many"):
        group.submit([{"n": 3}])
    store.open.set()
    for caller in callers:
        caller.join()
    group.close()
    assert [caller.error for caller in callers] == [None, None, None]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_our_own_while_writing_leaves_nobody_waiting_and_the_next_is_written() -> None:
    """The writer that broke told its callers; a new one takes over."""
    stored: list[Row] = []

    def commit(rows: Sequence[Row]) -> None:
        if "fault" in rows[0]:
            raise ZeroDivisionError
        stored.extend(rows)

    group = GroupCommit(commit)
    with pytest.raises(AuditUnavailable):
        group.submit([{"fault": 1}])
    _until(lambda: group._thread is not None and not group._thread.is_alive())
    group.submit([{"n": 1}])
    group.close()

    assert stored == [{"n": 1}]


def test_a_closed_group_takes_nothing() -> None:
    """Closing twice does no harm, and a log that was never used needs no thread to close."""
    group = GroupCommit(lambda rows: None)
    group.close()
    group.close()

    with pytest.raises(AuditUnavailable, match="closed"):
        group.submit([{"n": 1}])
