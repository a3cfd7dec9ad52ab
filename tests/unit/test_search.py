"""The spine: what a query releases, what it never asks, what it records, and how it fails."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.adapters.base import FacilityReply
from gateway.auth.b2b import Subject
from gateway.auth.purpose_of_use import BreakGlass
from gateway.consent.label_rules import read_label_rules
from gateway.disclosure import Request
from gateway.errors import (
    AccessRefused,
    AllFacilitiesFailed,
    AuditUnavailable,
    BreakGlassEnded,
    BreakGlassRefused,
    DeadlinePassed,
    DependencyUnavailable,
    NotFound,
)
from gateway.imaging.study import Study
from gateway.model import PatientID, PatientRef, Requester, StudyQuery
from gateway.search import SearchAnswer, read_imaging_study, search_imaging_studies
from tests.factories import PERSON, a_deadline, a_facility, a_patient, a_requester, a_source_record, a_source_study
from tests.factories_auth import a_client
from tests.factories_consent import a_consent, a_rule
from tests.fakes import FakeRooms

NORTH, SOUTH, EAST = a_facility("north"), a_facility("south"), a_facility("east")
REQUEST = Request(kind="imaging-search", raw="GET /fhir/r4/ImagingStudy?patient=x", id="r-1", network="127.0.0.1")
QUERY = StudyQuery(patient=PatientRef(id=PERSON))


def a_house() -> FakeRooms:
    """One person with a study at each of three facilities, and one study that north and south share."""
    fake = FakeRooms()
    fake.mpi.persons = [a_patient(NORTH, SOUTH, EAST)]
    fake.facilities.add(NORTH, a_source_study(NORTH, "2.25.10", 1), a_source_study(NORTH, "2.25.99", 1))
    fake.facilities.add(SOUTH, a_source_study(SOUTH, "2.25.20", 2), a_source_study(SOUTH, "2.25.99", 2))
    fake.facilities.add(EAST, a_source_study(EAST, "2.25.30", 3))
    return fake


def search(fake: FakeRooms, requester: Requester | None = None, query: StudyQuery = QUERY) -> SearchAnswer:
    """Everything that matches, as one page."""
    who = requester or a_requester()
    return search_imaging_studies(query, who, fake.rooms, a_deadline(), REQUEST, tuple)


def held(studies: tuple[Study, ...]) -> dict[str, tuple[str, ...]]:
    """Which facilities hold each study, by UID."""
    return {study.uid: study.facilities for study in studies}


def barring(*facilities: str) -> tuple:  # type: ignore[type-arg]
    """A consent that permits treatment, but not what these facilities hold."""
    return (a_consent(a_rule("permit", nested=(a_rule("deny", authored_by=facilities),))),)


def test_a_study_held_twice_comes_once_and_names_both() -> None:
    """One resource per UID, with every source that may be shown."""
    answer = search(a_house())

    assert held(answer.studies)["2.25.99"] == ("north", "south")
    assert answer.total == 4
    assert answer.gaps == ()


def test_t052_a_barred_facility_is_not_asked_and_contributes_nothing() -> None:
    """South is withheld: not asked, not in the answer, and no count, endpoint or record betrays it."""
    fake = a_house()
    fake.consents.on_file[PERSON] = barring("south")

    answer = search(fake)

    assert fake.facilities.asked_ids == ["east", "north"]
    assert held(answer.studies) == {"2.25.10": ("north",), "2.25.99": ("north",), "2.25.30": ("east",)}
    assert "south" not in answer.facilities
    assert [record.identifier.system for record in answer.permitted_records] == [
        EAST.identifier_system,
        NORTH.identifier_system,
    ]


def test_t053_a_barred_facility_that_is_down_is_never_mentioned() -> None:
    """A gap would tell that the patient is known there."""
    fake = a_house()
    fake.facilities.replies[SOUTH.id] = FacilityReply(facility=SOUTH, status="unreachable")
    fake.consents.on_file[PERSON] = barring("south")

    assert search(fake).gaps == ()


def test_t080_a_revocation_during_the_fan_out_counts() -> None:
    """Consent is read again after the facilities answered: what was permitted when they were asked is withheld now."""
    fake = a_house()

    def revoke() -> None:
        fake.consents.on_file[PERSON] = (a_consent(a_rule("deny")),)

    fake.facilities.meanwhile = revoke
    answer = search(fake)

    assert fake.facilities.asked_ids == ["east", "north", "south"]
    assert (answer.studies, answer.total, answer.gaps) == ((), 0, ())
    assert fake.audit.records[0].released == ()


def test_t080_a_read_under_way_obeys_the_revocation_too() -> None:
    """Not found, as if it had never been."""
    fake, ids = a_seen_house()

    def revoke() -> None:
        fake.consents.on_file[PERSON] = barring("south")

    fake.facilities.meanwhile = revoke
    with pytest.raises(NotFound):
        read(fake, ids["2.25.20"])
    assert all(not record.released for record in fake.audit.records[1:])


def test_t045_two_consents_that_disagree_are_both_in_the_audit() -> None:
    """Of the same moment, one filed by a delegate: the deny wins, and an auditor finds the permit beside it."""
    fake = a_house()
    fake.consents.on_file[PERSON] = (a_consent(id="own"), a_consent(a_rule("deny"), id="of-the-delegate"))
    assert search(fake).studies == ()
    assert {one.consents for one in fake.audit.records[0].decided} == {
        ("Consent/of-the-delegate/_history/1", "Consent/own/_history/1")
    }


def test_a_facility_that_fails_is_named_and_the_rest_is_returned() -> None:
    """Nobody's failure fails the query, and none is hidden."""
    fake = a_house()
    fake.facilities.replies[SOUTH.id] = FacilityReply(facility=SOUTH, status="timed_out")
    fake.facilities.replies[EAST.id] = FacilityReply(facility=EAST, status="answered", incomplete=True)

    answer = search(fake)

    assert [(gap.facility.id, gap.reason) for gap in answer.gaps] == [("east", "incomplete"), ("south", "timeout")]
    assert set(held(answer.studies)) == {"2.25.10", "2.25.99"}


