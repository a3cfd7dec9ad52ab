"""What a facility is told of a token that it was shown: what it opens there at this moment (RFC 7662)."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.audit.record import AuditRecord
from gateway.auth.facility_keys import FacilityKeys
from gateway.auth.facility_tokens import EXTENSION
from gateway.disclosure import Request, who
from gateway.errors import AccessRefused, NotAuthenticated
from gateway.metrics import RETRIEVAL_DECISIONS
from gateway.model import Facility
from gateway.retrieval.caller import Callers
from gateway.retrieval.counter import decided_of
from gateway.retrieval.desk import RetrievalDesk
from gateway.retrieval.pcf import ihe_pcf
from gateway.retrieval.ruling import Caller, Opening
from gateway.retrieval.tally import RetrievalTally


class FacilityTokens:
    """`FacilityIntrospection`: each facility is told of tokens that are bound to itself, and of no others."""

    def __init__(
        self,
        keys: FacilityKeys,
        callers: Callers,
        desk: RetrievalDesk,
        tally: RetrievalTally,
        facilities: Callable[[], Sequence[Facility]],
        *,
        fhir_base: str,
    ) -> None:
        self._keys = keys
        self._callers = callers
        self._desk = desk
        self._tally = tally
        self._facilities = facilities
        self._fhir_base = fhir_base

    def facility_of(self, authorization: str, now: datetime) -> Facility:
        """The facility that the value of an `Authorization` header proves (Basic). Raises NotAuthenticated."""
        id_ = self._keys.require_basic(authorization, now)
        found = next((one for one in self._facilities() if one.id == id_), None)
        if found is None:
            raise NotAuthenticated("the facility is no member")
        return found

    def standing_claims(self, token: str, facility: Facility, now: datetime) -> Mapping[str, Any] | None:
        """What a token bound to that facility claims, consent decided anew; None where it opens nothing there now.

        Studies and series that are no longer open are left out. That it no longer opens all that it says is recorded.
        Raises DependencyUnavailable.
        """
        try:
            caller, claims = self._callers.bound_with_claims(token, facility, now)
            openings = [
                self._desk.opening(caller, facility, uid, now) for uid in claims["extensions"][EXTENSION]["studies"]
            ]
        except (NotAuthenticated, AccessRefused):
            RETRIEVAL_DECISIONS.labels("introspection", "deny").inc()
            return None
        opened = [one for one in openings if (one.verdict.permitted if caller.series is None else one.series)]
        if len(opened) < len(openings) or _lost_series(caller, opened):
            self._note(caller, facility, openings, now)
        RETRIEVAL_DECISIONS.labels("introspection", "permit" if opened else "deny").inc()
        patient = opened[0].patient if opened else None
        if patient is None:
            return None
        extensions = claims["extensions"]
        bound = {**extensions[EXTENSION], "studies": [one.study for one in opened]}
        if caller.series is not None:
            bound["series"] = list(opened[0].series or ())
        return {
            **claims,
            "extensions": {**extensions, EXTENSION: bound, "ihe_pcf": ihe_pcf(opened, patient, self._fhir_base)},
        }

    def _note(self, caller: Caller, facility: Facility, openings: Sequence[Opening], now: datetime) -> None:
        requester = caller.requester
        closed = [one for one in openings if not one.is_open]
        self._tally.refused(
            (requester.token_id, facility.id, "introspection"),
            lambda: AuditRecord(
                id=str(uuid.uuid4()),
                recorded=now,
                kind="retrieval-refused",
                outcome="refused",
                reason="a token no longer opens all that it was issued for",
                who=who(requester, Request(kind="retrieval-refused", raw="", id="")),
                patient=requester.patient,
                request="POST /oauth/introspect",
                decided=tuple(decided_of(d, one.study) for one in closed for d in one.verdict.decisions),
                details=(("facility", facility.id), *(("study", one.study) for one in closed)),
            ),
        )


def _lost_series(caller: Caller, opened: Sequence[Opening]) -> bool:
    return caller.series is not None and any(set(one.series or ()) != caller.series for one in opened)
