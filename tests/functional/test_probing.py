"""Asking again and again, with every filter and a stop-watch, tells nothing of what consent withholds (T67, T68)."""

import random
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.functional.small_exchange import SmallExchange, gaps, hold_study, identifier, resources

SEEN, HIDDEN, ABSENT = "2.25.101", "2.25.102", "2.25.103"
MOST_APART = 0.10
OR_MOST_APART_S = 0.005
TIMES = 200


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """`probed` has a study in north and one in south, which is withheld; south does not know `twin`."""
    made = SmallExchange()
    north, south = made.add_archive("north"), made.add_archive("south")
    made.add_person("probed", "north", "south")
    made.add_person("twin", "north")
    hold_study(north, "probed", SEEN, date="20240301", modalities=("CT",), description="SEEN")
    hold_study(south, "probed", HIDDEN, date="20240202", modalities=("MR",), description="HIDDEN")
    hold_study(north, "twin", "2.25.111", date="20240301", modalities=("CT",), description="SEEN")
    made.bar("probed", "south")
    yield made.start()
    made.stop()


def test_t067_it_takes_as_long_to_find_a_withheld_study_as_an_absent_one(exchange: SmallExchange) -> None:
    """200 searches of each, interleaved, on one connection: medians within a tenth, or 5 ms."""
    took: dict[str, list[float]] = {HIDDEN: [], ABSENT: []}
    order = [HIDDEN, ABSENT] * TIMES
    random.Random(67).shuffle(order)
    with requests.Session() as session:
        for uid in order:
            wanted = {"patient.identifier": identifier("probed", "north"), "identifier": uid}
            headers = {"Authorization": f"Bearer {exchange.token}"}
            began = time.perf_counter()
            answer = session.get(
                f"{exchange.gateway.fhir_url}/ImagingStudy", params=wanted, headers=headers, timeout=30
            )
            took[uid].append(time.perf_counter() - began)
            assert answer.json()["total"] == 0

    hidden, absent = statistics.median(took[HIDDEN]), statistics.median(took[ABSENT])
    assert abs(hidden - absent) <= max(MOST_APART * absent, OR_MOST_APART_S)


PROBES: tuple[dict[str, str], ...] = (
    *({"started": f"{prefix}2024-02-02"} for prefix in ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")),
    *({"modality": modality} for modality in ("MR", "CT", "http://dicom.nema.org/resources/ontology/DCM|MR", "|MR")),
    *({"_sort": sort} for sort in ("started", "-started", "_lastUpdated", "-_lastUpdated")),
    *({"endpoint": f"Endpoint/{facility}"} for facility in ("south", "north", "nobody")),
    *({"_lastUpdated": bound} for bound in ("gt2020-01-01", "lt2020-01-01", "gt2100-01-01")),
    *({"status": status} for status in ("available", "unknown")),
    {"_summary": "count"},
    {"_elements": "started,endpoint"},
    {"_count": "1"},
    {"bodysite": "51185008"},
)


@pytest.mark.parametrize("probe", PROBES, ids=str)
def test_t068_no_filter_and_no_order_probes_what_is_withheld(exchange: SmallExchange, probe: dict[str, str]) -> None:
    """Whatever is asked, the answer is that about a person who has no such study."""

    def told(name: str) -> Any:
        answer = exchange.get("/ImagingStudy", {"patient.identifier": identifier(name, "north"), **probe})
        bundle = answer.json()
        studies = [
            {key: value for key, value in study.items() if key not in ("id", "meta", "identifier", "subject", "series")}
            for study in resources(bundle)
        ]
        return (
            answer.status_code,
            bundle["total"],
            studies,
            gaps(bundle),
            len(bundle["link"]),
            len(bundle.get("entry", [])),
        )

    assert told("probed") == told("twin")