def test_a_suspended_facility_is_not_asked_and_is_said_to_be_missing() -> None:
    """An operator took it out: its studies may exist."""
    fake = a_house()
    resting = a_facility("west", suspended=True)
    fake.mpi.persons = [a_patient(NORTH, resting)]
    fake.facilities.registered.append(resting)

    answer = search(fake)

    assert fake.facilities.asked_ids == ["north"]
    assert [(gap.facility.id, gap.reason) for gap in answer.gaps] == [("west", "suspended")]


def test_t137_when_everyone_asked_fails_the_query_fails_and_says_who() -> None:
    """Never an empty list that looks like an answer. The failure is audited."""
    fake = a_house()
    for facility in (NORTH, SOUTH, EAST):
        fake.facilities.replies[facility.id] = FacilityReply(facility=facility, status="unreachable")

    with pytest.raises(AllFacilitiesFailed) as refusal:
        search(fake)

    assert [id_ for id_, _, _ in refusal.value.gaps] == ["east", "north", "south"]
    assert [(record.kind, record.outcome) for record in fake.audit.records] == [("imaging-search", "failed")]


def test_an_unknown_patient_and_a_wholly_withheld_one_look_the_same() -> None:
    """Both are empty, and both are audited."""
    unknown, withheld = a_house(), a_house()
    unknown.mpi.persons = []
    withheld.consents.implicit = "deny"

    first, second = search(unknown), search(withheld)

    assert (first.studies, first.total, first.gaps) == (second.studies, second.total, second.gaps) == ((), 0, ())
    assert withheld.facilities.asked_ids == []
    assert len(unknown.audit.records) == len(withheld.audit.records) == 1


def test_t059_nothing_is_released_when_the_audit_can_not_be_stored() -> None:
    """The answer exists only after its record does."""
    fake = a_house()
    fake.audit.down = True

    with pytest.raises(AuditUnavailable):
        search(fake)


