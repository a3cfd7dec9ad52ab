"""What is made of archives with all kinds of manners: asked politely, read in full, believed as far as checked."""

import json
from collections.abc import Callable

import pytest

from gateway.adapters.base import FacilityQuestion, FacilityReply, HTTPExchange, HTTPResult, Target
from gateway.adapters.dicomweb import DICOMwebAdapter
from tests.facilities.archive import Archive, Manners
from tests.facilities.rows import a_series_row, a_study_row, attribute
from tests.factories_adapters import Exchanges, a_facility, a_record, a_target, of_archive

QUESTION = FacilityQuestion()
FIELDS = "&includefield="


def ask(
    archive: Archive,
    target: Target | None = None,
    *,
    adapter: DICOMwebAdapter | None = None,
    question: FacilityQuestion = QUESTION,
) -> tuple[FacilityReply, Exchanges]:
    """The reply, and what was exchanged for it."""
    exchanges = of_archive(archive)
    reply = exchanges.hold((adapter or DICOMwebAdapter()).converse(target or a_target(), question))
    return reply, exchanges


def an_archive(studies: int = 1, series_each: int = 1, patient_id: str = "N-1", **manners: object) -> Archive:
    """An archive that holds so many studies of one patient."""
    archive = Archive(manners=Manners(**manners))  # type: ignore[arg-type]
    for number in range(studies):
        uid = f"2.25.{1000 + number}"
        archive.add_study(
            patient_id,
            uid,
            series=[a_series_row(uid, f"{uid}.{n}", number=n, instances=2) for n in range(series_each)],
        )
    return archive


def without_fields(url: str) -> str:
    """The URL up to its includefields."""
    return url.partition(FIELDS)[0]


def test_studies_and_series_are_asked_for_side_by_side() -> None:
    """One round: the answer takes as long as the slower of the two."""
    reply, exchanges = ask(an_archive(studies=2, series_each=3))

    assert [url.partition("?")[0] for url in exchanges.urls] == ["/studies", "/series"]
    assert len(exchanges.rounds) == 1
    assert reply.status == "answered"
    assert not reply.incomplete
    assert [(study.uid, len(study.series or ())) for study in reply.studies] == [("2.25.1000", 3), ("2.25.1001", 3)]


def test_the_question_names_one_patient_and_the_fields_that_archives_leave_out() -> None:
    """Descriptions and issuers come only where they are asked for (DICOM PS3.18 §8.3.4)."""
    reply, exchanges = ask(an_archive(only_on_request=True))

    assert exchanges.urls[0].startswith("/studies?PatientID=N-1&limit=1000&offset=0&includefield=")
    assert reply.studies[0].description == "CT THORAX"


def test_series_are_not_asked_for_where_nobody_wants_them() -> None:
    """A count or a summary needs no series."""
    reply, exchanges = ask(an_archive(), question=FacilityQuestion(wants_series=False))

    assert len(exchanges.urls) == 1
    assert reply.studies[0].series is None
    assert not reply.incomplete


def test_departments_are_asked_for_where_a_rule_is_about_them_and_else_not() -> None:
    """Some archives read a file of each study to tell."""
    archive = an_archive(only_on_request=True)
    for row in archive.studies:
        row["00081040"] = {"vr": "LO", "Value": ["Psychiatry"]}
        row["00321033"] = {"vr": "LO", "Value": ["Crisis team"]}
    _, unasked = ask(archive)
    reply, asked = ask(archive, question=FacilityQuestion(wants_department=True))

    fields = ("includefield=00081040", "includefield=00321033")
    assert not any(field in url for url in unasked.urls for field in fields)
    assert all(field in asked.urls[0] for field in fields)
    assert {study.departments for study in reply.studies} == {("Psychiatry", "Crisis team")}
    assert all(study.series for study in reply.studies)


@pytest.mark.parametrize("nothing", ["empty-list", "no-content", "empty-body", "null"])
def test_no_match_is_an_answer(nothing: str) -> None:
    """204, `[]`, `null` and an empty body all say that the patient has no imaging there."""
    reply, _ = ask(Archive(manners=Manners(nothing=nothing)))

    assert (reply.status, reply.studies, reply.incomplete) == ("answered", (), False)


