"""What a facility is told of the consent behind a token: IHE PCF's `ihe_pcf` claim. Pure."""

from collections.abc import Sequence
from typing import Any

from gateway.model import PatientID
from gateway.retrieval.ruling import Opening


def ihe_pcf(opened: Sequence[Opening], patient: PatientID, fhir_base: str) -> dict[str, Any]:
    """Whose consent it is, the versions relied on, and what is left of it: the instances named flow, and nothing else.

    (IHE PCF ITI-110, residual rules: a permit goes before a forbid.)
    """
    consents = dict.fromkeys(
        reference for one in opened for decision in one.verdict.decisions for reference in decision.consents
    )
    uids = [uid for one in opened for uid in (one.series if one.series is not None else (one.study,))]
    data = [{"meaning": "instance", "reference": {"reference": f"urn:oid:{uid}"}} for uid in uids]
    return {
        "patient_id": f"{fhir_base}/Patient/{patient}",
        "doc_id": [f"{fhir_base}/{reference}" for reference in consents],
        "residual": [{"type": "forbid"}, {"type": "permit", "data": data}],
    }
