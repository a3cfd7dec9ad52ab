"""Searching Patients over HTTP: IHE PDQm ITI-78, each of its cases, and what consent leaves out."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import requests
from fhir.resources.R4B.patient import Patient

from tests.functional.small_exchange import SmallExchange, barring
from tests.services.exchange import NATIONAL_IDS, domain_of

PROFILE = "https://profiles.ihe.net/ITI/PDQm/StructureDefinition/IHE.PDQm.Patient"
MAIDEN_NAME = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"
XML = "application/fhir+xml"
FHIR = "{http://hl7.org/fhir}"


def a_patient(facility: str, value: str, family: str, given: str, born: str, **elements: Any) -> dict[str, Any]:
    """A Patient of that facility."""
    return {
        "resourceType": "Patient",
        "identifier": [{"system": domain_of(facility), "value": value}, *elements.pop("also", [])],
        "name": [{"family": family, "given": [given]}],
        "birthDate": born,
        **elements,
    }


def national(value: str) -> dict[str, str]:
    """A national id, by which facilities' records are linked."""
    return {"system": NATIONAL_IDS, "value": value}


MIRA = {
    "gender": "female",
    "active": True,
    "telecom": [{"system": "phone", "value": "+41 44 555 01 02"}, {"system": "email", "value": "Mira@example.org"}],
    "address": [{"line": ["8 Weir Road"], "city": "Zürich", "state": "ZH", "postalCode": "8001", "country": "CH"}],
    "extension": [{"url": MAIDEN_NAME, "valueString": "Østby"}],
}
RECORDS = [
    a_patient("north", "m-1", "Müller-Vogt", "Mira", "1980-02-03", also=[national("n-mira")], **MIRA),
    a_patient("south", "m-2", "Mueller", "Mira Lou", "1980-02-03", also=[national("n-mira")], gender="female"),
    a_patient("north", "o-1", "Mulloy", "Otto", "1980-02-28", gender="male"),
    a_patient("north", "p-1", "Petrov", "Ida", "1955-12-31", gender="female", address=[{"city": "Basel"}]),
    a_patient("south", "q-1", "Petrović", "Ivo", "1955", gender="male"),
    a_patient("north", "c-1", "Open", "Cid", "1990-01-01", also=[national("n-cid")], gender="male"),
    a_patient("south", "c-2", "Secretname", "Cid", "1991-09-09", also=[national("n-cid")], gender="male"),
    a_patient("south", "d-1", "Withheld", "Dot", "1970-07-07", gender="female"),
    a_patient("north", "i-1", "Inactive", "Ina", "1971-01-01", active=False),
    a_patient("north", "x-1", "Shared", "Xenia", "1960-01-01", also=[national("n-shared")]),
    a_patient("south", "x-2", "Other", "Walter", "1931-05-05", also=[national("n-shared")]),
]


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """Mira is known in north and south; Cid bars south, where he has another name; Dot is known there alone."""
    exchange = SmallExchange()
    for facility in ("north", "south"):
        exchange.add_facility(facility, "http://127.0.0.1:9")
    exchange.add_person("somebody", "north")
    exchange.start()
    exchange.feed(*RECORDS)
    for name, value in (("cid", "c-2"), ("dot", "d-1")):
        exchange.file_consent(
            name, barring("south"), patient={"identifier": {"system": domain_of("south"), "value": value}}
        )
    yield exchange
    exchange.stop()


def search(exchange: SmallExchange, *pairs: tuple[str, str], **params: str) -> dict[str, Any]:
    """The Bundle, which has a total and holds Patients of the profile."""
    answer = exchange.get("/Patient", [*pairs, *params.items()])
    assert answer.status_code == 200, answer.text
    bundle: dict[str, Any] = answer.json()
    assert bundle["type"] == "searchset"
    assert bundle["meta"]["profile"] == [f"{PROFILE.rpartition('.')[0]}.QueryPatientResourceResponseMessage"]
    for patient in patients(bundle):
        Patient.model_validate(patient)
        assert patient["meta"]["profile"] == [PROFILE]
        assert all(one["system"] and one["value"] for one in patient["identifier"])
        assert patient["active"] is True
    return bundle


