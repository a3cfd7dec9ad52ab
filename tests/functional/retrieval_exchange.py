"""A small exchange whose facilities ask the gateway who may fetch what, and the questions that they ask."""

from collections.abc import Mapping
from typing import Any

import requests

from tests import canary
from tests.facilities.rows import a_series_row
from tests.functional.small_exchange import SmallExchange, hold_study, patient_id

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
        made.keys_of = {id_: made.make_key(id_) for id_ in ("north", "south", "east")}
        for name in ("a", "b"):
            made.search(name, "north")
        return made

    def make_key(self, facility: str, *options: str) -> str:
        """A new key of the facility."""
        key: str = self.gateway.run_json("facilities", "credential", facility, *options)["key"]
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
        assert type(told["validity"]) is int and told["validity"] >= 1  # T96
        return told
