"""`Patient/$match` over HTTP: IHE PDQm ITI-119, its grades and scores, and what consent leaves out."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests import canary
from tests.functional.small_exchange import SmallExchange, barring
from tests.services.exchange import NATIONAL_IDS, domain_of

GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
HOME = {"line": ["17 Quarry Lane"], "city": "Oldham", "postalCode": "4512"}
PHONE = {"system": "phone", "value": "+41 44 765 43 21"}


def a_patient(facility: str | None, value: str, **changes: Any) -> dict[str, Any]:
    """The planted person, as a facility knows them, or as a question describes them."""
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "name": [{"family": canary.FAMILY, "given": [canary.GIVEN]}],
        "gender": "female",
        "birthDate": "1958-03-19",
        "address": [HOME],
        "telecom": [PHONE],
    }
    if facility:
        patient["identifier"] = [{"system": domain_of(facility), "value": value}]
    return {name: part for name, part in (patient | changes).items() if part is not None}


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """North and south know the planted person; a stranger shares the name; Dora is known in south, which she bars."""
    exchange = SmallExchange(GATEWAY_MATCHING="on")
    for facility in ("north", "south"):
        exchange.add_facility(facility, "http://127.0.0.1:9")
    exchange.add_person("first", "north")
    exchange.start()
    stranger = a_patient("north", "p-3", birthDate="1999-01-30", address=None, telecom=None, gender="male")
    exchange.feed(
        a_patient("north", "p-1"),
        a_patient("south", "p-2"),
        stranger,
        a_patient("south", "d-1", name=[{"family": "Undercroft", "given": ["Dorothea"]}], birthDate="1950-11-12"),
    )
    where = {"identifier": {"system": domain_of("south"), "value": "d-1"}}
    exchange.file_consent("dora", barring("south"), patient=where)
    yield exchange
    exchange.stop()


def match(exchange: SmallExchange, patient: Any, **parameters: Any) -> requests.Response:
    """The answer to Parameters with that Patient."""
    listed = [{"name": "resource", "resource": patient}]
    for name, value in parameters.items():
        listed.append({"name": name, "valueBoolean" if isinstance(value, bool) else "valueInteger": value})
    body = {"resourceType": "Parameters", "parameter": listed}
    return exchange.request("POST", "/Patient/$match", json=body)


def grades(answer: requests.Response) -> list[str]:
    """The grades of the entries, in order."""
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert bundle["meta"]["profile"] == [
        "https://profiles.ihe.net/ITI/PDQm/StructureDefinition/IHE.PDQm.MatchParametersOut"
    ]
    assert (bundle["type"], bundle["total"]) == ("searchset", len(bundle.get("entry", [])))
    found = []
    for entry in bundle.get("entry", []):
        assert entry["search"]["mode"] == "match"
        assert 0 <= entry["search"]["score"] <= 1
        (extension,) = entry["search"]["extension"]
        assert extension["url"] == GRADE
        found.append(extension["valueCode"])
    scores = [entry["search"]["score"] for entry in bundle.get("entry", [])]
    assert scores == sorted(scores, reverse=True)
    return found


def test_a_full_description_is_certain(exchange: SmallExchange) -> None:
    """Name, birth date, address and phone: one person, with the records of both facilities."""
    answer = match(exchange, a_patient(None, ""))

    assert grades(answer)[0] == "certain"
    resource = answer.json()["entry"][0]["resource"]
    assert {one["system"] for one in resource["identifier"]} == {domain_of("north"), domain_of("south")}


def test_name_birth_date_and_sex_alone_are_never_certain(exchange: SmallExchange) -> None:
    """They are found, and not to be acted on without a look; with `onlyCertainMatches` nothing is told."""
    thin = a_patient(None, "", address=None, telecom=None)

    told = grades(match(exchange, thin))
    assert told
    assert "certain" not in told
    assert grades(match(exchange, thin, onlyCertainMatches=True)) == []
    scores = [entry["search"]["score"] for entry in match(exchange, thin).json()["entry"]]
    assert max(scores) <= 0.6


def test_only_certain_matches_tells_one_person_or_none(exchange: SmallExchange) -> None:
    """And `count` bounds the rest."""
    assert grades(match(exchange, a_patient(None, ""), onlyCertainMatches=True)) == ["certain"]
    assert len(grades(match(exchange, a_patient(None, ""), count=1))) == 1


def test_a_patient_alone_is_a_question_too(exchange: SmallExchange) -> None:
    """A bare Patient body, and one in XML that is answered in XML."""
    bare = exchange.request("POST", "/Patient/$match", json=a_patient(None, ""))
    xml = (
        f'<Patient xmlns="http://hl7.org/fhir"><name><family value="{canary.FAMILY}"/><given value="{canary.GIVEN}"/>'
        '</name><gender value="female"/><birthDate value="1958-03-19"/><address><line value="17 Quarry Lane"/>'
        '<postalCode value="4512"/></address></Patient>'
    )
    headers = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
    in_xml = exchange.request("POST", "/Patient/$match", data=xml.encode(), headers=headers)

    assert grades(bare)[0] == "certain"
    assert in_xml.status_code == 200
    assert '<valueCode value="certain"/>' in in_xml.text
    assert in_xml.text.index("<mode ") < in_xml.text.index("<score ")


def test_nobody_is_meant_by_a_stranger(exchange: SmallExchange) -> None:
    """200 and an empty Bundle."""
    nobody = a_patient(None, "", name=[{"family": "Nobody", "given": ["Zebulon"]}], birthDate="1931-02-17")

    assert grades(match(exchange, nobody | {"address": [], "telecom": []})) == []


def test_who_is_withheld_is_not_there(exchange: SmallExchange) -> None:
    """Dora's only record is in a facility that she bars: her full description finds nobody."""
    dora = a_patient(None, "", name=[{"family": "Undercroft", "given": ["Dorothea"]}], birthDate="1950-11-12")

    assert [one for one in match(exchange, dora).json().get("entry", []) if "Undercroft" in str(one)] == []


