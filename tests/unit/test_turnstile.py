"""One thread works at a time; who waits for others lets the next one in, and comes back for its turn."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.errors import DeadlinePassed
from gateway.turnstile import Turnstile

SECONDS = 20.0


@pytest.fixture
def gate() -> Turnstile:
    return Turnstile(long_s=SECONDS)  # however slow the machine, nobody takes long


@pytest.mark.parametrize("places", [1, 2])
def test_so_many_are_inside_at_a_time(gate: Turnstile, places: int) -> None:
    """However many come at once, and each gets its turn."""
    gate.open(places)
    inside, most, turns = 0, 0, 0
    ready = threading.Barrier(8)

    counting = threading.Lock()

    def count(step: int) -> None:
        nonlocal inside, most, turns
        with counting:
            inside += step
            most = max(most, inside)
            turns += step > 0

    def work() -> None:
        ready.wait(SECONDS)
        for _ in range(50):
            with gate.inside(SECONDS):
                count(1)
                count(-1)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work) for _ in range(8)]:
            done.result(SECONDS)
    assert (most <= places, turns) == (True, 400)


def test_all_who_wait_outside_wait_together(gate: Turnstile) -> None:
    """None of them would go on if another could not come as far."""
    together = threading.Barrier(6)

    def work() -> None:
        with gate.inside(SECONDS):
            with gate.outside():
                together.wait(SECONDS)
            assert not together.broken

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work) for _ in range(6)]:
            done.result(SECONDS)


def test_a_turn_that_does_not_come_in_time_is_a_deadline_that_passed(gate: Turnstile) -> None:
    """And takes nobody else's turn away."""
    with gate.inside(SECONDS), ThreadPoolExecutor(1) as pool, pytest.raises(DeadlinePassed):
        pool.submit(lambda: gate.inside(0.01).__enter__()).result(SECONDS)
    with gate.inside(SECONDS):
        pass


def test_a_turn_ends_with_whatever_happens_in_it(gate: Turnstile) -> None:
    """Inside and outside."""
    with pytest.raises(ZeroDivisionError), gate.inside(SECONDS):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), gate.inside(SECONDS), gate.outside():
        raise ZeroDivisionError
    with gate.inside(0.01):
        pass


def test_who_has_no_turn_gives_none_away(gate: Turnstile) -> None:
    """A thread that never came in may wait as it likes, also while another is inside; one may also wait twice."""
    with gate.outside(), gate.inside(SECONDS), gate.outside(), gate.outside():
        pass
    with gate.inside(SECONDS), ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: gate.outside().__enter__()).result(SECONDS)
        with pytest.raises(DeadlinePassed):
            pool.submit(lambda: gate.inside(0.01).__enter__()).result(SECONDS)


def test_a_long_turn_is_not_waited_for() -> None:
    """Others go in beside it, out and in again, and take no place away."""
    gate, others = Turnstile(long_s=0.01), threading.Barrier(4)

    def work() -> None:
        with gate.inside(SECONDS):
            with gate.outside():
                pass
            others.wait(SECONDS)

    with ThreadPoolExecutor(3) as pool, gate.inside(SECONDS):
        running = [pool.submit(work) for _ in range(3)]
        others.wait(SECONDS)
        for done in running:
            done.result(SECONDS)
