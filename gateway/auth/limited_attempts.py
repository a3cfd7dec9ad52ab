"""Failures to sign in, counted over all processes: by account and address, by account from anywhere, by address.

An account that is closed from one address is still open from others, until five times as many have failed from
anywhere: so whoever is at their own machine is not shut out by one stranger, and many strangers are.
"""

from collections.abc import Iterator

from gateway.limits import Limiter, refuse
from gateway.rates import Kind


class LimitedAttempts:
    """`Attempts` by the limits of the deployment. `who` is `login:…` or `account:…`; any other word is no account."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    def require(self, who: str, network: str | None) -> None:
        """Another attempt is allowed. Raises TooManyRequests where too many have failed."""
        for kind, counted in self._counted(who, network):
            refuse(kind, self._limiter.check(kind, counted))

    def failed(self, who: str, network: str | None) -> bool:
        """One more has failed; True for the one that closes the account, or the address, for a while."""
        closes = False
        for kind, counted in self._counted(who, network):
            if self._limiter.hit(kind, counted) is None:
                closes |= self._limiter.check(kind, counted) is not None
        return closes

    def succeeded(self, who: str, network: str | None) -> None:
        """The account's failures are forgotten; those of the address with other accounts are not."""
        for kind, counted in self._counted(who, network):
            if kind is not Kind.SIGN_IN_NETWORK_FAILURES:
                self._limiter.forget(kind, counted)

    def _counted(self, who: str, network: str | None) -> Iterator[tuple[Kind, str]]:
        yield Kind.SIGN_IN_NETWORK_FAILURES, network or ""
        if ":" in who:
            yield Kind.SIGN_IN_FAILURES, f"{network or ''} {who}"
            yield Kind.SIGN_IN_ACCOUNT_FAILURES, who
