"""The glue a user would write instead: `dicomweb-client` in a thread pool, mapped through `fhir.resources`.

It does what its authors would think of first: no token, identity, consent or audit either.
"""

import os
from concurrent.futures import ThreadPoolExecutor

from dicomweb_client.api import DICOMwebClient
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.imagingstudy import ImagingStudy
from flask import Flask, Response, request
from pydicom.dataset import Dataset

from bench.bare_server import BareServer

URLS = os.environ["BENCH_URLS"].split()
app = Flask(__name__)
clients = [DICOMwebClient(url) for url in URLS]
pool = ThreadPoolExecutor(max_workers=32)


def ask(number: int, patient: str) -> list[ImagingStudy]:
    found = []
    client = clients[number]
    filters = {"PatientID": f"F{number}-{patient}"}
    series = [Dataset.from_json(row) for row in client.search_for_series(search_filters=filters)]
    for row in client.search_for_studies(search_filters=filters):
        study = Dataset.from_json(row)
        found.append(
            ImagingStudy.model_validate(
                {
                    "resourceType": "ImagingStudy",
                    "status": "available",
                    "subject": {"reference": f"Patient/{patient}"},
                    "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{study.StudyInstanceUID}"}],
                    "description": study.StudyDescription,
                    "numberOfSeries": int(study.NumberOfStudyRelatedSeries),
                    "numberOfInstances": int(study.NumberOfStudyRelatedInstances),
                    "series": [
                        {
                            "uid": one.SeriesInstanceUID,
                            "number": int(one.SeriesNumber),
                            "modality": {
                                "system": "http://dicom.nema.org/resources/ontology/DCM",
                                "code": one.Modality,
                            },
                            "description": one.SeriesDescription,
                            "numberOfInstances": int(one.NumberOfSeriesRelatedInstances),
                        }
                        for one in series
                        if one.StudyInstanceUID == study.StudyInstanceUID
                    ],
                }
            )
        )
    return found


@app.get("/ImagingStudy")
def search() -> Response:
    patient = request.args["patient.identifier"].rpartition("|")[2]
    studies = [study for found in pool.map(lambda number: ask(number, patient), range(len(URLS))) for study in found]
    bundle = Bundle.model_validate(
        {"type": "searchset", "total": len(studies), "entry": [{"resource": s} for s in studies]}
    )
    return Response(bundle.model_dump_json(), content_type="application/fhir+json")


if __name__ == "__main__":
    BareServer(app).run()
