"""Modalities get DICOM's codes and meanings; one nobody tells is unknown, not "other"."""

from pydicom.sr._concepts_dict import concepts

from gateway.imaging.coding_schemes import DCM
from gateway.imaging.modalities import MEANINGS, UNKNOWN, modality_coding, modality_codings
from gateway.model import Coding


def test_every_modality_of_the_standard_is_known() -> None:
    """CID 29 and CID 33 of PS3.16, as pydicom has them."""
    standard = {
        code: meaning
        for concept in concepts["DCM"].values()
        for code, (meaning, contexts) in concept.items()
        if {29, 33} & set(contexts)
    }

    assert standard.items() <= MEANINGS.items()


def test_a_modality_has_its_code_and_meaning() -> None:
    """Retired ones too; an invented one has no system."""
    assert modality_coding("CT") == Coding(DCM, "CT", "Computed Tomography")
    assert modality_coding("EC") == Coding(DCM, "EC", "Echocardiography")
    assert modality_coding("XYZ") == Coding("", "XYZ")


def test_there_is_always_a_modality() -> None:
    """SMART Imaging wants one."""
    assert modality_codings(()) == (UNKNOWN,)
    assert [coding.code for coding in modality_codings(("CT", "SR"))] == ["CT", "SR"]
