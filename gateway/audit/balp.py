"""The words of IHE BALP: its profiles and the codings its events are told in (ITI BALP 1.1, FHIR R4). Pure."""

import re
from typing import Any
from urllib.parse import quote

Element = dict[str, Any]

_PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
QUERY = _PROFILE + "Query"
PATIENT_QUERY = _PROFILE + "PatientQuery"
READ = _PROFILE + "Read"
PATIENT_CREATE = _PROFILE + "PatientCreate"
PATIENT_UPDATE = _PROFILE + "PatientUpdate"
PATIENT_READ = _PROFILE + "PatientRead"
AUTHZ_CONSENT = _PROFILE + "AuthZconsent"
DISCLOSURE_SOURCE = _PROFILE + "PrivacyDisclosure.Source"
TOKEN_USE = _PROFILE + "OAUTHaccessTokenUse.Comprehensive"
OTHER_ID = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/ihe-otherId"
DATA_ABSENT_REASON = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

_HL7 = "http://terminology.hl7.org/CodeSystem/"
_BALP = "https://profiles.ihe.net/ITI/BALP/CodeSystem/"
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_SCT = "http://snomed.info/sct"
URI = "urn:ietf:rfc:3986"
STUDY_INSTANCE_UID = "urn:dicom:uid"
JTI = "urn:ietf:params:oauth:jti:"


def _coding(system: str, code: str, display: str) -> Element:
    return {"system": system, "code": code, "display": display}


REST = _coding(_HL7 + "audit-event-type", "rest", "Restful Operation")
APPLICATION_ACTIVITY = _coding(_DCM, "110100", "Application Activity")
AUDIT_LOG_USED = _coding(_DCM, "110101", "Audit Log Used")
EXPORT = _coding(_DCM, "110106", "Export")
IMPORT = _coding(_DCM, "110107", "Import")
PATIENT_RECORD = _coding(_DCM, "110110", "Patient Record")
DICOM_QUERY = _coding(_DCM, "110112", "Query")
SECURITY_ALERT = _coding(_DCM, "110113", "Security Alert")
USER_AUTHENTICATION = _coding(_DCM, "110114", "User Authentication")

SEARCH_TYPE = _coding("http://hl7.org/fhir/restful-interaction", "search-type", "search-type")
CREATE_INTERACTION = _coding("http://hl7.org/fhir/restful-interaction", "create", "create")
UPDATE_INTERACTION = _coding("http://hl7.org/fhir/restful-interaction", "update", "update")
READ_INTERACTION = _coding("http://hl7.org/fhir/restful-interaction", "read", "read")
BY_CONSENT = _coding(_BALP + "AuthZsubType", "AuthZ-Consent", "Authorization Decision using Roles and Consent")
BY_ROLE = _coding(_BALP + "AuthZsubType", "AuthZ-Role", "Authorization Decision using only Roles")
GET_ACCESS_TOKEN = _coding("urn:ihe:event-type-code", "ITI-71", "Get Access Token")
EMERGENCY_OVERRIDE_STARTED = _coding(_DCM, "110127", "Emergency Override Started")
EMERGENCY_OVERRIDE_STOPPED = _coding(_DCM, "110138", "Emergency Override Stopped")
LOGIN = _coding(_DCM, "110122", "Login")
LOGOUT = _coding(_DCM, "110123", "Logout")
NETWORK_CONFIGURATION = _coding(_DCM, "110128", "Network Configuration")
SECURITY_CONFIGURATION = _coding(_DCM, "110129", "Security Configuration")
OBJECT_SECURITY_CHANGED = _coding(_DCM, "110135", "Object Security Attributes Changed")
USER_SECURITY_CHANGED = _coding(_DCM, "110137", "User security Attributes Changed")


def _lifecycle(code: str, name: str) -> Element:
    return _coding(_HL7 + "iso-21089-lifecycle", code, f"{name} Record Lifecycle Event")