class TestPaging:
    """Lists are read to their end, whatever the archive does with `limit` and `offset`."""

    @pytest.mark.parametrize("count", [999, 1000, 1001, 2500])
    @pytest.mark.parametrize(
        "manners",
        [
            {},
            {"most_limit": 200},
            {"ignores_limit": True},
            {"ignores_limit": True, "ignores_offset": True},
            {"most_rows": 200},
            {"most_rows": 100, "warns": True},
            {"refuses_includefield": True, "most_limit": 200},
            {"refuses_paging": True, "refuses_includefield": True},
        ],
        ids=str,
    )
    def test_every_study_is_read_once(self, count: int, manners: dict[str, object]) -> None:
        """No row is lost, none comes twice."""
        reply, _ = ask(
            an_archive(studies=count, series_each=0, **manners), question=FacilityQuestion(wants_series=False)
        )

        assert len(reply.studies) == len({study.uid for study in reply.studies}) == count
        if count != 1000 or not manners.get("ignores_offset"):
            assert not reply.incomplete

    def test_an_archive_that_ignores_offset_is_not_asked_for_ever(self) -> None:
        """A page that brings nothing new is the last; what lies behind it is known to be missing."""
        reply, exchanges = ask(
            an_archive(studies=1500, series_each=0, ignores_offset=True), question=FacilityQuestion(wants_series=False)
        )

        assert len(exchanges.urls) == 2
        assert len(reply.studies) == 1000
        assert reply.incomplete

    def test_more_rows_than_the_cap_are_cut_off_and_said(self) -> None:
        """Ten thousand rows about one patient are not believed to be all needed."""
        reply, _ = ask(an_archive(studies=10_000, series_each=0, ignores_limit=True))

        assert len(reply.studies) == 5000
        assert reply.incomplete

    def test_an_archive_that_drips_rows_is_given_up(self) -> None:
        """A page a row, and always more: the number of pages ends it."""
        reply, exchanges = ask(
            an_archive(studies=500, series_each=0, most_rows=1, warns=True),
            question=FacilityQuestion(wants_series=False),
        )

        assert len(exchanges.urls) <= 72
        assert reply.incomplete

    def test_a_silent_cap_is_noticed(self) -> None:
        """A page that is short of the limit and yet long is followed by one more question."""
        reply, exchanges = ask(
            an_archive(studies=30, series_each=0, most_rows=12), question=FacilityQuestion(wants_series=False)
        )

        assert len(reply.studies) == 30
        assert without_fields(exchanges.urls[1]).endswith("&offset=12")

    def test_what_an_archive_gives_in_full_is_remembered(self) -> None:
        """The extra question is asked once, not at every query."""
        adapter = DICOMwebAdapter()
        archive = an_archive(studies=30, series_each=0)
        question = FacilityQuestion(wants_series=False)
        _, first = ask(archive, adapter=adapter, question=question)
        _, second = ask(archive, adapter=adapter, question=question)

        assert (len(first.urls), len(second.urls)) == (2, 1)

    def test_later_pages_are_asked_for_side_by_side(self) -> None:
        """A long list takes few round trips."""
        _, exchanges = ask(
            an_archive(studies=3000, series_each=0, most_limit=200), question=FacilityQuestion(wants_series=False)
        )

        assert len(exchanges.rounds) <= 7

    def test_a_page_that_fails_leaves_the_rest_and_is_said(self) -> None:
        """What came before is kept."""
        archive = an_archive(studies=1500, series_each=0)
        good = of_archive(archive)

        def answer(exchange: HTTPExchange) -> HTTPResult:
            if "offset=1000" in exchange.url:
                return HTTPResult(status=500)
            return good.answer(exchange)

        reply = Exchanges(answer).hold(DICOMwebAdapter().converse(a_target(), FacilityQuestion(wants_series=False)))

        assert (reply.status, len(reply.studies), reply.incomplete) == ("answered", 1000, True)


