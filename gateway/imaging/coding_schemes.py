"""The URIs FHIR knows the coding schemes and assigners of DICOM by (PS3.16 table 8-1, FHIR R4 §4.3 code systems)."""

import re

from gateway.imaging.dicom_json import Row, exact, text
from gateway.model import Coding

SNOMED_CT = "http://snomed.info/sct"
DCM = "http://dicom.nema.org/resources/ontology/DCM"

SYSTEMS = {
    "SCT": SNOMED_CT,
    "SRT": "http://snomed.info/srt",
    "SNM3": "http://snomed.info/srt",
    "99SDM": "http://snomed.info/srt",
    "DCM": DCM,
    "LN": "http://loinc.org",
    "LOINC": "http://loinc.org",
    "RADLEX": "http://www.radlex.org",
    "UCUM": "http://unitsofmeasure.org",
    "UMLS": "http://terminology.hl7.org/CodeSystem/umls",
    "C4": "http://www.ama-assn.org/go/cpt",
    "CPT": "http://www.ama-assn.org/go/cpt",
    "CPT4": "http://www.ama-assn.org/go/cpt",
    "HPC": "urn:oid:2.16.840.1.113883.6.14",
    "HCPCS": "urn:oid:2.16.840.1.113883.6.285",
    "I9": "http://hl7.org/fhir/sid/icd-9-cm",
    "I9C": "http://hl7.org/fhir/sid/icd-9-cm",
    "ICD9": "http://hl7.org/fhir/sid/icd-9-cm",
    "I10": "http://hl7.org/fhir/sid/icd-10",
    "ICD10": "http://hl7.org/fhir/sid/icd-10",
    "I10C": "http://hl7.org/fhir/sid/icd-10-cm",
    "I10P": "http://www.cms.gov/Medicare/Coding/ICD10",
    "ICDO3": "http://terminology.hl7.org/CodeSystem/icd-o-3",
    "FMA": "urn:oid:2.16.840.1.113883.6.119",
    "OPS": "http://fhir.de/CodeSystem/bfarm/ops",
}
"""By coding scheme designator (0008,0102). Local designators (`99…`) mean nothing outside their archive."""

_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_SNOMED_CT_CODE = re.compile(r"[1-9][0-9]{5,17}")


def system_of_universal_id(value: str | None, kind: str | None) -> str | None:
    """The URI of an assigner by its Universal Entity ID and type (0040,0032) (0040,0033), or None where it has none."""
    if value is None or kind is None:
        return None
    kind = kind.upper()
    if kind == "ISO" and _OID.fullmatch(value):
        return f"urn:oid:{value}"
    if kind == "UUID" and _UUID.fullmatch(value.lower()):
        return f"urn:uuid:{value.lower()}"
    return value if kind == "URI" and _URI.fullmatch(value) else None


def coding_of(item: Row) -> Coding | None:
    """The code of a code sequence item (PS3.3 §8.8), None where it has none.

    `system` is empty where the scheme has neither a known URI nor a UID (0008,010C): FHIR allows a code without a
    system, and an invented one would claim something.
    """
    code = exact(item, "00080100") or exact(item, "00080119", 256) or exact(item, "00080120", 256)
    if code is None:
        return None
    return Coding(_system(item, code), code, text(item, "00080104"))


def _system(item: Row, code: str) -> str:
    designator = exact(item, "00080102")
    system = SYSTEMS.get(designator.upper()) if designator else None
    if system == SYSTEMS["SRT"] and _SNOMED_CT_CODE.fullmatch(code):
        return SNOMED_CT
    if system:
        return system
    uid = exact(item, "0008010C")
    return f"urn:oid:{uid}" if uid and _OID.fullmatch(uid) else ""
