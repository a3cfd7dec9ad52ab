"""Cross-references over HTTP: IHE PIXm ITI-83, its walk-through, its error rows, and what consent leaves out."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.functional.small_exchange import SmallExchange, identifier, patient_id
from tests.services.exchange import NATIONAL_IDS, add_client, domain_of

SCOPE = "system/Patient.cruds"


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """Ann is known in north, south and west; Bob in north alone; Cid bars south; Dot bars everything."""
    exchange = SmallExchange()
    for facility in ("north", "south", "west"):
        exchange.add_facility(facility, "http://127.0.0.1:9")
    exchange.add_person("ann", "north", "south", "west", known_as={"west": f"{patient_id('ann')}-w"})
    exchange.add_person("bob", "north")
    exchange.add_person("cid", "north", "south")
    exchange.add_person("dot", "south")
    exchange.bar("cid", "south")
    exchange.bar("dot", "south")
    exchange.start()
    yield exchange
    exchange.stop()


def ask(exchange: SmallExchange, source: str, *targets: str, **options: Any) -> requests.Response:
    """The answer about that source identifier."""
    params = [("sourceIdentifier", source), *(("targetSystem", target) for target in targets)]
    return exchange.get("/Patient/$ihe-pix", params, **options)


def identifiers(answer: requests.Response) -> set[tuple[str, str]]:
    """The target identifiers of an answer."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["resourceType"] == "Parameters"
    values = [one["valueIdentifier"] for one in body.get("parameter", []) if one["name"] == "targetIdentifier"]
    return {(one["system"], one["value"]) for one in values}


def issue(answer: requests.Response) -> tuple[int, str, str, str]:
    """Status, severity, code and words of a refusal."""
    (one,) = answer.json()["issue"]
    return answer.status_code, one["severity"], one["code"], one["diagnostics"]


