"""In which words is each kind of record told? The one table from kinds of records to kinds of AuditEvents. Pure.

**A new kind of record** is one member of `AuditKind` (`audit/record.py`) and one row of `TOLD` here: what shape its
event has, and FHIR's and DICOM's codes for it (DICOM PS3.16 CID 400 and 401, ITI BALP 1.1, ISO 21089). What every
record may hold besides (facilities asked, decisions, releases) is told for each kind alike. What an operator does at
the command line is one kind; `OPERATORS_ACTS` tells its acts apart by the words that they begin with.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.audit import balp
from gateway.audit.balp import Element
from gateway.audit.record import AuditKind, AuditRecord

Action = Literal["C", "R", "U", "D", "E"]
Shape = Literal["search", "read", "write", "token", "refusal", "activity"]
"""What the event is built like.

- `search`: BALP Query or PatientQuery, one for each patient the answer is about;
- `read`: BALP Read or PatientRead, one for each resource that was read;
- `write`: BALP PatientCreate or PatientUpdate where a patient and a resource are named;
- `token`: the authorization server gave something out or refused to (IUA ITI-71); an emergency is told besides;
- `refusal`: the caller's authority did not reach;
- `activity`: anything else: who did it, about whom, and every fact of it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """How a kind of record is told."""

    shape: Shape
    type: Element
    subtypes: tuple[Element, ...] = ()
    action: Action = "E"


_SEARCH = Telling(shape="search", type=balp.REST, subtypes=(balp.SEARCH_TYPE,))
_READ = Telling(shape="read", type=balp.REST, subtypes=(balp.READ_INTERACTION,), action="R")
_CREATE = Telling(shape="write", type=balp.REST, subtypes=(balp.CREATE_INTERACTION,), action="C")
_UPDATE = Telling(shape="write", type=balp.REST, subtypes=(balp.UPDATE_INTERACTION,), action="U")
_TOKEN = Telling(shape="token", type=balp.USER_AUTHENTICATION, subtypes=(balp.GET_ACCESS_TOKEN,))


def _activity(kind: Element, *subtypes: Element, action: Action = "E") -> Telling:
    return Telling(shape="activity", type=kind, subtypes=subtypes, action=action)


TOLD: Mapping[AuditKind, Telling] = {
    "imaging-search": _SEARCH,
    "imaging-read": _READ,
    "patient-search": _SEARCH,
    "patient-read": _READ,
    "consent-search": _SEARCH,
    "consent-read": _READ,
    "consent-create": _CREATE,
    "consent-update": _UPDATE,
    "patient-feed": _UPDATE,
    "access-refused": Telling(shape="refusal", type=balp.SECURITY_ALERT, subtypes=(balp.BY_ROLE,)),
    "token-issued": _TOKEN,
    "token-refused": _TOKEN,
    "token-revoked": _activity(balp.USER_AUTHENTICATION, balp.GET_ACCESS_TOKEN),
    "token-introspected": _activity(balp.USER_AUTHENTICATION, balp.GET_ACCESS_TOKEN),
    "app-authorized": _activity(balp.USER_AUTHENTICATION, balp.GET_ACCESS_TOKEN),
    "app-refused": _activity(balp.USER_AUTHENTICATION, balp.GET_ACCESS_TOKEN),
    "sign-in": _activity(balp.USER_AUTHENTICATION, balp.LOGIN),
    "sign-out": _activity(balp.USER_AUTHENTICATION, balp.LOGOUT),
    "account-change": _activity(balp.SECURITY_ALERT, balp.USER_SECURITY_CHANGED, action="U"),
    "audit-search": _activity(balp.AUDIT_LOG_USED, balp.SEARCH_TYPE, action="R"),
    "audit-read": _activity(balp.AUDIT_LOG_USED, balp.READ_INTERACTION, action="R"),
    "accounting": _activity(balp.AUDIT_LOG_USED, balp.REPORT, action="R"),
    "retrieval": _READ,
    "retrieval-refused": Telling(shape="refusal", type=balp.SECURITY_ALERT, subtypes=(balp.BY_ROLE,)),
    "alert": _activity(balp.SECURITY_ALERT),
    "operator": _activity(balp.APPLICATION_ACTIVITY),
}

_NETWORK = _activity(balp.SECURITY_ALERT, balp.NETWORK_CONFIGURATION, action="U")
_SECURITY = _activity(balp.SECURITY_ALERT, balp.SECURITY_CONFIGURATION, action="U")
_LINK = _activity(balp.PATIENT_RECORD, balp.LINK, action="U")
_UNLINK = _activity(balp.PATIENT_RECORD, balp.UNLINK, action="U")
_MERGE = _activity(balp.PATIENT_RECORD, balp.MERGE, action="U")
_UNMERGE = _activity(balp.PATIENT_RECORD, balp.UNMERGE, action="U")
_CONSENT = _activity(balp.SECURITY_ALERT, balp.OBJECT_SECURITY_CHANGED, action="U")

OPERATORS_ACTS: Mapping[str, Telling] = {
    "audit ": _activity(balp.AUDIT_LOG_USED),
    "backup": _activity(balp.EXPORT, balp.ARCHIVE, action="R"),
    "restore": _activity(balp.IMPORT, balp.RESTORE, action="C"),
    "break-glass ended": _activity(balp.SECURITY_ALERT, balp.EMERGENCY_OVERRIDE_STOPPED),
    "client ": _SECURITY,
    "clients ": _SECURITY,
    "consent ": _CONSENT,
    "consents load": _CONSENT,
    "facilities apply": _NETWORK,
    "facilities remove": _NETWORK,
    "facilities resume": _NETWORK,
    "facilities suspend": _NETWORK,
    "facilities credential": _SECURITY,
    "groups ": _SECURITY,
    "keys ": _SECURITY,
    "patients merge": _MERGE,
    "patients unmerge": _UNMERGE,
    "patients reassign": _LINK,
    "patients split": _UNLINK,
    "patients undo": _activity(balp.PATIENT_RECORD, balp.AMEND, action="U"),
    "patients review show": _activity(balp.PATIENT_RECORD, action="R"),
    "patients review": _activity(balp.PATIENT_RECORD, balp.VERIFY, action="U"),
    "patients relink: link": _LINK,
    "patients relink: unlink": _UNLINK,
    "patients relink: merge": _MERGE,
    "patients show": _activity(balp.PATIENT_RECORD, action="R"),
    "user ": _activity(balp.SECURITY_ALERT, balp.USER_SECURITY_CHANGED, action="U"),
    "users ": _activity(balp.SECURITY_ALERT, balp.USER_SECURITY_CHANGED, action="U"),
}
"""What operators do, by the words that the act's `reason` begins with; the first that fits. Others: `operator`."""


def telling_of(record: AuditRecord) -> Telling:
    """How `record` is told."""
    if record.kind == "operator":
        for words, telling in OPERATORS_ACTS.items():
            if record.reason.startswith(words):
                return telling
    if record.kind == "patient-feed" and ("outcome", "loaded") in record.details:
        return _CREATE
    return TOLD[record.kind]
