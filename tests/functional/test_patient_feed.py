"""A facility's feed over HTTP: IHE PIXm ITI-104 by its own client, seen as EHRs and operators see it."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from tests import canary
from tests.functional.small_exchange import SmallExchange
from tests.services.exchange import NATIONAL_IDS, add_client, domain_of

SCOPE = "system/Patient.cruds"
FACILITIES = ("north", "south")


class Feeds:
    """An exchange of two facilities, each with a feed client."""

    def __init__(self) -> None:
        self.exchange = SmallExchange()
        for facility in FACILITIES:
            self.exchange.add_facility(facility, "http://127.0.0.1:9")
        self.exchange.add_person("one", "north")
        self.exchange.start()
        for facility in FACILITIES:
            add_client(self.exchange.gateway, f"{facility}-feed", organization=facility, scope=SCOPE, facility=facility)
        self.tokens = {
            facility: self.exchange.signed_token(client_id=f"{facility}-feed", scope=SCOPE) for facility in FACILITIES
        }

    def put(
        self, facility: str, value: str, patient: Mapping[str, Any] | None = None, **options: Any
    ) -> requests.Response:
        """The answer to the feed's conditional update."""
        params = {"identifier": f"{domain_of(facility)}|{value}"}
        body = patient if patient is not None else a_patient(facility, value)
        options.setdefault("token", self.tokens[facility])
        return self.exchange.request("PUT", "/Patient", params=params, json=body, **options)

    def replace(self, facility: str, old: str, new: str) -> requests.Response:
        """The answer to: the patient `old` was replaced by `new`."""
        return self.put(facility, old, replaced(facility, old, new))

    def person(self, facility: str, value: str) -> str | None:
        """The id of the person with that identifier, as an EHR finds it."""
        answer = self.exchange.get("/Patient", {"identifier": f"{domain_of(facility)}|{value}"})
        entries = answer.json().get("entry", [])
        return entries[0]["resource"]["id"] if entries else None


def a_patient(facility: str, value: str, national: str | None = None, **changes: Any) -> dict[str, Any]:
    """A Patient as that facility sends it."""
    identifiers = [{"system": domain_of(facility), "value": value}]
    if national:
        identifiers.append({"system": NATIONAL_IDS, "value": national})
    patient = {
        "resourceType": "Patient",
        "identifier": identifiers,
        "active": True,
        "name": [{"family": canary.FAMILY, "given": [canary.GIVEN]}],
        "birthDate": "1980-02-03",
    }
    return patient | changes


def replaced(facility: str, old: str, new: str) -> dict[str, Any]:
    """The Patient that says it was replaced."""
    other = {"identifier": {"system": domain_of(facility), "value": new}}
    return a_patient(facility, old, active=False, link=[{"other": other, "type": "replaced-by"}])


@pytest.fixture(scope="module")
def feeds() -> Iterator[Feeds]:
    """The exchange with its feeds."""
    feeds = Feeds()
    yield feeds
    feeds.exchange.stop()


def codes(answer: requests.Response) -> tuple[int, str]:
    """Status and issue code of a refusal."""
    return answer.status_code, answer.json()["issue"][0]["code"]


def test_an_unknown_patient_is_added_and_a_known_one_revised(feeds: Feeds) -> None:
    """201 with Location, then 200; what is found is what was said last."""
    added = feeds.put("north", "add-1")
    revised = feeds.put("north", "add-1", a_patient("north", "add-1", birthDate="1981-02-03"))
    again = feeds.put("north", "add-1", a_patient("north", "add-1", birthDate="1981-02-03"))

    person = feeds.person("north", "add-1")
    assert (added.status_code, revised.status_code, again.status_code) == (201, 200, 200)
    assert added.headers["Location"] == f"{feeds.exchange.gateway.fhir_url}/Patient/{person}"
    assert revised.json()["birthDate"] == "1981-02-03"
    found = feeds.exchange.get(f"/Patient/{person}").json()
    assert found["birthDate"] == "1981-02-03"


