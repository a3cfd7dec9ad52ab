"""How often somebody has failed to prove who they are: by account, and by the address they come from."""

from typing import Protocol


class Attempts(Protocol):
    """Failures to sign in, counted over all processes. Every method raises DependencyUnavailable."""

    def require(self, who: str, network: str | None) -> None:
        """Another attempt is allowed. Raises TooManyRequests where too many have failed."""
        ...

    def failed(self, who: str, network: str | None) -> bool:
        """One more has failed; True for the one that closes the account for a while."""
        ...

    def succeeded(self, who: str, network: str | None) -> None:
        """The account's failures are forgotten; those of the address with other accounts are not."""
        ...


class Unlimited:
    """Where nothing is counted."""

    def require(self, who: str, network: str | None) -> None:
        """Always."""

    def failed(self, who: str, network: str | None) -> bool:
        """Never closes anything."""
        return False

    def succeeded(self, who: str, network: str | None) -> None:
        """Nothing to forget."""
