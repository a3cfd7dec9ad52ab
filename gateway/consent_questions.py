"""Questions about consent that ask no facility: who may answer this caller for this patient, and on what it rests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.consent.decide import decide_query
from gateway.consent.labels import NORMAL
from gateway.consent.policy import Decision
from gateway.consent.redaction import Redaction, redaction_of
from gateway.disclosure import Request, answer_record
from gateway.enumeration import require_few_identifiers
from gateway.model import Facility, FacilityID, PatientRef, Requester
from gateway.rooms import Rooms
from gateway.search import holders_of, require_bound_patient


@dataclass(frozen=True, slots=True, kw_only=True)
class Consulted:
    """What consent says to one caller about one patient."""

    permitted: tuple[Facility, ...] = ()
    """The facilities that may answer. Of the others nothing is told, not even that there are any."""
    decisions: tuple[Decision, ...] = ()
    """Every decision, for the audit and for a verdict as a whole."""
    redactions: Mapping[FacilityID, Redaction] = field(default_factory=dict)
    """What each of the permitted withholds all the same."""


def consult(ref: PatientRef, requester: Requester, rooms: Rooms, request: Request) -> Consulted:
    """Who may answer `requester` about the patient; nobody where the patient is unknown. Audited either way (FAST OP8).

    Raises AccessRefused where the token is bound to another patient; DependencyUnavailable where the consents can't be
    read, which never means that there are none.
    """
    require_few_identifiers([ref], requester, rooms, request)
    patient = rooms.mpi.resolve(ref)
    require_bound_patient(requester, ref, patient, rooms)
    now = rooms.clock()
    if patient is None:
        rooms.audit.record([answer_record(request, requester, None, now)])
        return Consulted()
    holders = holders_of(patient, rooms.facilities.all())
    floors = rooms.labels.floors([holder.facility for holder in holders.values()])
    policy = rooms.consents.find(patient.id)
    decided = decide_query(policy, requester, list(holders), now, floors)
    permitted = tuple(holder.facility for id_, holder in holders.items() if decided[id_].permitted)
    rooms.audit.record([answer_record(request, requester, patient, now, decided)])
    redactions = {one.id: redaction_of(policy, requester, one.id, now, floors.get(one.id, NORMAL)) for one in permitted}
    return Consulted(permitted=permitted, decisions=tuple(decided.values()), redactions=redactions)


def rests_on(decisions: Sequence[Decision]) -> tuple[str, ...]:
    """The consent versions that the decisions rest on, each once."""
    return tuple(dict.fromkeys(reference for decision in decisions for reference in decision.consents))
