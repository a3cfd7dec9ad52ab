"""What an archive says again is not read again. Nothing else is spared: it is asked, and held to the same record."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.adapters.base import FacilityQuestion, FacilityReply, HTTPExchange, HTTPResult, Target
from gateway.adapters.dicomweb import DICOMwebAdapter
from gateway.adapters.heard import FORGET_AFTER_S, MOST_BYTES, HeardBefore
from tests.facilities.archive import Archive
from tests.facilities.rows import a_series_row
from tests.factories_adapters import a_facility, a_record, a_target, of_archive

QUESTION = FacilityQuestion()


def an_archive(studies: int = 2, patient_id: str = "N-1", **attributes: Any) -> Archive:
    """An archive with so many studies of one patient, a series each."""
    archive = Archive()
    for number in range(studies):
        uid = f"2.25.{1000 + number}"
        archive.add_study(patient_id, uid, series=[a_series_row(uid, f"{uid}.1")], **attributes)
    return archive


class House:
    """An adapter whose clock is set by hand, and what it exchanges with one archive."""

    def __init__(self, archive: Archive, most_bytes: int = MOST_BYTES) -> None:
        self.now = 0.0
        self.adapter = DICOMwebAdapter(self.clock, HeardBefore(self.clock, most_bytes))
        self.exchanges = of_archive(archive)

    def clock(self) -> float:
        """What time it is."""
        return self.now

    def ask_twice(self) -> FacilityReply:
        """The reply, which is then kept."""
        self.ask()
        return self.ask()

    def ask(self, target: Target | None = None, question: FacilityQuestion = QUESTION) -> FacilityReply:
        """The reply of the archive as it is now."""
        return self.exchanges.hold(self.adapter.converse(target or a_target(), question))


def test_the_archive_is_asked_each_time_and_the_same_bytes_are_read_once() -> None:
    """Heard once, only digests are kept of it; from the second time on the reply is the one before, to the object."""
    house = House(an_archive())
    first, second, third = house.ask(), house.ask(), house.ask()

    assert second == first
    assert second is not first
    assert third is second
    assert house.exchanges.urls == 3 * house.exchanges.urls[:2]


def test_what_the_archive_says_now_is_what_is_told() -> None:
    """A study that came, changed or went between two queries is seen by the second."""
    archive = an_archive(studies=1)
    house = House(archive)
    before = house.ask_twice()
    archive.add_study("N-1", "2.25.77", series=[a_series_row("2.25.77", "2.25.77.1")])
    more = house.ask_twice()
    archive.studies[0]["00081030"]["Value"] = ["MR KNIE"]
    changed = house.ask_twice()
    del archive.studies[1], archive.series[1]
    fewer = house.ask()

    assert [study.uid for study in before.studies] == ["2.25.1000"]
    assert [study.uid for study in more.studies] == ["2.25.1000", "2.25.77"]
    assert changed.studies[0].description == "MR KNIE"
    assert [study.uid for study in fewer.studies] == ["2.25.1000"]


def test_a_failure_is_told_though_the_answer_before_was_whole() -> None:
    """Nothing that was heard before stands in for an archive that does not answer."""
    archive = an_archive()
    house = House(archive)
    house.ask_twice()
    archive.manners.status = 503
    failed = house.ask()
    archive.manners.status = None
    archive.manners.series_status = 500
    without_series = house.ask()

    assert (failed.status, failed.studies) == ("unreachable", ())
    assert without_series.incomplete


def test_the_rows_are_held_to_the_record_as_it_is_now() -> None:
    """Same bytes, same identifier; the record's name and birth date have been corrected since: both now contradict."""
    house = House(an_archive())
    assert len(house.ask_twice().studies) == 2
    reply = house.ask(a_target(a_record(family=["Nobody"], birth_date="1999-09-09")))

    assert (reply.studies, reply.contradicted) == ((), 2)


def test_another_record_or_identifier_is_another_question() -> None:
    """What was heard of one record is told of no other."""
    house = House(an_archive())
    house.ask_twice()
    other_identifier = house.ask(a_target(a_record("N-2")))
    other_record = house.ask(a_target(a_record(record_id=2)))

    assert other_identifier.studies == ()
    assert {study.record_id for study in other_record.studies} == {2}


@pytest.mark.parametrize("changes", [{"time_zone": "Asia/Tokyo"}, {"issuer": "OTHER"}, {"accession_system": "urn:a"}])
def test_a_facility_that_is_set_up_otherwise_is_read_anew(changes: dict[str, str]) -> None:
    """Its settings say how an answer is to be read."""
    house = House(an_archive(issuer="SOME"))
    first = house.ask_twice()
    again = house.ask(a_target(facility=a_facility(**changes)))

    assert again == House(an_archive(issuer="SOME")).ask(a_target(facility=a_facility(**changes)))
    assert again != first


