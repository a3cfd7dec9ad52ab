"""One request to an archive, from look-up to verdict: read anew, asked for where unknown, refused where it fails."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from gateway.adapters.base import FacilityQuestion
from gateway.auth.b2b import Subject
from gateway.auth.purpose_of_use import BreakGlass
from gateway.consent.label_rules import read_label_rules
from gateway.errors import BreakGlassEnded, BreakGlassRefused, DependencyUnavailable, ScopeMissing
from gateway.imaging.study import Series
from gateway.model import Facility, FacilityID, PatientID, PatientIdentity, Requester, StudyUID
from gateway.retrieval.decide import PART
from gateway.retrieval.desk import OF_ANOTHER, OF_TWO, OTHER_STUDY, SUSPENDED, RetrievalDesk
from gateway.retrieval.facts import FRESH_S, LATE_S, RETRY_S, FactsMemory
from gateway.retrieval.resource import Resource
from gateway.retrieval.ruling import Caller, Ruling
from gateway.retrieval.whose import Holder, Shown
from tests.factories import PERSON, a_facility, a_patient, a_requester, a_source_study
from tests.factories_auth import a_client
from tests.factories_consent import a_consent, a_rule
from tests.fakes import FakeRooms

NORTH, SOUTH = a_facility("north"), a_facility("south")
STUDY = StudyUID("2.25.10")
WHOLE, FIRST = Resource(study=STUDY), Resource(study=STUDY, series="2.25.10.1")
OTHER_PERSON = PatientID("00000000-0000-4000-8000-00000000000b")


@dataclass
class FakeHolders:
    """What was shown under whom."""

    shown: list[Holder] = field(default_factory=list)
    uid: StudyUID = STUDY
    gone: set[tuple[PatientID, FacilityID]] = field(default_factory=set)
    down: bool = False

    def looking(self) -> AbstractContextManager[None]:
        """Nothing is shared."""
        return nullcontext()

    def find(self, uid: StudyUID) -> Sequence[Holder]:
        """All of them."""
        if self.down:
            raise DependencyUnavailable("the sightings can't be read")
        return self.shown if uid == self.uid else []

    def is_shown_now(self, uid: StudyUID, holder: Holder, facility: FacilityID) -> bool:
        """Unless it is gone."""
        return (holder.person, facility) not in self.gone

    def has_series(self, shown: Shown, series: frozenset[str]) -> bool:
        """By the bytes of their UIDs."""
        return shown.series_key == "|".join(sorted(series)).encode()


@dataclass
class House:
    """A person with a study at north, and the desk before it."""

    rooms: FakeRooms = field(default_factory=FakeRooms)
    holders: FakeHolders = field(default_factory=FakeHolders)
    seconds: float = 0.0
    meanwhile: list[Callable[[], None]] = field(default_factory=list)
    desk: RetrievalDesk = field(init=False)

    def __post_init__(self) -> None:
        facts = FactsMemory(self.rooms.facilities, FacilityQuestion(), lambda: self.seconds, self.meanwhile.append)
        self.desk = RetrievalDesk(self.rooms.rooms, self.holders, facts, patience=timedelta(seconds=5))

    def ask(
        self,
        resource: Resource = WHOLE,
        requester: Requester | None = None,
        facility: Facility = NORTH,
        **caller: frozenset[StudyUID],
    ) -> Ruling:
        """The ruling for a clinician's EHR, or `requester`."""
        who = Caller(requester=requester or a_requester(), **caller)  # type: ignore[arg-type]
        ruling = self.desk.decide(who, facility, resource, self.rooms.now)
        while self.meanwhile:
            self.meanwhile.pop()()
        return ruling

    def permits(self, *asked: object, **caller: object) -> bool:
        """Whether it is permitted."""
        return self.ask(*asked, **caller).verdict.permitted  # type: ignore[arg-type]


def a_holder(person: PatientIdentity, *facilities: Facility, series: bytes | None = None) -> Holder:
    """The person as the index has them, the study shown by these facilities."""
    records = tuple((one.record_id, one.identifier.system) for one in person.records)
    by_system = {one.identifier.system: one.record_id for one in person.records}
    seen = tuple(Shown(by_system[one.identifier_system], one.id, series) for one in facilities)
    return Holder(person=person.id, records=records, seen=seen)


