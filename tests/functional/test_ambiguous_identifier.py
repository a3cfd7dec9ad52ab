"""An identifier of two persons: one wrong row of one facility must not look like "no imaging"."""

from collections.abc import Iterator

import pytest

from tests import canary
from tests.functional.small_exchange import SmallExchange, hold_study, patient_id, resources
from tests.services.exchange import NATIONAL_IDS, domain_of


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """A person with a study in the north; then another person's record is fed with the same national number."""
    made = SmallExchange()
    hold_study(made.add_archive("north"), "a", "2.25.11")
    made.add_archive("south")
    made.add_person("a", "north")
    yield made.start()
    made.stop()


def test_a_shared_number_is_told_to_who_asks_by_it(exchange: SmallExchange) -> None:
    """Before, it finds the study; after, the answer says why it is empty; by the facility's own number all is well."""
    number = {"patient.identifier": f"{NATIONAL_IDS}|{canary.NATIONAL_ID}-a"}
    assert exchange.get("/ImagingStudy", number).json()["total"] == 1

    exchange.feed(
        {
            "resourceType": "Patient",
            "identifier": [
                {"system": domain_of("south"), "value": patient_id("somebody-else")},
                {"system": NATIONAL_IDS, "value": f"{canary.NATIONAL_ID}-a"},
            ],
            "name": [{"family": "Vogel", "given": ["Walburga"]}],
            "birthDate": "1931-01-17",
        }
    )
    told = exchange.get("/ImagingStudy", number).json()

    assert told["total"] == 0
    (issue,) = resources(told, "outcome")[0]["issue"]
    assert (issue["severity"], issue["code"]) == ("warning", "multiple-matches")
    assert exchange.search("a", "north")["total"] == 1