@pytest.mark.parametrize("room", ["mpi", "consents", "sightings"])
def test_t058_a_room_that_fails_releases_nothing(room: str) -> None:
    """An error is never taken for "nothing on file"."""
    fake = a_house()
    getattr(fake, room).down = True

    with pytest.raises(DependencyUnavailable):
        search(fake)

    assert fake.audit.records == []


@pytest.mark.parametrize("room", ["consents", "sightings"])
def test_t058_a_room_that_fails_half_way_releases_nothing(room: str) -> None:
    """It could be read when the facilities were asked, and can't be now: no page, nor half of one, nor its record."""
    fake = a_house()
    search(fake)
    fake.audit.records.clear()

    def fail() -> None:
        getattr(fake, room).down = True

    fake.facilities.meanwhile = fail
    chosen: list[Study] = []

    def select(studies: Sequence[Study]) -> Sequence[Study]:
        chosen.extend(studies)
        return studies

    with pytest.raises(DependencyUnavailable):
        search_imaging_studies(QUERY, a_requester(), fake.rooms, a_deadline(), REQUEST, select)
    assert chosen == []
    assert fake.audit.records == []


def test_a_query_without_time_left_asks_nobody() -> None:
    """The deadline is the whole query's."""
    fake = a_house()

    with pytest.raises(DeadlinePassed):
        search_imaging_studies(QUERY, a_requester(), fake.rooms, a_deadline(seconds=0), REQUEST, tuple)

    assert fake.facilities.asked == []


@pytest.mark.parametrize("other", ["exists", "does not"])
def test_t031_a_token_bound_to_another_patient_is_refused(other: str) -> None:
    """Whether that other patient exists makes no difference."""
    fake = a_house()
    if other == "does not":
        fake.mpi.persons = []

    with pytest.raises(AccessRefused, match="bound to another patient"):
        search(fake, a_requester(patient=PatientID("somebody-else")))

    assert fake.facilities.asked == []


def test_a_bound_token_reaches_its_patient_by_identifier_and_by_a_retired_id() -> None:
    """The binding is to a person, however the person is named."""
    fake = a_house()
    fake.mpi.retired = {PatientID("old"): PERSON}
    mrn = fake.mpi.persons[0].records[0].identifier

    by_identifier = search(fake, a_requester(patient=PERSON), StudyQuery(patient=PatientRef(identifier=mrn)))
    by_retired = search(fake, a_requester(patient=PatientID("old")), StudyQuery(patient=PatientRef(identifier=mrn)))

    assert by_identifier.total == by_retired.total == 4


def test_the_patients_own_access_is_a_right() -> None:
    """No consent is needed for one's own studies, and none takes them away."""
    fake = a_house()
    fake.consents.on_file[PERSON] = (a_consent(a_rule("deny")),)

    answer = search(fake, a_requester(patient=PERSON, subject=f"Patient/{PERSON}", purposes=("PATRQT",)))

    assert answer.total == 4


def test_the_record_says_who_asked_what_was_decided_and_what_was_released() -> None:
    """One record an answer, of the page alone."""
    fake = a_house()
    fake.consents.on_file[PERSON] = barring("south")
    who = a_requester(subject_id="dr-7", subject_name="Dr Seven", subject_role="physician")

    search_imaging_studies(QUERY, who, fake.rooms, a_deadline(), REQUEST, lambda studies: studies[:1])

    (record,) = fake.audit.records
    assert (record.kind, record.patient, record.request_id) == ("imaging-search", PERSON, "r-1")
    assert (record.who.client_id, record.who.subject_id, record.who.purposes) == ("ehr", "dr-7", ("TREAT",))
    assert {decided.facility: decided.decision for decided in record.decided} == {
        "east": "permit",
        "north": "permit",
        "south": "deny",
    }
    assert [asked.facility for asked in record.asked] == ["east", "north"]
    assert sum(len(released.studies) for released in record.released) == 1