def test_another_question_is_read_anew() -> None:
    """With and without series are two replies."""
    house = House(an_archive())
    with_series, without = house.ask_twice(), house.ask(question=FacilityQuestion(wants_series=False))

    assert with_series.studies[0].series is not None
    assert without.studies[0].series is None
    assert house.ask() is with_series


def test_t107_rows_of_another_patient_are_counted_each_time() -> None:
    """A reply in which anything is amiss is never kept: the alert is raised again."""
    archive = an_archive()
    archive.add_study("N-9", "2.25.9")
    archive.manners.ignores_patient = True
    house = House(archive)

    assert [house.ask().dropped for _ in range(3)] == [1, 1, 1]
    assert house.ask() is not house.ask()


def test_a_warning_that_rows_are_missing_is_heard_each_time() -> None:
    """The bodies may be the same; a header says that there is more (PS3.18 §8.3.4.4)."""
    archive = an_archive(studies=3)
    house = House(archive)
    house.ask_twice()
    quiet = house.exchanges.answer

    def warns(exchange: HTTPExchange) -> HTTPResult:
        result = quiet(exchange)
        text = "299 archive There are 7 additional results that can be requested"
        return HTTPResult(status=result.status, body=result.body, headers=(("warning", text),))

    house.exchanges.answer = warns
    house.exchanges.rounds.clear()
    house.ask()

    assert len(house.exchanges.rounds) > 1


def test_an_answer_of_several_rounds_is_read_each_time() -> None:
    """Only where the first round was all does the reply follow from it."""
    archive = an_archive(studies=3)
    archive.manners.series_by_patient = False
    house = House(archive)
    replies = [house.ask() for _ in range(3)]

    assert replies[0].studies == replies[1].studies == replies[2].studies
    assert replies[2] is not replies[1]


def test_what_was_learned_of_the_archive_since_counts() -> None:
    """Its manners are forgotten after an hour: it is then asked as a stranger, whatever was heard of it."""
    house = House(an_archive(studies=30))
    house.ask_twice()
    assert house.ask() is house.ask()
    house.now += 3601.0
    house.exchanges.rounds.clear()
    house.ask()

    assert len(house.exchanges.rounds) == 2


def test_nothing_is_kept_for_longer_than_ten_minutes() -> None:
    """Asked for again and again or not."""
    house = House(an_archive())
    first = house.ask_twice()
    house.now += FORGET_AFTER_S - 1
    again = house.ask()
    house.now += 2
    anew = house.ask()

    assert again is first
    assert anew is not first
    assert anew == first


def test_it_has_bounds_and_forgets_what_was_not_asked_for_longest() -> None:
    """The answers about seventy patients, where not all of them fit."""
    archive = Archive()
    for n in range(70):
        archive.add_study(f"N-{n}", f"2.25.1{n:03}", series=[a_series_row(f"2.25.1{n:03}", f"2.25.1{n:03}.1")])
    targets = [a_target(a_record(f"N-{n}", record_id=n)) for n in range(70)]
    house = House(archive, most_bytes=64 * _bytes_of_an_answer(archive))
    for target in targets:
        house.ask(target)
    first = [house.ask(target) for target in targets]
    kept = [house.ask(target) is reply for target, reply in zip(reversed(targets), reversed(first), strict=True)]

    assert kept[0]
    assert not kept[-1]


def _bytes_of_an_answer(archive: Archive) -> int:
    query = "PatientID=N-69&limit=1000&offset=0"
    return sum(len(archive.answer(f"/{level}", query, None).body) for level in ("studies", "series"))


def test_a_large_answer_is_read_each_time() -> None:
    """It would make many others be forgotten."""
    house = House(an_archive(studies=5), most_bytes=64)
    house.ask_twice()
    assert house.ask() is not house.ask()


def test_a_target_without_an_identifier_that_can_be_sent_is_told_of_each_time() -> None:
    """There is nothing to ask, and that is said (T108)."""
    house = House(an_archive())
    replies = [house.ask(a_target(a_record("N*"))) for _ in range(2)]

    assert [reply.unasked for reply in replies] == [1, 1]
    assert house.exchanges.rounds == []


def test_the_studies_of_a_changed_record_are_its_own() -> None:
    """The same record under another identifier (a correction) is asked for by that one."""
    archive = an_archive()
    archive.add_study("N-5", "2.25.5", series=[a_series_row("2.25.5", "2.25.5.1")])
    house = House(archive)
    house.ask_twice()
    record = replace(a_record("N-5"), record_id=1)

    assert [study.uid for study in house.ask(a_target(record)).studies] == ["2.25.5"]