DISCLOSE = _lifecycle("disclose", "Disclose")
AMEND = _lifecycle("amend", "Amend (Update)")
ARCHIVE = _lifecycle("archive", "Archive")
LINK = _lifecycle("link", "Link")
UNLINK = _lifecycle("unlink", "Unlink")
MERGE = _lifecycle("merge", "Merge")
UNMERGE = _lifecycle("unmerge", "Unmerge")
REPORT = _lifecycle("report", "Report (Output)")
RESTORE = _lifecycle("restore", "Restore")
VERIFY = _lifecycle("verify", "Verify")

APPLICATION = _coding(_DCM, "110150", "Application")
SOURCE = _coding(_DCM, "110153", "Source Role ID")
DESTINATION = _coding(_DCM, "110152", "Destination Role ID")
RECIPIENT = _coding(_HL7 + "v3-ParticipationType", "IRCP", "information recipient")
OAUTH_USER = _coding(_BALP + "UserAgentTypes", "UserOauthAgent", "User OAuth Agent participant")
OAUTH_SERVICE = _coding(_BALP + "UserAgentTypes", "AuthzOauthService", "OAuth Authorization Server")
PROVIDER = _coding(_HL7 + "v3-RoleClass", "PROV", "healthcare provider")
AUTHORIZER = _coding(_HL7 + "extra-security-role-type", "authserver", "authorization server")
CUSTODIAN = _coding(_SCT, "159541003", "Record keeping/library clerk")
PATIENT_ADVOCATE = _coding(_SCT, "429577009", "Patient Advocate")
PROVIDER_NUMBER = _coding(_HL7 + "v2-0203", "PRN", "Provider number")

PERSON = _coding(_HL7 + "audit-entity-type", "1", "Person")
SYSTEM_OBJECT = _coding(_HL7 + "audit-entity-type", "2", "System Object")
OTHER = _coding(_HL7 + "audit-entity-type", "4", "Other")
CONSENT = _coding("http://hl7.org/fhir/resource-types", "Consent", "Consent")
X_REQUEST_ID = _coding(
    _BALP + "BasicAuditEntityType", "XrequestId", "transport specific unique identifier where http X-Request-Id is used"
)
PATIENT_ROLE = _coding(_HL7 + "object-role", "1", "Patient")
DOMAIN_RESOURCE = _coding(_HL7 + "object-role", "4", "Domain Resource")
JOB_ROLE = _coding(_HL7 + "object-role", "20", "Job")
QUERY_ROLE = _coding(_HL7 + "object-role", "24", "Query")

APPLICATION_SERVER = _coding(_HL7 + "security-source-type", "4", "Application Server")

_JOINERS = "\u200c\u200d"
"""Letters of many scripts are joined or parted by these; they are shown as they are."""


def concept(*codings: Element) -> Element:
    """A CodeableConcept of `codings`."""
    return {"coding": list(codings)}


def shown(text: str) -> str:
    r"""`text` as a FHIR string: what can't be seen, and a backslash, as `\uXXXX`; the original can be told from it."""
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        letter if (letter.isprintable() or letter in _JOINERS) and letter != "\\" else _escaped(letter)
        for letter in text
    )


def _escaped(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"


def uri(text: str) -> str:
    """`text` as a FHIR uri: what no URI may hold is percent-encoded."""
    return quote(text, safe=":/?#[]@!$&'()*+,;=~")


def absent() -> Element:
    """An element that is required and of which nothing is known."""
    return {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": "unknown"}]}


_FACILITY = re.compile(r"[a-z0-9-]{1,32}")


def organization(name: str) -> Element:
    """The Reference to an organisation: a facility of the exchange by its id, any other by its URI or name."""
    if _FACILITY.fullmatch(name):
        return {"reference": f"Organization/{name}"}
    return {"identifier": {"system": URI, "value": shown(name)}}
