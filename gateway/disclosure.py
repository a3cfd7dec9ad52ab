"""From one answered request to the audit record that stands for it. Pure."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.adapters.base import FacilityReply
from gateway.audit.record import Asked, AuditKind, AuditRecord, Decided, Released, Who
from gateway.consent.policy import Decision
from gateway.imaging.study import Study
from gateway.model import FacilityID, PatientIdentity, Requester, StudyUID

BREAK_GLASS_NOTICE = "break-glass access to the patient's imaging"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The request as it came: what the audit keeps of it (BALP `entity.query`), beside who asked."""

    kind: AuditKind
    raw: str
    """`GET /fhir/r4/ImagingStudy?…`, or a POST's line and body; never headers."""
    id: str
    network: str | None = None


def who(requester: Requester, request: Request) -> Who:
    """The caller as the audit names it."""
    return Who(
        client_id=requester.client_id,
        client_name=requester.client_name,
        organization=requester.organization,
        subject_id=requester.subject_id,
        subject_name=requester.subject_name,
        subject_role=requester.subject_role,
        issuer=requester.issuer,
        subject=requester.subject,
        token_id=requester.token_id,
        purposes=requester.purposes,
        network=request.network,
    )


def answer_record(
    request: Request,
    requester: Requester,
    patient: PatientIdentity | None,
    now: datetime,
    decided: Mapping[FacilityID, Decision] | None = None,
    replies: Sequence[FacilityReply] = (),
    page: Sequence[Study] = (),
    *,
    failed: bool = False,
    resources: tuple[str, ...] = (),
    withheld: Sequence[tuple[StudyUID, Decision]] = (),
    ambiguous: bool = False,
    in_part: Sequence[StudyUID] = (),
) -> AuditRecord:
    """The record of one answer: who, for whom, why, on which consents, what was asked of whom, what is released.

    `withheld` are the sources of studies that their facility might have shown, each with its own decision; `in_part`
    the studies of which the token's scopes left something out.
    """
    return AuditRecord(
        id=str(uuid.uuid4()),
        recorded=now,
        kind=request.kind,
        outcome="failed" if failed else "success",
        reason=_why_empty(failed, ambiguous),
        who=who(requester, request),
        patient=patient.id if patient else None,
        request=request.raw,
        request_id=request.id,
        asked=tuple(_asked(reply) for reply in replies),
        decided=(
            *(_decided(decision) for decision in (decided or {}).values()),
            *(_decided(decision, uid) for uid, decision in withheld),
        ),
        released=_released(page),
        resources=resources or tuple(f"ImagingStudy/{study.id}" for study in page),
        details=tuple(("shown_in_part", uid) for uid in in_part),
    )


def _why_empty(failed: bool, ambiguous: bool) -> str:
    if failed:
        return "no facility that was asked could answer"
    return "the identifier names more than one person" if ambiguous else ""


def refusal_record(
    request: Request, reason: str, now: datetime, requester: Requester | None, *, failed: bool = False
) -> AuditRecord:
    """The record of a request that was refused (or failed) before anything was decided about a patient's data."""
    return AuditRecord(
        id=str(uuid.uuid4()),
        recorded=now,
        kind="access-refused",
        outcome="failed" if failed else "refused",
        reason=reason,
        who=who(requester, request) if requester else Who(network=request.network),
        request=request.raw,
        request_id=request.id,
    )


def alert_records(
    request: Request,
    patient: PatientIdentity,
    replies: Sequence[FacilityReply],
    shared: Sequence[StudyUID],
    now: datetime,
    unevaluable: Sequence[str] = (),
) -> list[AuditRecord]:
    """What a person should look at: rows of another patient, rows that contradict, ids not sent, shared UIDs.

    And `unevaluable`: the consents on file that can't be evaluated, and therefore deny (T44).
    """
    found: list[tuple[str, str, int]] = [
        (reason, reply.facility.id, count)
        for reply in replies
        for reason, count in (
            ("rows of another patient were returned", reply.dropped),
            ("rows contradict the record's demographics", reply.contradicted),
            ("a PatientID can't safely be sent", reply.unasked),
        )
        if count
    ]
    found += [("a study is found under two persons", uid, 1) for uid in shared]
    found += [("a consent on file can't be evaluated and denies", reference, 1) for reference in unevaluable]
    return [
        AuditRecord(
            id=str(uuid.uuid4()),
            recorded=now,
            kind="alert",
            outcome="success",
            reason=reason,
            who=Who(),
            patient=patient.id,
            request_id=request.id,
            details=(("about", about), ("count", str(count))),
        )
        for reason, about, count in found
    ]


def break_glass_record(request: Request, requester: Requester, patient: PatientIdentity, now: datetime) -> AuditRecord:
    """The notice that somebody broke the glass: for the privacy officer's list, and for the patient (contract §9)."""
    return AuditRecord(
        id=str(uuid.uuid4()),
        recorded=now,
        kind="alert",
        outcome="success",
        reason=BREAK_GLASS_NOTICE,
        who=who(requester, request),
        patient=patient.id,
        request_id=request.id,
        details=(("notify", "privacy-officer"), ("notify", "patient")),
    )


def _asked(reply: FacilityReply) -> Asked:
    return Asked(
        facility=reply.facility.id,
        status=reply.status,
        elapsed_ms=reply.elapsed // timedelta(milliseconds=1),
        studies=len(reply.studies),
        dropped=reply.dropped,
        contradicted=reply.contradicted,
        incomplete=reply.incomplete,
    )


def _decided(decision: Decision, study: StudyUID | None = None) -> Decided:
    return Decided(
        facility=decision.facility,
        decision="permit" if decision.permitted else "deny",
        reason=decision.reason,
        consents=decision.consents,
        policy=decision.policy,
        study=study,
    )


def _released(page: Sequence[Study]) -> tuple[Released, ...]:
    by_facility: dict[str, list[str]] = {}
    for study in page:
        for facility in study.facilities:
            by_facility.setdefault(facility, []).append(study.uid)
    return tuple(Released(facility=facility, studies=tuple(uids)) for facility, uids in by_facility.items())
