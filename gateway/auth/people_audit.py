"""What of people, their sign-ins and accounts stands in the audit. Pure: nothing secret, and no password tried."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from gateway.audit.record import AuditKind, AuditRecord, Outcome, Who
from gateway.auth.people import Account, SignIn


def who_is(one: Account, *, session: str | None = None, network: str | None = None) -> Who:
    """The account's holder as the audit names them."""
    return Who(
        subject=one.id,
        subject_id=one.subject_id or one.login,
        subject_name=one.name,
        subject_role=one.subject_role or " ".join(sorted(one.roles)),
        token_id=session,
        network=network,
    )


def who_signed_in(found: SignIn | None, network: str | None) -> Who:
    """Whoever has signed in; the network alone where nobody has."""
    return Who(network=network) if found is None else who_is(found.account, session=found.id, network=network)


def people_record(
    kind: AuditKind,
    who: Who,
    now: datetime,
    reason: str,
    *,
    outcome: Outcome = "success",
    patient: str | None = None,
    request: str = "",
    request_id: str = "",
    details: Sequence[tuple[str, str]] = (),
) -> AuditRecord:
    """One act about a sign-in or an account."""
    return AuditRecord(
        id=str(uuid.uuid4()),
        recorded=now,
        kind=kind,
        outcome=outcome,
        reason=reason,
        who=who,
        patient=patient,
        request=request,
        request_id=request_id,
        details=tuple(details),
    )