def a_house(*, south: bool = False) -> House:
    """North holds the study with one series; south has a record of the person too, and another part if it is asked."""
    house = House()
    person = a_patient(NORTH, SOUTH)
    house.rooms.mpi.persons = [person]
    series = (Series(uid="2.25.10.1", modality="CT"),)
    house.rooms.facilities.add(NORTH, a_source_study(NORTH, STUDY, 1, series=series))
    part = (Series(uid="2.25.10.2", modality="CT"),)
    house.rooms.facilities.add(SOUTH, *([a_source_study(SOUTH, STUDY, 2, series=part)] if south else []))
    house.holders.shown = [a_holder(person, NORTH, *([SOUTH] if south else []))]
    return house


def barring(*facilities: str) -> tuple:  # type: ignore[type-arg]
    """A consent that permits treatment, but not what these facilities hold."""
    return (a_consent(a_rule("permit", nested=(a_rule("deny", authored_by=facilities),))),)


def test_facilities_are_asked_once_and_consent_each_time() -> None:
    """A thousand frames: one question, a thousand look-ups of consent."""
    house = a_house()
    for _ in range(10):
        assert house.permits(FIRST)

    assert house.rooms.facilities.asked_ids == ["north", "south"]
    assert len(house.rooms.consents.looked_up) >= 10


def test_what_is_known_is_asked_for_again_after_a_minute() -> None:
    """By then an archive may have moved it. Whoever asks first does not wait for that, unless nobody has for long."""
    house = a_house()
    assert house.permits()
    house.rooms.facilities.replies[NORTH.id] = replace_studies(house, ())
    house.seconds = FRESH_S - 1
    assert house.permits()
    house.seconds = FRESH_S
    assert house.permits(), "what was known a moment ago, while it is asked for again"
    assert not house.permits()

    idle = a_house()
    assert idle.permits()
    idle.rooms.facilities.replies[NORTH.id] = replace_studies(idle, ())
    idle.seconds = FRESH_S + LATE_S
    assert not idle.permits()


def test_nobody_waits_for_another_facility_that_is_down() -> None:
    """It is asked again every few seconds, beside the requests, and once at a time."""
    house = a_house()
    house.rooms.facilities.replies[SOUTH.id] = replace_status(house, "timed_out", SOUTH)
    assert house.permits()
    asked = len(house.rooms.facilities.asked)
    house.seconds = RETRY_S
    who = Caller(requester=a_requester())
    for _ in range(3):
        assert house.desk.decide(who, NORTH, WHOLE, house.rooms.now).verdict.permitted

    assert (len(house.rooms.facilities.asked), len(house.meanwhile)) == (asked, 1)
    house.meanwhile.pop()()
    assert len(house.rooms.facilities.asked) == asked + 2


def replace_studies(house: House, studies: tuple) -> object:  # type: ignore[type-arg]
    """North's reply with other studies."""
    from msgspec.structs import replace as changed

    return changed(house.rooms.facilities.replies[NORTH.id], studies=studies)


def test_t052_a_barred_facility_is_not_asked_about_the_images_either() -> None:
    """Consent alone refuses."""
    house = a_house()
    house.rooms.consents.on_file[PERSON] = barring("north")

    ruling = house.ask()
    assert (ruling.verdict.permitted, ruling.patient) == (False, PERSON)
    assert house.rooms.facilities.asked == []


def test_t080_a_revocation_while_the_facilities_are_asked_counts() -> None:
    """All of it is read once more when they have answered."""
    house = a_house()

    def revoke() -> None:
        house.rooms.consents.on_file[PERSON] = barring("north")

    house.rooms.facilities.meanwhile = revoke
    assert not house.permits()


def test_t054_what_another_linked_record_denies_is_denied_at_once() -> None:
    """The person is another one by a merge: consent is looked up for whom it is now."""
    house = a_house()
    assert house.permits()
    merged = a_patient(NORTH, SOUTH, id_=OTHER_PERSON)
    house.rooms.mpi.persons = [merged]
    house.holders.shown = [a_holder(merged, NORTH)]
    house.rooms.consents.on_file[OTHER_PERSON] = barring("north")

    assert not house.permits()