def patients(bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The Patients of a Bundle, in order."""
    return [entry["resource"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"]


def found(exchange: SmallExchange, *pairs: tuple[str, str], **params: str) -> list[str]:
    """The own identifiers in north, or else in south, of who is found, in order; the total says how many."""
    bundle = search(exchange, *pairs, **params)
    listed = [{one["system"]: one["value"] for one in patient["identifier"]} for patient in patients(bundle)]
    assert bundle["total"] == len(listed)
    return [one.get(domain_of("north")) or one[domain_of("south")] for one in listed]


def in_xml(answer: requests.Response) -> ElementTree.Element:
    """The root of an answer in XML."""
    assert answer.headers["Content-Type"].startswith(XML)
    return ElementTree.fromstring(answer.content)  # noqa: S314  # the gateway's own answer


def value(element: ElementTree.Element, path: str) -> str | None:
    """What the primitive at that path says."""
    at = element.find("/".join(f"{FHIR}{step}" for step in path.split("/")))
    return None if at is None else at.get("value")


def issue(answer: requests.Response) -> tuple[int, str, str, str]:
    """Status, severity, code and words of a refusal."""
    (one,) = answer.json()["issue"]
    return answer.status_code, one["severity"], one["code"], one["diagnostics"]


@pytest.mark.parametrize(
    ("name", "value", "who"),
    [
        ("family", "mull", ["o-1", "m-1"]),
        ("family", "MÜLLER", ["m-1"]),
        ("family", "muellér", ["m-1"]),
        ("family:exact", "Mulloy", ["o-1"]),
        ("family:exact", "mulloy", []),
        ("family:exact", "Mull", []),
        ("given", "i", ["p-1", "q-1"]),
        ("given", "Mira L", ["m-1"]),
        ("given:exact", "Otto", ["o-1"]),
        ("identifier", f"{domain_of('south')}|m-2", ["m-1"]),
        ("identifier", f"{NATIONAL_IDS}|n-mira", ["m-1"]),
        ("identifier", "p-1", ["p-1"]),
        ("identifier", "n-mira", ["m-1"]),
        ("identifier", f"{domain_of('south')}|m-1", []),
        ("telecom", "0445550102", ["m-1"]),
        ("telecom", "mira@example.org", ["m-1"]),
        ("telecom", "email|mira@example.org", ["m-1"]),
        ("telecom", "phone|mira@example.org", []),
        ("birthdate", "1980-02-03", ["m-1"]),
        ("birthdate", "1980-02", ["o-1", "m-1"]),
        ("birthdate", "1955", ["p-1", "q-1"]),
        ("birthdate", "lt1956-01-01", ["p-1", "q-1", "x-2"]),
        ("birthdate", "ge1990", ["c-1"]),
        ("address", "8 weir", ["m-1"]),
        ("address", "zurich", ["m-1"]),
        ("address:exact", "Basel", ["p-1"]),
        ("address-city", "bas", ["p-1"]),
        ("address-country", "CH", ["m-1"]),
        ("address-postalcode", "80", ["m-1"]),
        ("address-state", "zh", ["m-1"]),
        ("gender", "female", ["m-1", "p-1"]),
        ("gender", "http://hl7.org/fhir/administrative-gender|other", []),
        ("mothersMaidenName", "øst", ["m-1"]),
        ("active", "false", []),
    ],
)
def test_each_parameter_alone(exchange: SmallExchange, name: str, value: str, who: list[str]) -> None:
    """§2:3.78.4.1.2.1: every parameter is processed individually, strings by their beginning or `:exact`."""
    assert sorted(found(exchange, (name, value))) == sorted(who)


def test_the_id_alone_and_active_alone(exchange: SmallExchange) -> None:
    """By the id of a Patient that was found, in any of its forms; `active=true` is everybody who may be seen."""
    (mira,) = patients(search(exchange, family="muller"))
    for value in (mira["id"], f"Patient/{mira['id']}", f"{exchange.gateway.fhir_url}/Patient/{mira['id']}"):
        assert found(exchange, _id=value) == ["m-1"]
    assert {"m-1", "o-1", "p-1", "q-1", "c-1", "x-1", "x-2"} <= set(found(exchange, active="true"))


def test_combinations_and_or(exchange: SmallExchange) -> None:
    """§2:3.78.4.1.2.1.1: family and gender, birthdate and family; comma is OR, repetition AND."""
    assert found(exchange, family="mul", gender="male") == ["o-1"]
    assert found(exchange, family="mul", birthdate="1980-02-03") == ["m-1"]
    assert found(exchange, family="petrov,mulloy") == ["o-1", "p-1", "q-1"]
    assert found(exchange, ("birthdate", "ge1980-02-01"), ("birthdate", "lt1980-02-28")) == ["m-1"]
    both = f"{domain_of('north')}|m-1", f"{domain_of('south')}|m-2"
    assert found(exchange, ("identifier", both[0]), ("identifier", both[1])) == ["m-1"]
    assert found(exchange, ("identifier", both[0]), ("identifier", f"{domain_of('north')}|o-1")) == []
    assert found(exchange, identifier=f"{both[0]},{domain_of('north')}|o-1") == ["m-1", "o-1"]


def test_one_record_says_it_all(exchange: SmallExchange) -> None:
    """What north says of the name and south of another isn't mixed; the Patient shows the names of both."""
    assert found(exchange, family="mueller", given="mira lou") == ["m-1"]
    assert found(exchange, family="müller-vogt", given="mira lou") == []
    (mira,) = patients(search(exchange, family="müller-vogt"))
    assert {one["family"] for one in mira["name"]} == {"Müller-Vogt", "Mueller"}
    assert mira["extension"] == [{"url": MAIDEN_NAME, "valueString": "Østby"}]


def test_domains_say_which_identifiers_are_told(exchange: SmallExchange) -> None:
    """§2:3.78.4.1.2.3, case 2: others are eliminated; who has none there isn't found."""
    south, north = domain_of("south"), domain_of("north")

    def told(**params: str) -> list[set[str]]:
        return [{one["system"] for one in patient["identifier"]} for patient in patients(search(exchange, **params))]

    assert told(family="mul", identifier=f"{south}|") == [{south}]
    assert told(family="mul", targetSystem=south) == [{south}]
    assert told(family="mul", identifier=f"{south}|,{north}|") == [{north, south}, {north}]
    assert told(family="muller", identifier=f"{NATIONAL_IDS}|") == [{NATIONAL_IDS}]
    assert told(family="muller") == [{north, south, NATIONAL_IDS}]


def test_a_domain_that_is_not_recognised_is_404(exchange: SmallExchange) -> None:
    """Case 4, as preferred: warning, not-found, "targetSystem not found"."""
    for params in ({"identifier": "urn:oid:1.2.3.4.5|"}, {"identifier": f"{domain_of('north')}|,urn:x|"}):
        answer = exchange.get("/Patient", {"family": "mul", **params})
        assert issue(answer) == (404, "warning", "not-found", "targetSystem not found")
    answer = exchange.get("/Patient", {"family": "mul", "targetSystem": "urn:oid:1.2.3.4.5"})
    assert issue(answer) == (404, "warning", "not-found", "targetSystem not found")


def test_nobody_is_a_bundle_without_entries(exchange: SmallExchange) -> None:
    """Case 3: 200, total 0."""
    bundle = search(exchange, family="Nosuchname")

    assert (bundle["total"], "entry" in bundle) == (0, False)


def test_formats_that_are_not_written_are_406(exchange: SmallExchange) -> None:
    """Case 5: an error, not-supported."""
    turtle = exchange.get("/Patient", {"family": "mul", "_format": "text/turtle"})
    accepted = exchange.get("/Patient", {"family": "mul"}, headers={"Accept": "text/turtle"})

    for answer in (turtle, accepted):
        assert issue(answer)[:3] == (406, "error", "not-supported")


def test_a_deprecated_record_is_left_out(exchange: SmallExchange) -> None:
    """Case 6, by our policy: neither found nor read, and the survivor of a merge is found by the other's identifier."""
    assert found(exchange, family="Inactive") == []
    assert found(exchange, identifier=f"{domain_of('north')}|i-1") == []


def test_a_patient_is_read_in_both_forms_and_unknown_ones_are_404(exchange: SmallExchange) -> None:
    """§2:3.78.4.3: case 1 and 2."""
    (mira,) = patients(search(exchange, family="muller"))
    as_json = exchange.get(f"/Patient/{mira['id']}")
    as_xml = exchange.get(f"/Patient/{mira['id']}", headers={"Accept": XML})
    unknown = exchange.get(f"/Patient/{mira['id'][::-1]}")

    assert as_json.json() == mira
    assert value(in_xml(as_xml), "id") == mira["id"]
    assert issue(unknown)[:3] == (404, "error", "not-found")


def test_get_and_post_in_json_and_xml_say_the_same(exchange: SmallExchange) -> None:
    """The form's parameters and the URL's; XML by `Accept`, by `_format` of either."""
    form = {"family": "mul", "gender": "female"}
    got = exchange.get("/Patient", form)
    posted = exchange.request("POST", "/Patient/_search", data=form)
    mixed = exchange.request("POST", "/Patient/_search", params={"family": "mul"}, data={"gender": "female"})

    assert patients(got.json()) == patients(posted.json()) == patients(mixed.json()) != []
    for answer in (
        exchange.get("/Patient", form, headers={"Accept": XML}),
        exchange.get("/Patient", form | {"_format": "xml"}),
        exchange.request("POST", "/Patient/_search", data=form | {"_format": XML}),
    ):
        bundle = in_xml(answer)
        assert value(bundle, "total") == "1"
        families = [one.get("value") for one in bundle.iter(f"{FHIR}family")]
        assert families == [one["family"] for one in patients(got.json())[0]["name"]]


def test_pages_lose_and_repeat_nobody(exchange: SmallExchange) -> None:
    """One a page, in the order of names, each with the same total; `next` works after POST and is opaque."""
    whole = found(exchange, active="true")
    bundle = exchange.request("POST", "/Patient/_search", data={"active": "true", "_count": "2"}).json()
    seen = [patient["id"] for patient in patients(bundle)]
    while following := [link["url"] for link in bundle["link"] if link["relation"] == "next"]:
        assert "_cursor=" in following[0]
        bundle = exchange.get(following[0].removeprefix(exchange.gateway.fhir_url)).json()
        assert (bundle["total"], len(patients(bundle)) <= 2) == (len(whole), True)
        seen += [patient["id"] for patient in patients(bundle)]

    assert seen == [patient["id"] for patient in patients(search(exchange, active="true"))]
    assert len(seen) == len(set(seen)) == len(whole)


def test_pages_keep_the_form_that_was_asked_for(exchange: SmallExchange) -> None:
    """`_format=xml` holds for the pages that follow; a page link is somebody's own."""
    first = exchange.get("/Patient", {"active": "true", "_count": "1", "_format": "xml"})
    links = {value(link, "relation"): value(link, "url") for link in in_xml(first).findall(f"{FHIR}link")}
    following = exchange.get(str(links["next"]).removeprefix(exchange.gateway.fhir_url))
    other = exchange.signed_token(client_id="other", scope="system/Patient.rs")
    stolen = exchange.get(str(links["next"]).removeprefix(exchange.gateway.fhir_url), token=other)

    assert following.headers["Content-Type"].startswith(XML)
    assert "_format=xml" in str(links["self"])
    assert stolen.status_code in (401, 404)


def test_the_answer_is_wanted_in_an_order_and_in_part(exchange: SmallExchange) -> None:
    """`_sort` by name and birth date, up and down; `_elements`, `_summary`, `_count=0`."""
    assert found(exchange, family="petrov", _sort="family") == ["p-1", "q-1"]
    assert found(exchange, family="petrov", _sort="-family") == ["q-1", "p-1"]
    assert found(exchange, family="mul", _sort="-birthdate") == ["o-1", "m-1"]
    assert found(exchange, family="mul", _sort="birthdate") == ["m-1", "o-1"]
    (part,) = patients(search(exchange, family="mulloy", _elements="birthDate"))
    assert set(part) == {"resourceType", "id", "meta", "identifier", "active", "birthDate"}
    counted = search(exchange, family="mul", _count="0")
    assert (counted["total"], "entry" in counted) == (2, False)


def test_what_has_changed_is_found(exchange: SmallExchange) -> None:
    """`_lastUpdated` alone and with others, by what may be seen."""
    assert found(exchange, family="mul", _lastUpdated="ge2020") == ["m-1", "o-1"]
    assert found(exchange, family="mul", _lastUpdated="lt2020") == []
    assert set(found(exchange, _lastUpdated="ge2020-01-01T00:00:00Z")) == set(found(exchange, active="true"))


def test_what_is_not_understood(exchange: SmallExchange) -> None:
    """Unknown parameters are left out of `self`, and refused when strict; a search for nobody in particular is 400."""
    lenient = search(exchange, family="mul", eyecolour="green")
    assert [link["url"] for link in lenient["link"]] == [f"{exchange.gateway.fhir_url}/Patient?family=mul"]
    strict = exchange.get("/Patient", {"family": "m", "eyecolour": "g"}, headers={"Prefer": "handling=strict"})
    assert issue(strict)[:3] == (400, "error", "not-supported")
    for query in ({}, {"eyecolour": "green"}, {"family": ""}, {"family": "*"}, {"family": "%"}, {"birthdate": "soon"}):
        assert exchange.get("/Patient", query).status_code == 400, query
    assert exchange.get("/Patient", {"family:contains": "ull"}).status_code == 400


def test_t108_no_identifier_is_a_pattern(exchange: SmallExchange) -> None:
    """`*`, `?`, `%` and their like find nobody, or are refused; never everybody."""
    north = domain_of("north")
    for value in ("*", "m-?", "m-%", "m-_", "%", "m-1\\", "m-1&x", "M-1"):
        answer = exchange.get("/Patient", {"identifier": f"{north}|{value}"})
        assert answer.status_code == 400 or answer.json()["total"] == 0, value
    assert exchange.get("/Patient", {"identifier": f"{north}|m-1\x00"}).status_code == 400
    assert exchange.get("/Patient", {"identifier": "|"}).status_code == 400


def test_t112_a_search_takes_no_xml_and_a_match_no_document_type(exchange: SmallExchange) -> None:
    """A form or nothing; a DOCTYPE, however harmless, is 400."""
    xml = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Patient xmlns="http://hl7.org/fhir"/>'
    headers = {"Content-Type": XML}

    assert exchange.request("POST", "/Patient/_search", data=xml, headers=headers).status_code == 415
    assert exchange.request("POST", "/Patient/$match", data=xml, headers=headers).status_code == 400


def test_what_is_withheld_is_not_found_and_not_told(exchange: SmallExchange) -> None:
    """Cid bars south: its name and birth date find nobody, its identifier isn't told; Dot isn't there at all."""
    (cid,) = patients(search(exchange, family="Open"))

    assert {one["system"] for one in cid["identifier"]} == {domain_of("north"), NATIONAL_IDS}
    assert "Secretname" not in str(cid)
    assert cid["birthDate"] == "1990-01-01"
    for params in (
        {"family": "Secretname"},
        {"birthdate": "1991-09-09"},
        {"identifier": "c-2"},
        {"family": "Open", "identifier": f"{domain_of('south')}|"},
        {"family": "Withheld"},
        {"birthdate": "1970-07-07"},
        {"identifier": f"{domain_of('south')}|d-1"},
        {"identifier": "d-1"},
    ):
        bundle = search(exchange, **params)
        assert (bundle["total"], "entry" in bundle) == (0, False), params


def test_the_audit_has_one_record_for_each_patient_that_is_told(exchange: SmallExchange) -> None:
    """Those of the page, each with its decisions; who is withheld is there too, with nothing told."""
    search(exchange, family="mul", _sort="family", _count="1")
    told = exchange.audit()[-1]
    search(exchange, family="mul")
    two = exchange.audit()[-2:]
    search(exchange, family="Withheld")
    withheld = exchange.audit()[-1]
    search(exchange, family="Nosuchname")
    nobody = exchange.audit()[-1]

    assert (told["kind"], len(told["resources"])) == ("patient-search", 1)
    assert {one["kind"] for one in two} == {"patient-search"}
    assert len({one["patient"] for one in two}) == 2
    assert withheld["patient"]
    assert not withheld.get("resources")
    assert [one["decision"] for one in withheld["decided"]] == ["deny"]
    assert nobody["kind"] == "patient-search"
    assert not nobody.get("patient")


def test_an_identifier_of_two_persons_says_so(exchange: SmallExchange) -> None:
    """It finds nobody, and an outcome says why; what else is asked goes on being answered."""
    bundle = search(exchange, identifier=f"{NATIONAL_IDS}|n-shared")

    assert bundle["total"] == 0
    (outcome,) = [entry["resource"] for entry in bundle["entry"] if entry["search"]["mode"] == "outcome"]
    assert [(one["severity"], one["code"]) for one in outcome["issue"]] == [("warning", "multiple-matches")]
    assert found(exchange, identifier=f"{domain_of('north')}|x-1") == ["x-1"]


def test_a_token_of_one_patient_finds_that_patient_alone(exchange: SmallExchange) -> None:
    """Whatever is asked; naming another is 403."""
    (mira,) = patients(search(exchange, family="muller"))
    bound = exchange.signed_token(patient=mira["id"], scope="patient/Patient.rs")

    assert [one["id"] for one in patients(exchange.get("/Patient", {"active": "true"}, token=bound).json())] == [
        mira["id"]
    ]
    assert exchange.get("/Patient", {"family": "mulloy"}, token=bound).json()["total"] == 0
    named = exchange.get("/Patient", {"identifier": f"{domain_of('north')}|o-1"}, token=bound)
    assert named.status_code == 403


def test_a_search_needs_its_scope(exchange: SmallExchange) -> None:
    """Patient, and to search."""
    for scope in ("system/ImagingStudy.rs", "system/Patient.r"):
        assert exchange.get("/Patient", {"family": "m"}, token=exchange.signed_token(scope=scope)).status_code == 403


def test_the_capability_statement_tells_all_of_it(exchange: SmallExchange) -> None:
    """The 14 parameters, the profile, both forms, the operation."""
    statement = requests.get(f"{exchange.gateway.fhir_url}/metadata", timeout=10).json()
    (patient,) = [one for one in statement["rest"][0]["resource"] if one["type"] == "Patient"]

    names = {one["name"] for one in patient["searchParam"]}
    assert {"_id", "active", "family", "given", "identifier", "telecom", "birthdate", "address"} <= names
    assert {"address-city", "address-country", "address-postalcode", "address-state"} <= names
    assert {"gender", "mothersMaidenName"} <= names
    assert PROFILE in patient["supportedProfile"]
    assert {XML, "application/fhir+json"} <= set(statement["format"])
    assert {"match", "ihe-pix"} <= {one["name"] for one in patient["operation"]}


@pytest.fixture(scope="module")
def crowd() -> Iterator[SmallExchange]:
    """More people than one search looks at, with thirty family names, born over ten years."""
    exchange = SmallExchange()
    exchange.add_facility("north", "http://127.0.0.1:9")
    exchange.add_person("somebody", "north")
    exchange.start()
    exchange.feed(
        *(
            a_patient(
                "north",
                f"r-{number}",
                f"{'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[number % 26]}mbleton" if number % 7 else "Smith",
                "Kim",
                f"19{70 + number % 10}-{1 + number % 12:02}-{1 + number % 28:02}",
                gender="female",
                telecom=[{"system": "phone", "value": f"0161 {number:07}"}],
                address=[{"line": [f"{number} Station Road"], "country": "GB"}],
            )
            for number in range(1, 2201)
        )
    )
    yield exchange
    exchange.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [{"gender": "female"}, {"address-country": "GB"}, {"given": "kim"}, {"family": "S"}, {"birthdate": "gt1900"}],
)
def test_a_search_that_means_too_many_is_refused(crowd: SmallExchange, params: dict[str, str]) -> None:
    """400, too-costly, in words that help."""
    status, severity, code, words = issue(crowd.get("/Patient", params))

    assert (status, severity, code) == (400, "error", "too-costly")
    assert "birth date" in words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("params", "total"),
    [
        ({"family": "smith", "gender": "female"}, 314),
        ({"family": "smith", "birthdate": "1977"}, None),
        ({"family": "amb", "given": "kim"}, None),
        ({"birthdate": "1971-02-02", "gender": "female"}, None),
        ({"telecom": "01610000042"}, 1),
        ({"address": "1234 station"}, 1),
        ({"identifier": "r-77"}, 1),
        ({"family": "smith", "_count": "0"}, 314),
    ],
)
def test_a_search_that_says_enough_is_answered(crowd: SmallExchange, params: dict[str, str], total: int | None) -> None:
    """In the same index: two required combinations, a telephone number, an address line, any identifier."""
    bundle = crowd.get("/Patient", params).json()

    assert bundle["total"] == total if total else bundle["total"] > 0


@pytest.mark.slow
def test_records_that_were_loaded_earlier_are_found_once_they_are_indexed(crowd: SmallExchange) -> None:
    """As a version without this index has left them: too many to look at, until the operator's command has run."""
    question = {"family": "smith", "birthdate": "1977-08-08"}
    before = crowd.get("/Patient", question).json()["total"]
    with closing(sqlite3.connect(Path(crowd.gateway.env["GATEWAY_DATA_DIR"]) / "gateway.db")) as database, database:
        database.execute("DELETE FROM mpi_search_key")
        database.execute("UPDATE mpi_record SET search_keys = NULL")

    assert issue(crowd.get("/Patient", question))[2] == "too-costly"
    assert crowd.gateway.run_json("patients", "index") == {"indexed": 2201}
    assert crowd.get("/Patient", question).json()["total"] == before > 0
    assert crowd.gateway.run_json("patients", "index") == {"indexed": 0}
    assert crowd.audit()[-1]["reason"] == "patients index ended"
