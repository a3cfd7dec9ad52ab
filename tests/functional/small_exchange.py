"""A serving gateway over archives that a test rules, and callers who may be hostile.

Everybody in it has the planted name and a PatientID and national id that begin with the planted ones: whatever an
error, a log or a metric tells of them is found.
"""

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import requests

from gateway.db.crypto import KeyRing, read_key_file
from tests import canary
from tests.facilities.dicomweb import DICOMwebServer
from tests.facilities.little_server import LittleServer
from tests.facilities.rows import DEFAULT_BIRTH_DATE, a_series_row
from tests.factories_auth import an_access_token
from tests.factories_consent import a_resource, authored_by
from tests.services.exchange import NATIONAL_IDS, Client, add_client, domain_of, facilities_toml
from tests.services.gateway import Gateway

PLANTED_NAME = f"{canary.FAMILY}^{canary.GIVEN}"
FACILITY_DEADLINE_MS = 1000
QUERY_DEADLINE_MS = 10_000
TOKEN_SERVES_S = 120
FACILITIES = ("east", "north", "south")
BOUND_SCOPE = "patient/ImagingStudy.rs patient/Patient.rs"


class SmallExchange:
    """Facilities, people and consents are added, then it starts; more consents can be filed while it serves."""

    def __init__(self, **settings: str) -> None:
        self.gateway = Gateway(
            {
                "GATEWAY_CONSENT_POLICY": "all-normal",
                "GATEWAY_STRONG_IDENTIFIER_SYSTEMS": NATIONAL_IDS,
                "GATEWAY_DEADLINE_MS": str(QUERY_DEADLINE_MS),
                **settings,
            }
        )
        self.servers: dict[str, LittleServer] = {}
        self._tables: list[dict[str, Any]] = []
        self._patients: list[dict[str, Any]] = []
        self._consents: list[dict[str, Any]] = []
        self._known_at: dict[str, str] = {}
        self._client: Client | None = None
        self._token = ("", 0.0)
        self._keys: KeyRing | None = None

    @classmethod
    def of_two_persons(cls, *others: str, **settings: str) -> "SmallExchange":
        """It serves `a` and `b`, each with a study in each of three facilities, and `others` who have none."""
        made = cls(**settings)
        for number, facility in enumerate(FACILITIES, 1):
            archive = made.add_archive(facility)
            for name, stem in (("a", "2.25.1"), ("b", "2.25.2")):
                hold_study(archive, name, f"{stem}{number}", date=f"2024010{number}")
        for name in ("a", "b", *others):
            made.add_person(name, *FACILITIES)
        return made.start()

    @property
    def requests_made(self) -> int:
        """How many requests the facilities have had."""
        return sum(len(server.requests) for server in self.servers.values())

    def bound_token(self, name: str) -> str:
        """A token bound to the person of that name, as a patient's app has one."""
        return self.signed_token(patient=self.person_id(name, "north"), scope=BOUND_SCOPE)

    def add_facility(self, id_: str, archive: LittleServer | str, **changes: Any) -> None:
        """A facility whose archive is that server, or listens at that URL."""
        if isinstance(archive, LittleServer):
            self.servers[id_] = archive
        table = {
            "id": id_,
            "name": f"{id_.title()} Hospital",
            "identifier_system": domain_of(id_),
            "time_zone": "Europe/Zurich",
            "adapter": "dicomweb",
            "query_url": archive if isinstance(archive, str) else archive.url,
            "link_url": f"https://pacs.{id_}.example/dicom-web",
            "deadline_ms": FACILITY_DEADLINE_MS,
        }
        self._tables.append(table | changes)

    def add_archive(self, id_: str, **changes: Any) -> DICOMwebServer:
        """A facility with a well-behaved archive that holds nothing yet."""
        server = DICOMwebServer()
        self.add_facility(id_, server, **changes)
        return server

    def add_person(self, name: str, *facilities: str, known_as: Mapping[str, str] | None = None) -> None:
        """One person, known in each of the facilities as `patient_id(name)`, or as `known_as` has it there."""
        self._known_at[name] = facilities[0]
        self._patients += [
            {
                "resourceType": "Patient",
                "identifier": [
                    {"system": domain_of(facility), "value": (known_as or {}).get(facility, patient_id(name))},
                    {"system": NATIONAL_IDS, "value": f"{canary.NATIONAL_ID}-{name}"},
                ],
                "name": [{"family": canary.FAMILY, "given": [canary.GIVEN]}],
                "birthDate": f"{DEFAULT_BIRTH_DATE[:4]}-{DEFAULT_BIRTH_DATE[4:6]}-{DEFAULT_BIRTH_DATE[6:]}",
            }
            for facility in facilities
        ]

    def start(self) -> "SmallExchange":
        """All that was added is loaded, an EHR is registered, and the gateway serves."""
        self.gateway.prepare("db", "upgrade")
        self.gateway.prepare(
            "facilities", "apply", str(self.gateway.write("facilities.toml", facilities_toml(self._tables)))
        )
        lines = _ndjson(self._patients)
        self.gateway.prepare("patients", "load", str(self.gateway.write("patients.ndjson", lines)))
        self._load_consents()
        self._client = add_client(self.gateway)
        self.gateway.start()
        return self

    def stop(self) -> None:
        """Nothing of it is left; what the gateway logged and counted has been searched for the planted person."""
        self.gateway.stop()
        for server in self.servers.values():
            server.stop()

    def file_consent(
        self,
        name: str,
        provision: Mapping[str, Any],
        *,
        facility: str | None = None,
        patient: Mapping[str, Any] | None = None,
    ) -> None:
        """The person's consent `c-{name}` is now this one; `patient` is how it names the person."""
        domain = domain_of(facility or self._known_at[name]) if patient is None else ""
        who = patient or {"identifier": {"system": domain, "value": patient_id(name)}}
        self._consents.append(a_resource(dict(provision), id=f"c-{name}", patient=dict(who)))
        if self._client:
            self._load_consents()

    def feed(self, *patients: Mapping[str, Any]) -> None:
        """The facilities now say this of these patients."""
        self.gateway.prepare("patients", "load", str(self.gateway.write("patients.ndjson", _ndjson(patients))))

    def bar(self, name: str, *facilities: str) -> None:
        """The person permits treatment, but nothing of what these facilities hold."""
        self.file_consent(name, barring(*facilities))

    def _load_consents(self) -> None:
        if self._consents:
            lines = _ndjson(self._consents)
            self.gateway.prepare("consents", "load", str(self.gateway.write("consents.ndjson", lines)))
        self._consents.clear()

    @property
    def client(self) -> Client:
        """The EHR."""
        assert self._client, "the exchange has not been started"
        return self._client

    @property
    def token(self) -> str:
        """An access token of the EHR, got from the token endpoint, that holds for some minutes yet."""
        token, got_at = self._token
        if time.monotonic() - got_at > TOKEN_SERVES_S or not token:
            token = self.client.token(self.gateway)
            self._token = (token, time.monotonic())
        return token

    @property
    def keys(self) -> KeyRing:
        """The gateway's own keys, with which tests sign what no client is given yet."""
        if self._keys is None:
            self._keys = read_key_file(Path(self.gateway.env["GATEWAY_DATA_DIR"]) / "keys.json")
        return self._keys

    def signed_token(self, **claims: Any) -> str:
        """An access token of the EHR that says what the test wants it to (`patient=…`, `scope=…`, `purposes=…`)."""
        return an_access_token(self.keys, self.gateway.url, **claims)

    def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = "",
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> requests.Response:
        """The answer under the FHIR base: with the EHR's token, another one, or none (`token=None`).

        An error's head and body are searched for the planted person.
        """
        sent = dict(headers or {})
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token or self.token}")
        answer = requests.request(method, f"{self.gateway.fhir_url}{path}", headers=sent, timeout=30, **options)
        if not answer.ok:
            canary.record(f"{answer.headers}\n{answer.text}", f"an error's answer (status {answer.status_code})")
        return answer

    def get(self, path: str, params: Any = None, **options: Any) -> requests.Response:
        """The answer to a GET under the FHIR base."""
        return self.request("GET", path, params=params, **options)

    def search(self, name: str, facility: str, **params: str) -> dict[str, Any]:
        """The Bundle about a person, named by the PatientID of a facility. Raises requests.HTTPError."""
        answer = self.get("/ImagingStudy", {"patient.identifier": identifier(name, facility), **params})
        answer.raise_for_status()
        bundle: dict[str, Any] = answer.json()
        return bundle

    def person_id(self, name: str, facility: str) -> str:
        """The gateway's id of a person."""
        told = self.gateway.prepare("patients", "show", identifier(name, facility), "--json")
        found: str = json.loads(told)["id"]
        return found

    def audit(self) -> list[dict[str, Any]]:
        """Every audit record so far, as stored."""
        lines = self.gateway.prepare("audit", "export", "--format", "records").splitlines()
        return [json.loads(line) for line in lines]


