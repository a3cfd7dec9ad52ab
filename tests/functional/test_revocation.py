"""A revocation is obeyed by the next request in every process: sixteen of them, on PostgreSQL, while they are busy.

T133: search, read and page link, gate, introspection and viewer; T80: what was under way when it came.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.factories_consent import a_resource
from tests.functional.small_exchange import (
    SmallExchange,
    barring,
    hold_study,
    identifier,
    patient_id,
    resources,
    uid_of,
    uids,
)
from tests.services.exchange import domain_of
from tests.services.person import PersonsBrowser, add_user
from tests.services.postgres import Postgres
from tests.services.redis import Redis

PROCESSES = 16
SCOPE = "system/Consent.cruds system/ImagingStudy.rs"
NAME = "revoker"
IN_NORTH, IN_SOUTH = "2.25.7001", "2.25.7002"
ROUNDS = 3
CODES = 4
GATE = "https://gate.south.example/dicom-web"
AT_MOST_S = 1.0
"""After this long not even an answer that was under way may hold what is withheld (contract §9; T133)."""

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def exchange(postgres: Postgres, redis_server: Redis) -> Iterator[SmallExchange]:
    """One person with a study in each of two facilities, behind sixteen processes."""
    made = SmallExchange(
        GATEWAY_DATABASE_URL=postgres.create_empty(),
        GATEWAY_REDIS_URL=redis_server.url,
        GATEWAY_WORKERS=str(PROCESSES),
        GATEWAY_THREADS="2",
        GATEWAY_VIEWER_CLIENT="viewer",
    )
    north = made.add_archive("north")
    south = made.add_archive("south", retrieve="gate", gate_url=GATE)
    made.add_person(NAME, "north", "south")
    hold_study(north, NAME, IN_NORTH, date="20240301")
    hold_study(south, NAME, IN_SOUTH, date="20240202")
    made.file_consent(NAME, {"type": "permit"})
    yield made.start()
    made.stop()


def consent(provision: dict[str, Any]) -> dict[str, Any]:
    """The person's Consent with that provision."""
    who = {"identifier": {"system": domain_of("north"), "value": patient_id(NAME)}}
    return a_resource(provision, id=f"c-{NAME}", patient=who, performer=[who])


class Asker:
    """Searches again and again, and remembers when each search began, when it was answered, and what it found."""

    def __init__(self, exchange: SmallExchange, token: str) -> None:
        self._exchange = exchange
        self._token = token
        self.seen: list[tuple[float, float, set[str]]] = []
        self.stop = threading.Event()

    def run(self) -> None:
        """Until it is told to stop."""
        url = f"{self._exchange.gateway.fhir_url}/ImagingStudy"
        headers = {"Authorization": f"Bearer {self._token}"}
        while not self.stop.is_set():
            began = time.monotonic()
            answer = requests.get(
                url, params={"patient.identifier": identifier(NAME, "north")}, headers=headers, timeout=60
            )
            ended = time.monotonic()
            assert answer.status_code == 200, answer.text
            self.seen.append((began, ended, set(uids(answer.json()))))


def test_t133_no_process_shows_after_a_revocation_what_it_withholds(exchange: SmallExchange) -> None:
    """While 16 callers keep 16 processes busy: granted and barred in turn, each obeyed by the next request."""
    token = exchange.signed_token(scope=SCOPE)
    assert len(exchange.gateway.workers) == PROCESSES
    changes: list[tuple[float, float, set[str]]] = []
    asker = Asker(exchange, token)
    with ThreadPoolExecutor(PROCESSES) as pool:
        running = [pool.submit(asker.run) for _ in range(PROCESSES)]
        for _ in range(ROUNDS):
            for provision, shown in ((barring("south"), {IN_NORTH}), (barring(), {IN_NORTH, IN_SOUTH})):
                began = time.monotonic()
                answer = exchange.request("PUT", f"/Consent/c-{NAME}", token=token, json=consent(provision))
                assert answer.status_code == 200, answer.text
                changes.append((began, time.monotonic(), shown))
                time.sleep(2)
        asker.stop.set()
        for one in running:
            one.result()
    changes.append((time.monotonic(), time.monotonic(), set()))
    settled = 0
    for (_, told, shown), (next_began, _, _) in pairwise(changes):
        for began, ended, found in asker.seen:
            if told <= began and ended <= next_began:
                assert found == shown
                settled += 1
            if shown == {IN_NORTH} and told + AT_MOST_S < ended <= next_began:
                assert IN_SOUTH not in found
    assert settled > ROUNDS


