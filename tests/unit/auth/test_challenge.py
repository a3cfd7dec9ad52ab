"""What `WWW-Authenticate` says (RFC 6750 §3)."""

from gateway.auth.challenge import challenge_for
from gateway.errors import AccessRefused, NotAuthenticated, ScopeMissing


def test_t001_nothing_sent_is_challenged_without_an_error() -> None:
    """Only the scheme and realm."""
    assert challenge_for(NotAuthenticated("x", presented=False)) == 'Bearer realm="imaging exchange"'


def test_a_token_that_does_not_hold_is_called_invalid() -> None:
    """And nothing of it is repeated."""
    challenge = challenge_for(NotAuthenticated("secret words"))
    assert challenge == 'Bearer realm="imaging exchange", error="invalid_token"'


def test_t034_a_missing_scope_is_called_insufficient() -> None:
    """The one refusal of authority that has a challenge."""
    assert challenge_for(ScopeMissing("x")) == 'Bearer realm="imaging exchange", error="insufficient_scope"'
    assert challenge_for(AccessRefused("x")) is None
