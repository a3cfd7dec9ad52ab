"""How much a description says, by HL7 Identity Matching."""

from typing import Any

import pytest

from gateway.mpi.idi import idi_claims, idi_weight

L0 = "http://hl7.org/fhir/us/identity-matching/StructureDefinition/IDI-Patient-L0"
NAME = {"name": [{"family": "Rivera", "given": ["Ana"]}]}
BORN = {"birthDate": "1980-02-03"}
HOME = {"address": [{"line": ["17 Quarry Lane"], "postalCode": "4512"}]}
PHONE = {"telecom": [{"system": "phone", "value": "1"}]}
BOTH = {"telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "a@example.org"}]}


def identifiers(*codes: str) -> dict[str, Any]:
    """Identifiers of those types."""
    return {"identifier": [{"type": {"coding": [{"code": code}]}, "value": "1"} for code in codes]}


@pytest.mark.parametrize(
    ("patient", "weight"),
    [
        ({}, 0),
        ({"name": [{"family": "Rivera"}, {"given": ["Ana"]}]}, 0),
        (NAME, 3),
        (BORN, 2),
        (NAME | BORN | PHONE, 9),
        (NAME | BORN | BOTH, 10),
        (NAME | BORN | HOME | PHONE, 10),
        ({"address": [{"line": ["17 Quarry Lane"], "city": "Oldham"}]}, 0),
        ({"address": [{"line": ["17 Quarry Lane"], "city": "Oldham", "state": "ZZ"}]}, 4),
        (identifiers("PPN"), 5),
        (identifiers("PPN", "DL", "STID"), 10),
        (identifiers("MR", "SS"), 4),
        (identifiers("MR") | {"photo": [{"url": "urn:x"}]}, 5),
        ({"identifier": [{"system": "http://hl7.org/fhir/us/identity-matching/ns/HL7Identifier", "value": "1"}]}, 5),
        ({"identifier": [{"type": {"coding": [{"code": "PPN"}]}}]}, 0),
    ],
)
def test_weights(patient: dict[str, Any], weight: int) -> None:
    """As the guide's table of weighted elements has them."""
    assert idi_weight(patient) == weight


def test_claims_are_of_known_profiles() -> None:
    """With or without a version; others ask for nothing."""
    claimed = {"meta": {"profile": [f"{L0}|2.0.0", f"{L0[:-1]}1", f"{L0[:-3]}", "urn:x"]}}

    assert list(idi_claims(claimed)) == [("IDI-Patient-L0", 9), ("IDI-Patient-L1", 10)]
    assert list(idi_claims({})) == []