def test_every_other_identifier_is_told_and_the_source_is_not(exchange: SmallExchange) -> None:
    """All domains but the one asked from, the national id, and a reference to the Patient."""
    answer = ask(exchange, identifier("ann", "north"))

    found = identifiers(answer)
    assert {system for system, _ in found} == {domain_of("south"), domain_of("west"), NATIONAL_IDS}
    assert (domain_of("west"), f"{patient_id('ann')}-w") in found
    references = [one["valueReference"]["reference"] for one in answer.json()["parameter"] if one["name"] == "targetId"]
    assert references == [f"{exchange.gateway.fhir_url}/Patient/{exchange.person_id('ann', 'north')}"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_target_systems_narrow_the_answer(exchange: SmallExchange) -> None:
    """`targetSystem` once or several times; a patient who is not known there gives empty Parameters."""
    one = ask(exchange, identifier("ann", "north"), domain_of("west"))
    both = ask(exchange, identifier("ann", "north"), domain_of("west"), domain_of("south"))
    none = ask(exchange, identifier("bob", "north"), domain_of("west"))

    assert identifiers(one) == {(domain_of("west"), f"{patient_id('ann')}-w")}
    assert {system for system, _ in identifiers(both)} == {domain_of("west"), domain_of("south")}
    assert none.status_code == 200
    assert none.json() == {"resourceType": "Parameters"}


def test_the_gateways_own_id_is_a_source_too(exchange: SmallExchange) -> None:
    """A logical id is written `[base]|Patient/{id}`; then no `targetId` is told."""
    answer = ask(exchange, f"{exchange.gateway.fhir_url}|Patient/{exchange.person_id('ann', 'north')}")

    assert {domain_of("north"), domain_of("south"), domain_of("west")} <= {system for system, _ in identifiers(answer)}
    assert [one for one in answer.json()["parameter"] if one["name"] == "targetId"] == []


def test_the_four_error_rows_are_told_to_the_letter(exchange: SmallExchange) -> None:
    """PIXm table 2:3.83.4.2: unknown patient, unknown source domain, unknown target; and a source that is missing."""
    unknown = ask(exchange, f"{domain_of('north')}|nobody")
    domain = ask(exchange, "urn:oid:9.9.9|x")
    target = ask(exchange, identifier("ann", "north"), "urn:oid:9.9.9")
    missing = exchange.get("/Patient/$ihe-pix")

    words = "sourceIdentifier Patient Identifier not found"
    assert issue(unknown) == (404, "error", "not-found", words)
    assert issue(domain) == (400, "error", "code-invalid", "sourceIdentifier Assigning Authority not found")
    assert issue(target) == (403, "error", "code-invalid", "targetSystem not found")
    assert missing.status_code == 400


def test_what_consent_withholds_is_left_out(exchange: SmallExchange) -> None:
    """A withheld facility's identifier is not told; somebody wholly withheld looks like nobody, byte for byte."""
    partly = ask(exchange, identifier("cid", "north"))
    withheld = ask(exchange, identifier("dot", "south"))
    nobody = ask(exchange, f"{domain_of('south')}|nobody")

    assert {system for system, _ in identifiers(partly)} == {NATIONAL_IDS}
    assert withheld.status_code == nobody.status_code == 404
    assert withheld.content == nobody.content


def test_a_withheld_identifier_is_a_source_nobody_knows(exchange: SmallExchange) -> None:
    """Also of a person of whom another facility may be seen: it would tell that the withheld one knows them."""
    withheld = ask(exchange, identifier("cid", "south"))
    nobody = ask(exchange, f"{domain_of('south')}|nobody")

    assert (withheld.status_code, withheld.content) == (404, nobody.content)


def test_a_feed_sees_its_own_domain(exchange: SmallExchange) -> None:
    """What a facility has told itself is told back to its feed, whatever consent says, and nothing else."""
    feed = add_client(exchange.gateway, "south-feed", organization="south", scope=SCOPE, facility="south")
    token = feed.token(exchange.gateway, scope=SCOPE)

    own = exchange.person_id("dot", "south")
    answer = ask(exchange, f"{exchange.gateway.fhir_url}|Patient/{own}", domain_of("south"), token=token)

    assert identifiers(answer) == {(domain_of("south"), patient_id("dot"))}


def test_it_is_posted_as_parameters_and_answered_in_xml(exchange: SmallExchange) -> None:
    """A Parameters body in JSON or XML; the answer in XML where it is wanted."""
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {
                "name": "sourceIdentifier",
                "valueIdentifier": {"system": domain_of("north"), "value": patient_id("ann")},
            },
            {"name": "targetSystem", "valueUri": domain_of("west")},
        ],
    }
    xml = (
        '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="sourceIdentifier"/>'
        f'<valueString value="{identifier("ann", "north")}"/></parameter>'
        f'<parameter><name value="targetSystem"/><valueUri value="{domain_of("west")}"/></parameter></Parameters>'
    )

    as_json = exchange.request("POST", "/Patient/$ihe-pix", json=body)
    as_xml = exchange.request(
        "POST",
        "/Patient/$ihe-pix",
        data=xml,
        headers={"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"},
    )

    assert identifiers(as_json) == {(domain_of("west"), f"{patient_id('ann')}-w")}
    assert as_xml.headers["Content-Type"].startswith("application/fhir+xml")
    assert f'<system value="{domain_of("west")}"/><value value="{patient_id("ann")}-w"/>' in as_xml.text


def test_t112_a_document_type_is_refused(exchange: SmallExchange) -> None:
    """No entity is defined, expanded or fetched: 400."""
    evil = (
        '<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><Parameters xmlns="http://hl7.org/fhir">&x;</Parameters>'
    )

    answer = exchange.request("POST", "/Patient/$ihe-pix", data=evil, headers={"Content-Type": "application/fhir+xml"})

    assert answer.status_code == 400


def test_without_a_scope_for_patients_nothing_is_told(exchange: SmallExchange) -> None:
    """403 before anything is looked up."""
    token = exchange.signed_token(scope="system/ImagingStudy.rs")

    assert ask(exchange, identifier("ann", "north"), token=token).status_code == 403


def test_the_question_is_in_the_audit(exchange: SmallExchange) -> None:
    """As a patient search, with what was decided."""
    ask(exchange, identifier("cid", "north"))

    record = exchange.audit()[-1]
    assert record["kind"] == "patient-search"
    assert {one["facility"]: one["decision"] for one in record["decided"]} == {"north": "permit", "south": "deny"}
