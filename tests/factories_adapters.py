"""Facilities, records and targets for tests, and a way to hold a conversation without a socket."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.adapters.base import Conversation, FacilityReply, HTTPExchange, HTTPResult, Target
from gateway.model import Demographics, Facility, FacilityAuth, FacilityID, Identifier, SourceRecord
from tests.facilities.archive import Archive
from tests.facilities.rows import DEFAULT_BIRTH_DATE, DEFAULT_PERSON

SYSTEM = "urn:oid:2.25.1001"
BASE = "http://archive.example/dicom-web"
LINKED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_BORN = f"{DEFAULT_BIRTH_DATE[:4]}-{DEFAULT_BIRTH_DATE[4:6]}-{DEFAULT_BIRTH_DATE[6:]}"
_FAMILY = DEFAULT_PERSON.partition("^")[0]


def a_facility(id_: str = "north", **changes: Any) -> Facility:
    """A DICOMweb facility at an invented address."""
    values: dict[str, Any] = {
        "id": FacilityID(id_),
        "name": f"{id_.title()} Hospital",
        "identifier_system": SYSTEM,
        "time_zone": "Europe/Zurich",
        "query_url": BASE,
        "link_url": BASE,
        "auth": FacilityAuth(),
    }
    return Facility(**(values | changes))


def a_record(
    patient_id: str = "N-1",
    *,
    record_id: int = 1,
    family: Sequence[str] = (_FAMILY,),
    birth_date: str | None = _BORN,
    system: str = SYSTEM,
) -> SourceRecord:
    """A record of the person that `rows.a_study_row` tells of unless told otherwise."""
    return SourceRecord(
        record_id=record_id,
        identifier=Identifier(system, patient_id),
        demographics=Demographics(family=tuple(family), birth_date=birth_date),
        linked_at=LINKED_AT,
        updated_at=LINKED_AT,
    )


def a_target(*records: SourceRecord, facility: Facility | None = None) -> Target:
    """A target for `records` (one by default)."""
    return Target(facility=facility or a_facility(), records=records or (a_record(),))


class Exchanges:
    """Answers a conversation's exchanges, and remembers them round by round."""

    def __init__(self, answer: Callable[[HTTPExchange], HTTPResult]) -> None:
        self.answer = answer
        self.rounds: list[list[HTTPExchange]] = []

    @property
    def urls(self) -> list[str]:
        """Everything that was asked, in order, without the base."""
        return [exchange.url.removeprefix(BASE) for round_ in self.rounds for exchange in round_]

    def hold(self, conversation: Conversation) -> FacilityReply:
        """The reply at the end of `conversation`."""
        try:
            wanted = next(conversation)
            while True:
                self.rounds.append(list(wanted))
                wanted = conversation.send([self.answer(exchange) for exchange in wanted])
        except StopIteration as stop:
            reply: FacilityReply = stop.value
            return reply


def of_archive(archive: Archive) -> Exchanges:
    """Exchanges with an archive at `BASE`."""

    def answer(exchange: HTTPExchange) -> HTTPResult:
        path, _, query = exchange.url.removeprefix(BASE).partition("?")
        found = archive.answer(path, query, dict(exchange.headers).get("Authorization"))
        warnings = tuple((name.lower(), value) for name, value in found.headers if name == "Warning")
        return HTTPResult(status=found.status, body=found.body, headers=warnings)

    return Exchanges(answer)
