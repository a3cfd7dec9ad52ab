"""Groups in the database: who is a member counts from the next look-up, and a Consent whose group is gone denies."""

import pytest
from sqlalchemy import Engine, insert

from gateway.consent.decide import decide_query
from gateway.consent.fhir_consent import from_consent
from gateway.consent.groups import StoredGroups
from gateway.consent.groups_file import Group
from gateway.consent.store import Filing, StoredConsents
from gateway.consent.tables import consent_group
from gateway.db.crypto import KeyRing
from gateway.db.session import writing
from gateway.errors import DependencyUnavailable, LoadRefused, NotFound
from gateway.metrics import ALERTS
from gateway.model import FacilityID, PatientID
from gateway.mpi.tables import person
from tests.factories_consent import NORTH, NOW, SOUTH, a_requester, a_resource, an_actor
from tests.factories_mpi import IDENTITY

ANNE = PatientID("00000000-0000-4000-8000-000000000001")
KNOWN = {"Group/rhine": "Group/rhine"}
RHINE = Group(id="rhine", name="Rhine", organizations=("north",), users=("Practitioner/dr",))
PERMIT = {"type": "permit", "actor": [an_actor(reference="Group/rhine")]}
DENY = {"type": "permit", "provision": [{"type": "deny", "actor": [an_actor(reference="Group/rhine")]}]}


@pytest.fixture
def groups(engine: Engine, keys: KeyRing) -> StoredGroups:
    """The groups of a deployment, none yet."""
    return StoredGroups(engine, keys)


@pytest.fixture
def consents(engine: Engine, keys: KeyRing) -> StoredConsents:
    """The consents of a deployment that knows Anne."""
    with writing(engine) as connection:
        connection.execute(insert(person), {"id": ANNE, "created_at": NOW})
    return StoredConsents(engine, keys, "deny", IDENTITY)


def file(consents: StoredConsents, provision: dict[str, object]) -> None:
    """Anne's Consent with that provision."""
    resource = a_resource(provision)
    read = from_consent(resource, {"Organization/south": SOUTH}, KNOWN)
    consents.save([Filing(patient=ANNE, consent=read, resource=resource)], NOW)


def is_shown(consents: StoredConsents, facility: FacilityID = SOUTH, **requester: object) -> bool:
    """Whether the caller may ask that facility about Anne."""
    return decide_query(consents.find(ANNE), a_requester(**requester), [facility], NOW)[facility].permitted


def test_what_is_applied_is_there_as_it_was_written(groups: StoredGroups) -> None:
    """New, unchanged, changed; in order; others are left alone."""
    other = Group(id="alps", name="Alps", names=("urn:x|7",), users=("urn:x|8",))
    assert groups.apply([RHINE, other]) == {"rhine": "loaded", "alps": "loaded"}
    smaller = Group(id="rhine", name="Rhine", users=("Practitioner/dr",))
    assert groups.apply([RHINE]) == {"rhine": "unchanged"}
    assert groups.apply([smaller]) == {"rhine": "updated"}
    assert list(groups.all()) == [other, smaller]
    assert groups.members(["Group/rhine", "Group/none"]) == {"Group/rhine": frozenset(("Practitioner/dr",))}
    groups.remove("alps")
    assert list(groups.all()) == [smaller]
    with pytest.raises(NotFound):
        groups.remove("alps")


def test_a_group_takes_no_name_of_another_and_then_nothing_is_applied(groups: StoredGroups) -> None:
    """All of it or nothing."""
    groups.apply([Group(id="alps", name="Alps", names=("urn:x|7",), users=("urn:x|8",))])
    thief = Group(id="thief", name="Thief", names=("urn:x|7",), users=("urn:x|9",))
    with pytest.raises(LoadRefused):
        groups.apply([RHINE, thief])
    assert [one.id for one in groups.all()] == ["alps"]


def test_t046_a_group_is_its_members_of_today(groups: StoredGroups, consents: StoredConsents) -> None:
    """Whoever joins is permitted by the next look-up, whoever leaves no longer is."""
    groups.apply([RHINE])
    file(consents, PERMIT)
    assert is_shown(consents, organization="north")
    assert is_shown(consents, organization="elsewhere", subject_id="dr")
    assert not is_shown(consents, organization="south")
    assert not is_shown(consents, organization="elsewhere", subject_id="Organization/north")
    groups.apply([Group(id="rhine", name="Rhine", organizations=("south",))])
    assert is_shown(consents, organization="south")
    assert not is_shown(consents, organization="north")


def test_t046_a_group_is_denied_as_a_whole(groups: StoredGroups, consents: StoredConsents) -> None:
    """Everybody else is not."""
    groups.apply([RHINE])
    file(consents, DENY)
    assert not is_shown(consents, organization="north")
    assert not is_shown(consents, organization="elsewhere", subject_id="dr")
    assert is_shown(consents, organization="south")


@pytest.mark.parametrize("provision", [PERMIT, DENY], ids=["permit", "deny"])
def test_t044_a_consent_whose_group_is_gone_denies_and_alerts(
    groups: StoredGroups, consents: StoredConsents, provision: dict[str, object]
) -> None:
    """Nobody can tell whom it protects. Once the group is back, it is decided by again."""
    groups.apply([RHINE])
    file(consents, provision)
    before = ALERTS.labels(kind="consent-not-evaluable")._value.get()
    groups.remove("rhine")
    assert not is_shown(consents, NORTH, organization="north")
    assert not is_shown(consents, organization="south")
    assert ALERTS.labels(kind="consent-not-evaluable")._value.get() == before + 2
    groups.apply([RHINE])
    assert is_shown(consents, organization="north") == (provision is PERMIT)


def test_t058_groups_that_can_not_be_read_are_an_error(
    groups: StoredGroups, consents: StoredConsents, engine: Engine
) -> None:
    """The consents themselves can be: halfway is not enough, and never "no members"."""
    groups.apply([RHINE])
    file(consents, DENY)
    with writing(engine) as connection:
        consent_group.drop(connection)
    with pytest.raises(DependencyUnavailable):
        consents.find(ANNE)
