"""What was under way when a patient revoked: an answer sent afterwards holds nothing of what is barred (T80)."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.facilities.dicomweb import DICOMwebServer
from tests.facilities.little_server import Request
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

SCOPE = "system/Consent.cruds system/ImagingStudy.rs"
WAYS = ("search", "post", "count", "read", "page")
PATIENT_MS = 60_000
Ask = Callable[[], requests.Response]


class HeldArchive(DICOMwebServer):
    """An archive that answers once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = threading.Event()
        self.let.set()

    def answer(self, request: Request, connection: socket.socket) -> bool:
        """The rows that were asked for, in the end."""
        while not self.let.wait(0.05):
            if self.stopping.is_set():
                return False
        return super().answer(request, connection)


def seen_uid(name: str) -> str:
    """Of the person's study in north, the newer."""
    return f"2.25.81{WAYS.index(name)}"


def hidden_uid(name: str) -> str:
    """Of the person's study in south."""
    return f"2.25.82{WAYS.index(name)}"


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """A person for each way in, with a study in each of two facilities; what is on file permits both."""
    made = SmallExchange(GATEWAY_DEADLINE_MS=str(PATIENT_MS))
    north, south = made.add_archive("north"), HeldArchive()
    made.add_facility("south", south, deadline_ms=PATIENT_MS)
    for name in WAYS:
        made.add_person(name, "north", "south")
        hold_study(north, name, seen_uid(name), date="20240301")
        hold_study(south, name, hidden_uid(name), date="20240202")
        made.file_consent(name, {"type": "permit"})
    yield made.start()
    made.stop()


def asking(exchange: SmallExchange, way: str) -> Ask:
    """One request about the person of that way in, after what it needs was got."""
    named = {"patient.identifier": identifier(way, "north")}
    if way == "post":
        return lambda: exchange.request("POST", "/ImagingStudy/_search", data=named)
    if way == "count":
        return lambda: exchange.get("/ImagingStudy", {**named, "_summary": "count"})
    if way == "read":
        everything = exchange.get("/ImagingStudy", named).json()
        (id_,) = [study["id"] for study in resources(everything) if uid_of(study) == hidden_uid(way)]
        return lambda: exchange.get(f"/ImagingStudy/{id_}")
    if way == "page":
        first = exchange.get("/ImagingStudy", {**named, "_count": "1"}).json()
        (link,) = [one["url"] for one in first["link"] if one["relation"] == "next"]
        return lambda: exchange.get(link.removeprefix(exchange.gateway.fhir_url))
    return lambda: exchange.get("/ImagingStudy", named)


@pytest.mark.parametrize("way", WAYS)
def test_t080_t133_an_answer_after_the_revocation_holds_nothing_barred(exchange: SmallExchange, way: str) -> None:
    """South has been asked and has not answered yet; it is barred, and then it answers."""
    south = exchange.servers["south"]
    assert isinstance(south, HeldArchive)
    ask = asking(exchange, way)
    who = {"identifier": {"system": domain_of("north"), "value": patient_id(way)}}
    barred = a_resource(barring("south"), id=f"c-{way}", patient=who, performer=[who])
    token = exchange.signed_token(scope=SCOPE)
    south.requests.clear()
    south.let.clear()
    try:
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(ask)
            while not south.requests:
                assert not under_way.done()
                time.sleep(0.01)
            changed = exchange.request("PUT", f"/Consent/c-{way}", token=token, json=barred)
            assert changed.status_code == 200, changed.text
            assert not under_way.done()
            south.let.set()
            answer = under_way.result()
    finally:
        south.let.set()

    assert hidden_uid(way) not in answer.text
    assert "south" not in answer.text
    if way == "read":
        assert answer.status_code == 404
        return
    bundle = answer.json()
    assert (answer.status_code, bundle["total"]) == (200, 1)
    assert uids(bundle) == ([seen_uid(way)] if way in ("search", "post") else [])
    assert [link["relation"] for link in bundle["link"]] == ["self"]