def _ndjson(lines: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def patient_id(name: str) -> str:
    """The PatientID of a person, the same at every facility."""
    return f"{canary.MRN}-{name}"


def identifier(name: str, facility: str) -> str:
    """How a search names a person: `system|value`."""
    return f"{domain_of(facility)}|{patient_id(name)}"


def barring(*facilities: str) -> dict[str, Any]:
    """A provision that permits treatment, but nothing of what these facilities hold."""
    denied = [{"type": "deny", "data": [authored_by(facility)]} for facility in facilities]
    return {"type": "permit", **({"provision": denied} if denied else {})}


def hold_study(archive: DICOMwebServer, name: str, uid: str, **attributes: Any) -> None:
    """The archive holds a study of the person with one series."""
    series = [a_series_row(uid, f"{uid}.1", patient_id=patient_id(name))]
    archive.add_study(patient_id(name), uid, series=series, **{"person": PLANTED_NAME, **attributes})


def resources(bundle: Mapping[str, Any], mode: str = "match") -> list[dict[str, Any]]:
    """The resources of a Bundle that are there for that reason."""
    return [entry["resource"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == mode]


def uid_of(study: Mapping[str, Any]) -> str:
    """The Study Instance UID of an ImagingStudy."""
    (value,) = [one["value"] for one in study["identifier"] if one.get("system") == "urn:dicom:uid"]
    return str(value).removeprefix("urn:oid:")


def uids(bundle: Mapping[str, Any]) -> list[str]:
    """The UIDs of a Bundle's studies, in order."""
    return [uid_of(study) for study in resources(bundle)]


def gaps(bundle: Mapping[str, Any]) -> dict[str, str]:
    """By facility id, the code of each outcome entry that says that a part is missing."""
    issues = [issue for outcome in resources(bundle, "outcome") for issue in outcome["issue"]]
    return {issue["diagnostics"].partition(" ")[0]: issue["code"] for issue in issues}
