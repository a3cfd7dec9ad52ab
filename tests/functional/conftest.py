"""Who is who in an exchange of two persons; a module's own `exchange` says what is in it."""

import pytest

from tests.functional.small_exchange import SmallExchange


@pytest.fixture(scope="module")
def a(exchange: SmallExchange) -> str:
    """The id of the person that the token is bound to."""
    return exchange.person_id("a", "north")


@pytest.fixture(scope="module")
def b(exchange: SmallExchange) -> str:
    """The id of somebody else."""
    return exchange.person_id("b", "north")


@pytest.fixture(scope="module")
def bound(exchange: SmallExchange) -> str:
    """A token bound to `a`."""
    return exchange.bound_token("a")
