"""The part of the house that facilities and their gates ask: who may fetch which images, now."""

from dataclasses import dataclass

from sqlalchemy import Engine

from gateway.adapters.base import FacilityQuestion
from gateway.auth.bearer import BearerAuthenticator
from gateway.auth.facility_keys import FacilityKeys
from gateway.auth.guards import Guard
from gateway.auth.revoked_tokens import Revocations
from gateway.auth.signing_keys import SigningKeys
from gateway.cache import Cache
from gateway.config import Settings
from gateway.db.crypto import KeyRing
from gateway.retrieval.caller import Callers
from gateway.retrieval.counter import RetrievalCounter
from gateway.retrieval.desk import RetrievalDesk
from gateway.retrieval.exchange import TokenExchange
from gateway.retrieval.facts import FactsMemory
from gateway.retrieval.guard import requires_facility
from gateway.retrieval.introspect import FacilityTokens
from gateway.retrieval.parts import StudiesInPart
from gateway.retrieval.tally import RetrievalTally
from gateway.retrieval.whose import StudyHolders
from gateway.rooms import Rooms


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """What decides about requests at archives."""

    keys: FacilityKeys
    guard: Guard
    """Only a facility that proves itself by its key asks."""
    callers: Callers
    desk: RetrievalDesk
    tally: RetrievalTally
    counter: RetrievalCounter
    parts: StudiesInPart
    exchange: TokenExchange
    introspection: FacilityTokens


def open_retrieval(
    settings: Settings,
    engine: Engine,
    keys: KeyRing,
    rooms: Rooms,
    cache: Cache,
    signing: SigningKeys,
    bearer: BearerAuthenticator,
    revoked: Revocations,
) -> Retrieval:
    """The decisions of `settings`. Its tally has to be closed before the audit is."""
    facility_keys = FacilityKeys(engine, keys)
    question = FacilityQuestion(wants_series=True, wants_department=rooms.labels.look_at_departments)
    desk = RetrievalDesk(
        rooms, StudyHolders(engine, keys), FactsMemory(rooms.facilities, question), patience=settings.deadline
    )
    tally = RetrievalTally(rooms.audit, rooms.clock)
    callers = Callers(bearer, revoked, settings.base_url, rooms.limits)
    facilities, fhir_base = rooms.facilities.all, settings.fhir_base
    return Retrieval(
        keys=facility_keys,
        guard=requires_facility(facility_keys, facilities, rooms.clock),
        callers=callers,
        desk=desk,
        tally=tally,
        counter=RetrievalCounter(desk, tally, rooms.sightings.study_id, rooms.clock),
        parts=StudiesInPart(cache, desk),
        exchange=TokenExchange(
            *(desk, bearer, signing, rooms.audit, facilities, rooms.mpi.resolve),
            issuer=settings.base_url,
            fhir_base=fhir_base,
        ),
        introspection=FacilityTokens(facility_keys, callers, desk, tally, facilities, fhir_base=fhir_base),
    )
