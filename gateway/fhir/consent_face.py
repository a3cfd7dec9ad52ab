"""Consent on the wire: IHE PCF ITI-108 and the FAST operations, from what is asked to resources.

Nothing is changed before it is in the audit that it is about to be, and nobody is told of a change before it is in the
audit that it was made.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.audit.record import AuditKind, AuditRecord, Outcome
from gateway.auth import smart_scopes
from gateway.consent.fhir_consent import ENDED
from gateway.consent.fhir_r4 import to_r4
from gateway.consent.fhir_text import require_text
from gateway.consent.store import Filed, Filing, StoredVersion
from gateway.consent_desk import ConsentDesk
from gateway.consent_questions import consult
from gateway.db.crypto import KeyRing
from gateway.disclosure import Request, who
from gateway.enumeration import require_few_identifiers
from gateway.errors import Conflict, InvalidQuery, LoadRefused, NotAcceptable, NotFound, StaleVersion
from gateway.fhir.answer_form import AnswerForm
from gateway.fhir.bundle import searchset
from gateway.fhir.consent_authority import on_whose_behalf, require_authority, require_own_name
from gateway.fhir.consent_body import TYPE, Condition, as_the_client_says, consent_in, patient_in, performers_of
from gateway.fhir.consent_obligations import answers_of
from gateway.fhir.consent_operations import document_in, patients_named_in, with_document
from gateway.fhir.consent_pages import page_of_consents
from gateway.fhir.consent_search import parse_consent_search
from gateway.fhir.consent_told import Told, is_as_told, tell_all, told, told_anyhow, untold_outcome
from gateway.fhir.elements import with_elements, with_summary
from gateway.fhir.imaging_face import require_scope
from gateway.fhir.meta import to_instant
from gateway.fhir.paging import CURSOR, Cursor, cursor_in, decode_cursor, encode_cursor
from gateway.fhir.query_string import Pairs, write_url
from gateway.model import PatientID, PatientRef, Requester
from gateway.rooms import Rooms
from gateway.search import require_bound_patient

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentFace:
    """What the views of Consent need to answer."""

    rooms: Rooms
    desk: ConsentDesk
    keys: KeyRing
    base: str
    """The FHIR base URL."""

    def search(
        self, pairs: Pairs, requester: Requester, request: Request, *, strict: bool, as_format: Pairs = ()
    ) -> tuple[Resource, bool]:
        """A page of one patient's Consents, and whether it is wanted indented. An unknown patient has none.

        `as_format` is the `_format` that has been obeyed: links go on in it.
        """
        require_scope(requester, "s", TYPE)
        now, after, text = self.rooms.clock(), None, cursor_in(pairs)
        if text:
            cursor = decode_cursor(self.keys, text, resource_type=TYPE, requester=requester, now=now)
            pairs, strict, after = cursor.pairs, False, cursor.after
        search = parse_consent_search(pairs, strict=strict, path_base=self.base)
        require_few_identifiers([search.patient], requester, self.rooms, request)
        patient = self.rooms.mpi.resolve(search.patient)
        require_bound_patient(requester, search.patient, patient, self.rooms)
        bound = requester.patient is not None
        stored = self.desk.consents.history(patient.id, certain=bound) if patient is not None else ()
        page = page_of_consents(stored, search, now, after)
        found, untold = tell_all(page.consents)
        references = [one.consent.reference for one in page.consents]
        self._audit(request, "consent-search", requester, patient.id if patient else None, references)
        next_url = None
        if page.next is not None:
            following = Cursor(pairs=search.form.self_pairs, after=page.next)
            sealed = encode_cursor(self.keys, following, resource_type=TYPE, requester=requester, now=now)
            next_url = self._url((CURSOR, sealed), *as_format)
        own = ((CURSOR, text),) if text else search.form.self_pairs
        bundle = searchset(
            bundle_id=request.id,
            now=now,
            base=self.base,
            self_url=self._url(*own, *as_format),
            next_url=next_url,
            total=page.total,
            matches=[_formed(one.resource, search.form) for one in found],
            outcomes=untold,
        )
        return bundle, search.form.pretty

    def _url(self, *pairs: tuple[str, str]) -> str:
        return write_url(f"{self.base}/{TYPE}", pairs)

    def read(self, id_: str, requester: Requester, request: Request, version: str | None = None) -> Told:
        """The current version, or the one asked for. Raises NotFound where it is absent or another patient's."""
        require_scope(requester, "r", TYPE)
        versions = self._versions(id_, requester, request)
        wanted = [one for one in versions if version is None or str(one.consent.version) == version]
        if not wanted:
            self._audit(request, "consent-read", requester, versions[-1].consent.person, [])
            raise NotFound
        answered = told(wanted[-1])
        consent = wanted[-1].consent
        self._audit(request, "consent-read", requester, consent.person, [consent.reference])
        return answered

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
            "entry": [self._history_entry(one) for one in reversed(versions)],
        }

    def _history_entry(self, stored: StoredVersion) -> Resource:
        consent = stored.consent
        created = consent.version == 1
        url = f"{TYPE}/{consent.id}"
        response: Resource = {
            "status": "201" if created else "200",
            "etag": f'W/"{consent.version}"',
            "lastModified": to_instant(consent.recorded_at),
        }
        entry: Resource = {"fullUrl": f"{self.base}/{url}"}
        try:
            entry["resource"] = told(stored).resource
        except NotAcceptable as exc:
            response["outcome"] = untold_outcome(stored, exc)
        entry["request"] = {"method": "POST" if created else "PUT", "url": TYPE if created else url}
        return {**entry, "response": response}

    def create(self, resource: Mapping[str, Any], requester: Requester, request: Request) -> Told:
        """The Consent is on file under an id of the server's. Raises LoadRefused (422) with every problem by path."""
        require_scope(requester, "c", TYPE)
        require_authority(requester)
        return self._file(resource, str(uuid.uuid4()), requester, request, "consent-create", None)

    def update(
        self,
        id_: str,
        resource: Mapping[str, Any],
        requester: Requester,
        request: Request,
        condition: Condition,
    ) -> Told:
        """The Consent's next version is on file.

        Raises NotFound; StaleVersion where it has changed since it was read, or AlreadyThere; Conflict where it has
        ended, which nothing brings back (file a new one); LoadRefused.
        """
        require_scope(requester, "u", TYPE)
        require_authority(requester)
        current = self._current(id_, requester, request, condition)
        if resource.get("id") != id_:
            raise InvalidQuery("the id in the body is not the one in the URL")
        if current.resource.get("status") in ENDED - {"draft", "proposed"} and resource.get("status") == "active":
            raise Conflict("it has ended, and is not brought back: file a new one")
        if is_as_told(resource, current):
            resource = current.resource  # filed in R5, told in R4, and sent back unchanged: it stays what it was
        return self._file(resource, id_, requester, request, "consent-update", current.consent.version)

    def revoke(
        self,
        id_: str,
        asked: Mapping[str, Any],
        requester: Requester,
        request: Request,
        condition: Condition,
    ) -> Told:
        """The Consent is inactive from now on, whatever it says, and every version is kept (FAST OP4–6).

        `asked` may name its patient, and bring a document of the revocation, which is kept with that version. Raises
        LoadRefused where the patient is another's.
        """
        require_scope(requester, "u", TYPE)
        require_authority(requester)
        current = self._current(id_, requester, request, condition)
        self._require_theirs(id_, patients_named_in(asked, self.base))
        changed = None
        if (document := document_in(asked)) is not None:
            require_text(document)
            changed = with_document(current.resource, document, "revocation")
        behalf = on_whose_behalf(requester, ())
        about = [f"{TYPE}/{id_}"]
        self._audit(request, "consent-update", requester, current.consent.person, about, "asked for", details=behalf)
        filed = self.desk.consents.revoke(current, self.rooms.clock(), changed)
        return self._tell(id_, filed, requester, request, "consent-update", current.consent.person)

    def _require_theirs(self, id_: str, patients: Sequence[PatientRef]) -> None:
        for ref in patients:
            person = self.rooms.mpi.resolve(ref)
            if person is None or id_ not in {one.consent.id for one in self.desk.consents.history(person.id)}:
                raise LoadRefused(["patient: not the one whose Consent this is"])

    def file(self, asked: Mapping[str, Any], requester: Requester, request: Request) -> Told:
        """`$fileConsent`: as create, what is filed is active (FAST OP4), and has the document that came with it."""
        require_scope(requester, "c", TYPE)
        require_authority(requester)
        resource, document = consent_in(asked), document_in(asked)
        if document is not None:
            resource = with_document(resource, document, "document")
        return self.create({**resource, "status": "active"}, requester, request)

    def who_may_answer(self, asked: Mapping[str, Any], requester: Requester, request: Request) -> Resource:
        """`$who-may-answer`: the facilities that may answer this caller about this patient. Others are not told."""
        require_scope(requester, "s", "ImagingStudy")
        consulted = consult(patient_in(asked, self.base), requester, self.rooms, request)
        # What the patient hides is told to those alone who may read it in the Consents themselves.
        bound, signed_in = requester.patient is not None, requester.signed_in
        reads = smart_scopes.can(requester.scopes, TYPE, "s", patient_bound=bound, signed_in=signed_in)
        answers = answers_of(consulted, with_obligations=reads)
        return {"resourceType": "Parameters", **({"parameter": answers} if answers else {})}

    def _current(self, id_: str, requester: Requester, request: Request, condition: Condition) -> StoredVersion:
        current = self._versions(id_, requester, request)[-1]
        condition.require(current.consent.version)
        return current

    def _versions(self, id_: str, requester: Requester, request: Request) -> Sequence[StoredVersion]:
        """Every version of it. One of another patient than the token's is as if it weren't there (T71)."""
        versions = self.desk.consents.versions(id_)
        if versions and requester.patient is not None:
            theirs = {one.consent.id for one in self.desk.consents.history(requester.patient, certain=True)}
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
        performers = performers_of(stated)
        require_own_name(requester, performers, self.base, self.rooms.mpi)
        filing: Filing = replace(self.desk.read(stated), expected=expected)
        to_r4(stated)  # what couldn't be told to its own filer is refused by its path
        require_bound_patient(
            requester, PatientRef(id=filing.patient), self.rooms.mpi.resolve(_ref(filing)), self.rooms
        )
        on_behalf = on_whose_behalf(requester, performers)
        self._audit(request, kind, requester, filing.patient, [f"{TYPE}/{id_}"], "asked for", details=on_behalf)
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
        stored = self.desk.consents.versions(id_)[filed.version - 1]
        self._audit(request, kind, requester, patient, [stored.consent.reference], filed.outcome)
        return told_anyhow(stored)

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
        details: tuple[tuple[str, str], ...] = (),
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
            details=details,
        )
        self.rooms.audit.record([record])


def _ref(filing: Filing) -> PatientRef:
    return PatientRef(id=filing.patient)


def _formed(resource: Resource, form: AnswerForm) -> Resource:
    return with_elements(resource, form.elements) if form.elements else with_summary(resource, form.summary)
