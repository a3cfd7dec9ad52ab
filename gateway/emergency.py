"""Does a break-glass open anything for this patient? Asked before any facility is (T51)."""

from collections.abc import Mapping

from gateway.consent.policy import Decision
from gateway.disclosure import Request, answer_record
from gateway.errors import BreakGlassRefused
from gateway.model import FacilityID, PatientIdentity, Requester
from gateway.purposes import BREAK_GLASS
from gateway.rooms import Rooms


def require_permitted_emergency(
    requester: Requester,
    patient: PatientIdentity | None,
    allowed: Mapping[FacilityID, Decision],
    rooms: Rooms,
    request: Request,
) -> None:
    """A break-glass that opens nothing is refused aloud, in the same words whether the patient is known or not.

    Whoever acts in an emergency should not take "may not" for "there is nothing". A patient whom no facility knows has
    nothing to open, and an empty answer. Raises BreakGlassRefused, the decisions stored.
    """
    if BREAK_GLASS not in requester.purposes:
        return
    if patient is None or (allowed and not any(decision.permitted for decision in allowed.values())):
        rooms.audit.record([answer_record(request, requester, patient, rooms.clock(), allowed)])
        raise BreakGlassRefused("a break-glass is not permitted here")
