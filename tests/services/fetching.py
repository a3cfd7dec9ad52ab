"""An exchange whose archives give images to those alone whom the gateway permits, each in its own of the three ways.

North stands behind the gate that is shipped; south is Orthanc with the filter that is shipped; east checks tokens by
itself, by the gateway's published keys. All hold their studies of `dicom_files.ARCHIVES`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import requests
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.db.crypto import read_key_file
from tests.factories_auth import an_access_token
from tests.factories_consent import a_resource
from tests.services import dicom_files, exchange
from tests.services.dicom_files import Person, StudyOnFile
from tests.services.exchange import ASSERTION_TYPE, Client, add_client, domain_of, facilities_toml, facility_table
from tests.services.gate import Gate
from tests.services.gateway import Gateway
from tests.services.orthanc import PASSWORD, USERNAME, Orthanc
from tests.services.orthanc_door import orthanc_with_door
from tests.services.process import free_port

ARCHIVE_LOGIN = requests.auth._basic_auth_str(USERNAME, PASSWORD)
EAST = "https://pacs.east.example/dicom-web"


class OfflineVerifier:
    """How an archive checks tokens without asking anybody: RFC 9068, by keys that it fetched once."""

    def __init__(self, gateway: Gateway, audience: str) -> None:
        keys = requests.get(f"{gateway.url}/.well-known/jwks.json", timeout=10).json()
        self._keys = KeySet.import_key_set(keys)
        self._issuer, self._audience = gateway.url, audience

    def admits(self, token: str, patient_id: str, study: str, at: float) -> bool:
        """Whether the token opens that study of its patient, at that moment."""
        try:
            opened = jwt.decode(token, self._keys, algorithms=["RS256"])
        except ValueError:
            return False
        claims, bound = opened.claims, opened.claims.get("extensions", {}).get("retrieval", {})
        return (
            opened.header.get("typ") == "at+jwt"
            and claims.get("iss") == self._issuer
            and claims.get("aud") == self._audience
            and claims["iat"] - 60 <= at < claims["exp"]
            and bound.get("patient_id") == patient_id
            and study in bound.get("studies", ())
        )


class Fetching:
    """The gateway, the three archives, and two clients: `ehr`, and `viewer`, which exchanges its token."""

    def __init__(self, north: Orthanc, east: Orthanc, *, viewers: str = "", **settings: str) -> None:
        """`viewers` are the origins that may read at the gate."""
        self.gateway = Gateway(
            {
                "GATEWAY_CONSENT_POLICY": "all-normal",
                "GATEWAY_STRONG_IDENTIFIER_SYSTEMS": exchange.NATIONAL_IDS,
                **settings,
            }
        )
        self.north, self.east = north, east
        gate_port = free_port()
        gate_url = f"https://127.0.0.1:{gate_port}/dicom-web"
        self._keys: dict[str, str] = {}
        self.south = self._open_south(north, gate_url)
        key = self._key_of("north")
        self.gate = Gate(
            archive=north.http_port,
            gateway=self.gateway.port,
            key=key,
            archive_authorization=ARCHIVE_LOGIN,
            viewers=viewers,
            port=gate_port,
        )
        archives = {"north": north, "south": self.south, "east": east}
        patients = exchange.patients_ndjson(archives)
        self.gateway.prepare("patients", "load", str(self.gateway.write("patients.ndjson", patients)))
        consents = [
            json.dumps(_consent_of(person, facility, {"type": "permit"}))
            for facility in archives
            for person in dicom_files.patients(dicom_files.ARCHIVES[facility.upper()])
            if not person.national_id or facility == "north"  # one person has one consent, wherever they are known
        ]
        self.gateway.prepare("consents", "load", str(self.gateway.write("consents.ndjson", "\n".join(consents) + "\n")))
        self.ehr = add_client(self.gateway, token_exchange="yes")
        self._key_of("east")
        self._audiences = {"north": gate_url, "south": self.south.dicomweb_url, "east": EAST}
        self._tokens: dict[str, str] = {}
        self._persons: dict[tuple[Person, str], str] = {}

    def _open_south(self, north: Orthanc, gate_url: str) -> Orthanc:
        """South's archive: its key has to be known before it starts, and its address before its facility is known."""
        tables = [
            facility_table(north, id_="north", retrieve="gate", gate_url=gate_url, link_url=gate_url),
            facility_table(self.east, id_="east", retrieve="token", link_url=EAST),
            {**facility_table(north, id_="south"), "issuer": "SOUTH", "retrieve": "token"},
        ]
        self._apply(tables)
        south = orthanc_with_door(
            "SOUTH", f"{self.gateway.url}/retrieval/orthanc/", facility="south", key=self._key_of("south")
        )
        south.load(dicom_files.ARCHIVES["SOUTH"])
        tables[2] = facility_table(south, id_="south", retrieve="token", link_url=south.dicomweb_url)
        self._apply(tables)
        return south

    def _apply(self, tables: list[dict[str, Any]]) -> None:
        self.gateway.prepare("facilities", "apply", str(self.gateway.write("facilities.toml", facilities_toml(tables))))

    def _key_of(self, facility: str) -> str:
        self._keys[facility] = json.loads(self.gateway.prepare("facilities", "credential", facility, "--json"))["key"]
        return self._keys[facility]

    def start(self) -> Self:
        """It serves, and everybody's studies have been found once."""
        self.gateway.start()
        for archive in ("north", "south", "east"):
            for person in dicom_files.patients(dicom_files.ARCHIVES[archive.upper()]):
                self.search(person, archive).raise_for_status()
        return self

    def stop(self) -> None:
        """All of it has ended but the archives that were given."""
        self.gate.stop()
        self.gateway.stop()
        self.south.stop()

    def token_of(self, client: Client) -> str:
        """An ordinary access token of that client."""
        if client.id not in self._tokens:
            self._tokens[client.id] = client.token(self.gateway)
        return self._tokens[client.id]

    def search(self, person: Person, facility: str) -> requests.Response:
        """The answer to the EHR about everything of a person."""
        return requests.get(
            f"{self.gateway.fhir_url}/ImagingStudy",
            params={
                "patient.identifier": f"{domain_of(facility)}|{person.patient_id}",
                "_include": "ImagingStudy:endpoint",
            },
            headers={"Authorization": f"Bearer {self.token_of(self.ehr)}"},
            timeout=30,
        )

    def person_id(self, person: Person, facility: str) -> str:
        """The gateway's id of a person of whom something may be seen."""
        if (person, facility) not in self._persons:
            (first, *_) = self.search(person, facility).json()["entry"]
            self._persons[person, facility] = first["resource"]["subject"]["reference"].removeprefix("Patient/")
        return self._persons[person, facility]

    def bound_token(self, facility: str, study: StudyOnFile) -> str:
        """A token for that study at that facility, which the EHR exchanges its own for."""
        answer = self.exchange(facility, study)
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token

    def exchange(self, facility: str, study: StudyOnFile) -> requests.Response:
        """What the EHR is answered that exchanges its token (RFC 8693)."""
        return requests.post(
            f"{self.gateway.url}/oauth/token",
            data={
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": self.ehr.assertion(self.gateway),
                "subject_token": self.token_of(self.ehr),
                "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "resource": f"{self._audiences[facility]}/studies/{study.uid}",
            },
            timeout=30,
        )

    def introspect(self, facility: str, token: str) -> Any:
        """What the facility is told of a token that it was shown (RFC 7662)."""
        answer = requests.post(
            f"{self.gateway.url}/oauth/introspect",
            data={"token": token},
            auth=(facility, self._keys[facility]),
            timeout=30,
        )
        answer.raise_for_status()
        return answer.json()

    def file_consent(self, person: Person, facility: str, provision: Mapping[str, Any]) -> None:
        """The one consent of that person is now this."""
        consent = _consent_of(person, facility, provision)
        answer = requests.put(
            f"{self.gateway.fhir_url}/Consent/{consent['id']}",
            json=consent,
            headers={"Authorization": f"Bearer {self._steward_token()}"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text

    def bar_study(self, study: StudyOnFile, facility: str) -> None:
        """Its patient's one consent now permits everything but that study."""
        data = [{"meaning": "instance", "reference": {"reference": f"urn:oid:{study.uid}"}}]
        self.file_consent(study.person, facility, {"type": "permit", "provision": [{"type": "deny", "data": data}]})

    def _steward_token(self) -> str:
        keys = read_key_file(Path(self.gateway.env["GATEWAY_DATA_DIR"]) / "keys.json")
        return an_access_token(keys, self.gateway.url, scope="system/Consent.cruds")


def _consent_of(person: Person, facility: str, provision: Mapping[str, Any]) -> dict[str, Any]:
    who = {"identifier": {"system": domain_of(facility), "value": person.patient_id}}
    id_ = f"c-{facility}-{person.patient_id.replace('.', '-')}"
    return a_resource(dict(provision), id=id_, patient=who, performer=[who])
