"""What an operator of an exchange over the tests' archives gives to the gateway: facilities, patients, a client."""

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from joserfc import jwt
from joserfc.jwk import ECKey

from tests import canary
from tests.services import dicom_files
from tests.services.dicom_files import Person
from tests.services.gateway import Gateway
from tests.services.orthanc import Orthanc
from tests.services.tiny_pacs import TinyPacs

NATIONAL_IDS = "urn:oid:2.25.756"
"""The system of the samples' national ids: what `GATEWAY_STRONG_IDENTIFIER_SYSTEMS` names."""
SCOPE = "system/ImagingStudy.rs system/Patient.rs"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GENDER = {"M": "male", "F": "female", "O": "other"}


def domain_of(facility: str) -> str:
    """The identifier system of a facility's PatientIDs."""
    return f"urn:oid:2.25.{int.from_bytes(facility.encode(), 'big')}"


def facility_table(archive: Orthanc | TinyPacs, *, id_: str | None = None, **changes: object) -> dict[str, Any]:
    """The `[[facility]]` of one archive; its id is the archive's name in lower case unless given."""
    id_ = id_ or archive.name.lower()
    table: dict[str, Any] = {
        "id": id_,
        "name": f"{id_.title()} Hospital",
        "identifier_system": domain_of(id_),
        "issuer": archive.name,
        "time_zone": "Europe/Zurich",
        "adapter": "dicomweb",
        "query_url": archive.dicomweb_url,
    }
    if isinstance(archive, Orthanc):
        table["auth"] = {"type": "basic", "username": archive.username, "password": archive.password}
    else:
        table["auth"] = {"type": "bearer", "token": archive.token}
    return table | changes


def facilities_toml(tables: Iterable[Mapping[str, Any]]) -> str:
    """`facilities.toml` with these facilities."""
    lines = []
    for table in tables:
        lines.append("[[facility]]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
        for name, inner in table.items():
            if isinstance(inner, dict):
                lines.append(f"[facility.{name}]")
                lines += [f"{key} = {json.dumps(value)}" for key, value in inner.items()]
    return "\n".join(lines) + "\n"


def patient_resource(person: Person, facility: str) -> dict[str, Any]:
    """The FHIR Patient by which a facility feeds one of its patients."""
    family, _, given = person.name.partition("^")
    born = person.birth_date
    identifiers = [{"system": domain_of(facility), "value": person.patient_id}]
    if person.national_id:
        identifiers.append({"system": NATIONAL_IDS, "value": person.national_id})
    return {
        "resourceType": "Patient",
        "identifier": identifiers,
        "name": [{"family": family, "given": [given]}],
        "gender": GENDER[person.sex],
        "birthDate": f"{born[:4]}-{born[4:6]}-{born[6:]}",
    }


def patients_ndjson(archives: Mapping[str, Orthanc | TinyPacs]) -> str:
    """The feed of every facility, by facility id: a line a patient that it has files of."""
    lines = [
        json.dumps(patient_resource(person, facility), ensure_ascii=False)
        for facility, archive in archives.items()
        for person in dicom_files.patients(archive.studies)
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Client:
    """A registered EHR with its private key."""

    id: str
    key: ECKey

    def token(self, gateway: Gateway, *, scope: str = SCOPE, purpose: str | None = None) -> str:
        """An access token by SMART Backend Services. Raises requests.HTTPError where it is refused."""
        answer = requests.post(
            f"{gateway.url}/oauth/token",
            data={
                "grant_type": "client_credentials",
                "scope": scope,
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": self.assertion(gateway, purpose),
            },
            timeout=10,
        )
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token

    def assertion(self, gateway: Gateway, purpose: str | None = None) -> str:
        """A fresh client assertion (RFC 7523), good for one use."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.id,
            "sub": self.id,
            "aud": f"{gateway.url}/oauth/token",
            "iat": now,
            "exp": now + 240,
            "jti": str(uuid.uuid4()),
        }
        if purpose:
            claims["extensions"] = {"hl7-b2b": {"version": "1", "purpose_of_use": [purpose]}}
        return jwt.encode({"alg": "ES384", "kid": self.key.kid, "typ": "JWT"}, claims, self.key, algorithms=["ES384"])


def add_client(gateway: Gateway, id_: str = "ehr", *, organization: str = "urn:oid:2.25.99", **options: str) -> Client:
    """The client is registered, for treatment, with a key of its own."""
    key = ECKey.generate_key("P-384", {"kid": f"{id_}-key", "use": "sig", "alg": "ES384"})
    jwks = gateway.write(f"{id_}.jwks.json", json.dumps({"keys": [key.as_dict(private=False)]}))
    argv = ["clients", "add", id_, "--name", "Lakeside EHR", "--organization", organization, "--jwks", str(jwks)]
    facility = ("--facility", options["facility"]) if "facility" in options else ()
    scope, purpose = options.get("scope", SCOPE), options.get("purpose", "TREAT")
    exchanges = ("--token-exchange",) if options.get("token_exchange") else ()
    gateway.prepare(*argv, "--scope", scope, "--purpose", purpose, *facility, *exchanges)
    return Client(id_, key)


def load(gateway: Gateway, archives: Mapping[str, Orthanc | TinyPacs]) -> None:
    """The gateway knows the facilities, by id, and everyone they have files of."""
    tables = [facility_table(archive, id_=id_) for id_, archive in archives.items()]
    gateway.prepare("facilities", "apply", str(gateway.write("facilities.toml", facilities_toml(tables))))
    gateway.prepare("patients", "load", str(gateway.write("patients.ndjson", patients_ndjson(archives))))


@dataclass(frozen=True, slots=True)
class Exchange:
    """A serving gateway with its archives, by facility id, and one EHR."""

    gateway: Gateway
    archives: Mapping[str, Orthanc | TinyPacs]
    client: Client

    def get(self, path: str, params: Mapping[str, str] | None = None, **headers: str) -> requests.Response:
        """The answer to the EHR's GET under the FHIR base, whatever its status. Errors are searched for the canary."""
        sent = {"Authorization": f"Bearer {self.client.token(self.gateway)}", **headers}
        answer = requests.get(f"{self.gateway.fhir_url}/{path}", params=params, headers=sent, timeout=30)
        if not answer.ok:
            canary.record(answer.text, f"an error's body (status {answer.status_code})")
        return answer

    def search(self, **params: str) -> dict[str, Any]:
        """The Bundle that answers an ImagingStudy search. Raises requests.HTTPError."""
        answer = self.get("ImagingStudy", {name.replace("__", ":"): value for name, value in params.items()})
        answer.raise_for_status()
        bundle: dict[str, Any] = answer.json()
        return bundle


def identifier(facility: str, value: str) -> str:
    """How a search names a patient by a facility's PatientID: `system|value`."""
    return f"{domain_of(facility)}|{value}"


def start(archives: Mapping[str, Orthanc | TinyPacs], **settings: str) -> Exchange:
    """An exchange over the archives in which everything normal is shared; whoever has one national id is one person."""
    gateway = Gateway(
        {"GATEWAY_CONSENT_POLICY": "all-normal", "GATEWAY_STRONG_IDENTIFIER_SYSTEMS": NATIONAL_IDS, **settings}
    )
    load(gateway, archives)
    client = add_client(gateway)
    gateway.start()
    return Exchange(gateway, archives, client)
