"""Consent on the wire: IHE PCF ITI-108 and the FAST operations, from what is asked to resources.

Nothing is changed before it is in the audit that it is about to be, and nobody is told of a change before it is in the
audit that it was made.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gateway.audit.record import AuditKind, AuditRecord, Outcome
from gateway.consent.fhir_consent import ENDED
from gateway.consent.store import Filed, Filing, StoredVersion
from gateway.consent_desk import ConsentDesk
from gateway.consent_questions import consult
from gateway.disclosure import Request, who
from gateway.errors import Conflict, InvalidQuery, NotFound, StaleVersion
from gateway.fhir.bundle import searchset
from gateway.fhir.consent_body import TYPE, as_the_client_says, patient_in, require_performer, version_in
from gateway.fhir.consent_search import parse_consent_search
from gateway.fhir.elements import with_elements, with_summary
from gateway.fhir.imaging_face import require_scope
from gateway.fhir.meta import to_instant
from gateway.fhir.query_string import Pairs, write_url
from gateway.model import PatientID, PatientRef, Requester
from gateway.rooms import Rooms
from gateway.search import require_bound_patient

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A version of a Consent, as it is answered."""

    resource: Resource
    version: int
    recorded: datetime

    @property
    def etag(self) -> str:
        """Of this version (FHIR R4 http §managing resource contention)."""
        return f'W/"{self.version}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentFace:
    """What the views of Consent need to answer."""

    rooms: Rooms
    desk: ConsentDesk
    base: str
    """The FHIR base URL."""

    def search(self, pairs: Pairs, requester: Requester, request: Request, *, strict: bool) -> tuple[Resource, bool]:
        """The searchset of one patient's Consents, and whether it is wanted indented. An unknown patient has none."""
        require_scope(requester, "s", TYPE)
        search = parse_consent_search(pairs, strict=strict, path_base=self.base)
        patient = self.rooms.mpi.resolve(search.patient)
        require_bound_patient(requester, search.patient, patient, self.rooms)
        stored = self.desk.consents.history(patient.id) if patient is not None else ()
        found = [one for one in stored if one.current and search.finds(one)]
        form = search.form
        page = [] if form.summary == "count" else [_told(one).resource for one in found[: form.count]]
        matches = [
            with_elements(one, form.elements) if form.elements else with_summary(one, form.summary) for one in page
        ]
        self._audit(request, "consent-search", requester, patient.id if patient else None, [])
        bundle = searchset(
            bundle_id=request.id,
            now=self.rooms.clock(),
            base=self.base,
            self_url=write_url(f"{self.base}/{TYPE}", form.self_pairs),
            next_url=None,
            total=len(found),
            matches=matches,
        )
        return bundle, form.pretty

    def read(self, id_: str, requester: Requester, request: Request, version: str | None = None) -> Told:
        """The current version, or the one asked for. Raises NotFound where it is absent or another patient's."""
        require_scope(requester, "r", TYPE)
        versions = self._versions(id_, requester, request)
        wanted = [one for one in versions if version is None or str(one.consent.version) == version]
        if not wanted:
            self._audit(request, "consent-read", requester, versions[-1].consent.person, [])
            raise NotFound
        told = wanted[-1]
        self._audit(request, "consent-read", requester, told.consent.person, [told.consent.reference])
        return _told(told)

    def history(self, id_: str, requester: Requester, request: Request) -> Resource:
        """Every version, the newest first (FHIR R4 http §history)."""
        require_scope(requester, "r", TYPE)
        versions = self._versions(id_, requester, request)
        references = [one.consent.reference for one in versions]
        self._audit(request, "consent-read", requester, versions[-1].consent.person, references)
        return {
            "resourceType": "Bundle",
            "id": request.id,
            "meta": {"lastUpdated": to_instant(self.rooms.clock())},
            "type": "history",
            "total": len(versions),
            "link": [{"relation": "self", "url": f"{self.base}/{TYPE}/{id_}/_history"}],
            "entry": [self._history_entry(_told(one)) for one in reversed(versions)],
        }

    def _history_entry(self, told: Told) -> Resource:
        created = told.version == 1
        url = f"{TYPE}/{told.resource['id']}"
        return {
            "fullUrl": f"{self.base}/{url}",
            "resource": told.resource,
            "request": {"method": "POST" if created else "PUT", "url": TYPE if created else url},
            "response": {
                "status": "201" if created else "200",
                "etag": told.etag,
                "lastModified": to_instant(told.recorded),
            },
        }

    def create(self, resource: Mapping[str, Any], requester: Requester, request: Request) -> Told:
        """The Consent is on file under an id of the server's. Raises LoadRefused (422) with every problem by path."""
        require_scope(requester, "c", TYPE)
        return self._file(resource, str(uuid.uuid4()), requester, request, "consent-create", None)

    def update(
        self,
        id_: str,
        resource: Mapping[str, Any],
        requester: Requester,
        request: Request,
        if_match: str | None,
    ) -> Told:
        """The Consent's next version is on file.

        Raises NotFound; StaleVersion where it has changed since it was read; Conflict where it has ended, which
        nothing brings back (file a new one); LoadRefused.
        """
        require_scope(requester, "u", TYPE)
        current = self._current(id_, requester, request, if_match)
        if resource.get("id") != id_:
            raise InvalidQuery("the id in the body is not the one in the URL")
        if current.resource.get("status") in ENDED - {"draft", "proposed"} and resource.get("status") == "active":
            raise Conflict("it has ended, and is not brought back: file a new one")
        return self._file(resource, id_, requester, request, "consent-update", current.consent.version)

    def revoke(self, id_: str, requester: Requester, request: Request, if_match: str | None) -> Told:
        """The Consent is inactive from now on, whatever it says, and every version is kept (FAST OP4–6)."""
        require_scope(requester, "u", TYPE)
        current = self._current(id_, requester, request, if_match)
        self._audit(request, "consent-update", requester, current.consent.person, [f"{TYPE}/{id_}"], "asked for")
        filed = self.desk.consents.revoke(current, self.rooms.clock())
        return self._tell(id_, filed, requester, request, "consent-update", current.consent.person)

    def file(self, resource: Mapping[str, Any], requester: Requester, request: Request) -> Told:
        """`$fileConsent`: as create, and what is filed is active (FAST OP4)."""
        return self.create({**resource, "status": "active"}, requester, request)

    def who_may_answer(self, asked: Mapping[str, Any], requester: Requester, request: Request) -> Resource:
        """`$who-may-answer`: the facilities that may answer this caller about this patient. Others are not told."""
        require_scope(requester, "s", "ImagingStudy")
        consulted = consult(patient_in(asked, self.base), requester, self.rooms, request)
        answers = [
            {"name": "facility", "valueReference": {"reference": f"Organization/{one.id}", "display": one.name}}
            for one in consulted.permitted
        ]
        return {"resourceType": "Parameters", **({"parameter": answers} if answers else {})}

    def _current(self, id_: str, requester: Requester, request: Request, if_match: str | None) -> StoredVersion:
        current = self._versions(id_, requester, request)[-1]
        if if_match is not None and version_in(if_match) != current.consent.version:
            raise StaleVersion
        return current

    def _versions(self, id_: str, requester: Requester, request: Request) -> Sequence[StoredVersion]:
        """Every version of it. One of another patient than the token's is as if it weren't there (T71)."""
        versions = self.desk.consents.versions(id_)
        if versions and requester.patient is not None:
            theirs = {one.consent.id for one in self.desk.consents.history(requester.patient)}
            versions = versions if id_ in theirs else ()
        if not versions:
            self._audit(request, "consent-read", requester, None, [])
            raise NotFound
        return versions

    def _file(
        self,
        resource: Mapping[str, Any],
        id_: str,
        requester: Requester,
        request: Request,
        kind: AuditKind,
        expected: int | None,
    ) -> Told:
        stated = as_the_client_says({**resource, "id": id_})
        require_performer(stated)
        filing: Filing = replace(self.desk.read(stated), expected=expected)
        require_bound_patient(
            requester, PatientRef(id=filing.patient), self.rooms.mpi.resolve(_ref(filing)), self.rooms
        )
        self._audit(request, kind, requester, filing.patient, [f"{TYPE}/{id_}"], "asked for")
        (filed,) = self.desk.consents.save([filing], self.rooms.clock())
        return self._tell(id_, filed, requester, request, kind, filing.patient)

    def _tell(
        self, id_: str, filed: Filed, requester: Requester, request: Request, kind: AuditKind, patient: PatientID | None
    ) -> Told:
        if filed.outcome in ("stale", "refused"):
            self._audit(request, kind, requester, patient, [f"{TYPE}/{id_}"], "not made", outcome="refused")
            if filed.outcome == "stale":
                raise StaleVersion
            raise Conflict("it is on file for another patient")
        told = self.desk.consents.versions(id_)[filed.version - 1]
        self._audit(request, kind, requester, patient, [told.consent.reference], filed.outcome)
        return _told(told)

    def _audit(
        self,
        request: Request,
        kind: AuditKind,
        requester: Requester,
        patient: PatientID | None,
        resources: Sequence[str],
        change: str = "",
        *,
        outcome: Outcome = "success",
    ) -> None:
        """Raises AuditUnavailable: then nothing is changed, or told."""
        record = AuditRecord(
            id=str(uuid.uuid4()),
            recorded=self.rooms.clock(),
            kind=kind,
            outcome=outcome,
            reason=f"consent change {change}" if change else "",
            who=who(requester, request),
            patient=patient,
            request=request.raw,
            request_id=request.id,
            resources=tuple(resources),
        )
        self.rooms.audit.record([record])


def _ref(filing: Filing) -> PatientRef:
    return PatientRef(id=filing.patient)


def _told(stored: StoredVersion) -> Told:
    consent = stored.consent
    ours = {"versionId": str(consent.version), "lastUpdated": to_instant(consent.recorded_at)}
    meta = stored.resource.get("meta")
    resource = {**stored.resource, "meta": {**(meta if isinstance(meta, dict) else {}), **ours}}
    return Told(resource=resource, version=consent.version, recorded=consent.recorded_at)
