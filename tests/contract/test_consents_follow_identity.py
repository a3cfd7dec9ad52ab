"""A consent belongs to whoever carries the identifier it was filed by, at every moment: T54, T55 and T57.

Through the index's own feed and the consent store, in SQLite and in PostgreSQL.
"""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from gateway.consent.decide import decide_query
from gateway.consent.fhir_consent import from_consent
from gateway.consent.store import Filed, Filing, StoredConsents
from gateway.db.crypto import KeyRing
from gateway.model import Identifier, ImplicitPolicy, PatientID, PatientRef
from gateway.mpi.sealed import identifier_key
from tests.factories_consent import SOUTH as SOUTH_HOSPITAL
from tests.factories_consent import a_requester, a_resource, authored_by
from tests.factories_mpi import EAST, IDENTITY, NATIONAL, NORTH, NOW, SOUTH, Index, StatementCount, a_patient

LATER = NOW + timedelta(hours=1)
DENY = {"type": "deny"}
LEAVES_OUT_SOUTH = {"type": "permit", "provision": [{"type": "deny", "data": [authored_by("south")]}]}


class Exchange:
    """An index and the consents of its persons, under one implicit policy."""

    def __init__(self, engine: Engine, keys: KeyRing, implicit: ImplicitPolicy) -> None:
        self.index = Index(engine, keys)
        self.consents = StoredConsents(engine, keys, implicit, IDENTITY)
        self._keys = keys

    def file(self, provision: dict[str, Any] | None, id_: str, *, value: str, system: str = NORTH) -> Filed:
        """A Consent that names its patient by an identifier, as `consents load` files it."""
        named = {"identifier": {"system": system, "value": value}}
        resource = a_resource(provision, id=id_, patient=named)
        filing = Filing(
            patient=self.index.patients.resolve(_ref(system, value)).id,  # type: ignore[union-attr]
            consent=from_consent(resource, {"Organization/south": SOUTH_HOSPITAL}),
            resource=resource,
            identifier_key=identifier_key(self._keys, Identifier(system, value)),
        )
        return self.consents.save([filing], NOW)[0]

    def file_by_id(self, provision: dict[str, Any] | None, id_: str, person_id: str) -> Filed:
        """A Consent that names its patient by the exchange's own id."""
        resource = a_resource(provision, id=id_, patient={"reference": f"Patient/{person_id}"})
        patient = self.index.read(person_id)
        assert patient is not None
        filing = Filing(patient=patient.id, consent=from_consent(resource, {}), resource=resource)
        return self.consents.save([filing], NOW)[0]

    def opens(self, value: str, system: str = NORTH) -> bool:
        """Whether imaging of the person with that identifier may be shown for treatment."""
        return self.opens_person(self.index.person(value, system))

    def opens_person(self, person_id: str) -> bool:
        """Whether imaging of that person may be shown for treatment."""
        patient = self.index.read(person_id)
        assert patient is not None
        policy = self.consents.find(patient.id)
        return decide_query(policy, a_requester(), [SOUTH_HOSPITAL], NOW)[SOUTH_HOSPITAL].permitted

    def on_file(self, value: str, system: str = NORTH) -> set[str]:
        """The ids of the consents of the person with that identifier."""
        patient = self.index.find(system, value)
        assert patient is not None
        return {version.id for version in self.consents.find(patient.id).consents}


def _ref(system: str, value: str) -> PatientRef:
    return PatientRef(identifier=Identifier(system, value))


@pytest.fixture
def open_exchange(engine: Engine, keys: KeyRing) -> Exchange:
    """A community that shares where nothing is on file."""
    return Exchange(engine, keys, "all-normal")


@pytest.fixture
def closed_exchange(engine: Engine, keys: KeyRing) -> Exchange:
    """A community that shares nothing where nothing is on file."""
    return Exchange(engine, keys, "deny")


def _two_linked(index: Index) -> None:
    index.save(a_patient("N-1", national="1"), a_patient("S-1", system=SOUTH, national="1"))
    assert index.person("N-1") == index.person("S-1", SOUTH)


