"""A search is about exactly one patient: however more is asked for, it is refused, and no facility hears of it.

T32, T37 and T38 of the security tests, for an EHR and for a token bound to one patient.
"""

from collections.abc import Iterator

import pytest

from tests.functional.small_exchange import SmallExchange, identifier, patient_id, resources, uids
from tests.services.exchange import domain_of


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """Two persons, `a` and `b`, with a study in each of three facilities."""
    made = SmallExchange.of_two_persons()
    yield made
    made.stop()


@pytest.mark.parametrize("kind", ["bound", "system"])
def test_t032_a_search_is_about_one_patient(exchange: SmallExchange, bound: str, a: str, b: str, kind: str) -> None:
    """However a second one is slipped in, nothing of theirs comes back, and nobody is asked."""
    token = bound if kind == "bound" else exchange.token
    before = exchange.requests_made
    mixed = [
        [("patient", a), ("patient", b)],
        [("patient", b), ("patient", a)],
        [("patient", f"{a},{b}")],
        [("subject", b), ("patient", a)],
        [("patient", a), ("patient.identifier", identifier("b", "north"))],
        [("patient", a), ("patient:identifier", identifier("b", "north"))],
        [("patient", a), ("patient:Patient.identifier", identifier("b", "north"))],
        [("patient", a), ("subject:Patient.identifier", identifier("b", "north"))],
        [("patient", a), ("_has:Observation:subject:code", "x")],
        [("patient", a), ("patient:missing", "true")],
        [("patient", a), ("patient:not", b)],
    ]
    answers = [exchange.get("/ImagingStudy", pairs, token=token) for pairs in mixed]
    answers += [exchange.request("POST", "/ImagingStudy/_search", data=pairs, token=token) for pairs in mixed]
    answers.append(
        exchange.request("POST", "/ImagingStudy/_search", params={"patient": a}, data={"patient": b}, token=token)
    )
    answers.append(
        exchange.request("POST", "/ImagingStudy/_search", params={"patient": b}, data={"patient": a}, token=token)
    )

    assert {answer.status_code for answer in answers} <= {400, 403}
    assert "2.25.2" not in "".join(answer.text for answer in answers)
    assert exchange.requests_made == before


@pytest.mark.parametrize("kind", ["bound", "system"])
def test_t037_a_search_without_its_patient_is_refused(
    exchange: SmallExchange, bound: str, a: str, b: str, kind: str
) -> None:
    """No list of ids, no filter language and no chain stands in for one."""
    token = bound if kind == "bound" else exchange.token
    ids = [study["id"] for name in ("a", "b") for study in resources(exchange.search(name, "north"))]
    before = exchange.requests_made
    queries: list[dict[str, str]] = [
        {},
        {"_id": ",".join(ids)},
        {"modality": "CT"},
        {"patient": ""},
        {"patient": a, "_filter": f"patient eq {b}"},
        {"patient": a, "_query": "everything"},
        {"patient": a, "_content": "CT"},
        {"patient": a, "_text": "CT"},
        {"patient": a, "_list": "1"},
        {"patient.name": "Canarybird"},
        {"patient": a, "patient.name": "Canarybird"},
        {"patient": a, "patient.birthdate": "1961"},
        {"patient.identifier": patient_id("a")},
        {"patient.identifier": f"|{patient_id('a')}"},
        {"patient.identifier": f"{domain_of('north')}|"},
        {"patient.identifier": f"{identifier('a', 'north')},{identifier('b', 'north')}"},
    ]
    answers = [exchange.get("/ImagingStudy", query, token=token) for query in queries]

    assert {answer.status_code for answer in answers} <= {400, 403}
    assert exchange.requests_made == before


def test_t037_a_list_of_ids_beside_the_patient_finds_that_patients_alone(
    exchange: SmallExchange, bound: str, a: str
) -> None:
    """`_id` narrows and never widens."""
    ids = [study["id"] for name in ("a", "b") for study in resources(exchange.search(name, "north"))]
    answer = exchange.get("/ImagingStudy", {"patient": a, "_id": ",".join(ids)}, token=bound)

    assert uids(answer.json()) == ["2.25.13", "2.25.12", "2.25.11"]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_t038_a_bundle_of_requests_is_refused_whole(exchange: SmallExchange, a: str, b: str, kind: str) -> None:
    """Nothing of it is done, the permitted entry no more than the forbidden one."""
    before = exchange.requests_made
    entries = [{"request": {"method": "GET", "url": f"ImagingStudy?patient={one}"}} for one in (a, b)]
    bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
    for path in ("", "/"):
        answer = exchange.request("POST", path, json=bundle, headers={"Content-Type": "application/fhir+json"})
        assert answer.status_code == 400
        assert [issue["code"] for issue in answer.json()["issue"]] == ["not-supported"]
    assert exchange.requests_made == before


@pytest.mark.parametrize(
    "wide",
    [
        {"_include": "*"},
        {"_include": "*:*"},
        {"_revinclude": "*:*"},
        {"_include:iterate": "ImagingStudy:endpoint"},
        {"_include": "ImagingStudy:basedon"},
    ],
    ids=str,
)
def test_t038_includes_are_the_two_there_are(exchange: SmallExchange, a: str, wide: dict[str, str]) -> None:
    """Anything wider is refused, not narrowed in silence."""
    answer = exchange.get("/ImagingStudy", {"patient": a, **wide})

    assert answer.status_code == 400
    assert [issue["code"] for issue in answer.json()["issue"]] == ["not-supported"]
