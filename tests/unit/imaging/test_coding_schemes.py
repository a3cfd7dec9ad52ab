"""Codes keep their meaning on the way from DICOM to FHIR, and none is given a system it doesn't have."""

from typing import Any

import pytest

from gateway.imaging.coding_schemes import SYSTEMS, coding_of
from gateway.model import Coding
from tests.facilities.rows import attribute


def item(**values: str) -> dict[str, Any]:
    """A code sequence item, by tag."""
    return {tag.lstrip("_"): attribute("SH", value) for tag, value in values.items()}


@pytest.mark.parametrize(
    ("scheme", "code", "system"),
    [
        ("SCT", "77477000", "http://snomed.info/sct"),
        ("sct", "77477000", "http://snomed.info/sct"),
        ("SRT", "77477000", "http://snomed.info/sct"),
        ("SRT", "P5-08000", "http://snomed.info/srt"),
        ("DCM", "113014", "http://dicom.nema.org/resources/ontology/DCM"),
        ("LN", "24627-2", "http://loinc.org"),
        ("RADLEX", "RPID16", "http://www.radlex.org"),
        ("C4", "71260", "http://www.ama-assn.org/go/cpt"),
        ("99LOCAL", "CTTHX", ""),
        ("L", "CTTHX", ""),
    ],
)
def test_a_known_scheme_has_its_fhir_uri(scheme: str, code: str, system: str) -> None:
    """Unknown ones have none: FHIR allows a code without a system."""
    assert coding_of(item(_00080100=code, _00080102=scheme)) == Coding(system, code)


def test_a_local_scheme_is_known_by_its_uid() -> None:
    """(0008,010C), where it is one."""
    assert coding_of(item(_00080100="X1", _00080102="99NORTH", _0008010C="1.2.36.5")) == Coding(
        "urn:oid:1.2.36.5", "X1"
    )
    assert coding_of(item(_00080100="X1", _00080102="99NORTH", _0008010C="nonsense")) == Coding("", "X1")
    assert coding_of(item(_00080100="X1")) == Coding("", "X1")


def test_long_and_urn_codes_are_codes() -> None:
    """(0008,0119) and (0008,0120) stand in for (0008,0100)."""
    assert coding_of(item(_00080119="a-code-longer-than-16", _00080102="LN")) == Coding(
        "http://loinc.org", "a-code-longer-than-16"
    )
    assert coding_of(item(_00080120="urn:oid:1.2.3")) == Coding("", "urn:oid:1.2.3")


def test_an_item_without_a_code_is_none() -> None:
    """A meaning alone can't be looked up."""
    assert coding_of(item(_00080104="CT Chest")) is None


def test_every_system_is_a_uri() -> None:
    """An absolute one, as FHIR's Coding.system has to be."""
    assert all(system.startswith(("http://", "urn:oid:")) for system in SYSTEMS.values())