def test_what_is_not_understood_is_refused(exchange: SmallExchange) -> None:
    """An unknown modifierExtension: 400 and no Patient; an unknown extension does no harm; the rest by its path."""
    modifier = match(exchange, a_patient(None, "", modifierExtension=[{"url": "urn:x", "valueBoolean": True}]))
    harmless = match(exchange, a_patient(None, "", extension=[{"url": "urn:x", "valueBoolean": True}]))
    broken = match(exchange, a_patient(None, "", birthDate="yesterday"))
    missing = exchange.request("POST", "/Patient/$match", json={"resourceType": "Parameters", "parameter": []})

    assert (modifier.status_code, modifier.json()["issue"][0]["code"]) == (400, "extension")
    assert grades(harmless)[0] == "certain"
    assert broken.status_code == 422
    assert "Patient.birthDate" in broken.json()["issue"][0]["diagnostics"]
    assert missing.status_code == 400


def test_a_description_says_as_much_as_it_claims(exchange: SmallExchange) -> None:
    """HL7 Identity Matching: 9 points for IDI-Patient-L0, 10 for L1; who claims less is answered."""
    profile = "http://hl7.org/fhir/us/identity-matching/StructureDefinition/IDI-Patient-L{}"
    thin = a_patient(None, "", address=None, telecom=None)
    phone = a_patient(None, "", address=None)

    def status(patient: dict[str, Any], *levels: int) -> int:
        claimed = patient | {"meta": {"profile": [profile.format(level) for level in levels]}}
        return match(exchange, claimed).status_code

    assert [status(thin, 0), status(phone, 0), status(phone, 1), status(a_patient(None, ""), 0, 1)] == [
        *(422, 200, 422, 200)
    ]
    refused = match(exchange, thin | {"meta": {"profile": [profile.format(1)]}}).json()["issue"][0]
    assert (refused["code"], "IDI-Patient-L1 needs 10" in refused["diagnostics"]) == ("business-rule", True)
    assert match(exchange, thin).status_code == 200


def test_an_identifier_that_names_one_person_finds_them(exchange: SmallExchange) -> None:
    """By the national id and name, whatever else is unknown."""
    answer = match(
        exchange,
        {
            "resourceType": "Patient",
            "identifier": [{"system": NATIONAL_IDS, "value": f"{canary.NATIONAL_ID}-first"}],
            "name": [{"family": canary.FAMILY, "given": [canary.GIVEN]}],
        },
    )

    assert grades(answer)
    assert answer.json()["entry"][0]["resource"]["id"] == exchange.person_id("first", "north")


def test_the_question_and_what_was_told_are_in_the_audit(exchange: SmallExchange) -> None:
    """With the algorithm's label, the grade and the decisions."""
    match(exchange, a_patient(None, ""))

    record = [one for one in exchange.audit() if one.get("resources")][-1]
    assert record["kind"] == "patient-search"
    assert record["algorithm"]
    assert dict(map(tuple, record["details"]))["grade"] in ("certain", "probable", "possible")
    assert {one["facility"] for one in record["decided"]} <= {"north", "south"}


def test_a_contained_resource_of_no_type_is_refused_by_its_path(exchange: SmallExchange) -> None:
    """As where it is filed."""
    for contained in ([{"resourceType": "X"}], [5], ["a"], 5):
        refused = match(exchange, a_patient(None, "", contained=contained))
        assert refused.status_code == 422, contained
        assert "Patient.contained" in refused.json()["issue"][0]["diagnostics"]


def test_a_body_that_is_too_long_is_called_what_it_is(exchange: SmallExchange) -> None:
    """No search form: a body."""
    refused = match(exchange, a_patient(None, "", address=[{"text": "x" * 70_000}]))
    assert refused.status_code == 413
    assert "form" not in refused.json()["issue"][0]["diagnostics"]
