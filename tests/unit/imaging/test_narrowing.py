"""What of a study is told where only some studies, or some series, may be seen."""

from typing import Any

import pytest

from gateway.imaging.narrowing import StudyLimit, admits, narrow
from gateway.imaging.study import Series, SourceStudy
from gateway.model import Identifier, Token
from gateway.search_values import parse_dates, parse_tokens
from tests.factories import NOON, a_facility, a_source_study

NORTH = a_facility("north")
CT = Series(uid="2.25.1", modality="CT", body_part="CHEST", instances=100)
SR = Series(uid="2.25.2", modality="SR", instances=1)
MR = Series(uid="2.25.3", modality="MR", body_part="HEAD", instances=50)
CT_LIMIT = StudyLimit(modality=(Token(None, "CT"),))


def a_mixed_study(**changes: Any) -> SourceStudy:
    """One with a CT and an SR series."""
    known = {"modalities": ("CT", "SR"), "series": (CT, SR), "number_of_series": 2, "number_of_instances": 101}
    return a_source_study(NORTH, **{**known, **changes})


def test_a_study_that_is_admitted_whole_is_the_very_same() -> None:
    """Nothing is counted anew where nothing is left out."""
    study = a_source_study(NORTH, series=(CT,), number_of_instances=100)
    assert narrow(study, (CT_LIMIT,), NOON) is study
    assert narrow(study, (), NOON) is None


def test_t035_the_other_series_leaves_no_trace() -> None:
    """Series, modalities and both counts are those of the CT series alone."""
    part = narrow(a_mixed_study(), (CT_LIMIT,), NOON)
    assert part == a_mixed_study(modalities=("CT",), series=(CT,), number_of_series=1, number_of_instances=100)


def test_t035_a_study_without_what_is_asked_for_is_not_there() -> None:
    """An MR study is nothing to a CT scope."""
    assert narrow(a_source_study(NORTH, modalities=("MR",), series=(MR,)), (CT_LIMIT,), NOON) is None


def test_several_limits_add_up() -> None:
    """What any of them admits is shown; a study-wide one that holds shows all of it."""
    limits = (CT_LIMIT, StudyLimit(modality=(Token(None, "SR"),)))
    study = a_mixed_study()
    assert narrow(study, limits, NOON) is study
    assert narrow(study, (CT_LIMIT, StudyLimit(status=(Token(None, "available"),))), NOON) is study


def test_a_body_site_admits_series_of_it_and_both_parameters_admit_what_has_both() -> None:
    """The series without a body part stays out, and so does a CT of another region."""
    chest = StudyLimit(bodysite=(Token(None, "CHEST"),))
    head_ct = StudyLimit(bodysite=(Token(None, "HEAD"),), modality=(Token(None, "CT"),))
    study = a_mixed_study(modalities=("CT", "MR", "SR"), series=(CT, SR, MR))
    part = narrow(study, (chest,), NOON)
    assert part is not None
    assert (part.series, part.modalities) == ((CT,), ("CT",))
    assert narrow(study, (head_ct,), NOON) is None


@pytest.mark.parametrize(
    ("limit", "admitted"),
    [
        (StudyLimit(started=parse_dates("ge2024", "started")), True),
        (StudyLimit(started=parse_dates("lt2024", "started")), False),
        (StudyLimit(identifier=parse_tokens("urn:oid:2.999|A1", "identifier")), True),
        (StudyLimit(identifier=parse_tokens("A2,urn:dicom:uid|urn:oid:2.25.1", "identifier")), True),
        (StudyLimit(identifier=parse_tokens("A2", "identifier")), False),
        (StudyLimit(status=parse_tokens("unknown", "status")), False),
    ],
)
def test_what_is_told_of_the_whole_study_admits_or_refuses_all_of_it(limit: StudyLimit, admitted: bool) -> None:
    """As a search with that parameter would find it or not."""
    from gateway.imaging.study import Started

    started = Started(text="2025-01-02", moment=parse_dates("2025-01-02", "started")[0].moment)
    study = a_mixed_study(started=started, accession=Identifier("urn:oid:2.999", "A1"))
    assert narrow(study, (limit,), NOON) is (study if admitted else None)


def test_a_study_whose_series_are_not_told_shows_the_modality_it_states() -> None:
    """Nothing else of it can be judged: no counts are told where it states others too."""
    stated = a_mixed_study(series=None)
    part = narrow(stated, (CT_LIMIT,), NOON)
    assert part == stated._replace(modalities=("CT",), number_of_series=None, number_of_instances=None)
    alone = a_source_study(NORTH, series=None)
    assert narrow(alone, (CT_LIMIT,), NOON) is alone
    assert narrow(alone, (StudyLimit(bodysite=(Token(None, "CHEST"),)),), NOON) is None


def test_series_that_are_told_in_part_do_not_vouch_for_the_rest() -> None:
    """Three series are counted and one is told: the whole is not admitted, and only what is told is counted."""
    study = a_source_study(NORTH, series=(CT,), number_of_series=3, number_of_instances=300)
    part = narrow(study, (CT_LIMIT,), NOON)
    assert part is not None
    assert (part.number_of_series, part.number_of_instances) == (1, 100)
    assert not admits(study, (CT_LIMIT,), NOON)
    assert admits(study, (CT_LIMIT,), NOON, CT.uid)
    assert admits(study, None, NOON)


def test_an_instance_count_that_is_not_told_is_not_made_up() -> None:
    """A series without its count leaves the study without one."""
    part = narrow(a_mixed_study(series=(CT._replace(instances=None), SR)), (CT_LIMIT,), NOON)
    assert part is not None
    assert part.number_of_instances is None


def test_a_study_of_which_nobody_tells_the_modality_is_admitted_where_that_is_asked_for() -> None:
    """As the answer shows it: `unknown`."""
    unknown = a_source_study(NORTH, modalities=(), number_of_series=None)
    assert narrow(unknown, (CT_LIMIT,), NOON) is None
    assert narrow(unknown, (StudyLimit(modality=(Token(None, "unknown"),)),), NOON) is unknown
