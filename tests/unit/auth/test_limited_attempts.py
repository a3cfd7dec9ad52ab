"""Failures to sign in: which close what, and what opens it again."""

import pytest

from gateway.auth.limited_attempts import LimitedAttempts
from gateway.db.crypto import KeyRing
from gateway.errors import TooManyRequests
from gateway.limits import RateLimits
from gateway.rates import DEFAULTS, Kind, Rate

WHO, HERE = "login:anna", "192.0.2.1"


@pytest.fixture
def attempts(keys: KeyRing) -> LimitedAttempts:
    """Three from one address, six from anywhere, ten to any account from one address."""
    rates = {
        **DEFAULTS,
        Kind.SIGN_IN_FAILURES: Rate(3, 900),
        Kind.SIGN_IN_ACCOUNT_FAILURES: Rate(6, 900),
        Kind.SIGN_IN_NETWORK_FAILURES: Rate(10, 900),
    }
    return LimitedAttempts(RateLimits(rates, keys))


def is_closed(attempts: LimitedAttempts, who: str = WHO, network: str | None = HERE) -> bool:
    """Whether another attempt is refused; asking counts nothing."""
    try:
        attempts.require(who, network)
    except TooManyRequests as exc:
        return 1 <= exc.retry_after_s <= 900
    return False


def test_t147_the_failure_that_closes_an_account_says_so(attempts: LimitedAttempts) -> None:
    """Once; and from elsewhere, and for others, it is open."""
    assert [attempts.failed(WHO, HERE) for _ in range(3)] == [False, False, True]
    assert is_closed(attempts)
    assert not is_closed(attempts, network="192.0.2.2")
    assert not is_closed(attempts, who="login:bert")
    assert attempts.failed(WHO, HERE) is False


def test_many_addresses_close_it_for_all(attempts: LimitedAttempts) -> None:
    """A stranger with many addresses gets no further than twice as many."""
    closed = [attempts.failed(WHO, f"192.0.2.{n // 2}") for n in range(6)]
    assert closed == [False] * 5 + [True]
    assert is_closed(attempts, network="198.51.100.7")


def test_one_address_that_fails_with_many_accounts_is_closed(attempts: LimitedAttempts) -> None:
    """Whose names it tries does not matter."""
    for n in range(10):
        attempts.failed(f"login:{n}", HERE)
    assert is_closed(attempts, who="login:never-tried")
    assert not is_closed(attempts, who="login:never-tried", network="192.0.2.2")


def test_who_proves_themselves_begins_anew(attempts: LimitedAttempts) -> None:
    """Their own failures are forgotten; those of the address with others stay."""
    for _ in range(2):
        attempts.failed(WHO, HERE)
    attempts.succeeded(WHO, HERE)
    assert [attempts.failed(WHO, HERE) for _ in range(3)] == [False, False, True]
    for n in range(5):
        attempts.failed(f"login:{n}", HERE)
    assert is_closed(attempts, who="login:other")


def test_a_way_in_that_is_no_account_is_counted_by_address_alone(attempts: LimitedAttempts) -> None:
    """Nobody closes passkeys for everybody."""
    for n in range(20):
        attempts.failed("passkey", f"192.0.2.{n}")
    assert not is_closed(attempts, who="passkey", network="198.51.100.7")
    assert not is_closed(attempts, who="passkey", network=None)
