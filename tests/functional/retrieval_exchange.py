"""A small exchange whose facilities ask the gateway who may fetch what, and the questions that they ask."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

import requests

from tests import canary
from tests.facilities.rows import a_series_row
from tests.functional.small_exchange import SmallExchange, hold_study, patient_id
from tests.services.exchange import ASSERTION_TYPE, Client, add_client

CT, SR = "2.25.10", "2.25.11"
"""A study of `a` at north with a CT and an SR series, whose UIDs are these and `.1`, `.2`."""
SPLIT = "2.25.20"
"""A study of `a` of which north and south hold different series: `.1` and `.2`."""
COPIED = "2.25.30"
"""A study of `a` that north and south hold alike, series `.1`."""
OF_B = "2.25.40"
"""A study of `b` at north."""


class Retrieving(SmallExchange):
    """North has a gate, south takes facility-bound tokens, east has its own way in."""

    keys_of: dict[str, str]
    viewer: Client
    """A client that exchanges its tokens."""

    @classmethod
    def of_gates(cls, **settings: str) -> "Retrieving":
        """It serves, every facility has a key, and every study has been found by the EHR once."""
        made = cls(**settings)
        north = made.add_archive("north", retrieve="gate", gate_url="https://gate.north.example/dicom-web")
        south = made.add_archive("south", retrieve="token")
        east = made.add_archive("east")
        patient = patient_id("a")
        north.add_study(
            patient,
            CT,
            series=[
                a_series_row(CT, f"{CT}.1", patient_id=patient, modality="CT"),
                a_series_row(CT, f"{CT}.2", patient_id=patient, modality="SR"),
            ],
        )
        north.add_study(patient, SPLIT, series=[a_series_row(SPLIT, f"{SPLIT}.1", patient_id=patient)])
        south.add_study(patient, SPLIT, series=[a_series_row(SPLIT, f"{SPLIT}.2", patient_id=patient)])
        for archive in (north, south):
            archive.add_study(patient, COPIED, series=[a_series_row(COPIED, f"{COPIED}.1", patient_id=patient)])
        hold_study(north, "b", OF_B)
        hold_study(east, "a", "2.25.50")
        for name in ("a", "b"):
            made.add_person(name, "north", "south", "east")
        made.start()
        made.viewer = add_client(made.gateway, "viewer", token_exchange="yes")
        made.keys_of = {id_: made.make_key(id_) for id_ in ("north", "south", "east")}
        for name in ("a", "b"):
            made.search(name, "north")
        return made

    def make_key(self, facility: str, *options: str) -> str:
        """A new key of the facility."""
        key: str = json.loads(self.gateway.prepare("facilities", "credential", facility, *options, "--json"))["key"]
        return key

    def authorize(
        self,
        path: str,
        *,
        token: str | None = "",
        facility: str = "north",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """What the gate of a facility is told about a request that came with that token (the EHR's, or none)."""
        sent = {
            "X-Facility-Key": self.keys_of[facility],
            "X-Original-URI": f"/dicom-web{path}",
            "X-Original-Method": method,
        }
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self.token}"
        answer = requests.get(
            f"{self.gateway.url}/retrieval/authorize", headers={**sent, **(headers or {})}, timeout=30
        )
        canary.record(f"{answer.headers}\n{answer.text}", "an answer to a gate")
        assert answer.content == b""
        return answer

    def exchange(self, resource: str, *, client: Client | None = None, **more: str | None) -> requests.Response:
        """The answer to a token exchange by the viewer (or `client`), of its own fresh token where none is given."""
        who = client or self.viewer
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": who.assertion(self.gateway),
            "resource": resource,
            **more,
        }
        form.setdefault("subject_token", self.viewers_token)
        sent = {name: value for name, value in form.items() if value is not None}
        return requests.post(f"{self.gateway.url}/oauth/token", data=sent, timeout=30)

    @property
    def viewers_token(self) -> str:
        """An ordinary access token of the viewer."""
        return self.viewer.token(self.gateway)

    def bound(self, study: str, facility: str = "south") -> str:
        """A token of the viewer that is bound to a study at a facility."""
        answer = self.exchange(f"{link_of(facility)}/studies/{study}")
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    def introspect(self, token: str, facility: str = "south") -> dict[str, Any]:
        """What a facility is told of a token."""
        answer = requests.post(
            f"{self.gateway.url}/oauth/introspect",
            data={"token": token},
            auth=(facility, self.keys_of[facility]),
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def ask_orthanc(
        self, path: str, body: Any, facility: str = "south", method: str = "POST", **options: Any
    ) -> requests.Response:
        """What an archive with Orthanc's authorization plugin is answered."""
        options.setdefault("auth", (facility, self.keys_of[facility]))
        return requests.request(method, f"{self.gateway.url}/retrieval/orthanc{path}", json=body, timeout=30, **options)

    def validate(self, level: str, uid: str, token: str, facility: str = "south", **more: Any) -> dict[str, Any]:
        """The answer about one level of a resource."""
        body = {"level": level, "dicom-uid": uid, "method": "get", "orthanc-id": "x", "server-id": facility}
        body |= {"token-key": "Authorization", "token-value": f"Bearer {token}", **more}
        answer = self.ask_orthanc("/tokens/validate", body, facility)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        assert type(told["validity"]) is int, "T96"
        assert told["validity"] >= 1, "T96: 0 is remembered for ever"
        return told


def link_of(facility: str) -> str:
    """The address of the facility's own service."""
    return f"https://pacs.{facility}.example/dicom-web"


def claims_of(token: str) -> dict[str, Any]:
    """What a token claims, believed as it is."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims
