"""A token of the exchange for one that a facility takes (RFC 8693): decided by consent, put on record, handed out once.

What it opens is written into it: the studies that are permitted now, at that facility, of one patient. A facility that
verifies it offline goes by that for its five minutes; whoever asks the gateway is told what holds at that moment.
"""

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from gateway.audit.record import AuditLog, AuditRecord, Outcome, Who
from gateway.auth.bearer import BearerAuthenticator
from gateway.auth.call import Call
from gateway.auth.clients import Client, UnauthorizedClient
from gateway.auth.facility_tokens import Binding, FacilityToken, InvalidTarget, issue_facility_token
from gateway.auth.signing_keys import SigningKeys
from gateway.auth.smart_scopes import can, grant, parse_scope
from gateway.disclosure import Request, who
from gateway.errors import AccessRefused, AuditUnavailable, GatewayError, InvalidQuery, NotAuthenticated, ScopeMissing
from gateway.log import Event, event
from gateway.metrics import TOKENS
from gateway.model import Facility, Identifier, PatientID, PatientIdentity, PatientRef, Requester, StudyUID
from gateway.retrieval.counter import decided_of
from gateway.retrieval.desk import RetrievalDesk
from gateway.retrieval.pcf import ihe_pcf
from gateway.retrieval.resource import is_uid
from gateway.retrieval.ruling import Caller, Opening

MOST_STUDIES = 20
"""That one token names: it travels in a header. Of a patient who has more, the latest."""
NOTHING_OPEN = "nothing there is open to the caller, by the patient's consent or because there is nothing"
OF_ANOTHER = "the study is not known to be of the patient that was named with it"
_STUDIES = "/studies/"
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
"""FHIR R4's `id`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client asks for."""

    subject_token: str = field(repr=False)
    target: str
    """RFC 8693's `resource` or `audience`: the address of an Endpoint, or of a study under it."""
    scope: str | None = None
    study: str | None = None
    patient: str | None = None
    """Whose the study is, or of whom all studies are meant."""
    actor_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """What a client gets."""

    token: FacilityToken
    scopes: tuple[str, ...]


class TokenExchange:
    """Exchanges tokens. One object serves all threads."""

    def __init__(
        self,
        desk: RetrievalDesk,
        bearer: BearerAuthenticator,
        keys: SigningKeys,
        audit: AuditLog,
        facilities: Callable[[], Sequence[Facility]],
        resolve: Callable[[PatientRef], PatientIdentity | None],
        *,
        issuer: str,
        fhir_base: str,
    ) -> None:
        self._desk = desk
        self._bearer = bearer
        self._keys = keys
        self._audit = audit
        self._facilities = facilities
        self._resolve = resolve
        self._issuer = issuer
        self._fhir_base = fhir_base

    def exchange_for(
        self, client: Client, parameters: Mapping[str, str], call: Call, now: datetime
    ) -> tuple[FacilityToken, tuple[str, ...]]:
        """As `exchange`, of the form's parameters: `resource` or `audience`, `scope`, and our `study` and `patient`."""

        def said(name: str) -> str | None:
            return parameters.get(name) or None

        resource, audience = said("resource"), said("audience")
        if resource is not None and audience not in (None, resource):
            raise InvalidTarget("resource and audience name two things")
        wanted = Wanted(
            subject_token=parameters["subject_token"],
            target=resource or audience or "",
            scope=said("scope"),
            study=said("study"),
            patient=said("patient"),
            actor_token=said("actor_token"),
        )
        exchanged = self.exchange(client, wanted, call, now)
        return exchanged.token, exchanged.scopes

    def exchange(self, client: Client, wanted: Wanted, call: Call, now: datetime) -> Exchanged:
        """A token for a facility, its issuing stored.

        Raises InvalidQuery where the subject token doesn't hold, nothing is named, or what is named contradicts itself;
        InvalidTarget, ScopeMissing, NotAuthenticated (another client's actor token), AccessRefused (consent, or nothing
        there; UnauthorizedClient), and DependencyUnavailable.
        """
        who_asks = Who(
            client_id=client.id, client_name=client.name, organization=client.organization, network=call.network
        )
        openings: list[Opening] = []
        try:
            requester, claims = self._subject(client, wanted, now)
            who_asks = who(requester, Request(kind="token-issued", raw="", id=call.request_id, network=call.network))
            scopes = _scopes(requester, wanted.scope)
            facility, study = self._target(wanted)
            caller = Caller(requester=replace(requester, scopes=scopes))
            named = _patient_named(wanted.patient)
            asked = self._asked(caller.requester, facility, study, named, now)
            openings = [self._desk.opening(caller, facility, uid, now) for uid in asked]
            opened = _openable(openings, by_name=study is not None)
            if not opened:
                raise AccessRefused(NOTHING_OPEN)
            patient = opened[0].patient
            assert patient is not None  # noqa: S101  # it is open, so it is somebody's
            # Only of what is open: of a study that is closed nobody finds out here whose it is.
            if named is not None and not self._is(patient, named):
                raise InvalidQuery(OF_ANOTHER)
        except GatewayError as exc:
            self._refuse(exc, who_asks, wanted, openings, call, now)
            raise
        assert opened[0].local_id is not None  # noqa: S101
        token = issue_facility_token(
            self._keys,
            audience=facility.link_url,
            subject=claims,
            scopes=scopes,
            binding=Binding(
                patient=patient,
                patient_id=opened[0].local_id,
                studies=tuple(one.study for one in opened),
                series=opened[0].series,
            ),
            pcf=ihe_pcf(opened, patient, self._fhir_base),
            now=now,
        )
        details = (
            ("facility", facility.id),
            ("jti", token.token_id),
            *(("study", one.study) for one in opened),
            ("until", token.expires_at.isoformat()),
        )
        self._audit.record([_record("token-issued", "success", "", who_asks, patient, call, now, details, opened)])
        TOKENS.labels("exchanged").inc()
        event(Event.TOKEN_ISSUED, client=client.id, facility=facility.id, request_id=call.request_id)
        return Exchanged(token=token, scopes=scopes)

    def _subject(self, client: Client, wanted: Wanted, now: datetime) -> tuple[Requester, Mapping[str, Any]]:
        if not client.token_exchange:
            raise UnauthorizedClient("the client was not added with --token-exchange")
        if wanted.actor_token is not None:
            self._require_own_actor(client, wanted.actor_token, now)
        try:
            requester, claims = self._bearer.read(wanted.subject_token, (self._issuer,), now)
        except NotAuthenticated as exc:
            raise InvalidQuery("the subject token is not an access token that holds") from exc
        if requester.client_id != client.id:
            raise InvalidQuery("the subject token is not an access token that holds")
        return requester, claims

    def _require_own_actor(self, client: Client, token: str, now: datetime) -> None:
        actor, _ = self._bearer.read(token, (self._issuer,), now)
        if actor.client_id != client.id:
            raise NotAuthenticated("the actor token is another client's")
        raise InvalidQuery("an actor token is not taken: who acts stands in the subject token")

    def _target(self, wanted: Wanted) -> tuple[Facility, StudyUID | None]:
        """The facility that is meant and, where one is named in the address or beside it, the study."""
        address, under, uid = wanted.target.partition(_STUDIES)
        address = address.rstrip("/")
        takes = [one for one in self._facilities() if one.retrieve != "own" and one.link_url != self._issuer]
        found = [one for one in takes if address in (one.link_url, one.gate_url) or wanted.target == one.id]
        if len(found) != 1:
            raise InvalidTarget("no facility that takes such tokens has that address")
        named = [text for text in (uid if under else None, wanted.study) if text is not None]
        uids = {text.removeprefix("urn:oid:") for text in named}
        if len(uids) > 1 or not all(is_uid(text) for text in uids):
            raise InvalidQuery("the study is not named by one Study Instance UID")
        return found[0], next((StudyUID(text) for text in uids), None)

    def _asked(
        self,
        requester: Requester,
        facility: Facility,
        study: StudyUID | None,
        patient: PatientRef | None,
        now: datetime,
    ) -> Sequence[StudyUID]:
        if patient is not None and requester.patient is not None and not self._is(requester.patient, patient):
            raise AccessRefused("the token is bound to another patient")
        self._desk.require_standing(requester, now)
        if study is not None:
            return [study]
        if patient is None and requester.patient is not None:
            patient = PatientRef(id=requester.patient)
        if patient is None:
            raise InvalidQuery("a study or a patient has to be named: resource={address}/studies/{uid}, or patient")
        return self._desk.studies_of(requester, facility, patient, now)[:MOST_STUDIES]

    def _is(self, person: PatientID, named: PatientRef) -> bool:
        """Whether `named` is that person today. False where it is nobody's, or more than one person's."""
        meant, today = self._resolve(named), self._resolve(PatientRef(id=person))
        return meant is not None and today is not None and meant.id == today.id

    def _refuse(
        self, exc: GatewayError, who_asks: Who, wanted: Wanted, openings: Sequence[Opening], call: Call, now: datetime
    ) -> None:
        """A refusal is on record, and stays a refusal where it can't be."""
        if isinstance(exc, AuditUnavailable):
            return
        TOKENS.labels("refused").inc()
        event(Event.TOKEN_REFUSED, client=who_asks.client_id, reason=exc.code, request_id=call.request_id)
        patient = next((one.patient for one in openings if one.patient is not None), None)
        details = (("target", wanted.target.encode("ascii", "backslashreplace").decode()[:200]),)
        record = _record(
            "token-refused", "refused", exc.reason or exc.code, who_asks, patient, call, now, details, openings
        )
        try:
            self._audit.record([record])
        except AuditUnavailable:
            event(Event.AUDIT_UNAVAILABLE, reason="a refused exchange is not on record", request_id=call.request_id)


def _scopes(requester: Requester, asked: str | None) -> tuple[str, ...]:
    """The scopes of the new token: those that reach images. Raises ScopeMissing where more are asked for than held."""
    held = requester.scopes
    if asked is not None:
        wanted = tuple(dict.fromkeys(asked.split()))
        contexts = [scope.context for text in wanted if (scope := parse_scope(text)) is not None]
        granted = {text for context in dict.fromkeys(contexts) for text in grant(wanted, held, context=context)}
        if not wanted or not granted.issuperset(wanted):
            raise ScopeMissing("the subject token does not reach as far")
        held = wanted
    bound, signed_in = requester.patient is not None, requester.signed_in
    reaching = [one for one in held if can((one,), "ImagingStudy", "r", patient_bound=bound, signed_in=signed_in)]
    if not reaching:
        raise ScopeMissing("the token has no scope for ImagingStudy.r")
    return tuple(reaching)


def _patient_named(text: str | None) -> PatientRef | None:
    if text is None:
        return None
    system, is_identifier, value = text.partition("|")
    if is_identifier and system and value:
        return PatientRef(identifier=Identifier(system, value))
    id_ = text.removeprefix("Patient/")
    if not _ID.fullmatch(id_):
        raise InvalidQuery("patient is Patient/{id}, an id or system|value")
    return PatientRef(id=PatientID(id_))


def _openable(openings: Sequence[Opening], *, by_name: bool) -> list[Opening]:
    """What a token opens: whole studies; the part of one that was named alone."""
    return [one for one in openings if one.verdict.permitted or (by_name and one.is_open)]


def _record(
    kind: Any,
    outcome: Outcome,
    reason: str,
    who_asks: Who,
    patient: PatientID | None,
    call: Call,
    now: datetime,
    details: tuple[tuple[str, str], ...],
    openings: Sequence[Opening],
) -> AuditRecord:
    return AuditRecord(
        id=str(uuid.uuid4()),
        recorded=now,
        kind=kind,
        outcome=outcome,
        reason=reason,
        who=who_asks,
        patient=patient,
        request=call.request,
        request_id=call.request_id,
        decided=tuple(decided_of(one, opening.study) for opening in openings for one in opening.verdict.decisions),
        details=(("grant", "token-exchange"), *details),
    )
