"""A small exchange without archives: facilities, patients and an EHR, as an operator sets them up from the shell."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests import canary
from tests.factories_consent import a_resource
from tests.services.exchange import NATIONAL_IDS, add_client, domain_of, facilities_toml
from tests.services.gateway import Gateway

FACILITIES = ("north", "south")
PEOPLE = ("anne", "boris", "chloe", canary.MRN)
"""PatientIDs, the same in both facilities; the planted patient among them."""


def a_gateway(**settings: str) -> Gateway:
    """Two facilities, each of the people known in both as one person, and the EHR of north."""
    gateway = Gateway({"GATEWAY_STRONG_IDENTIFIER_SYSTEMS": NATIONAL_IDS, **settings})
    gateway.run("db", "upgrade")
    tables = [
        {
            "id": id_,
            "name": f"{id_.title()} Hospital",
            "identifier_system": domain_of(id_),
            "query_url": "http://127.0.0.1:9/dicom-web",
        }
        for id_ in FACILITIES
    ]
    gateway.run("facilities", "apply", str(gateway.write("facilities.toml", facilities_toml(tables))))
    patients = [_patient(name, facility) for name in PEOPLE for facility in FACILITIES]
    gateway.run("patients", "load", str(gateway.write("patients.ndjson", ndjson(patients))))
    add_client(gateway, organization="north")
    return gateway


def _patient(name: str, facility: str) -> dict[str, Any]:
    planted = name == canary.MRN
    return {
        "resourceType": "Patient",
        "identifier": [
            {"system": domain_of(facility), "value": name},
            {"system": NATIONAL_IDS, "value": canary.NATIONAL_ID if planted else f"id of {name}"},
        ],
        "name": [{"family": canary.FAMILY if planted else name.title(), "given": ["A"]}],
        "birthDate": canary.BIRTH_DATE,
    }


def ndjson(lines: Iterable[Mapping[str, Any] | str]) -> str:
    """A line each: resources as JSON, texts as they are."""
    return "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)


def patient_named(name: str, facility: str = "north") -> dict[str, Any]:
    """A reference to a patient by a facility's PatientID."""
    return {"identifier": {"system": domain_of(facility), "value": name}}


def consent_of(name: str, provision: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A Consent of that person, by default one that permits treatment; its id is `c-` and the name."""
    stated = {"id": f"c-{name}", "patient": patient_named(name), **changes}
    return a_resource(dict(provision) if provision else None, **stated)


def load_consents(gateway: Gateway, *lines: Mapping[str, Any] | str, expect: int = 0) -> dict[str, Any]:
    """What `consents load --json` says of these lines."""
    report: dict[str, Any] = gateway.run_json(
        "consents", "load", str(gateway.write("consents.ndjson", ndjson(lines))), expect=expect
    )
    return report


def explain(gateway: Gateway, name: str, *options: str, client: str = "ehr") -> dict[str, Any]:
    """What `explain --json` says of that person."""
    argv = ("explain", "--client", client, "--patient", f"{domain_of('north')}|{name}", *options)
    explained: dict[str, Any] = gateway.run_json(*argv)
    return explained
