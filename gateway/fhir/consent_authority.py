"""Who may file, change and end a Consent: a system on somebody's behalf, the patient, or who acts for them (T71–T73).

A person who is neither, a clinician say, may not, whatever the scopes of their app. And a person files in their own
name: a Consent that a delegate files says so, and one that the patient files isn't said to be anybody else's.
"""

from collections.abc import Sequence

from gateway.errors import AccessRefused, LoadRefused
from gateway.model import Identifier, PatientID, PatientRef, Requester
from gateway.mpi.index import MasterPatientIndex


def require_authority(requester: Requester) -> None:
    """A system, the patient, or who acts for them. Raises AccessRefused for any other person."""
    if requester.account is not None and requester.patient is None:
        raise AccessRefused("the patient files a consent, or whoever acts for them")


def require_own_name(requester: Requester, performers: Sequence[str], base: str, mpi: MasterPatientIndex) -> None:
    """Whoever has signed in is the one who is said to have decided. Raises LoadRefused."""
    if requester.account is None:
        return
    for name in performers:
        if not _is_theirs(requester, name.removeprefix(base + "/"), mpi):
            whose = f"RelatedPerson/{requester.account}" if requester.delegation else f"Patient/{requester.patient}"
            raise LoadRefused([f"Consent.performer: expected who has signed in, {whose}, and nobody else"])


def on_whose_behalf(requester: Requester, performers: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """What the audit says beside who did it: who decided, and by which delegation (FAST)."""
    decided = tuple(("performer", name) for name in performers)
    return decided if requester.delegation is None else (*decided, ("delegation", requester.delegation))


def _is_theirs(requester: Requester, name: str, mpi: MasterPatientIndex) -> bool:
    if requester.delegation is not None:
        return name == f"RelatedPerson/{requester.account}"
    kind, _, id_ = name.partition("/")
    system, bar, value = name.partition("|")
    if kind == "Patient" and id_:
        found = mpi.resolve(PatientRef(id=PatientID(id_)))
    elif bar:
        found = mpi.resolve(PatientRef(identifier=Identifier(system, value)))
    else:
        return False
    if found is None or requester.patient is None:
        return False
    # The token may have been issued before two records turned out to be one person.
    bound = mpi.resolve(PatientRef(id=requester.patient))
    return bound is not None and found.id == bound.id
