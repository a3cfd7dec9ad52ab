"""An ImagingStudy as FHIR R4 and SMART Imaging Access write it (standards: FHIR R4 ImagingStudy, DICOM tag mapping)."""

from functools import lru_cache
from typing import Any

from gateway.fhir.meta import meta_of
from gateway.imaging.body_sites import body_site_of
from gateway.imaging.coding_schemes import SNOMED_CT
from gateway.imaging.modalities import modality_codings
from gateway.imaging.study import Series, Study
from gateway.model import Coding, FacilityID, Identifier, PatientID

PROFILE = "http://fhir.org/argonaut/smart-imaging/StructureDefinition/smart-imaging-study"
PART_2_NOTICE = "42 CFR part 2 prohibits unauthorized use or disclosure of these records."
"""The notice that goes with each disclosure of a Part 2 programme's records (42 CFR §2.32(a)(2))."""

_ACCESSION = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN", "display": "Accession ID"}]
}
_LATERALITY = {
    "L": {"system": SNOMED_CT, "code": "7771000", "display": "Left"},
    "R": {"system": SNOMED_CT, "code": "24028007", "display": "Right"},
}

Resource = dict[str, Any]


def to_imaging_study(study: Study, patient: PatientID, fhir_base: str, *, with_series: bool = True) -> Resource:
    """The R4 ImagingStudy of `patient` that `study` is. Parts of it are shared between resources: don't change them.

    Its `meta.source` is the facility it is from, or the gateway where it is from several. Where the sources are known
    to hold different series, each series names its holders, which overrides `endpoint` (FHIR R4 ImagingStudy notes).
    """
    facilities = study.facilities
    source = f"{fhir_base}/Organization/{facilities[0]}" if len(facilities) == 1 else fhir_base
    resource: Resource = {
        "resourceType": "ImagingStudy",
        "id": study.id,
        "meta": meta_of(study.last_updated, source, PROFILE, study.security),
        "identifier": [
            {"system": "urn:dicom:uid", "value": f"urn:oid:{study.uid}"},
            *[_accession(accession) for accession in study.accessions],
        ],
        "status": study.availability,
        "modality": _modalities(study.modalities),
        "subject": {"reference": f"Patient/{patient}"},
    }
    if study.started:
        resource["started"] = study.started.text
    if study.referrer:
        resource["referrer"] = {"display": study.referrer}
    resource["endpoint"] = [_endpoint(facility) for facility in facilities]
    if study.number_of_series is not None:
        resource["numberOfSeries"] = study.number_of_series
    if study.number_of_instances is not None:
        resource["numberOfInstances"] = study.number_of_instances
    if study.procedure_codes:
        resource["procedureCode"] = [{"coding": [_coding(code)]} for code in study.procedure_codes]
    if study.description:
        resource["description"] = study.description
    if study.security and any(one.code == "NORDSCLCD" for one in study.security):
        resource["note"] = [{"text": PART_2_NOTICE}]
    if with_series and study.series:
        resource["series"] = _all_series(study)
    return resource


def _all_series(study: Study) -> list[Resource]:
    series = [_series(one) for one in study.series or ()]
    if len(study.sources) > 1 and len(set(study.series_holders)) > 1:
        for one, holders in zip(series, study.series_holders, strict=True):
            one["endpoint"] = [_endpoint(facility) for facility in holders]
    return series


def _series(series: Series) -> Resource:
    uid, number, modality, description, instances, body_part, laterality, started = series
    resource: Resource = {"uid": uid}
    if number is not None:
        resource["number"] = number
    resource["modality"] = _modality(modality)
    if description:
        resource["description"] = description
    if instances is not None:
        resource["numberOfInstances"] = instances
    if body_part:
        resource["bodySite"] = _body_site(body_part)
    if laterality in _LATERALITY:
        resource["laterality"] = _LATERALITY[laterality]
    if started:
        resource["started"] = started.text
    return resource


@lru_cache(maxsize=1024)
def _modalities(codes: tuple[str, ...]) -> list[Resource]:
    return [_coding(coding) for coding in modality_codings(codes)]


@lru_cache(maxsize=1024)
def _modality(code: str | None) -> Resource:
    return _modalities((code,) if code else ())[0]


@lru_cache(maxsize=4096)
def _body_site(body_part: str) -> Resource:
    return _coding(body_site_of(body_part))


def _coding(coding: Coding) -> Resource:
    resource = {"system": coding.system, "code": coding.code, "display": coding.display}
    return {name: value for name, value in resource.items() if value}


@lru_cache(maxsize=4096)
def _endpoint(facility: FacilityID) -> Resource:
    return {"reference": f"Endpoint/{facility}"}


def _accession(accession: Identifier) -> Resource:
    resource: Resource = {"type": _ACCESSION}
    if accession.system:
        resource["system"] = accession.system
    resource["value"] = accession.value
    return resource
