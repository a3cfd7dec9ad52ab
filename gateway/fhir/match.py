"""Whom does this description mean? IHE PDQm ITI-119, `Patient/$match`, on the wire."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.disclosure import Request
from gateway.errors import InvalidQuery, LoadRefused, UnsupportedParameter
from gateway.fhir.imaging_face import require_scope
from gateway.fhir.meta import to_instant
from gateway.fhir.modifiers import require_understood
from gateway.fhir.patient import PDQM_MATCHED, to_patient, with_profile
from gateway.model import Requester
from gateway.mpi.fhir_patient import require_patient
from gateway.mpi.idi import CONSUMER_WEIGHT, idi_claims, idi_weight
from gateway.mpi.questions import PatientQuestions
from gateway.patient_match import Likeness, match_patients
from gateway.rooms import Rooms

_GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
DEFAULT_COUNT = 10
MOST_COUNT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchQuestion:
    """What is asked: a description, whether only certainty helps, and how many answers at most."""

    patient: Mapping[str, Any]
    only_certain: bool = False
    count: int = DEFAULT_COUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchFace:
    """What `$match` needs to answer."""

    rooms: Rooms
    questions: PatientQuestions | None
    """None where records are not matched (`GATEWAY_MATCHING`)."""
    base: str

    def answer(self, resource: Mapping[str, Any], requester: Requester, request: Request) -> dict[str, Any]:
        """The Bundle of the persons that may be meant, the most alike first, each with score and grade.

        Raises UnknownModifier (400), InvalidQuery, LoadRefused where the description can't be read or says less than
        the profile it claims.
        """
        require_scope(requester, "s", "Patient")
        if self.questions is None:
            raise UnsupportedParameter("$match needs GATEWAY_MATCHING=on: records are not matched here")
        asked = parse_match(resource)
        require_enough(asked.patient, requester)
        found = match_patients(
            asked.patient,
            self.questions,
            requester,
            self.rooms,
            request,
            only_certain_matches=asked.only_certain,
            count=asked.count,
        )
        bundle: dict[str, Any] = {
            "resourceType": "Bundle",
            "id": request.id,
            "meta": {"lastUpdated": to_instant(self.rooms.clock())},
            "type": "searchset",
            "total": len(found),
        }
        if found:
            bundle["entry"] = [self._entry(one) for one in found]
        return with_profile(bundle, PDQM_MATCHED)

    def _entry(self, one: Likeness) -> dict[str, Any]:
        person = one.found.patient.id
        return {
            "fullUrl": f"{self.base}/Patient/{person}",
            "resource": to_patient(person, one.found.records, self.base),
            "search": {
                "extension": [{"url": _GRADE, "valueCode": one.grade}],
                "mode": "match",
                "score": one.score,
            },
        }


def require_enough(patient: Mapping[str, Any], requester: Requester) -> None:
    """The description says as much as the IDI-Patient profiles it claims need, and enough where a patient asks.

    HL7 Identity Matching, invariants idi-L0 and idi-L1. Raises LoadRefused.
    """
    needed = dict(idi_claims(patient))
    if requester.is_the_patient:
        needed["a question of a patient"] = CONSUMER_WEIGHT
    weight = idi_weight(patient)
    short = [
        f"Patient: {name} needs {least} points of HL7 Identity Matching"
        for name, least in needed.items()
        if weight < least
    ]
    if short:
        raise LoadRefused(short)


def parse_match(resource: Mapping[str, Any]) -> MatchQuestion:
    """The question in `resource`: Parameters, or a Patient alone. Raises InvalidQuery, UnknownModifier, LoadRefused."""
    kind = resource.get("resourceType")
    if kind not in ("Parameters", "Patient"):
        raise InvalidQuery("expected Parameters with a Patient, or a Patient")
    require_understood(resource, str(kind))
    if kind == "Patient":
        require_patient(resource)
        return MatchQuestion(patient=resource)
    named = _by_name(resource)
    patient = named.get("resource", {}).get("resource")
    if not isinstance(patient, dict):
        raise InvalidQuery("Parameters.parameter: resource, the Patient that is meant, is needed")
    require_patient(patient)
    only_certain = named.get("onlyCertainMatches", {}).get("valueBoolean", False)
    if not isinstance(only_certain, bool):
        raise InvalidQuery("onlyCertainMatches is true or false")
    return MatchQuestion(patient=patient, only_certain=only_certain, count=_count(named.get("count", {})))


def _by_name(resource: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    listed = resource.get("parameter")
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise InvalidQuery("Parameters.parameter: expected a list")
    named = {str(one.get("name")): one for one in listed}
    if len(named) != len(listed):
        raise InvalidQuery("Parameters.parameter: each name once")
    return named


def _count(parameter: Mapping[str, Any]) -> int:
    stated = parameter.get("valueInteger", parameter.get("valuePositiveInt", DEFAULT_COUNT))
    if not isinstance(stated, int) or isinstance(stated, bool) or stated < 1:
        raise InvalidQuery("count is a whole number from 1")
    return min(stated, MOST_COUNT)
