"""Body parts get the SNOMED CT codes that DICOM gives them, and are found by code or words."""

import pytest
from pydicom.sr._concepts_dict import concepts

from gateway.imaging.body_sites import TERMS, body_site_of, is_body_site
from gateway.imaging.coding_schemes import SNOMED_CT
from gateway.model import Coding

REPLACED = {"51185008", "113345001", "12921003"}


def test_every_code_is_one_that_dicom_uses() -> None:
    """Held against pydicom's copy of PS3.16, which nobody here wrote."""
    known = {code for meanings in concepts["SCT"].values() for code in meanings}

    assert {code for code, _ in TERMS.values()} <= known
    assert len(TERMS) >= 60


def test_meanings_are_those_of_the_standard() -> None:
    """CID 4031 of PS3.16, for those of its codes that are here."""
    meanings = {
        code: meaning
        for concept in concepts["SCT"].values()
        for code, (meaning, contexts) in concept.items()
        if 4031 in contexts
    }

    assert {(code, display) for code, display in TERMS.values() if meanings.get(code, display) != display} == set()


@pytest.mark.parametrize(
    ("body_part", "code", "display"),
    [
        ("CHEST", "51185008", "Chest"),
        ("ABDOMEN", "113345001", "Abdomen"),
        ("CSPINE", "122494005", "Cervical spine"),
        ("C-SPINE", "122494005", "Cervical spine"),
        ("Cervical spine", "122494005", "Cervical spine"),
        ("lumbar_spine", "122496007", "Lumbar spine"),
        ("WHOLEBODY", "38266002", "Entire body"),
    ],
)
def test_a_known_body_part_has_its_code(body_part: str, code: str, display: str) -> None:
    """However it is spaced, hyphenated and cased."""
    assert body_site_of(body_part) == Coding(SNOMED_CT, code, display)


def test_an_unknown_body_part_keeps_its_words() -> None:
    """R4's bodySite is a Coding: words without a code are allowed."""
    assert body_site_of("LEFT PINKY") == Coding("", "", "LEFT PINKY")


@pytest.mark.parametrize(
    ("body_part", "system", "code", "found"),
    [
        ("CHEST", None, "51185008", True),
        ("CHEST", SNOMED_CT, "51185008", True),
        ("CHEST", None, "816094009", True),
        ("CHEST", SNOMED_CT, "816094009", True),
        ("CHEST", None, "CHEST", True),
        ("CHEST", None, "chest", True),
        ("CSPINE", None, "cervical spine", True),
        ("LEFT PINKY", None, "left pinky", True),
        ("LEFT PINKY", "", "LEFT PINKY", True),
        ("CHEST", SNOMED_CT, "CHEST", False),
        ("CHEST", "http://loinc.org", "51185008", False),
        ("CHEST", None, "ABDOMEN", False),
        ("CHEST", None, "113345001", False),
        ("CHEST", SNOMED_CT, None, True),
        ("LEFT PINKY", SNOMED_CT, None, False),
    ],
)
def test_a_body_site_is_found_by_code_or_words(
    body_part: str, system: str | None, code: str | None, found: bool
) -> None:
    """Old and new codes of the standard alike; with a system, only by its codes."""
    assert is_body_site(body_part, system, code) is found