def test_t107_rows_of_another_patient_raise_an_alert() -> None:
    """What was dropped is told to those who look after the exchange."""
    fake = a_house()
    fake.facilities.replies[NORTH.id] = FacilityReply(facility=NORTH, status="answered", dropped=2, contradicted=1)

    search(fake)

    alerts = [record for record in fake.audit.records if record.kind == "alert"]
    assert {dict(alert.details)["count"] for alert in alerts} == {"2", "1"}
    assert {dict(alert.details)["about"] for alert in alerts} == {"north"}


def test_a_uid_found_under_two_persons_shows_each_its_own_and_raises_an_alert() -> None:
    """Distinct ids, own sources only."""
    fake = a_house()
    ids = {search(fake).studies[0].id}
    other = PatientID("11111111-1111-4111-8111-111111111111")
    fake.mpi.persons.append(a_patient(EAST, id_=other))
    fake.facilities.replies[EAST.id] = FacilityReply(
        facility=EAST, status="answered", studies=(a_source_study(EAST, "2.25.10", 1),)
    )

    answer = search(fake, query=StudyQuery(patient=PatientRef(id=other)))

    assert held(answer.studies) == {"2.25.10": ("east",)}
    assert answer.studies[0].id not in ids
    assert "a study is found under two persons" in [record.reason for record in fake.audit.records]


def test_last_updated_moves_when_a_study_becomes_visible() -> None:
    """A consent that opens a source is news to who polls with `_lastUpdated`."""
    fake = a_house()
    before = {study.uid: study.last_updated for study in search(fake).studies}
    fake.now += timedelta(hours=1)
    fake.consents.on_file[PERSON] = (a_consent(a_rule("permit"), recorded_at=fake.now),)

    after = {study.uid: study.last_updated for study in search(fake).studies}

    assert all(after[uid] > before[uid] for uid in before)


def a_seen_house() -> tuple[FakeRooms, dict[str, str]]:
    """The house after one search, and the id of each study by UID."""
    fake = a_house()
    return fake, {study.uid: study.id for study in search(fake).studies}


def read(fake: FakeRooms, study_id: str, requester: Requester | None = None) -> Study:
    """The study of that id."""
    return read_imaging_study(study_id, requester or a_requester(), fake.rooms, a_deadline(), REQUEST)[0]


def test_a_study_is_read_by_its_id() -> None:
    """The id leads back to the person and the study."""
    fake, ids = a_seen_house()

    assert read(fake, ids["2.25.99"]).facilities == ("north", "south")


def test_t033_another_patients_study_is_not_found_with_a_bound_token() -> None:
    """As if it did not exist; nobody is asked."""
    fake, ids = a_seen_house()
    fake.facilities.asked.clear()

    with pytest.raises(NotFound):
        read(fake, ids["2.25.10"], a_requester(patient=PatientID("somebody-else")))

    assert fake.facilities.asked == []


def test_t067_a_withheld_study_and_an_id_never_given_out_are_both_not_found() -> None:
    """The same error, without words; both are audited."""
    fake, ids = a_seen_house()
    fake.consents.on_file[PERSON] = barring("south")
    fake.audit.records.clear()

    for study_id in (ids["2.25.20"], "f" * 32):
        with pytest.raises(NotFound) as refusal:
            read(fake, study_id)
        assert refusal.value.reason == ""

    assert len(fake.audit.records) == 2


def test_a_read_says_so_when_the_facility_that_holds_the_study_does_not_answer() -> None:
    """Not found would be a lie; but a facility that never showed it changes nothing."""
    fake, ids = a_seen_house()
    fake.facilities.replies[EAST.id] = FacilityReply(facility=EAST, status="timed_out")

    with pytest.raises(DependencyUnavailable):
        read(fake, ids["2.25.30"])
    assert read(fake, ids["2.25.10"]).uid == "2.25.10"


def test_a_read_when_everyone_fails_says_so_too() -> None:
    """The holder is among them."""
    fake, ids = a_seen_house()
    for facility in (NORTH, SOUTH, EAST):
        fake.facilities.replies[facility.id] = FacilityReply(facility=facility, status="unreachable")

    with pytest.raises(DependencyUnavailable):
        read(fake, ids["2.25.10"])