class TestManners:
    """What an archive refuses is asked for in another way, and not again the first way."""

    def test_the_way_that_works_is_remembered(self) -> None:
        """The second query begins with it."""
        adapter = DICOMwebAdapter()
        archive = an_archive(refuses_includefield=True, most_limit=200)
        ask(archive, adapter=adapter)
        reply, exchanges = ask(archive, adapter=adapter)

        assert exchanges.urls == [
            "/studies?PatientID=N-1&limit=200&offset=0",
            "/series?PatientID=N-1&limit=200&offset=0",
        ]
        assert len(reply.studies) == 1

    def test_it_is_forgotten_after_a_while(self) -> None:
        """An archive that was upgraded is asked the better way again."""
        now = [0.0]
        adapter = DICOMwebAdapter(clock=lambda: now[0])
        archive = an_archive(series_by_patient=False)
        ask(archive, adapter=adapter)
        archive.manners.series_by_patient = True
        now[0] = 3601.0
        _, exchanges = ask(archive, adapter=adapter)

        assert "/series?PatientID=N-1" in exchanges.urls[1]

    def test_series_are_asked_for_study_by_study_where_the_archive_wants_that(self) -> None:
        """tiny_pacs has no `/series`; the next query doesn't try."""
        adapter = DICOMwebAdapter()
        archive = an_archive(studies=3, series_each=2, series_by_patient=False)
        first, _ = ask(archive, adapter=adapter)
        second, exchanges = ask(archive, adapter=adapter)

        assert first.studies == second.studies
        assert [len(study.series or ()) for study in second.studies] == [2, 2, 2]
        assert not second.incomplete
        assert [url.partition("?")[0] for url in exchanges.urls] == [
            "/studies",
            *(f"/studies/2.25.{number}/series" for number in (1000, 1001, 1002)),
        ]

    def test_not_too_many_at_once(self) -> None:
        """An archive is not flooded."""
        _, exchanges = ask(an_archive(studies=50, series_by_patient=False))

        assert max(len(round_) for round_ in exchanges.rounds) == 8

    def test_series_that_are_refused_leave_the_studies(self) -> None:
        """The studies are told, without series, and the facility is named incomplete."""
        reply, _ = ask(an_archive(studies=2, series_status=500))

        assert (reply.status, reply.incomplete) == ("answered", True)
        assert [study.series for study in reply.studies] == [None, None]

    def test_series_that_a_capped_list_lacks_are_asked_for(self) -> None:
        """(0020,1206) says that some are missing."""
        archive = Archive(manners=Manners(most_rows=5, ignores_offset=True))
        for uid, count in (("2.25.1", 2), ("2.25.2", 4)):
            series = [a_series_row(uid, f"{uid}.{n}") for n in range(count)]
            archive.add_study("N-1", uid, number_of_series=count, series=series)
        reply, exchanges = ask(archive)

        assert "/studies/2.25.2/series" in exchanges.urls[-1]
        assert [len(study.series or ()) for study in reply.studies] == [2, 4]

    def test_a_study_that_only_its_series_tell_of_is_missed(self) -> None:
        """The list of studies was cut off somewhere: the facility is named incomplete."""
        archive = an_archive()
        archive.series.append(a_series_row("2.25.1000", "2.25.9"))
        good = of_archive(archive)
        row = a_series_row("2.25.5555", "2.25.5556", patient_id="N-1")

        def answer(exchange: HTTPExchange) -> HTTPResult:
            result = good.answer(exchange)
            if "/series" not in exchange.url:
                return result
            return HTTPResult(status=200, body=json.dumps([*json.loads(result.body), row]).encode())

        reply = Exchanges(answer).hold(DICOMwebAdapter().converse(a_target(), QUESTION))

        assert (len(reply.studies), reply.incomplete) == (1, True)

    def test_counts_that_never_come_true_are_not_chased_again(self) -> None:
        """Some archives count series that they don't show: that costs one more question once."""
        adapter = DICOMwebAdapter()
        archive = Archive()
        archive.add_study("N-1", "2.25.1", number_of_series=5, series=[a_series_row("2.25.1", "2.25.1.1")])
        first, _ = ask(archive, adapter=adapter)
        second, exchanges = ask(archive, adapter=adapter)

        assert len(exchanges.urls) == 2
        assert first.studies == second.studies
        assert not second.incomplete

    def test_an_identifier_that_must_be_escaped_finds_its_patient(self) -> None:
        """A server that decodes is asked `A%20B`."""
        archive = an_archive(patient_id="A B&C Ü")
        reply, exchanges = ask(archive, a_target(a_record("A B&C Ü")))

        assert "PatientID=A%20B%26C%20%C3%9C&limit=%31%30%30%30&" in exchanges.urls[0]
        assert len(reply.studies) == 1

    def test_a_server_that_does_not_decode_never_answers_nothing_to_an_escaped_identifier(self) -> None:
        """It can't read the limit beside it and refuses: the record was not asked for, and that is said."""
        reply, _ = ask(an_archive(patient_id="A B", decodes_percent=False), a_target(a_record("A B")))

        assert (reply.status, reply.unasked, reply.incomplete) == ("answered", 1, True)

    def test_a_server_that_does_not_decode_gets_what_it_understands(self) -> None:
        """`^` goes out as it is."""
        reply, _ = ask(an_archive(patient_id="A^B|C", decodes_percent=False), a_target(a_record("A^B|C")))

        assert len(reply.studies) == 1

    def test_a_strict_server_gets_it_escaped(self) -> None:
        """What is refused raw is asked for once more, escaped."""
        reply, _ = ask(an_archive(patient_id="A^B|C", strict_urls=True), a_target(a_record("A^B|C")))

        assert (len(reply.studies), reply.incomplete) == (1, False)


