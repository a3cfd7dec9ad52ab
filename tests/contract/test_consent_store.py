"""The consent store keeps every version, answers for a person under every id, and never says "none" for an error."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, delete, func, insert, select, update

from gateway.consent.decide import decide_query
from gateway.consent.fhir_consent import from_consent
from gateway.consent.policy import Consents
from gateway.consent.store import Filed, Filing, StoredConsents
from gateway.consent.tables import consent, consent_version
from gateway.db.crypto import KeyRing, SealBroken
from gateway.db.session import open_database, reading, writing
from gateway.errors import DependencyUnavailable
from gateway.metrics import ALERTS
from gateway.model import FacilityID, PatientID
from gateway.mpi.tables import person
from tests.factories_consent import NOW, SOUTH, a_requester, a_resource, authored_by
from tests.factories_mpi import IDENTITY, StatementCount

ANNE, BORIS = (PatientID(f"00000000-0000-4000-8000-00000000000{digit}") for digit in (1, 2))
NAMES: Mapping[str, FacilityID] = {"Organization/south": SOUTH}


@pytest.fixture
def store(engine: Engine, keys: KeyRing) -> StoredConsents:
    """The store under an opt-out community, with two persons in the index."""
    with writing(engine) as connection:
        for id_ in (ANNE, BORIS):
            connection.execute(insert(person), {"id": id_, "created_at": NOW})
    return StoredConsents(engine, keys, "basic-normal", IDENTITY)


def a_filing(person_id: PatientID = ANNE, provision: dict[str, Any] | None = None, **changes: Any) -> Filing:
    """A Consent that permits treatment, for Anne."""
    resource = a_resource(provision, **changes)
    return Filing(patient=person_id, consent=from_consent(resource, NAMES), resource=resource)


def file(store: StoredConsents, filing: Filing, days: int = 0) -> Filed:
    """File one Consent so many days from now."""
    return store.save([filing], NOW + timedelta(days=days))[0]


def merge(engine: Engine, retired: PatientID, survivor: PatientID | None) -> None:
    """The index merges one person into another, or undoes that."""
    with writing(engine) as connection:
        connection.execute(update(person).where(person.c.id == retired).values(survivor_id=survivor))


DENY = {"type": "deny"}
LEAVES_OUT_SOUTH = {"type": "permit", "provision": [{"type": "deny", "data": [authored_by("south")]}]}


def test_a_person_without_consents_is_under_the_implicit_policy(store: StoredConsents) -> None:
    """Nothing on file is an answer, and the only one that is empty."""
    policy = store.find(ANNE)
    assert (policy.patient, policy.consents, policy.implicit) == (ANNE, (), "basic-normal")


def test_what_is_filed_is_found_for_that_person_only(store: StoredConsents) -> None:
    """With its rule, its version, and when it came."""
    assert file(store, a_filing(provision=LEAVES_OUT_SOUTH)) == Filed(outcome="loaded", version=1)
    (found,) = store.find(ANNE).consents
    assert found.reference == "Consent/c1/_history/1"
    assert found.recorded_at == NOW
    assert found.root is not None
    assert found.root.nested[0].authored_by == (SOUTH,)
    assert store.find(BORIS).consents == ()


def test_the_same_again_changes_nothing_and_another_text_is_the_next_version(store: StoredConsents) -> None:
    """The order of members is no difference; the versions before stay."""
    file(store, a_filing())
    same = a_filing()
    backwards = replace(same, resource=dict(reversed(list(same.resource.items()))))
    assert file(store, backwards, 1) == Filed(outcome="unchanged", version=1)
    assert file(store, a_filing(provision=DENY), 2) == Filed(outcome="updated", version=2)
    (found,) = store.find(ANNE).consents
    assert (found.version, found.recorded_at) == (2, NOW + timedelta(days=2))
    history = store.history(ANNE)
    assert [(entry.consent.version, entry.current) for entry in history] == [(1, False), (2, True)]
    assert history[0].resource == a_resource()


def test_a_consent_that_is_no_longer_active_stays_on_file_and_takes_no_part(store: StoredConsents) -> None:
    """A revocation is one more version (FAST consent management OP4: never deleted)."""
    file(store, a_filing(provision=DENY))
    file(store, a_filing(provision=DENY, status="inactive"), 1)
    policy = store.find(ANNE)
    assert [version.active for version in policy.consents] == [False]
    assert decide_query(policy, a_requester(), [SOUTH], NOW + timedelta(days=2))[SOUTH].permitted


def test_several_filings_are_stored_together_each_with_its_outcome(store: StoredConsents) -> None:
    """Also two of the same id in one batch."""
    outcomes = store.save([a_filing(), a_filing(id="c2"), a_filing(provision=DENY), a_filing(id="c2")], NOW)
    assert [outcome.outcome for outcome in outcomes] == ["loaded", "loaded", "updated", "unchanged"]
    assert {version.id for version in store.find(ANNE).consents} == {"c1", "c2"}


def test_a_consent_of_another_patient_is_not_overwritten(store: StoredConsents) -> None:
    """Neither text nor patient of what is on file changes."""
    file(store, a_filing())
    stolen = a_filing(BORIS, DENY, patient={"reference": "Patient/p2"})
    assert file(store, stolen, 1) == Filed(outcome="refused", version=1)
    assert store.find(BORIS).consents == ()
    assert [version.version for version in store.find(ANNE).consents] == [1]


def test_a_consent_follows_the_identifier_it_was_filed_under(store: StoredConsents) -> None:
    """The same name that means another person today is filed for that one."""
    file(store, a_filing())
    assert file(store, a_filing(BORIS), 1) == Filed(outcome="updated", version=2)
    assert store.find(ANNE).consents == ()
    assert [version.version for version in store.find(BORIS).consents] == [2]


def test_t054_a_merge_brings_the_consents_of_both_from_the_next_look_up(store: StoredConsents, engine: Engine) -> None:
    """Anne permits, Boris denies: the one person they are denies."""
    file(store, a_filing(ANNE, id="a"))
    file(store, a_filing(BORIS, DENY, id="b"))
    merge(engine, BORIS, ANNE)
    policy = store.find(ANNE)
    assert {version.id for version in policy.consents} == {"a", "b"}
    assert not decide_query(policy, a_requester(), [SOUTH], NOW)[SOUTH].permitted
    merge(engine, BORIS, None)
    assert [version.id for version in store.find(ANNE).consents] == ["a"]
    assert [version.id for version in store.find(BORIS).consents] == ["b"]


def test_t057_a_consent_filed_under_a_retired_identity_counts_for_the_survivor(
    store: StoredConsents, engine: Engine
) -> None:
    """Filed again it is unchanged; filed anew it is the next version, and goes back if the merge is undone."""
    file(store, a_filing(BORIS))
    merge(engine, BORIS, ANNE)
    assert file(store, a_filing(ANNE), 1) == Filed(outcome="unchanged", version=1)
    assert file(store, a_filing(ANNE, DENY), 2) == Filed(outcome="updated", version=2)
    assert [version.version for version in store.find(ANNE).consents] == [2]
    assert len(store.history(ANNE)) == 2
    merge(engine, BORIS, None)
    assert store.find(ANNE).consents == ()
    assert [version.version for version in store.find(BORIS).consents] == [2]


def test_a_consent_named_anew_for_the_survivor_stays_the_survivors(store: StoredConsents, engine: Engine) -> None:
    """Whoever writes the survivor's own name means the survivor."""
    file(store, a_filing(BORIS))
    merge(engine, BORIS, ANNE)
    renamed = a_filing(ANNE, patient={"reference": "Patient/anne"})
    assert file(store, renamed, 1).outcome == "updated"
    merge(engine, BORIS, None)
    assert len(store.find(ANNE).consents) == 1


