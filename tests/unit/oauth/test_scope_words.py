"""What a person is told that an app asks for: never less than it would be granted."""

import pytest

from gateway.oauth.scope_words import rows_of

DCM = "http://dicom.nema.org/resources/ontology/DCM"


@pytest.mark.parametrize(
    ("parameters", "only"),
    [
        (f"modality={DCM}|CT", "modality CT"),
        (f"modality={DCM}|CT,{DCM}|MR", "modality CT or MR"),
        ("modality=CT,MR&started=ge2020", "modality CT or MR, started ge2020"),
        ("started=ge2024-05-01T10:00:00+02:00", "started ge2024-05-01T10:00:00+02:00"),
        (f"modality={DCM}|", f"modality {DCM}|"),
        ("identifier=urn:a|1%5C,2", "identifier 1\\,2"),
    ],
)
def test_t035_every_alternative_of_a_granular_scope_is_told(parameters: str, only: str) -> None:
    """Whoever allows CT or MR reads both."""
    (row,) = rows_of([f"patient/ImagingStudy.rs?{parameters}"], offline_days=30, online_hours=8)
    assert row.words.endswith(f", only: {only}")