def _part(index: Index) -> None:
    """South corrects its record: another national id, another person."""
    index.save(a_patient("S-1", system=SOUTH, national="2"), now=LATER)
    assert index.person("N-1") != index.person("S-1", SOUTH)


def test_t055_a_deny_goes_with_the_record_that_a_correction_moves(open_exchange: Exchange) -> None:
    """The record opens to nobody, and who stays behind is no longer barred by another's consent."""
    _two_linked(open_exchange.index)
    open_exchange.file(DENY, "c1", value="S-1", system=SOUTH)
    assert not open_exchange.opens("N-1")
    _part(open_exchange.index)
    assert not open_exchange.opens("S-1", SOUTH)
    assert open_exchange.opens("N-1")


def test_t055_a_permit_does_not_stay_behind(closed_exchange: Exchange) -> None:
    """It opens the images of whom it names, and of nobody else."""
    _two_linked(closed_exchange.index)
    closed_exchange.file(None, "c1", value="S-1", system=SOUTH)
    assert closed_exchange.opens("N-1")
    _part(closed_exchange.index)
    assert not closed_exchange.opens("N-1")
    assert closed_exchange.opens("S-1", SOUTH)


def test_t055_a_consent_of_the_exchanges_own_id_stays_with_that_person(open_exchange: Exchange) -> None:
    """Whoever wrote `Patient/{id}` meant the person."""
    _two_linked(open_exchange.index)
    stays = open_exchange.index.person("N-1")
    open_exchange.file_by_id(DENY, "c1", stays)
    _part(open_exchange.index)
    assert not open_exchange.opens_person(stays)
    assert open_exchange.opens("S-1", SOUTH)


def test_t054_after_a_merge_both_consents_apply_and_after_the_unmerge_each_its_own(open_exchange: Exchange) -> None:
    """From the very next look-up, whichever of the two is the survivor."""
    index = open_exchange.index
    index.save(a_patient("N-1", national="1"), a_patient("S-1", system=SOUTH, national="2"))
    open_exchange.file(None, "permits", value="N-1")
    open_exchange.file(DENY, "denies", value="S-1", system=SOUTH)
    assert (open_exchange.opens("N-1"), open_exchange.opens("S-1", SOUTH)) == (True, False)
    index.save(a_patient("E-1", system=EAST, national=["1", "2"]), now=LATER)
    assert open_exchange.on_file("N-1") == {"permits", "denies"}
    assert not open_exchange.opens("N-1")
    index.save(a_patient("E-1", system=EAST), now=LATER)
    assert (open_exchange.opens("N-1"), open_exchange.opens("S-1", SOUTH)) == (True, False)


def test_t057_a_consent_filed_by_a_retired_id_is_the_survivors(open_exchange: Exchange) -> None:
    """The retired id resolves, and what is filed under it binds."""
    index = open_exchange.index
    index.save(a_patient("N-1", national="1"), a_patient("S-1", system=SOUTH, national="2"))
    retired = index.person("S-1", SOUTH)
    index.save(a_patient("E-1", system=EAST, national=["1", "2"]), now=LATER)
    assert index.person("N-1") != retired
    open_exchange.file_by_id(DENY, "c1", retired)
    assert not open_exchange.opens("N-1")


def test_t057_a_consent_by_an_identifier_nobody_carries_any_more_stays_with_the_person(
    open_exchange: Exchange,
) -> None:
    """Also where that person has become another since."""
    index = open_exchange.index
    index.save(a_patient("N-1", national=["1", "9"]), a_patient("S-1", system=SOUTH, national="2"))
    open_exchange.file(DENY, "c1", value="9", system=NATIONAL)
    index.save(a_patient("N-1", national="1"), now=LATER)
    assert not open_exchange.opens("N-1")
    index.save(a_patient("E-1", system=EAST, national=["1", "2"]), now=LATER)
    assert not open_exchange.opens("S-1", SOUTH)