class TestBelief:
    """Nothing but the patient's own rows is used (T107, T108)."""

    def test_t107_rows_of_others_are_dropped_and_counted(self) -> None:
        """A server that knows no filter answers with everyone."""
        archive = an_archive(studies=2, ignores_patient=True)
        for number in range(4):
            archive.add_study(f"OTHER-{number}", f"2.25.9{number}", series=[a_series_row(f"2.25.9{number}", "2.25.99")])
        reply, _ = ask(archive)

        assert [study.uid for study in reply.studies] == ["2.25.1000", "2.25.1001"]
        assert (reply.dropped, reply.incomplete) == (4, False)

    def test_t107_the_same_uid_in_a_row_of_another_does_not_hide_ours(self) -> None:
        """The check comes before duplicates are put together."""
        archive = an_archive(ignores_patient=True)
        archive.studies.insert(0, a_study_row("OTHER", "2.25.1000", description="NOT YOURS"))
        reply, _ = ask(archive)

        assert [study.description for study in reply.studies] == ["CT THORAX"]
        assert reply.dropped == 1

    def test_t107_series_of_another_patient_are_dropped(self) -> None:
        """Where a series row states a PatientID, it is checked too."""
        archive = an_archive()
        archive.series.append(a_series_row("2.25.1000", "2.25.666", patient_id="OTHER"))
        reply, _ = ask(archive)

        assert [one.uid for one in reply.studies[0].series or ()] == ["2.25.1000.0"]
        assert reply.dropped == 1

    def test_a_row_that_contradicts_the_record_is_withheld_and_said(self) -> None:
        """Birth date and family name both speak against it: perhaps a number was given out twice."""
        archive = an_archive()
        archive.add_study("N-1", "2.25.66", person="Somebody^Else", birth_date="20010101")
        reply, _ = ask(archive)

        assert [study.uid for study in reply.studies] == ["2.25.1000"]
        assert (reply.contradicted, reply.dropped, reply.incomplete) == (1, 0, True)

    def test_t108_what_would_ask_for_others_is_not_sent(self) -> None:
        """The rest of the target is asked, and the facility named incomplete."""
        reply, exchanges = ask(an_archive(), a_target(a_record(), a_record("N*", record_id=2)))

        assert not any("*" in url for url in exchanges.urls)
        assert (len(reply.studies), reply.unasked, reply.incomplete) == (1, 1, True)

    def test_t108_a_target_with_nothing_to_send_is_not_asked_at_all(self) -> None:
        """No exchange, and no clean-looking empty answer."""
        reply, exchanges = ask(an_archive(), a_target(a_record("")))

        assert exchanges.rounds == []
        assert (reply.status, reply.unasked, reply.incomplete) == ("answered", 1, True)

    def test_two_records_of_one_person_each_tell_their_own(self) -> None:
        """A person may have two numbers in one house."""
        archive = an_archive()
        archive.add_study("N-2", "2.25.77", series=[a_series_row("2.25.77", "2.25.78")])
        reply, _ = ask(archive, a_target(a_record(), a_record("N-2", record_id=2)))

        assert [(study.record_id, study.local_id, study.uid) for study in reply.studies] == [
            (1, "N-1", "2.25.1000"),
            (2, "N-2", "2.25.77"),
        ]

    def test_a_row_without_a_uid_is_counted(self) -> None:
        """There is nothing to tell of it; that something is missing is said."""
        archive = an_archive()
        archive.studies.append(a_study_row("N-1", "not a uid"))
        reply, _ = ask(archive)

        assert (len(reply.studies), reply.unreadable, reply.incomplete) == (1, 1, True)

    def test_t101_an_archive_names_no_address(self) -> None:
        """(0008,1190) is neither followed nor kept."""
        archive = Archive()
        archive.add_study("N-1", "2.25.1", _00081190=attribute("UR", "http://evil.example/studies/2.25.1"))
        reply, exchanges = ask(archive)

        assert not any("evil" in url for url in exchanges.urls)
        assert "evil" not in repr(reply.studies)


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (HTTPResult(failure="timed_out"), "timed_out"),
        (HTTPResult(failure="unreachable"), "unreachable"),
        (HTTPResult(failure="too_large"), "unreadable"),
        (HTTPResult(status=401), "refused"),
        (HTTPResult(status=302), "refused"),
        (HTTPResult(status=404), "refused"),
        (HTTPResult(status=429), "unreachable"),
        (HTTPResult(status=503), "unreachable"),
        (HTTPResult(status=200, body=b"<html>"), "unreadable"),
    ],
)
def test_a_failure_is_told_as_what_it_is(result: HTTPResult, status: str) -> None:
    """No failure becomes an empty list."""
    reply = Exchanges(lambda _: result).hold(DICOMwebAdapter().converse(a_target(), QUESTION))

    assert (reply.status, reply.studies) == (status, ())


