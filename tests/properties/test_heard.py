"""With and without a memory of answers the same is told, whatever an archive, its records and its settings become."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.base import FacilityQuestion, Target
from gateway.adapters.dicomweb import DICOMwebAdapter
from gateway.adapters.heard import HeardBefore
from tests.facilities.archive import Archive, Manners
from tests.facilities.rows import a_series_row
from tests.factories_adapters import a_facility, a_record, a_target, of_archive

Rows = list[tuple[str, int, str, str, str | None, int]]
ARCHIVES = st.lists(
    st.tuples(
        st.sampled_from(["N-1", "N-2"]),
        st.integers(0, 3),
        st.sampled_from(["CT THORAX", "MR KNIE"]),
        st.sampled_from(["19610203", "19990909"]),
        st.sampled_from([None, "NORTH", "SOUTH"]),
        st.integers(0, 2),
    ),
    max_size=4,
)
MANNERS = st.builds(
    Manners,
    status=st.sampled_from([None, None, None, 503]),
    series_status=st.sampled_from([None, None, None, 404]),
    series_by_patient=st.sampled_from([True, True, False]),
    ignores_patient=st.booleans(),
    most_rows=st.sampled_from([None, None, 1]),
    warns=st.booleans(),
)
TARGETS = st.builds(
    lambda patients, birth_date, time_zone, issuer: a_target(
        *[
            a_record(patient, record_id=place, birth_date=birth_date, family=("Someone",))
            for place, patient in enumerate(patients)
        ],
        facility=a_facility(time_zone=time_zone, issuer=issuer),
    ),
    st.lists(st.sampled_from(["N-1", "N-2", "N*"]), min_size=1, max_size=2),
    st.sampled_from(["1961-02-03", "1999-09-09"]),
    st.sampled_from(["Europe/Zurich", ""]),
    st.sampled_from([None, "NORTH"]),
)
QUESTIONS = st.builds(FacilityQuestion, wants_series=st.booleans())
STEPS = st.tuples(ARCHIVES, MANNERS, TARGETS, QUESTIONS)


@given(st.lists(STEPS, min_size=1, max_size=3), st.lists(st.integers(0, 2), min_size=2, max_size=8))
def test_a_memory_of_answers_changes_no_reply(
    states: list[tuple[Rows, Manners, Target, FacilityQuestion]],
    order: list[int],
) -> None:
    """States of the world come and come again, in any order."""
    remembering, reading = DICOMwebAdapter(), DICOMwebAdapter(heard=HeardBefore(_no_clock, most_bytes=0))
    for number in order:
        rows, manners, target, question = states[number % len(states)]
        archive = _archive(rows, manners)
        told = [of_archive(archive).hold(adapter.converse(target, question)) for adapter in (remembering, reading)]
        assert told[0] == told[1]


def _archive(rows: Rows, manners: Manners) -> Archive:
    archive = Archive(manners=manners)
    for patient, number, description, birth_date, issuer, series in rows:
        uid = f"2.25.{number}"
        archive.add_study(
            patient,
            uid,
            description=description,
            birth_date=birth_date,
            issuer=issuer,
            series=[a_series_row(uid, f"{uid}.{place}", patient_id=patient) for place in range(series)],
        )
    return archive


def _no_clock() -> float:
    return 0.0
