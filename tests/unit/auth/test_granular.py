"""What granular scopes say: which are understood, which studies they admit, and what two of them say together."""

import pytest

from gateway.auth.granular import limit_of, meet
from gateway.auth.smart_scopes import can, limits_of, scope_admits
from gateway.imaging.study import Series
from gateway.model import Token
from tests.factories import NOON, a_facility, a_source_study

DCM = "http://dicom.nema.org/resources/ontology/DCM"
CT_ONLY = f"patient/ImagingStudy.rs?modality={DCM}|CT"
NORTH = a_facility("north")
CT, MR, SR = (Series(uid=f"2.25.{n}", modality=code) for n, code in enumerate(("CT", "MR", "SR"), 1))


def test_a_parameter_says_what_it_says_in_a_search() -> None:
    """Tokens with or without a system, a comma for OR, percent-encoded or not."""
    limit = limit_of("ImagingStudy", f"modality={DCM}|CT,MR&status=available")
    assert limit is not None
    assert limit.modality == (Token(DCM, "CT"), Token(None, "MR"))
    assert limit == limit_of(
        "ImagingStudy", "status=available&modality=http%3A%2F%2Fdicom.nema.org%2Fresources%2Fontology%2FDCM%7CCT%2CMR"
    )


@pytest.mark.parametrize(
    ("resource_type", "parameters"),
    [
        ("ImagingStudy", "patient=1"),
        ("ImagingStudy", "_id=1"),
        ("ImagingStudy", "modality:not=CT"),
        ("ImagingStudy", "modality"),
        ("ImagingStudy", "modality="),
        ("ImagingStudy", "modality=CT,"),
        ("ImagingStudy", "modality=CT&modality=SR"),
        ("ImagingStudy", "modality=CT&"),
        ("ImagingStudy", "Modality=CT"),
        ("ImagingStudy", "started=yesterday"),
        ("ImagingStudy", "modality=%ff"),
        ("ImagingStudy", "modality=CT&accession=7"),
        ("*", "modality=CT"),
        ("Patient", "gender=male"),
    ],
)
def test_t035_what_cannot_be_understood_admits_nothing(resource_type: str, parameters: str) -> None:
    """An unknown parameter, a modifier, a repeated one, a broken value, another type: the scope reaches nothing."""
    assert limit_of(resource_type, parameters) is None
    scopes = (f"system/{resource_type}.rs?{parameters}",)
    assert not can(scopes, "ImagingStudy", "s", patient_bound=False)
    assert limits_of(scopes, "s", patient_bound=False) == ()


@pytest.mark.parametrize(
    ("asked", "held", "both"),
    [
        ("modality=CT", "", "modality=CT"),
        ("", "modality=CT", "modality=CT"),
        ("", "", ""),
        ("modality=CT", "modality=CT", "modality=CT"),
        (f"modality={DCM}|CT", "modality=CT", f"modality={DCM}|CT"),
        ("modality=CT", f"modality={DCM}|CT", f"modality={DCM}|CT"),
        (f"modality={DCM}|CT", f"modality={DCM}|", f"modality={DCM}|CT"),
        ("modality=CT,MR", "modality=CT,US", "modality=CT"),
        ("modality=CT&status=available", "modality=CT", "modality=CT&status=available"),
        ("modality=CT", "started=ge2020", "modality=CT&started=ge2020"),
        ("started=ge2020", "started=ge2020", "started=ge2020"),
        ("started=ge2021", "started=ge2020", None),
        ("modality=MR", "modality=CT", None),
        ("identifier=urn:a|1%5C,2,urn:a|3", "identifier=urn:a|1%5C,2", "identifier=urn:a|1%5C,2"),
        ("identifier=urn:a|1%5C,2,urn:a|3", "identifier=urn:a|1%5C,2,4", "identifier=urn:a|1%5C,2"),
        ("bodysite=|CHEST", "bodysite=|", None),
        ("colour=red", "modality=CT", None),
        ("modality=CT", "colour=red", None),
        ("colour=red", "", None),
    ],
)
def test_what_two_say_together_is_what_both_admit(asked: str, held: str, both: str | None) -> None:
    """The narrower of two alternatives that overlap; what one says alone is in its own words."""
    assert meet("ImagingStudy", asked, held) == both


def test_scopes_add_up_and_a_wide_one_makes_the_narrow_one_needless() -> None:
    """`?modality=…|CT` and `?modality=…|MR` admit both; beside `.rs` of the whole type neither limits anything."""
    mr_only = CT_ONLY.replace("CT", "MR")
    both = limits_of((CT_ONLY, mr_only), "s", patient_bound=True)
    assert both is not None
    assert [limit.modality for limit in both] == [(Token(DCM, "CT"),), (Token(DCM, "MR"),)]
    assert limits_of((CT_ONLY, "patient/*.rs"), "s", patient_bound=True) is None
    assert limits_of(("patient/ImagingStudy.rs", "openid"), "s", patient_bound=True) is None


def test_letters_and_contexts_count_scope_by_scope() -> None:
    """What narrows reading says nothing of searching, and a scope that doesn't count doesn't widen."""
    scopes = ("patient/ImagingStudy.r", "patient/ImagingStudy.s?modality=CT")
    assert limits_of(scopes, "r", patient_bound=True) is None
    assert limits_of(scopes, "s", patient_bound=True) is not None
    assert limits_of((CT_ONLY, "system/ImagingStudy.rs"), "s", patient_bound=True, signed_in=True) is not None
    assert limits_of((CT_ONLY, "user/ImagingStudy.rs"), "s", patient_bound=True, signed_in=True) is None


def test_t035_a_study_that_is_admitted_in_part_opens_by_series_alone() -> None:
    """Of CT and SR with a CT scope: the CT series, not the SR series, not the whole, not one that isn't told."""
    mixed = a_source_study(NORTH, modalities=("CT", "SR"), series=(CT, SR), number_of_series=2)
    admitted = {
        uid: scope_admits((CT_ONLY,), mixed, NOON, patient_bound=True, series_uid=uid)
        for uid in (None, CT.uid, SR.uid, "2.25.404")
    }
    assert admitted == {None: False, CT.uid: True, SR.uid: False, "2.25.404": False}
    whole = a_source_study(NORTH, series=(CT,))
    assert scope_admits((CT_ONLY,), whole, NOON, patient_bound=True)
    assert scope_admits((CT_ONLY,), whole, NOON, patient_bound=True, series_uid="2.25.404")
    assert not scope_admits(
        (CT_ONLY,), a_source_study(NORTH, modalities=("MR",), series=(MR,)), NOON, patient_bound=True
    )
    assert not scope_admits((CT_ONLY,), whole, NOON, patient_bound=False)
    assert scope_admits(("patient/ImagingStudy.r",), mixed, NOON, patient_bound=True)
    assert not scope_admits(("patient/ImagingStudy.s",), mixed, NOON, patient_bound=True)