def put_behind_the_stores_back(
    engine: Engine, keys: KeyRing, resource: Mapping[str, Any], patient: PatientID = ANNE
) -> None:
    """A version that another release of the gateway may have stored."""
    key = keys.blind("consent.id", "c1")
    content = orjson.dumps({"resource": resource, "facilities": {}})
    sealed = keys.seal("consent_version", f"{key.hex()}.1", content)
    with writing(engine) as connection:
        connection.execute(insert(consent), {"key": key, "person_id": patient, "version": 1})
        version = {"key": key, "version": 1, "person_id": patient, "recorded_at": NOW, "content": sealed}
        connection.execute(insert(consent_version), version)


@pytest.mark.parametrize(
    "resource",
    [
        a_resource(modifierExtension=[{"url": "urn:x"}]),
        a_resource({"type": "permit", "securityLabel": [{"code": "N"}]}),
        a_resource({"type": "permit", "data": [authored_by("south")]}),
        a_resource(status="unheard-of"),
        {"resourceType": "Consent"},
    ],
)
def test_t044_a_stored_consent_that_cannot_be_evaluated_denies_and_alerts(
    store: StoredConsents,
    engine: Engine,
    keys: KeyRing,
    resource: Mapping[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Elements not evaluated, facilities not known, statuses not heard of: never ignored, never a permit."""
    put_behind_the_stores_back(engine, keys, resource)
    alerts = ALERTS.labels(kind="consent-not-evaluable")
    before = alerts._value.get()
    with caplog.at_level(logging.WARNING, "gateway"):
        policy = store.find(ANNE)
    assert [version.root for version in policy.consents] == [None]
    assert not decide_query(policy, a_requester(), [SOUTH], NOW)[SOUTH].permitted
    assert [record.getMessage() for record in caplog.records] == ["consent-not-evaluable"]
    assert alerts._value.get() == before + 1


def test_t044_one_that_is_out_of_force_need_not_be_evaluated(
    store: StoredConsents, engine: Engine, keys: KeyRing
) -> None:
    """Its status says so itself."""
    put_behind_the_stores_back(engine, keys, a_resource({"type": "permit", "code": [{}]}, status="inactive"))
    assert decide_query(store.find(ANNE), a_requester(), [SOUTH], NOW)[SOUTH].permitted


def break_table(engine: Engine, _keys: KeyRing) -> None:
    """The table is gone."""
    with writing(engine) as connection:
        connection.exec_driver_sql("DROP TABLE consent_version")


def break_seal(engine: Engine, _keys: KeyRing) -> None:
    """A sealed value was altered."""
    with writing(engine) as connection:
        content = connection.execute(select(consent_version.c.content)).scalar_one()
        connection.execute(update(consent_version).values(content=content[:-1] + bytes([content[-1] ^ 1])))


def swap_versions(engine: Engine, keys: KeyRing) -> None:
    """A permit of one version is put in the place of the deny of the next."""
    store = StoredConsents(engine, keys, "deny", IDENTITY)
    file(store, a_filing(provision=DENY), 1)
    with writing(engine) as connection:
        first = connection.execute(select(consent_version.c.content).where(consent_version.c.version == 1)).scalar_one()
        connection.execute(update(consent_version).where(consent_version.c.version == 2).values(content=first))


def lose_half(engine: Engine, keys: KeyRing) -> None:
    """Of two Consents, the deny has lost its current version: half the rows came back from a backup, say."""
    store = StoredConsents(engine, keys, "deny", IDENTITY)
    file(store, a_filing(provision=DENY, id="c2"))
    with writing(engine) as connection:
        key = keys.blind("consent.id", "c2")
        connection.execute(delete(consent_version).where(consent_version.c.key == key))


@pytest.mark.parametrize("damage", [break_table, break_seal, swap_versions, lose_half])
def test_t058_a_store_that_fails_is_an_error_and_never_none(
    engine: Engine, keys: KeyRing, store: StoredConsents, damage: Callable[[Engine, KeyRing], None]
) -> None:
    """No policy comes back, not even the implicit one."""
    file(store, a_filing())
    damage(engine, keys)
    with pytest.raises(DependencyUnavailable):
        StoredConsents(engine, keys, "all-normal", IDENTITY).find(ANNE)


def test_t058_a_database_that_is_not_there_is_an_error(keys: KeyRing) -> None:
    """Reading, history and filing alike."""
    engine = open_database("postgresql://nobody@127.0.0.1:1/none")
    store = StoredConsents(engine, keys, "all-normal", IDENTITY)
    for call in (lambda: store.find(ANNE), lambda: store.history(ANNE), lambda: store.save([a_filing()], NOW)):
        with pytest.raises(DependencyUnavailable):
            call()
    engine.dispose()


def test_a_batch_that_fails_leaves_nothing_half_written(store: StoredConsents, engine: Engine) -> None:
    """All of a batch is stored, or none of it."""
    impossible = replace(a_filing(id="c2"), resource={"key": object()})
    with pytest.raises(TypeError):
        store.save([a_filing(), impossible], NOW)
    with reading(engine) as connection:
        assert connection.execute(select(func.count()).select_from(consent)).scalar_one() == 0


def test_a_version_in_another_process_counts_at_once(engine: Engine, keys: KeyRing, store: StoredConsents) -> None:
    """What is remembered is a version's meaning, never which version is current."""
    file(store, a_filing())
    assert store.find(ANNE).consents[0].version == 1
    other = StoredConsents(engine, keys, "basic-normal", IDENTITY)
    file(other, a_filing(provision=DENY), 1)
    assert store.find(ANNE).consents[0].version == 2
    with writing(engine) as connection:
        connection.execute(update(consent).values(version=1))
        connection.execute(delete(consent_version).where(consent_version.c.version == 2))
    assert store.find(ANNE).consents[0].version == 1


def test_finding_the_consents_of_a_person_is_one_statement(store: StoredConsents, engine: Engine) -> None:
    """However many there are, and whoever was merged."""
    for number in range(3):
        file(store, a_filing(id=f"c{number}"))
    merge(engine, BORIS, ANNE)
    with StatementCount(engine) as count:
        store.find(ANNE)
    assert len(count.statements) == 1


def test_nothing_of_a_consent_can_be_read_from_the_tables(store: StoredConsents, engine: Engine) -> None:
    """Neither its text nor its id nor the name it calls its patient by."""
    patient = {"identifier": {"system": "urn:oid:1.1", "value": "MRN-4711"}}
    file(store, a_filing(id="consent-of-anne", patient=patient, provision=LEAVES_OUT_SOUTH))
    with reading(engine) as connection:
        rows = [*connection.execute(select(consent)), *connection.execute(select(consent_version))]
    stored = b"".join(value if isinstance(value, bytes) else repr(value).encode() for row in rows for value in row)
    for secret in (b"MRN-4711", b"consent-of-anne", b"urn:oid:1.1", b"permit", b"south", b"TREAT"):
        assert secret not in stored


def test_a_sealed_version_opens_in_its_own_place_only(keys: KeyRing, store: StoredConsents, engine: Engine) -> None:
    """Table, Consent and version are bound to it."""
    file(store, a_filing())
    with reading(engine) as connection:
        content = connection.execute(select(consent_version.c.content)).scalar_one()
    with pytest.raises(SealBroken):
        keys.open("consent_version", f"{keys.blind('consent.id', 'other').hex()}.1", content)


def test_the_store_is_the_port_that_a_query_sees(store: StoredConsents) -> None:
    """Checked by mypy: the assignment is the proof."""
    port: Consents = store
    assert port.find(ANNE).patient == ANNE


def test_t075_a_filing_that_expects_another_version_is_stale(store: StoredConsents) -> None:
    """One of two wins; a Consent that isn't there can't be at any version."""
    file(store, a_filing())
    mine, yours = replace(a_filing(provision=DENY), expected=1), replace(a_filing(status="inactive"), expected=1)
    assert file(store, mine, days=1) == Filed(outcome="updated", version=2)
    assert file(store, yours, days=2) == Filed(outcome="stale", version=2)
    assert file(store, replace(a_filing(id="c2"), expected=1)) == Filed(outcome="stale", version=0)
    assert [one.resource["provision"] for one in store.versions("c1")][-1] == DENY
    assert store.versions("c2") == []


def test_t074_a_revocation_is_a_version_like_any_other(store: StoredConsents) -> None:
    """Of what it says nothing changes; where somebody was faster, nothing is revoked."""
    file(store, a_filing())
    (first,) = store.versions("c1")
    assert store.revoke(first, NOW) == Filed(outcome="updated", version=2)
    assert store.revoke(first, NOW) == Filed(outcome="stale", version=2)
    last = store.versions("c1")[-1]
    assert (last.current, last.resource["status"], last.consent.active) == (True, "inactive", False)
    assert last.resource == {**first.resource, "status": "inactive"}
    assert store.revoke(last, NOW) == Filed(outcome="unchanged", version=2)
    assert not store.find(ANNE).consents[0].active


def test_two_that_file_the_same_new_consent_at_once_make_one(store: StoredConsents) -> None:
    """Whoever is second finds it on file; nobody fails."""
    start = Barrier(8)

    def race(number: int) -> str:
        start.wait()
        return store.save([a_filing(id="race")], NOW + timedelta(seconds=number))[0].outcome

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(race, range(8)))
    assert outcomes == ["loaded", *["unchanged"] * 7]
    assert len(store.versions("race")) == 1


def test_an_r5_consent_is_kept_and_read_as_it_was_filed(store: StoredConsents) -> None:
    """With the person it was filed for, by whose id it may name studies."""
    resource = {
        "resourceType": "Consent",
        "id": "r5",
        "status": "active",
        "subject": {"reference": f"Patient/{ANNE}"},
        "decision": "permit",
        "provision": [{"data": [{"meaning": "instance", "reference": {"reference": "ImagingStudy/abc"}}]}],
    }
    read = from_consent(resource, NAMES, {"ImagingStudy/abc": "ImagingStudy/abc"})
    file(store, Filing(patient=ANNE, consent=read, resource=resource))
    (found,) = store.find(ANNE).consents
    assert (found.root, found.person) == (read.root, ANNE)
