"""Searching Consents page by page (IHE PCF ITI-108, FHIR R4 search): links, order, counts, whose they are."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.fhir.xml_form import read_xml_resource
from tests.factories_consent import a_coding
from tests.functional.consent_community import ndjson, patient_named
from tests.functional.consent_registry import SCOPE, XML, Registry, a_consent
from tests.services.exchange import domain_of

ANNE = f"patient.identifier={domain_of('north')}|anne"
BORIS = f"patient.identifier={domain_of('north')}|boris"
BOUND = "patient/Consent.cruds"


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """Seven Consents of Anne's, in the order they were filed, and one of Boris's."""
    made = Registry()
    made.filed = [made.create("anne")["id"] for _ in range(7)]  # type: ignore[attr-defined]
    made.create("boris")
    yield made
    made.close()


def walk(registry: Registry, path: str, **claims: Any) -> list[dict[str, Any]]:
    """Every page of a search, by its links."""
    pages = []
    following: str | None = path
    while following:
        answer = registry.send("GET", following.removeprefix(registry.base), **claims)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json)
        following = link(answer.json, "next")
    return pages


def link(bundle: dict[str, Any], relation: str) -> str | None:
    """The URL of a link; None where there is none."""
    return next((one["url"] for one in bundle["link"] if one["relation"] == relation), None)


def ids(*pages: dict[str, Any]) -> list[str]:
    """Of the Consents on these pages."""
    return [entry["resource"]["id"] for page in pages for entry in page.get("entry", [])]


def test_pages_go_on_by_opaque_links(registry: Registry) -> None:
    """Full pages, the same total on each; the link shows nothing of the search and stays what it is."""
    pages = walk(registry, f"/Consent?{ANNE}&_count=3&status=active")

    assert [len(page["entry"]) for page in pages] == [3, 3, 1]
    assert ids(*pages) == registry.filed  # type: ignore[attr-defined]
    assert {page["total"] for page in pages} == {7}
    following = link(pages[0], "next") or ""
    assert list(parse_qs(urlsplit(following).query)) == ["_cursor"]
    assert "anne" not in following
    assert link(pages[1], "self") == following


def test_the_last_changed_come_last_or_first(registry: Registry) -> None:
    """`_sort=_lastUpdated` is what nobody asks for; with a minus it is turned round; anything else is 400."""
    filed = registry.filed  # type: ignore[attr-defined]
    assert ids(*walk(registry, f"/Consent?{ANNE}&_sort=_lastUpdated&_count=2")) == filed
    assert ids(*walk(registry, f"/Consent?{ANNE}&_sort=-_lastUpdated&_count=2")) == filed[::-1]
    assert registry.send("GET", f"/Consent?{ANNE}&_sort=status").status_code == 400


def test_a_change_between_two_pages_loses_and_repeats_nothing(registry: Registry) -> None:
    """A Consent that is changed meanwhile keeps its place, and is told as it now is; a new one waits."""
    filed = [registry.create("chloe")["id"] for _ in range(4)]
    who = f"patient.identifier={domain_of('north')}|chloe"
    for order in ("_lastUpdated", "-_lastUpdated"):
        first = registry.send("GET", f"/Consent?{who}&_count=1&_sort={order}").json
        for id_ in filed:
            changed = a_consent("chloe", {"type": "deny", "purpose": [a_coding(order and "TREAT")]}, id=id_)
            registry.send("PUT", f"/Consent/{id_}", {**changed, "dateTime": f"2026-0{1 + len(order) % 9}-01"})
        new = registry.create("chloe", status="draft")["id"]
        rest = walk(registry, (link(first, "next") or ""))
        told = ids(first, *rest)
        assert sorted(set(told) & set(filed)) == sorted(filed)
        assert len(told) == len(set(told))
        assert new not in told
        assert {entry["resource"]["provision"]["type"] for page in rest for entry in page["entry"][:1]} >= {"deny"}


def test_a_count_alone_holds_no_consent(registry: Registry) -> None:
    """`_summary=count` and `_count=0` alike (T65)."""
    for asked in ("_summary=count", "_count=0"):
        bundle = registry.send("GET", f"/Consent?{ANNE}&{asked}").json
        assert (bundle["total"], "entry" in bundle, link(bundle, "next")) == (7, False, None)


def test_t130_a_page_link_is_its_callers_alone(registry: Registry) -> None:
    """Altered 400, with anything added 400, another client's or another patient's token 404, of another type 400."""
    following = link(registry.send("GET", f"/Consent?{ANNE}&_count=3").json, "next") or ""
    path = following.removeprefix(registry.base)
    person = registry.shell.run_json("patients", "show", f"{domain_of('north')}|anne")["id"]
    bound = {"_scope": f"{SCOPE} {BOUND}", "_patient": person}

    assert registry.send("GET", f"{path[:-4]}AAAA").status_code == 400
    assert registry.send("GET", f"{path}&status=active").status_code == 400
    assert registry.send("GET", path, **bound).status_code == 404
    assert registry.send("GET", path, _extensions=_somebody_else()).status_code == 404
    assert registry.send("GET", path.replace("/Consent", "/ImagingStudy")).status_code == 400
    assert registry.send("GET", path).status_code == 200


def _somebody_else() -> dict[str, Any]:
    treat = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}
    return {"ihe_iua": {"purpose_of_use": [treat]}, "hl7-b2b": {"subject_id": "dr-2", "subject_role": "doctor"}}


def test_t071_a_patients_token_finds_the_patients_own_alone(registry: Registry) -> None:
    """Nothing of another, on no page."""
    person = registry.shell.run_json("patients", "show", f"{domain_of('north')}|anne")["id"]
    bound = {"_scope": BOUND, "_patient": person}
    assert ids(*walk(registry, f"/Consent?{ANNE}&_count=3", **bound)) == registry.filed  # type: ignore[attr-defined]
    assert registry.send("GET", f"/Consent?{BORIS}", **bound).status_code == 403


def test_pages_in_xml_go_on_in_xml(registry: Registry) -> None:
    """Where `_format` asked for it, the link says so; and refusals of that link are in XML too."""
    first = read_xml_resource(registry.send("GET", f"/Consent?{ANNE}&_count=4&_format=xml").data)
    following = link(first, "next") or ""
    assert following.endswith("&_format=xml")
    assert "_format=xml" in (link(first, "self") or "")
    second = registry.send("GET", following.removeprefix(registry.base))
    assert second.headers["Content-Type"].startswith(XML)
    assert ids(first, read_xml_resource(second.data)) == registry.filed  # type: ignore[attr-defined]


def test_a_consent_that_may_be_anothers_is_kept_from_a_patients_token(registry: Registry) -> None:
    """Two persons carry one identifier: whose the Consent filed by it is, nobody knows, so neither is shown it."""
    shared = {"system": "urn:shared", "value": "s1"}
    domain = domain_of("south")

    def feed(name: str) -> str:
        identifiers = [{"system": domain, "value": name}, shared]
        patient = {"resourceType": "Patient", "identifier": identifiers, "name": [{"family": name}]}
        registry.shell.run("patients", "load", str(registry.shell.write("shared.ndjson", ndjson([patient]))))
        person: str = registry.shell.run_json("patients", "show", f"{domain}|{name}")["id"]
        return person

    dora = feed("dora")
    certain = registry.create("dora", patient=patient_named("dora", "south"))["id"]
    doubtful = registry.create("dora", patient={"identifier": shared})["id"]
    bound = {"_scope": BOUND, "_patient": dora}
    assert ids(*walk(registry, f"/Consent?patient={dora}", **bound)) == [certain, doubtful]

    emil = feed("emil")
    assert emil != dora
    for person, theirs in ((dora, [certain]), (emil, [])):
        bound = {"_scope": BOUND, "_patient": person}
        assert ids(*walk(registry, f"/Consent?patient={person}", **bound)) == theirs
        assert registry.send("GET", f"/Consent/{doubtful}", **bound).status_code == 404
    assert registry.ids(f"patient={emil}") == [doubtful]


def test_which_consents_a_search_told_of_is_in_the_audit_and_the_accounting(registry: Registry) -> None:
    """Those of each page, in their version, and nothing for a search that told of none."""
    pages = walk(registry, f"/Consent?{ANNE}&_count=4")
    assert registry.send("GET", f"/Consent?{ANNE}&_summary=count").status_code == 200
    told = [[f"Consent/{one}/_history/1" for one in ids(page)] for page in pages]

    *_, first, second, counted = [one for one in registry.audit() if one["kind"] == "consent-search"]
    assert [first["resources"], second["resources"], counted.get("resources", [])] == [*told, []]
    accounting = registry.shell.run_json("audit", "accounting", first["patient"])
    listed = [
        one["other"] for one in accounting["disclosures"] if one["id"] in (first["id"], second["id"], counted["id"])
    ]
    assert listed == told