def test_t133_gate_introspection_and_viewer_obey_the_same_revocation_in_every_process(exchange: SmallExchange) -> None:
    """Whichever process is asked, from the very next question: images, a facility's own question, the viewer's link."""
    token = exchange.signed_token(scope=SCOPE)
    opened = consent(barring())
    assert exchange.request("PUT", f"/Consent/c-{NAME}", token=token, json=opened).status_code in (200, 201)
    everything = exchange.get("/ImagingStudy", {"patient.identifier": identifier(NAME, "north")}, token=token).json()
    (study,) = [one["id"] for one in resources(everything) if uid_of(one) == IN_SOUTH]
    asking = _Asking(exchange, study)
    with closing(asking.browser):
        assert {asking.gate(token) for _ in range(PROCESSES)} == {204}
        assert {asking.is_active() for _ in range(PROCESSES)} == {True}
        codes = [asking.code() for _ in range(CODES)]

        barred = exchange.request("PUT", f"/Consent/c-{NAME}", token=token, json=consent(barring("south")))
        assert barred.status_code == 200
        for _ in range(PROCESSES):
            assert asking.gate(token) == 403
            assert asking.gate(asking.bound) == 403
            assert not asking.is_active()
        for code in codes:
            assert asking.redeem(code) == 400
            assert asking.browser.get(f"/retrieval/view?study={study}").status_code == 404


def test_t133_search_read_and_page_link_obey_the_same_revocation(exchange: SmallExchange) -> None:
    """What was handed out before is worth nothing after: in whichever process it is used."""
    token = exchange.signed_token(scope=SCOPE)
    exchange.request("PUT", f"/Consent/c-{NAME}", token=token, json=consent(barring()))
    before = exchange.get(
        "/ImagingStudy", {"patient.identifier": identifier(NAME, "north"), "_count": "1"}, token=token
    )
    (next_page,) = [one["url"] for one in before.json()["link"] if one["relation"] == "next"]
    everything = exchange.get("/ImagingStudy", {"patient.identifier": identifier(NAME, "north")}, token=token).json()
    (hidden,) = [study["id"] for study in resources(everything) if uid_of(study) == IN_SOUTH]
    empty = {"resourceType": "Parameters"}
    revoked = exchange.request("POST", f"/Consent/c-{NAME}/$revokeConsent", token=token, json=empty)
    assert revoked.json()["status"] == "inactive"
    barred = a_resource(barring("south"), **{key: consent({})[key] for key in ("patient", "performer")})
    assert exchange.request("POST", "/Consent", token=token, json=barred).status_code == 201
    for _ in range(PROCESSES):
        searched = exchange.get("/ImagingStudy", {"patient.identifier": identifier(NAME, "north")}, token=token)
        assert uids(searched.json()) == [IN_NORTH]
        assert exchange.get(f"/ImagingStudy/{hidden}", token=token).status_code == 404
        page = exchange.get(next_page.removeprefix(exchange.gateway.fhir_url), token=token)
        assert (page.status_code, uids(page.json())) == (200, [])


class _Asking:
    """A gate and archive in the south, and a clinician with a viewer."""

    def __init__(self, exchange: SmallExchange, study: str) -> None:
        gateway = exchange.gateway
        self._url, self._study = gateway.url, study
        self._key = gateway.run_json("facilities", "credential", "south")["key"]
        gateway.run(
            *("clients", "add", "viewer", "--name", "Viewer", "--organization", "https://viewer.example", "--app"),
            *("--public", "--redirect-uri", "https://viewer.example/", "--launch-url", "https://viewer.example/v"),
            *("--purpose", "TREAT", "--scope", "user/ImagingStudy.rs"),
        )
        add_user(gateway, "doc", "clinician", "--subject-id", "urn:oid:2.25.7")
        self.browser = PersonsBrowser(gateway)
        assert self.browser.sign_in("doc").status_code == 303
        self.bound: str = self._redeemed(self.code()).json()["access_token"]

    def gate(self, token: str) -> int:
        """The answer to the gate about an image of the study."""
        headers = {
            "X-Facility-Key": self._key,
            "X-Original-URI": f"/dicom-web/studies/{IN_SOUTH}",
            "X-Original-Method": "GET",
            "Authorization": f"Bearer {token}",
        }
        return requests.get(f"{self._url}/retrieval/authorize", headers=headers, timeout=60).status_code

    def is_active(self) -> bool:
        """What the archive is told of a token that it was shown."""
        answer = requests.post(
            f"{self._url}/oauth/introspect", data={"token": self.bound}, auth=("south", self._key), timeout=60
        )
        return bool(answer.json()["active"])

    def code(self) -> str:
        """The code that the viewer is started with."""
        page = f"/retrieval/view?study={self._study}"
        answer = self.browser.submit(page, "/retrieval/view/open", study=self._study, facility="south")
        return parse_qs(urlsplit(answer.headers["Location"]).fragment)["code"][0]

    def redeem(self, code: str) -> int:
        """The answer to the viewer's page."""
        return self._redeemed(code).status_code

    def _redeemed(self, code: str) -> requests.Response:
        return requests.post(f"{self._url}/retrieval/view/token", data={"code": code}, timeout=60)
