"""Real archives, asked by the real adapter over libcurl: what they hold comes back whole, and only that."""

import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.adapters.base import FacilityQuestion, FacilityReply, Target
from gateway.adapters.check import FacilityCheck
from gateway.adapters.curl import CurlTransport
from gateway.adapters.fan_out import FanOut, terms_of
from gateway.adapters.http import Call, run
from gateway.deadline import Deadline
from gateway.model import Facility, FacilityAuth
from tests.factories_adapters import a_facility, a_record
from tests.services import dicom_files
from tests.services.dicom_files import Person, StudyOnFile
from tests.services.orthanc import Orthanc
from tests.services.tiny_pacs import TinyPacs

pytestmark = pytest.mark.integration
LONG = timedelta(seconds=20)


class NoRegistry:
    """Nobody is registered; targets are handed in."""

    def all(self) -> list[Facility]:
        return []


@pytest.fixture
def fan_out() -> Iterator[FanOut]:
    transport = CurlTransport()
    yield FanOut(NoRegistry(), transport=lambda: nullcontext(transport))
    transport.close()


def facility_of(archive: Orthanc | TinyPacs) -> Facility:
    auth = (
        FacilityAuth(type="basic", username=archive.username, password=archive.password)
        if isinstance(archive, Orthanc)
        else FacilityAuth(type="bearer", token=archive.token)
    )
    return a_facility(
        archive.name.lower(), query_url=archive.dicomweb_url, issuer=archive.name, auth=auth, deadline=LONG
    )


def target_of(archive: Orthanc | TinyPacs, person: Person) -> Target:
    family = person.name.partition("^")[0]
    born = person.birth_date
    record = a_record(
        person.patient_id, family=[family], birth_date=f"{born[:4]}-{born[4:6]}-{born[6:]}" if born else None
    )
    return Target(facility=facility_of(archive), records=(record,))


def ask(fan_out: FanOut, *targets: Target) -> list[FacilityReply]:
    return list(fan_out.ask(targets, FacilityQuestion(), Deadline.after(LONG)))


def told(reply: FacilityReply) -> dict[str, set[tuple[str, str | None]]]:
    """Series and their modalities by study."""
    return {study.uid: {(one.uid, one.modality) for one in study.series or ()} for study in reply.studies}


def held(archive: Orthanc | TinyPacs, person: Person) -> list[StudyOnFile]:
    return [study for study in archive.studies if study.person.patient_id == person.patient_id]


def test_every_patient_of_every_orthanc_is_told_in_full(
    fan_out: FanOut, orthanc_archives: Mapping[str, Orthanc]
) -> None:
    """Names in any script, accents, apostrophes: no row contradicts its own record, none is dropped."""
    for archive in orthanc_archives.values():
        for person in dicom_files.patients(archive.studies):
            (reply,) = ask(fan_out, target_of(archive, person))
            studies = held(archive, person)

            assert (reply.status, reply.incomplete, reply.dropped, reply.contradicted) == ("answered", False, 0, 0)
            assert {study.uid for study in reply.studies} == {study.uid for study in studies}
            assert sorted(len(series) for series in told(reply).values()) == sorted(
                len(study.series) for study in studies
            )
            assert {study.description for study in reply.studies} == {study.description or None for study in studies}


def test_all_archives_are_asked_at_once(fan_out: FanOut, orthanc_archives: Mapping[str, Orthanc]) -> None:
    """One fan-out, a reply each, in target order."""
    targets = [target_of(archive, dicom_files.patients(archive.studies)[0]) for archive in orthanc_archives.values()]
    replies = ask(fan_out, *targets)

    assert [reply.facility.id for reply in replies] == [target.facility.id for target in targets]
    assert all(reply.studies and not reply.incomplete for reply in replies)


def test_tiny_pacs_tells_the_same_as_orthanc(
    fan_out: FanOut, orthanc_archives: Mapping[str, Orthanc], tiny_pacs: TinyPacs
) -> None:
    """It says 204 for nothing, has no `/series` and tells no modalities; what comes out is the same."""
    for person in dicom_files.patients(tiny_pacs.studies):
        tiny, orthanc = ask(fan_out, target_of(tiny_pacs, person), target_of(orthanc_archives["EAST"], person))

        assert (tiny.status, tiny.incomplete) == ("answered", False)
        assert told(tiny) == told(orthanc)
        assert [study.modalities for study in tiny.studies] == [
            next(other.modalities for other in orthanc.studies if other.uid == study.uid) for study in tiny.studies
        ]


@pytest.mark.parametrize("patient_id", ["NOBODY-1", "nobody 2", "nobody&3", "Ünbekannt"])
def test_a_patient_without_imaging_is_no_failure(
    fan_out: FanOut, orthanc_archives: Mapping[str, Orthanc], tiny_pacs: TinyPacs, patient_id: str
) -> None:
    """Nothing is nothing, except where the archive can't be asked: that is said."""
    for archive in (orthanc_archives["NORTH"], tiny_pacs):
        target = Target(facility=facility_of(archive), records=(a_record(patient_id),))
        (reply,) = ask(fan_out, target)
        cant_be_asked = isinstance(archive, Orthanc) and not patient_id.startswith("NOBODY")

        assert (reply.status, reply.studies) == ("answered", ())
        assert (reply.unasked, reply.incomplete) == (int(cant_be_asked), cant_be_asked)


def test_a_connection_that_orthanc_closed_is_opened_again(
    fan_out: FanOut, orthanc_archives: Mapping[str, Orthanc]
) -> None:
    """Orthanc closes an idle connection after a second; the next query doesn't notice."""
    archive = orthanc_archives["SOUTH"]
    target = target_of(archive, dicom_files.patients(archive.studies)[0])
    (first,) = ask(fan_out, target)
    time.sleep(1.5)
    (second,) = ask(fan_out, target)

    assert first.studies == second.studies
    assert second.status == "answered"


def test_wrong_credentials_are_refused_and_said(
    fan_out: FanOut, orthanc_archives: Mapping[str, Orthanc], tiny_pacs: TinyPacs
) -> None:
    """401 is no empty list."""
    for archive in (orthanc_archives["NORTH"], tiny_pacs):
        target = target_of(archive, archive.studies[0].person)
        wrong = replace(target.facility, auth=FacilityAuth(type="bearer", token="wrong"))
        (reply,) = ask(fan_out, replace(target, facility=wrong))

        assert (reply.status, reply.studies) == ("refused", ())


@pytest.mark.parametrize(("name", "decodes", "by_patient"), [("orthanc", False, True), ("tiny", True, False)])
def test_a_check_finds_out_what_an_archive_supports(
    orthanc_archives: Mapping[str, Orthanc], tiny_pacs: TinyPacs, name: str, decodes: bool, by_patient: bool
) -> None:
    """As `facilities check` reports it, without asking for anyone's data."""
    archive = orthanc_archives["NORTH"] if name == "orthanc" else tiny_pacs
    facility = facility_of(archive)
    looked = FacilityCheck(facility)
    transport = CurlTransport()
    call = Call(
        facility=facility.id,
        conversation=looked.conversation(),
        terms=terms_of(facility.auth),
        deadline=Deadline.after(LONG),
    )
    run([call], transport)
    transport.close()
    ratings = {finding.name: finding.rating for finding in looked.findings}

    assert looked.usable
    assert ratings["percent-encoding"] == ("ok" if decodes else "limited")
    assert ratings["series by patient"] == ("ok" if by_patient else "limited")