def test_a_feed_is_told_its_own_domain_alone(feeds: Feeds) -> None:
    """Two facilities' records of one person: each feed's answer has its own identifiers only."""
    feeds.put("north", "own-1", a_patient("north", "own-1", "N-own"))
    answer = feeds.put("south", "own-2", a_patient("south", "own-2", "N-own"))

    assert feeds.person("north", "own-1") == feeds.person("south", "own-2") == answer.json()["id"]
    assert {one["system"] for one in answer.json()["identifier"]} == {domain_of("south"), NATIONAL_IDS}


def test_nothing_but_a_status_where_that_is_preferred(feeds: Feeds) -> None:
    """`Prefer: return=minimal`."""
    answer = feeds.put("north", "min-1", headers={"Prefer": "return=minimal"})

    assert (answer.status_code, answer.content) == (201, b"")
    assert "Location" in answer.headers


def test_a_replaced_patient_leads_to_the_survivor(feeds: Feeds) -> None:
    """The id of the patient that was replaced resolves to the survivor; its identifier is nobody's any more."""
    feeds.put("north", "old-1")
    feeds.put("north", "new-1")
    before, survivor = feeds.person("north", "old-1"), feeds.person("north", "new-1")

    answer = feeds.replace("north", "old-1", "new-1")

    assert before != survivor
    assert answer.status_code == 200
    assert feeds.exchange.get(f"/Patient/{before}").json()["id"] == survivor
    assert feeds.person("north", "new-1") == survivor
    shown = feeds.exchange.gateway.run_json("patients", "show", f"{domain_of('north')}|new-1")
    assert [one["active"] for one in shown["records"]] == [False, True]


def test_another_facilitys_record_follows_its_own_evidence(feeds: Feeds) -> None:
    """South's record was linked to the replaced one by a national id that the survivor doesn't have: it parts."""
    feeds.put("south", "ev-s", a_patient("south", "ev-s", "N-ev"))
    feeds.put("north", "ev-old", a_patient("north", "ev-old", "N-ev"))
    feeds.put("north", "ev-new")
    together = feeds.person("south", "ev-s")
    assert together == feeds.person("north", "ev-old")

    feeds.replace("north", "ev-old", "ev-new")

    assert feeds.person("south", "ev-s") == together
    assert feeds.person("north", "ev-new") not in (None, together)


def test_t057_a_consent_of_a_replaced_identifier_binds_the_survivor(feeds: Feeds) -> None:
    """What was denied under the old identifier stays denied under the new one."""
    feeds.put("north", "con-old")
    feeds.put("north", "con-new")
    domain = domain_of("north")
    patient = {"identifier": {"system": domain, "value": "con-old"}}
    feeds.exchange.file_consent("con", {"type": "deny"}, patient=patient)
    assert feeds.person("north", "con-old") is None
    assert feeds.person("north", "con-new") is not None

    feeds.replace("north", "con-old", "con-new")

    assert feeds.person("north", "con-new") is None


def test_a_replaced_identifier_that_comes_back_is_a_person_of_its_own(feeds: Feeds) -> None:
    """A number that is given out again doesn't stick to whoever its last bearer was merged into."""
    feeds.put("north", "back-old")
    feeds.put("north", "back-new")
    feeds.replace("north", "back-old", "back-new")

    feeds.put("north", "back-old", a_patient("north", "back-old", birthDate="1999-01-02"))

    assert feeds.person("north", "back-old") not in (None, feeds.person("north", "back-new"))


def test_replacing_again_changes_nothing(feeds: Feeds) -> None:
    """A feed may send everything twice."""
    feeds.put("north", "twice-old")
    feeds.put("north", "twice-new")
    feeds.replace("north", "twice-old", "twice-new")
    before = feeds.exchange.gateway.run_json("patients", "show", f"{domain_of('north')}|twice-new")

    answer = feeds.replace("north", "twice-old", "twice-new")

    assert answer.status_code == 200
    assert feeds.exchange.gateway.run_json("patients", "show", f"{domain_of('north')}|twice-new") == before


