"""Who presents a token at a facility: a facility-bound one, or, where the exchange's own gate stands, any of §5's."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.auth.bearer import BearerAuthenticator
from gateway.auth.facility_tokens import binding_in
from gateway.auth.revoked_tokens import Revocations
from gateway.errors import NotAuthenticated
from gateway.limits import NO_LIMITS, Limiter, require_within
from gateway.model import Facility
from gateway.rates import Kind
from gateway.retrieval.ruling import Caller


@dataclass(frozen=True, slots=True)
class Callers:
    """Reads the tokens that facilities and gates are shown."""

    bearer: BearerAuthenticator
    revoked: Revocations
    issuer: str
    limiter: Limiter = NO_LIMITS

    def at_gate(self, token: str, facility: Facility, now: datetime) -> Caller:
        """Whose token a gate was shown: the gate belongs to the exchange, and takes the caller's own token too.

        Raises NotAuthenticated, PurposeNotAllowed, TooManyRequests, DependencyUnavailable.
        """
        own = facility.gate_url is not None and facility.retrieve != "own"
        return self._read(token, facility, now, takes_own=own)[0]

    def at_archive(self, token: str, facility: Facility, now: datetime) -> Caller:
        """Whose token an archive was shown. Raises as `at_gate`.

        Only one that is itself the gate is shown tokens of the exchange: another organisation has no use for them.
        """
        return self._read(token, facility, now, takes_own=facility.retrieve == "gate")[0]

    def bound(self, token: str, facility: Facility, now: datetime) -> Caller:
        """Whose facility-bound token it is. Raises as `at_gate`."""
        return self._read(token, facility, now, takes_own=False)[0]

    def bound_with_claims(self, token: str, facility: Facility, now: datetime) -> tuple[Caller, Mapping[str, Any]]:
        """Whose facility-bound token it is, and all that it claims. Raises as `at_gate`."""
        return self._read(token, facility, now, takes_own=False)

    def _read(
        self, token: str, facility: Facility, now: datetime, *, takes_own: bool
    ) -> tuple[Caller, Mapping[str, Any]]:
        if facility.retrieve == "own" or facility.link_url == self.issuer:
            raise NotAuthenticated("the facility takes no token of the exchange")
        audiences = [facility.link_url, *([self.issuer] if takes_own else [])]
        requester, claims = self.bearer.read(token, audiences, now)
        require_within(self.limiter, Kind.RETRIEVAL, requester.caller)
        if claims["aud"] in (self.issuer, [self.issuer]):
            return Caller(requester=requester), claims
        binding, exchanged = binding_in(claims)
        if self.revoked.has_ended(exchanged, requester.grant):
            raise NotAuthenticated("the token was revoked")
        series = None if binding.series is None else frozenset(binding.series)
        return Caller(requester=requester, studies=frozenset(binding.studies), series=series, bound=True), claims