def test_studies_are_kept_when_time_runs_out_for_their_series() -> None:
    """What came in time is told."""
    good = of_archive(an_archive())

    def answer(exchange: HTTPExchange) -> HTTPResult:
        return HTTPResult(failure="timed_out") if "/series" in exchange.url else good.answer(exchange)

    reply = Exchanges(answer).hold(DICOMwebAdapter().converse(a_target(), QUESTION))

    assert (reply.status, len(reply.studies), reply.incomplete) == ("answered", 1, True)


def test_one_record_that_fails_leaves_the_other() -> None:
    """The facility answered, and not in full."""
    good = of_archive(an_archive())

    def answer(exchange: HTTPExchange) -> HTTPResult:
        return HTTPResult(status=500) if "N-2" in exchange.url else good.answer(exchange)

    target = a_target(a_record(), a_record("N-2", record_id=2))
    reply = Exchanges(answer).hold(DICOMwebAdapter().converse(target, QUESTION))

    assert (reply.status, len(reply.studies), reply.incomplete) == ("answered", 1, True)


@pytest.mark.parametrize("row", [{"0020000D": 5}, {"00100020": {"Value": 5}}, {"00100020": None}, {}, {"0020000D": {}}])
def test_rows_of_any_shape_are_survived(row: dict[str, object]) -> None:
    """Whatever JSON an archive sends, the other rows are read."""
    body = json.dumps([row, a_study_row("N-1", "2.25.1")]).encode()
    answers: Callable[[HTTPExchange], HTTPResult] = lambda _: HTTPResult(status=200, body=body)  # noqa: E731
    reply = Exchanges(answers).hold(DICOMwebAdapter().converse(a_target(facility=a_facility()), QUESTION))

    assert [study.uid for study in reply.studies] == ["2.25.1"]


def test_t106_an_archive_that_answers_more_series_than_a_study_has_is_not_asked_for_the_next_ones() -> None:
    """What came before is kept, the facility is incomplete, and the work it makes is bounded by one round."""
    archive = an_archive(studies=40, series_by_patient=False, ignores_limit=True)
    for number in range(8):
        uid = f"2.25.{1000 + number}"
        archive.series += [a_series_row(uid, f"{uid}.9.{n}") for n in range(1_100)]

    reply, exchanges = ask(archive)

    per_study = [url for url in exchanges.urls if url.startswith("/studies/")]
    assert len({url.partition("?")[0] for url in per_study}) == 8
    assert len(reply.studies) == 40
    assert reply.incomplete
    assert all(study.series is None for study in reply.studies[8:])