def test_a_removed_patient_is_gone(feeds: Feeds) -> None:
    """204, then 404; nobody finds it, and it may come back."""
    feeds.put("north", "gone-1")
    params = {"identifier": f"{domain_of('north')}|gone-1"}

    removed = feeds.exchange.request("DELETE", "/Patient", params=params, token=feeds.tokens["north"])
    again = feeds.exchange.request("DELETE", "/Patient", params=params, token=feeds.tokens["north"])

    assert (removed.status_code, again.status_code) == (204, 404)
    assert feeds.person("north", "gone-1") is None
    assert feeds.put("north", "gone-1").status_code == 200
    assert feeds.person("north", "gone-1") is not None


def test_a_feed_speaks_of_its_own_domain_alone(feeds: Feeds) -> None:
    """Another facility's identifier in the URL, in the body or as the survivor is refused, and changes nothing."""
    south = a_patient("south", "x-1")
    both = a_patient("north", "x-1")
    both["identifier"] += south["identifier"]
    feeds.put("south", "x-3")
    feeds.put("north", "x-2")
    foreign = replaced("north", "x-2", "x-3")
    foreign["link"][0]["other"]["identifier"]["system"] = domain_of("south")

    url = feeds.put("south", "x-1", south, token=feeds.tokens["north"])
    body = feeds.put("north", "x-1", both)
    survivor = feeds.put("north", "x-2", foreign)

    assert codes(url) == (403, "forbidden")
    assert codes(body) == (422, "business-rule")
    assert codes(survivor) == (403, "forbidden")
    assert feeds.person("south", "x-1") is feeds.person("north", "x-1") is None
    assert feeds.person("north", "x-2") is not None


def test_only_a_feed_with_its_scope_feeds(feeds: Feeds) -> None:
    """An EHR's token lacks the scope; a client that is no facility's feed lacks the facility."""
    stranger = add_client(feeds.exchange.gateway, "stranger", scope=SCOPE)
    read_only = feeds.put("north", "no-1", token=feeds.exchange.token)
    nobodys = feeds.put("north", "no-1", token=stranger.token(feeds.exchange.gateway, scope=SCOPE))

    assert codes(read_only) == codes(nobodys) == (403, "forbidden")
    assert feeds.person("north", "no-1") is None