def test_two_facilities_that_share_a_domain_are_both_asked_about_its_record() -> None:
    """A record counts for every facility of its identifier system."""
    fake = FakeRooms()
    annex = a_facility("annex", identifier_system=NORTH.identifier_system)
    fake.mpi.persons = [a_patient(NORTH)]
    fake.facilities.add(NORTH, a_source_study(NORTH, "2.25.1", 1))
    fake.facilities.add(annex, a_source_study(annex, "2.25.1", 1))

    assert held(search(fake).studies) == {"2.25.1": ("annex", "north")}
    assert a_source_record(NORTH).identifier.system == annex.identifier_system


EMERGENCY = (a_consent(a_rule(purposes=("BTG",))),)
DOCTOR = Subject(id="Practitioner/dr", name="Dr Okafor", role="urn:roles|er")


def an_emergency(fake: FakeRooms, patient: PatientID = PERSON) -> Requester:
    """A doctor who has declared a break-glass for the patient."""
    client = a_client(purposes=("BTG",))
    declared, _ = fake.declarations.declare(client, DOCTOR, BreakGlass(patient=patient, reason="unconscious"), fake.now)
    return a_requester(
        client_id=client.id,
        purposes=("BTG",),
        subject_id=DOCTOR.id,
        subject_role=DOCTOR.role,
        patient=patient,
        declaration=declared.id,
    )


def test_t050_a_break_glass_is_answered_with_a_notice_to_patient_and_privacy_officer() -> None:
    """In the same breath as the answer's own record: if the one can't be stored, neither is told."""
    fake = a_house()
    fake.consents.on_file[PERSON] = EMERGENCY

    answer = search(fake, requester=an_emergency(fake))

    assert answer.studies
    assert fake.audit.kinds == ["imaging-search", "alert"]
    notice = fake.audit.records[1]
    assert (notice.patient, notice.who.subject_id, notice.who.purposes) == (PERSON, "Practitioner/dr", ("BTG",))
    assert notice.details == (("notify", "privacy-officer"), ("notify", "patient"))


def test_t049_a_declaration_that_ends_while_facilities_are_asked_opens_nothing() -> None:
    """It is looked at once more before anything is told."""
    fake = a_house()
    fake.consents.on_file[PERSON] = EMERGENCY
    asked = an_emergency(fake)
    fake.facilities.meanwhile = lambda: setattr(fake, "now", fake.now + timedelta(minutes=30))

    with pytest.raises(BreakGlassEnded):
        search(fake, requester=asked)

    assert [record.kind for record in fake.audit.records if record.released] == []


def test_t051_a_break_glass_that_opens_nothing_is_refused_aloud() -> None:
    """A patient who said no, not even in an emergency, and one whom nobody knows: the same refusal, both stored."""
    refusals = []
    for provision, patient in ((a_rule("deny"), PERSON), (a_rule(purposes=("BTG",)), PatientID("nobody"))):
        fake = a_house()
        fake.consents.on_file[PERSON] = (a_consent(provision),)
        with pytest.raises(BreakGlassRefused) as refused:
            search(fake, an_emergency(fake, patient), StudyQuery(patient=PatientRef(id=patient)))
        refusals.append(refused.value.reason)
        assert fake.facilities.asked == []
        assert fake.audit.kinds == ["imaging-search"]
    assert len(set(refusals)) == 1


def test_t051_a_study_that_a_break_glass_may_not_open_is_not_found() -> None:
    """As an id that was never given out: a refusal would tell that there is something."""
    fake, ids = a_seen_house()
    fake.consents.on_file[PERSON] = (a_consent(a_rule("deny")),)
    for study_id in (ids["2.25.20"], "f" * 32):
        with pytest.raises(NotFound):
            read(fake, study_id, an_emergency(fake))


def test_t048_a_break_glass_for_one_patient_opens_no_other() -> None:
    """The token is bound to whom it was declared for."""
    fake = a_house()
    asked = a_requester(purposes=("BTG",), subject_id="Practitioner/dr", patient=PatientID("another"))
    with pytest.raises(AccessRefused):
        search(fake, requester=asked)
    assert fake.facilities.asked_ids == []


