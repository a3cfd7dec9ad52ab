"""Where a request at an archive is answered: decided, put on record, and only then let through."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from gateway.audit.record import AuditRecord, Decided, Released, Who
from gateway.consent.policy import Decision
from gateway.disclosure import Request, who
from gateway.errors import AccessRefused, GatewayError, NotAuthenticated
from gateway.model import Facility, PatientID, Requester, StudyUID
from gateway.retrieval.desk import RetrievalDesk
from gateway.retrieval.resource import Resource
from gateway.retrieval.ruling import Caller, Ruling
from gateway.retrieval.tally import RetrievalTally

StudyID = Callable[[PatientID, StudyUID], str]
UNREADABLE = "the request is for nothing that is known here"


@dataclass(frozen=True, slots=True)
class RetrievalCounter:
    """Decides and records. One object serves all threads."""

    desk: RetrievalDesk
    tally: RetrievalTally
    study_id: StudyID
    clock: Callable[[], datetime]

    def answer(self, caller: Caller, facility: Facility, resource: Resource | None, request: Request) -> Ruling:
        """What was decided, which is on record when this returns; a resource that can't be read is refused.

        Raises AccessRefused (recorded) where the token's own authority doesn't reach, DependencyUnavailable where it
        can't be decided, AuditUnavailable where it can't be recorded.
        """
        if resource is None:
            self.refuse(facility, request, UNREADABLE, caller.requester)
            raise AccessRefused(UNREADABLE)
        now = self.clock()
        try:
            ruling = self.desk.decide(caller, facility, resource, now)
        except AccessRefused as exc:
            self.refuse(facility, request, exc.code, caller.requester)
            raise
        if ruling.verdict.permitted:
            # What is opened by another consent than before is opened anew.
            relied_on = [reference for one in ruling.verdict.decisions for reference in one.consents]
            key = (caller.requester.token_id, facility.id, resource.study, *relied_on)
            self.tally.fetched(key, lambda: self._opening(caller, facility, resource, ruling, request, now))
        else:
            self.refuse(facility, request, ruling.verdict.reason, caller.requester, ruling, resource.study)
        return ruling

    def refuse(
        self,
        facility: Facility,
        request: Request,
        reason: str,
        requester: Requester | None = None,
        ruling: Ruling | None = None,
        study: StudyUID | None = None,
    ) -> None:
        """A refusal is on record. Raises AuditUnavailable."""
        token = requester.token_id if requester is not None else ""
        now = self.clock()
        self.tally.refused(
            (token, facility.id, study or ""),
            lambda: AuditRecord(
                id=str(uuid.uuid4()),
                recorded=now,
                kind="retrieval-refused",
                outcome="refused",
                reason=reason,
                who=_who(requester, request),
                patient=ruling.patient if ruling is not None else requester.patient if requester is not None else None,
                request=request.raw,
                request_id=request.id,
                decided=tuple(decided_of(one, study) for one in (ruling.verdict.decisions if ruling else ())),
                details=_details(facility, study),
            ),
        )

    def _opening(
        self,
        caller: Caller,
        facility: Facility,
        resource: Resource,
        ruling: Ruling,
        request: Request,
        now: datetime,
    ) -> AuditRecord:
        assert ruling.patient is not None  # noqa: S101  # whatever is permitted is somebody's
        return AuditRecord(
            id=str(uuid.uuid4()),
            recorded=now,
            kind="retrieval",
            outcome="success",
            who=_who(caller.requester, request),
            patient=ruling.patient,
            request=request.raw,
            request_id=request.id,
            decided=tuple(decided_of(one, resource.study) for one in ruling.verdict.decisions),
            released=(Released(facility=facility.id, studies=(resource.study,)),),
            resources=(f"ImagingStudy/{self.study_id(ruling.patient, resource.study)}",),
            details=(*_details(facility, resource.study), ("bound", "facility" if caller.bound else "exchange")),
        )


def code_of(exc: GatewayError) -> str:
    """The words by which a failure to prove oneself is put on record."""
    return exc.reason if isinstance(exc, NotAuthenticated) and exc.reason else exc.code


def _who(requester: Requester | None, request: Request) -> Who:
    return who(requester, request) if requester is not None else Who(network=request.network)


def _details(facility: Facility, study: StudyUID | None) -> tuple[tuple[str, str], ...]:
    return (("facility", facility.id), *((("study", study),) if study is not None else ()))


def decided_of(decision: Decision, study: StudyUID | None) -> Decided:
    """The decision as it is put on record."""
    return Decided(
        facility=decision.facility,
        decision="permit" if decision.permitted else "deny",
        reason=decision.reason,
        consents=decision.consents,
        policy=decision.policy,
        study=study,
    )
