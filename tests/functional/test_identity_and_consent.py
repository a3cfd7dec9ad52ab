"""A correction of who is who reaches consent, answers and pages at once: T54, T55 and T57 through HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests import canary
from tests.functional.small_exchange import SmallExchange, hold_study, identifier, patient_id, uids
from tests.services.exchange import NATIONAL_IDS, domain_of

PEOPLE = ("denied", "permitted", "paged", "met", "gone")


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """North and south, each with a study of everybody; whoever has said nothing is shown."""
    made = SmallExchange()
    north, south = made.add_archive("north"), made.add_archive("south")
    for number, name in enumerate(PEOPLE):
        made.add_person(name, "north", "south", known_as={"south": f"{patient_id(name)}-s"})
        hold_study(north, name, f"2.25.{number}1", date="20240301", modalities=("CT",))
        hold_study(south, f"{name}-s", f"2.25.{number}2", date="20240202", modalities=("MR",))
    yield made.start()
    made.stop()


def say(exchange: SmallExchange, name: str, facility: str, national: str) -> None:
    """The facility's record of the person now carries this national id."""
    value = patient_id(name) + ("-s" if facility == "south" else "")
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "identifier": [
            {"system": domain_of(facility), "value": value},
            {"system": NATIONAL_IDS, "value": f"{canary.NATIONAL_ID}-{national}"},
        ],
        "name": [{"family": canary.FAMILY, "given": [canary.GIVEN]}],
    }
    exchange.feed(patient)


def seen(exchange: SmallExchange, name: str, facility: str) -> list[str]:
    """The UIDs that a search for the facility's patient shows."""
    return sorted(uids(exchange.search(name + ("-s" if facility == "south" else ""), facility)))


def numbers(name: str) -> tuple[str, str]:
    """The person's studies in north and south."""
    number = PEOPLE.index(name)
    return f"2.25.{number}1", f"2.25.{number}2"


def test_t055_a_deny_moves_with_the_record_it_was_filed_for(exchange: SmallExchange) -> None:
    """The other record opens, the denied one stays shut, from the next request."""
    exchange.file_consent("denied-s", {"type": "deny"}, facility="south")
    assert seen(exchange, "denied", "north") == []
    say(exchange, "denied", "south", "denied-other")
    assert seen(exchange, "denied", "south") == []
    assert seen(exchange, "denied", "north") == [numbers("denied")[0]]


def test_t055_what_has_moved_is_out_of_reach_by_cursor_and_by_name(exchange: SmallExchange) -> None:
    """A page link from before shows nothing of the record that has left, and no more do the study and its ETag."""
    first = exchange.search("paged", "north", _count="1")
    assert first["total"] == 2
    (following,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
    say(exchange, "paged", "south", "paged-other")
    path = following.removeprefix(exchange.gateway.fhir_url)
    page = exchange.get(path)
    assert numbers("paged")[1] not in page.text
    assert seen(exchange, "paged", "north") == [numbers("paged")[0]]
    assert seen(exchange, "paged", "south") == [numbers("paged")[1]]


def test_t055_a_token_for_one_patient_does_not_reach_the_one_who_has_left(exchange: SmallExchange) -> None:
    """The token keeps its patient; the record that moved is another's now."""
    say(exchange, "permitted", "south", "permitted")
    person = exchange.person_id("permitted", "north")
    token = exchange.signed_token(patient=person, scope="patient/ImagingStudy.rs patient/Patient.rs")
    asked = {"patient.identifier": identifier("permitted-s", "south")}
    assert exchange.get("/ImagingStudy", asked, token=token).json()["total"] == 2
    say(exchange, "permitted", "south", "permitted-other")
    refused = exchange.get("/ImagingStudy", asked, token=token)
    assert refused.status_code == 403
    own = exchange.get("/ImagingStudy", {"patient": f"Patient/{person}"}, token=token)
    assert uids(own.json()) == [numbers("permitted")[0]]


def test_t054_a_merge_denies_from_the_next_request_and_undoing_it_gives_back(exchange: SmallExchange) -> None:
    """One who permits and one who denies become one: nothing is shown until they are two again."""
    say(exchange, "met", "south", "met-other")
    exchange.file_consent("met", {"type": "permit"})
    exchange.file_consent("met-s", {"type": "deny"}, facility="south")
    assert seen(exchange, "met", "north") == [numbers("met")[0]]
    say(exchange, "met", "south", "met")
    assert seen(exchange, "met", "north") == []
    say(exchange, "met", "south", "met-other")
    assert seen(exchange, "met", "north") == [numbers("met")[0]]
    assert seen(exchange, "met", "south") == []


def test_t057_a_consent_filed_by_a_retired_id_binds_the_survivor(exchange: SmallExchange) -> None:
    """It is filed under the id the person had before."""
    say(exchange, "gone", "south", "gone-other")
    former = exchange.person_id("gone-s", "south")
    say(exchange, "gone", "south", "gone")
    assert exchange.person_id("gone", "north") != former
    assert seen(exchange, "gone", "north") == sorted(numbers("gone"))
    exchange.file_consent("gone", {"type": "deny"}, patient={"reference": f"Patient/{former}"})
    assert seen(exchange, "gone", "north") == []