@pytest.mark.parametrize(
    ("changes", "status", "code", "path"),
    [
        (
            {"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]},
            400,
            "extension",
            "Patient.modifierExtension",
        ),
        ({"birthDate": "1980-13-45"}, 422, "business-rule", "Patient.birthDate"),
        ({"identifier": []}, 422, "business-rule", "Patient.identifier"),
        ({"name": [{"family": "a\u0007b"}]}, 422, "business-rule", "Patient.name[0]"),
        ({"active": False, "link": [{"type": "replaced-by", "other": {}}]}, 422, "business-rule", "Patient.link"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(
    feeds: Feeds, changes: dict[str, Any], status: int, code: str, path: str
) -> None:
    """With the standard's code, and nothing is stored."""
    answer = feeds.put("north", "bad-1", a_patient("north", "bad-1", **changes))

    assert codes(answer) == (status, code)
    assert path in answer.json()["issue"][0]["diagnostics"]
    assert feeds.person("north", "bad-1") is None


def test_a_survivor_has_to_be_there(feeds: Feeds) -> None:
    """Replaced by nobody, or by itself: refused, and the patient stays."""
    feeds.put("north", "s-1")

    assert codes(feeds.replace("north", "s-1", "s-none")) == (422, "business-rule")
    assert codes(feeds.replace("north", "s-1", "s-1")) == (422, "business-rule")
    assert feeds.person("north", "s-1") is not None


def test_a_feed_names_its_patient_by_one_identifier_and_nothing_else(feeds: Feeds) -> None:
    """Any other condition is refused rather than ignored."""
    body = a_patient("north", "c-1")
    wanted = f"{domain_of('north')}|c-1"
    other = {"token": feeds.tokens["north"], "json": body}

    for params in ({}, {"identifier": "c-1"}, {"identifier": wanted, "name": "x"}, {"identifier": [wanted, wanted]}):
        assert feeds.exchange.request("PUT", "/Patient", params=params, **other).status_code == 400
    conditional = feeds.put("north", "c-1", headers={"If-Match": 'W/"1"'})
    assert conditional.status_code == 400


def test_it_is_sent_and_answered_in_xml(feeds: Feeds) -> None:
    """The same Patient as FHIR XML, in the order of the schema."""
    xml = (
        '<Patient xmlns="http://hl7.org/fhir">'
        f'<identifier><system value="{domain_of("north")}"/><value value="xml-1"/></identifier>'
        f'<active value="true"/><name><family value="{canary.FAMILY}"/><given value="{canary.GIVEN}"/>'
        '<given value="Second"/></name><gender value="female"/><birthDate value="1970-01-02"/>'
        '<multipleBirthInteger value="2"/></Patient>'
    )
    answer = feeds.exchange.request(
        "PUT",
        "/Patient",
        params={"identifier": f"{domain_of('north')}|xml-1"},
        data=xml,
        headers={"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"},
        token=feeds.tokens["north"],
    )

    assert answer.status_code == 201
    assert answer.headers["Content-Type"].startswith("application/fhir+xml")
    kept = feeds.exchange.get(f"/Patient/{feeds.person('north', 'xml-1')}").json()
    assert kept["name"][0]["given"] == [canary.GIVEN, "Second"]
    assert kept["multipleBirthInteger"] == 2
    places = [answer.text.index(f"<{name}") for name in ("identifier", "active", "name", "gender", "birthDate")]
    assert places == sorted(places)


def test_what_a_feed_did_is_in_the_audit(feeds: Feeds) -> None:
    """Who, which person, what became of it; the history names the feed."""
    feeds.put("north", "audit-1")

    record = [one for one in feeds.exchange.audit() if one["kind"] == "patient-feed"][-1]
    assert record["who"]["client_id"] == "north-feed"
    assert record["details"] == [["facility", "north"], ["outcome", "loaded"]]
    shown = feeds.exchange.gateway.run_json("patients", "show", f"{domain_of('north')}|audit-1")
    assert shown["history"][-1]["who"] == "feed north (client north-feed)"


def test_a_contained_resource_of_no_type_is_refused_by_its_path(feeds: Feeds) -> None:
    """In JSON and in XML: 422, and nothing is kept."""
    for contained in ([{"resourceType": "X"}], [{"resourceType": 5}], [5], ["a"], 5):
        refused = feeds.put("north", "x-1", a_patient("north", "x-1", contained=contained))
        assert refused.status_code == 422, contained
        assert refused.json()["issue"][0]["diagnostics"].startswith("Patient.contained")
    xml = (
        '<Patient xmlns="http://hl7.org/fhir"><contained><Foo/></contained>'
        f'<identifier><system value="{domain_of("north")}"/><value value="x-1"/></identifier></Patient>'
    )
    params = {"identifier": f"{domain_of('north')}|x-1"}
    sent = {"params": params, "data": xml, "headers": {"Content-Type": "application/fhir+xml"}}
    refused = feeds.exchange.request("PUT", "/Patient", token=feeds.tokens["north"], **sent)
    assert refused.status_code == 422
    assert refused.json()["issue"][0]["diagnostics"].startswith("Patient.contained[0]")
    assert feeds.person("north", "x-1") is None
