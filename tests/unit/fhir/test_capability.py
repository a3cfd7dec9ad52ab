"""The CapabilityStatement tells the truth."""

from pathlib import Path

from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from gateway.fhir.capability import capability_statement
from gateway.fhir.search_params import parse_imaging_search

BASE = "https://gateway.example/fhir/r4"
STATEMENT = capability_statement(base=BASE, token_url="https://gateway.example/oauth/token")
WRITTEN = {"Consent": {"create", "vread", "update", "history-instance"}, "Patient": {"update", "delete"}}
RESOURCES = {resource["type"]: resource for resource in STATEMENT["rest"][0]["resource"]}


def test_it_is_valid_r4_with_names_once() -> None:
    """Structure by the R4 model; each search parameter once a resource (cpb-12)."""
    CapabilityStatement.model_validate(STATEMENT)
    for resource in RESOURCES.values():
        names = [parameter["name"] for parameter in resource["searchParam"]]
        assert len(names) == len(set(names))


def test_it_names_what_smart_imaging_needs() -> None:
    """SMART Imaging Access: the canonical it instantiates, the parameters and the include."""
    assert STATEMENT["instantiates"] == [
        "http://fhir.org/argonaut/smart-imaging/CapabilityStatement/smart-imaging-server"
    ]
    assert STATEMENT["fhirVersion"] == "4.0.1"
    study = RESOURCES["ImagingStudy"]
    assert {"patient", "_lastUpdated", "identifier"} <= {parameter["name"] for parameter in study["searchParam"]}
    assert "ImagingStudy:endpoint" in study["searchInclude"]
    assert {interaction["code"] for interaction in study["interaction"]} == {"read", "search-type"}


def test_it_names_where_apps_ask_and_get_tokens() -> None:
    """SMART App Launch: the oauth-uris extension and the service."""
    security = STATEMENT["rest"][0]["security"]

    assert security["extension"][0]["extension"] == [
        {"url": name, "valueUri": f"https://gateway.example/oauth/{name}"}
        for name in ("authorize", "token", "introspect", "revoke")
    ]
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"


def test_every_include_it_names_works() -> None:
    """What is advertised is parsed, in strict handling."""
    for include in RESOURCES["ImagingStudy"]["searchInclude"]:
        search = parse_imaging_search([("patient", "p"), ("_include", include)], strict=True, path_base=BASE)
        assert search.include_endpoint or search.include_patient


def test_it_advertises_what_is_there_and_no_more() -> None:
    """The six resources; Consents are written and have a history, Patients are fed, no batch."""
    assert set(RESOURCES) == {"ImagingStudy", "Patient", "Endpoint", "Organization", "Consent", "AuditEvent"}
    for type_, resource in RESOURCES.items():
        codes = {interaction["code"] for interaction in resource["interaction"]}
        assert codes == {"read", "search-type"} | WRITTEN.get(type_, set())
    assert "interaction" not in STATEMENT["rest"][0]


def test_every_parameter_it_names_is_documented() -> None:
    """`docs/reference/searching.md` tells people what the statement tells programs."""
    page = (Path(__file__).parents[3] / "docs/reference/searching.md").read_text()

    for resource in RESOURCES.values():
        for parameter in resource["searchParam"]:
            assert f"`{parameter['name']}" in page, parameter["name"]