def test_t055_an_unlinked_record_takes_its_studies_with_it() -> None:
    """A token of the person opens what is theirs now."""
    house = a_house()
    bound = a_requester(patient=PERSON, scopes=("patient/ImagingStudy.rs",))
    assert house.permits(WHOLE, bound)
    house.rooms.mpi.persons = [a_patient(SOUTH), a_patient(NORTH, id_=OTHER_PERSON)]
    house.holders.shown = [a_holder(house.rooms.mpi.persons[1], NORTH)]

    assert house.ask(WHOLE, bound).verdict.reason == OF_ANOTHER


def test_a_token_of_one_patient_does_not_open_what_is_anothers() -> None:
    """Nor of one who is unknown; one that was merged is the one it was merged into."""
    house = a_house()
    for patient in (OTHER_PERSON, PatientID("x")):
        stranger = a_requester(patient=patient, scopes=("patient/ImagingStudy.rs",))
        assert house.ask(WHOLE, stranger).verdict.reason == OF_ANOTHER
    house.rooms.mpi.retired[OTHER_PERSON] = PERSON
    assert house.permits(WHOLE, a_requester(patient=OTHER_PERSON, scopes=("patient/ImagingStudy.rs",)))


def test_a_study_that_a_facility_shows_under_two_persons_opens_for_neither() -> None:
    """Its archive can't tell them apart; under whom it is no longer shown does not count."""
    house = a_house()
    house.rooms.mpi.persons.append(a_patient(NORTH, id_=OTHER_PERSON))
    house.holders.shown.append(a_holder(house.rooms.mpi.persons[1], NORTH))
    bound = a_requester(patient=PERSON, scopes=("patient/ImagingStudy.rs",))

    assert house.ask().verdict.reason == OF_TWO
    assert house.ask(WHOLE, bound).verdict.reason == OF_TWO
    house.holders.gone.add((OTHER_PERSON, NORTH.id))
    assert house.permits()
    assert house.permits(WHOLE, bound)


def test_what_was_never_shown_opens_for_a_token_of_its_patient_alone() -> None:
    """The gateway can't know whose it is otherwise, and asks about nobody on a stranger's word."""
    house = a_house()
    house.holders.shown = []

    assert not house.permits()
    assert house.rooms.facilities.asked == []
    assert house.permits(WHOLE, a_requester(patient=PERSON, scopes=("patient/ImagingStudy.rs",)))


def test_a_part_that_another_facility_withholds_closes_the_whole() -> None:
    """South may be asked in part: its part of this study is withheld."""
    house = a_house(south=True)
    deny = a_rule("deny", authored_by=("south",), labels=("N",))
    house.rooms.consents.on_file[PERSON] = (a_consent(a_rule("permit", nested=(deny,))),)

    assert house.ask().verdict.reason == PART
    assert house.permits(FIRST)


@pytest.mark.parametrize(("series", "whole"), [(b"2.25.10.1", True), (b"2.25.10.2", False), (None, False)])
def test_a_barred_facility_that_showed_the_study_closes_the_whole_unless_it_is_a_copy(
    series: bytes | None, whole: bool
) -> None:
    """Nobody asks it: what it showed before is compared; what it shows no longer does not count."""
    house = a_house()
    house.rooms.consents.on_file[PERSON] = barring("south")
    house.holders.shown = [a_holder(house.rooms.mpi.persons[0], NORTH, SOUTH, series=series)]

    assert house.permits() is whole
    assert house.permits(FIRST)
    house.holders.gone.add((PERSON, SOUTH.id))
    assert house.permits()


def test_a_label_that_follows_of_what_a_study_is_called_counts() -> None:
    """As in a search: sensitive studies need a consent that says so."""
    rules = read_label_rules('[[rule]]\nname = "x"\nbasis = "policy"\nlabels = ["HIV"]\nmodality = ["CT"]')
    house = House(rooms=FakeRooms(labels=rules))
    full = a_house()
    house.rooms.mpi.persons = full.rooms.mpi.persons
    house.rooms.facilities.registered = full.rooms.facilities.registered
    house.rooms.facilities.replies = full.rooms.facilities.replies
    house.rooms.facilities.replies[NORTH.id] = replace_studies(
        full, (a_source_study(NORTH, STUDY, 1, modalities=("CT",)),)
    )
    house.holders.shown = full.holders.shown

    assert not house.permits()
    house.rooms.consents.on_file[PERSON] = (a_consent(a_rule("permit", labels=("HIV",))),)
    assert house.permits()