def test_labels_of_any_source_count_for_all_and_are_told_with_the_study() -> None:
    """North's description makes it restricted: whoever may see normal studies only sees neither copy."""
    table = '[[rule]]\nname = "x"\nbasis = "y"\nfacility = ["north"]\nmodality = ["CT", "MR"]\nlabels = ["PSY"]'
    fake = a_house()
    fake.consents.on_file[PERSON] = (a_consent(),)
    unlabelled = search(fake)
    fake.labels = read_label_rules(table)
    labelled = search(fake)
    fake.consents.on_file[PERSON] = (a_consent(a_rule(labels=("N",))),)
    normal_only = search(fake)

    told = {study.uid for study in labelled.studies if study.security}
    assert told
    assert {study.uid for study in labelled.studies} == {study.uid for study in unlabelled.studies}
    assert {study.uid for study in normal_only.studies} == {study.uid for study in unlabelled.studies} - told
    withheld = [one.study for one in fake.audit.records[-1].decided if one.study]
    assert set(withheld) == told


def test_what_a_label_rests_on_says_nothing_of_a_facility_that_is_withheld() -> None:
    """South's clinic makes the study restricted for all; that south is why, nobody learns who may not see south."""
    fake = a_house()
    fake.labels = read_label_rules('[[rule]]\nname = "x"\nbasis = "clinic"\nfacility = ["south"]\nlabels = ["PSY"]')
    fake.consents.on_file[PERSON] = (a_consent(),)
    everything = {study.uid: study.security for study in search(fake).studies}
    fake.consents.on_file[PERSON] = barring("south")
    without_south = {study.uid: study.security for study in search(fake).studies}

    assert {basis.display for label in everything["2.25.99"] for basis in label.basis} == {"clinic"}
    assert all(label.basis == () for label in without_south["2.25.99"])


@pytest.mark.parametrize(("condition", "asked"), [('words = ["hiv"]', True), ('modality = ["CT"]', False)])
def test_t065_who_wants_no_series_is_shown_no_more(condition: str, asked: bool) -> None:
    """A rule that looks at series has them asked for, also where the answer (`_summary`, `_elements`) holds none."""
    fake = a_house()
    fake.labels = read_label_rules(f'[[rule]]\nname = "x"\nbasis = "y"\n{condition}\nlabels = ["HIV"]')
    search(fake, query=replace(QUERY, wants_series=False))

    assert {question.wants_series for _, question in fake.facilities.asked} == {asked}


def test_t044_a_consent_that_cannot_be_evaluated_is_an_alert_in_the_audit() -> None:
    """It denies, and somebody is told to look at it."""
    fake = a_house()
    fake.consents.on_file[PERSON] = (replace(a_consent(), root=None),)

    answer = search(fake)

    assert answer.studies == ()
    assert fake.audit.kinds == ["imaging-search", "alert"]
    assert fake.audit.records[1].details == (("about", "Consent/c1/_history/1"), ("count", "1"))


def two_persons_with_one_number() -> FakeRooms:
    """A second person has the number by which north knows the first."""
    fake = a_house()
    fake.mpi.persons.append(a_patient(NORTH, id_="22222222-2222-4222-8222-222222222222"))
    return fake


def test_an_identifier_of_two_persons_is_said_to_be_one() -> None:
    """Nobody is asked, and the empty answer says why: it is no "no imaging"."""
    fake = two_persons_with_one_number()
    shared = fake.mpi.persons[0].records[0].identifier

    answer = search(fake, query=StudyQuery(patient=PatientRef(identifier=shared)))

    assert (answer.ambiguous, answer.total, fake.facilities.asked) == (True, 0, [])
    assert fake.audit.records[-1].reason == "the identifier names more than one person"


def test_an_identifier_of_two_persons_who_are_withheld_tells_nothing() -> None:
    """As if nobody were known by it."""
    fake = two_persons_with_one_number()
    fake.consents.implicit = "deny"
    shared = fake.mpi.persons[0].records[0].identifier

    assert not search(fake, query=StudyQuery(patient=PatientRef(identifier=shared))).ambiguous