def test_t057_a_record_made_inactive_keeps_its_consents(open_exchange: Exchange) -> None:
    """What its domain has closed still says whose the consent is, where nobody carries the identifier today."""
    index = open_exchange.index
    _two_linked(index)
    open_exchange.file(DENY, "c1", value="S-1", system=SOUTH)
    index.save(a_patient("S-1", system=SOUTH, national="1", active=False), now=LATER)
    assert not open_exchange.opens("N-1")


@pytest.mark.parametrize(
    ("provision", "stays_open"),
    [({"type": "permit"}, True), (None, False), (LEAVES_OUT_SOUTH, False), (DENY, False)],
)
def test_a_consent_of_a_shared_identifier_withholds_from_both_and_opens_neither(
    open_exchange: Exchange, closed_exchange: Exchange, provision: dict[str, Any] | None, stays_open: bool
) -> None:
    """Two persons who can't be one carry it: until a record is corrected, nobody knows whose the consent is."""
    index = open_exchange.index
    index.save(a_patient("N-1", national="1"))
    open_exchange.file(provision, "c1", value="1", system=NATIONAL)
    index.save(a_patient("S-1", system=SOUTH, national="1", given=["Boris"], birth_date="1951-11-30"))
    assert (open_exchange.opens("N-1"), open_exchange.opens("S-1", SOUTH)) == (stays_open, stays_open)
    assert (closed_exchange.opens("N-1"), closed_exchange.opens("S-1", SOUTH)) == (False, False)
    index.save(a_patient("S-1", system=SOUTH, given=["Boris"], birth_date="1951-11-30"), now=LATER)
    assert open_exchange.opens("S-1", SOUTH)


def test_a_consent_that_may_be_anothers_is_told_apart(open_exchange: Exchange) -> None:
    """A patient's own token is shown what is certainly theirs; the operator all that may be."""
    index = open_exchange.index
    index.save(a_patient("N-1", national="1"))
    open_exchange.file(None, "doubtful", value="1", system=NATIONAL)
    open_exchange.file(None, "certain", value="N-1")
    index.save(a_patient("S-1", system=SOUTH, national="1", given=["Boris"], birth_date="1951-11-30"))
    for person, certain in ((index.person("N-1"), ["certain"]), (index.person("S-1", SOUTH), [])):
        told = open_exchange.consents.history(PatientID(person), certain=True)
        assert [one.consent.id for one in told] == certain
        every = {one.consent.id for one in open_exchange.consents.history(PatientID(person))}
        assert every == {"doubtful", *certain}


def test_an_inactive_record_of_another_does_not_make_it_doubtful(closed_exchange: Exchange) -> None:
    """A number given to a new patient: who carries it today has the consent, the former one what it denies."""
    index = closed_exchange.index
    index.save(a_patient("N-1", national="1"))
    index.save(a_patient("N-1", national="1", active=False), now=LATER)
    index.save(a_patient("S-1", system=SOUTH, national="1", given=["Boris"], birth_date="1951-11-30"), now=LATER)
    closed_exchange.file(None, "c1", value="1", system=NATIONAL)
    assert closed_exchange.opens("S-1", SOUTH)


def test_a_consent_may_be_changed_by_whoever_it_belongs_to_today(open_exchange: Exchange) -> None:
    """By the person's id, after the record has moved; the person it was filed for has no hold on it any more."""
    index = open_exchange.index
    _two_linked(index)
    before = index.person("N-1")
    open_exchange.file(DENY, "c1", value="S-1", system=SOUTH)
    _part(index)
    assert open_exchange.file_by_id(None, "c1", before).outcome == "refused"
    assert not open_exchange.opens("S-1", SOUTH)
    assert open_exchange.file_by_id(None, "c1", index.person("S-1", SOUTH)).outcome == "updated"
    assert open_exchange.opens("S-1", SOUTH)


def test_whose_consents_they_are_is_still_one_statement(open_exchange: Exchange, engine: Engine) -> None:
    """However many identifiers the person carries."""
    _two_linked(open_exchange.index)
    open_exchange.file(DENY, "c1", value="S-1", system=SOUTH)
    patient = open_exchange.index.find(NORTH, "N-1")
    assert patient is not None
    with StatementCount(engine) as count:
        open_exchange.consents.find(patient.id)
    assert len(count.statements) == 1