def test_a_facility_that_does_not_answer_is_spoken_for_by_what_it_said_before() -> None:
    """For a while; who has never answered can't be known, which opens nothing."""
    house = a_house()
    assert house.permits()
    house.rooms.facilities.replies[NORTH.id] = replace_status(house, "timed_out")
    house.seconds = FRESH_S
    assert house.permits()
    house.seconds = FRESH_S + RETRY_S
    assert house.permits()

    silent = a_house()
    silent.rooms.facilities.replies[NORTH.id] = replace_status(silent, "unreachable")
    with pytest.raises(DependencyUnavailable):
        silent.ask()


def replace_status(house: House, status: str, facility: Facility = NORTH) -> object:
    """A facility's reply, failed."""
    from msgspec.structs import replace as changed

    return changed(house.rooms.facilities.replies[facility.id], status=status, studies=())


def test_what_is_said_by_who_no_longer_answers_runs_out() -> None:
    """Ten minutes after it was said, however often it was asked for since."""
    house = a_house()
    assert house.permits()
    house.rooms.facilities.replies[NORTH.id] = replace_status(house, "timed_out")
    for minute in range(1, 11):
        house.seconds = minute * 60.0
        assert house.permits()
    house.seconds = 601 + RETRY_S
    house.ask()
    house.seconds += 1
    with pytest.raises(DependencyUnavailable):
        house.ask()


@pytest.mark.parametrize("room", ["mpi", "consents", "holders"])
def test_t058_what_can_not_be_read_opens_nothing(room: str) -> None:
    """An error is never taken for a yes."""
    house = a_house()
    assert house.permits()
    down = house.holders if room == "holders" else getattr(house.rooms, room)
    down.down = True
    house.seconds = FRESH_S + LATE_S
    with pytest.raises(DependencyUnavailable):
        house.ask()


def test_a_suspended_facility_opens_nothing() -> None:
    """It is not asked either."""
    house = a_house()
    ruling = house.ask(WHOLE, None, replace(NORTH, suspended=True))

    assert ruling.verdict.reason == SUSPENDED


def test_a_bound_token_opens_what_it_names() -> None:
    """Whatever consent permits besides."""
    house = a_house()

    assert house.permits(studies=frozenset({STUDY}))
    assert house.ask(studies=frozenset({StudyUID("2.25.99")})).verdict.reason == OTHER_STUDY
    bound = frozenset({STUDY})
    assert house.permits(FIRST, studies=bound, series=frozenset({"2.25.10.1"}))
    for resource in (WHOLE, Resource(study=STUDY, series="2.25.10.2"), Resource(study=STUDY, lists=True)):
        assert house.ask(resource, studies=bound, series=frozenset({"2.25.10.1"})).verdict.reason == OTHER_STUDY


@pytest.mark.parametrize("scopes", [("system/ImagingStudy.s",), ("system/Patient.rs",), ("patient/ImagingStudy.rs",)])
def test_a_scope_to_read_images_is_needed(scopes: tuple[str, ...]) -> None:
    """Searching alone is not reading."""
    with pytest.raises(ScopeMissing):
        a_house().ask(WHOLE, a_requester(scopes=scopes))


def test_t049_a_break_glass_has_to_stand_when_the_images_are_fetched() -> None:
    """Not only when they were found."""
    house = a_house()
    house.rooms.consents.on_file[PERSON] = (a_consent(a_rule("permit", purposes=("BTG",))),)
    glass = BreakGlass(patient=PERSON, reason="unconscious")
    subject = Subject(id="dr-1", role="physician")
    declaration, _ = house.rooms.declarations.declare(a_client(), subject, glass, house.rooms.now)
    breaking = a_requester(
        purposes=("BTG",), patient=PERSON, subject_id="dr-1", declaration=declaration.id, scopes=("system/*.rs",)
    )

    assert house.permits(WHOLE, breaking)
    with pytest.raises(BreakGlassRefused):
        house.ask(WHOLE, replace(breaking, declaration=None))
    house.rooms.now = declaration.until
    with pytest.raises(BreakGlassEnded):
        house.ask(WHOLE, breaking)
