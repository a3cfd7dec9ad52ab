"""Over HTTP, by every way in: none shows what another withholds, and nothing grows by a deny or a permit less."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from hypothesis import given, settings

from gateway.config import Settings
from gateway.consent.policy import ConsentVersion, PatientPolicy, Provision
from gateway.db.crypto import KeyRing
from gateway.errors import GatewayError
from gateway.fhir.errors import answer_error
from gateway.fhir.routes import fhir_blueprint
from gateway.model import Requester
from tests.factories import PERSON, a_facility, a_patient, a_source_study
from tests.factories_consent import NOW
from tests.fakes import FakeRooms
from tests.properties.test_consent import policies, requesters, versions

NORTH, SOUTH = a_facility("north"), a_facility("south")
BASE = "https://gateway.example"
UIDS = ("1.2.3", "1.2.4", "1.2.9")
STAYS = ConsentVersion(id="stays", version=1, active=True, recorded_at=NOW, root=Provision(type="permit"))
Shown = set[tuple[str, str]]
"""Each study with each facility whose link is handed out."""

askers = requesters.filter(lambda one: "BTG" not in one.purposes)


class World:
    """One person with studies in two facilities, one of which both hold, behind the routes themselves."""

    def __init__(self, keys: KeyRing) -> None:
        self.fake = FakeRooms()
        self.fake.mpi.persons = [a_patient(NORTH, SOUTH)]
        self.fake.facilities.add(NORTH, a_source_study(NORTH, "1.2.3", 1), a_source_study(NORTH, "1.2.9", 1))
        self.fake.facilities.add(SOUTH, a_source_study(SOUTH, "1.2.4", 2), a_source_study(SOUTH, "1.2.9", 2))
        self.requester: Requester | None = None
        app = Flask(__name__)
        app.before_request(self._let_in)
        app.register_blueprint(fhir_blueprint(self.fake.rooms, Settings(base_url=BASE), keys))
        app.register_error_handler(GatewayError, answer_error(self.fake.rooms))
        self.client: FlaskClient = app.test_client()

    def _let_in(self) -> None:
        g.requester, g.request_id = self.requester, "r-1"

    def shown(self, policy: PatientPolicy, requester: Requester) -> Shown:
        """What every way in shows of it, which is the same."""
        self.fake.consents.on_file[PERSON], self.fake.consents.implicit = policy.consents, policy.implicit
        self.requester = requester
        found = self._bundle(f"?patient={PERSON}&_include=ImagingStudy:endpoint")
        posted = self.client.post("/fhir/r4/ImagingStudy/_search", data={"patient": PERSON})
        assert self._told(posted.json) == found
        counted = self.client.get(f"/fhir/r4/ImagingStudy?patient={PERSON}&_summary=count").json
        assert counted["total"] == len({uid for uid, _ in found})
        assert set().union(*self._pages()) == found
        assert set().union(*(self._read(uid) for uid in UIDS)) == found
        return found

    def _bundle(self, query: str) -> Shown:
        bundle = self.client.get(f"/fhir/r4/ImagingStudy{query}").json
        found = self._told(bundle)
        beside = {one["resource"]["id"] for one in bundle.get("entry", []) if one["search"]["mode"] == "include"}
        assert beside == {facility for _, facility in found}
        assert bundle["total"] == len({uid for uid, _ in found})
        return found

    def _pages(self) -> Iterator[Shown]:
        url = f"/fhir/r4/ImagingStudy?patient={PERSON}&_count=1"
        while url:
            bundle = self.client.get(url.removeprefix(BASE)).json
            yield self._told(bundle)
            url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")

    def _read(self, uid: str) -> Shown:
        answer = self.client.get(f"/fhir/r4/ImagingStudy/{self.fake.sightings.study_id(PERSON, uid)}")
        assert answer.status_code in (200, 404)
        return self._of(answer.json) if answer.status_code == 200 else set()

    def _told(self, bundle: dict) -> Shown:  # type: ignore[type-arg]
        studies = [one["resource"] for one in bundle.get("entry", []) if one["search"]["mode"] == "match"]
        return set().union(*map(self._of, studies))

    @staticmethod
    def _of(study: dict) -> Shown:  # type: ignore[type-arg]
        uid = study["identifier"][0]["value"].removeprefix("urn:oid:")
        return {(uid, endpoint["reference"].removeprefix("Endpoint/")) for endpoint in study["endpoint"]}


@pytest.fixture(scope="module")
def world(keys: KeyRing) -> World:
    """Whose consents and caller each example sets."""
    return World(keys)


@settings(max_examples=60)
@given(policy=policies, requester=askers, deny=versions("deny"))
def test_t070_a_deny_more_shows_no_more_by_any_way_in(
    world: World, policy: PatientPolicy, requester: Requester, deny: ConsentVersion
) -> None:
    """Search, POST, include, count, pages by their links, read."""
    assert deny.root is not None
    only_denies = replace(deny, root=replace(deny.root, nested=()))
    before = world.shown(policy, requester)
    assert world.shown(replace(policy, consents=(*policy.consents, only_denies)), requester) <= before


@settings(max_examples=60)
@given(policy=policies, requester=askers, permit=versions("permit"))
def test_t070_a_permit_less_shows_no_more_by_any_way_in(
    world: World, policy: PatientPolicy, requester: Requester, permit: ConsentVersion
) -> None:
    """Where the implicit policy doesn't come back in its place: it denies, or another permit stays on file."""
    assert permit.root is not None
    only_permits = tuple(rule for rule in permit.root.nested if rule.type == "permit")
    permit = replace(permit, root=replace(permit.root, nested=only_permits))
    for base in (replace(policy, implicit="deny"), replace(policy, consents=(*policy.consents, STAYS))):
        more = world.shown(replace(base, consents=(*base.consents, permit)), requester)
        assert world.shown(base, requester) <= more
