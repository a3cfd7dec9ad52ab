"""Is this token good, and what for? Asked by a client of its own tokens, and by a facility of those bound to it.

What is not theirs to know of, does not hold, or was never, is `{"active": false}` and nothing more (RFC 7662 §2.2).
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from gateway.audit.record import AuditLog, Who
from gateway.auth.bearer import BearerAuthenticator
from gateway.auth.break_glass import NO_DECLARATIONS, Declarations, require_standing
from gateway.auth.call import Call
from gateway.auth.clients import Client
from gateway.auth.id_tokens import fhir_user
from gateway.auth.people_audit import people_record
from gateway.auth.standing import capacity_of
from gateway.errors import AccessRefused, AuditUnavailable, NotAuthenticated
from gateway.model import Facility, Requester

INACTIVE: Mapping[str, Any] = {"active": False}
_SHOWN = ("iss", "sub", "aud", "client_id", "scope", "exp", "iat", "jti", "patient", "extensions")


class FacilityIntrospection(Protocol):
    """What facilities may know of tokens. Every method raises DependencyUnavailable where something can't be read."""

    def facility_of(self, authorization: str, now: datetime) -> Facility:
        """The facility that the value of an `Authorization` header proves (Basic). Raises NotAuthenticated."""
        ...

    def standing_claims(self, token: str, facility: Facility, now: datetime) -> Mapping[str, Any] | None:
        """What a token bound to that facility claims, consent decided anew; None where it opens nothing there now."""
        ...


class Introspection:
    """Tells what tokens are good for."""

    def __init__(
        self,
        bearer: BearerAuthenticator,
        audit: AuditLog,
        *,
        issuer: str,
        fhir_base: str,
        declarations: Declarations = NO_DECLARATIONS,
    ) -> None:
        self._bearer = bearer
        self._audit = audit
        self._issuer = issuer
        self._fhir_base = fhir_base
        self._declarations = declarations

    def for_client(self, client: Client, token: str, call: Call, now: datetime) -> Mapping[str, Any]:
        """What `token` is good for, where it is an access token of the client's own that holds now.

        Raises DependencyUnavailable.
        """
        try:
            requester, claims = self._bearer.read(token, (self._issuer,), now)
            require_standing(self._declarations, requester, now)
        except (NotAuthenticated, AccessRefused):
            return INACTIVE
        if requester.client_id != client.id:
            self._note_foreign(client, requester, call, now)
            return INACTIVE
        shown = shown_claims(claims)
        if requester.account is not None:
            capacity = capacity_of(requester)
            shown["fhirUser"] = fhir_user(capacity, requester.patient, requester.account, self._fhir_base)
        return shown

    def _note_foreign(self, client: Client, requester: Requester, call: Call, now: datetime) -> None:
        who = Who(client_id=client.id, client_name=client.name, organization=client.organization, network=call.network)
        record = people_record(
            "token-introspected",
            who,
            now,
            "the token is another client's",
            outcome="refused",
            request=call.request,
            request_id=call.request_id,
            details=[("jti", requester.token_id)],
        )
        with suppress(AuditUnavailable):
            self._audit.record([record])


def shown_claims(claims: Mapping[str, Any]) -> dict[str, Any]:
    """The claims of an active token as RFC 7662 §2.2 and SMART App Launch 2.2 answer with."""
    return {"active": True, "token_type": "Bearer", **{name: claims[name] for name in _SHOWN if name in claims}}
