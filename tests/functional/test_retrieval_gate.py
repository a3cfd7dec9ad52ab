"""`/retrieval/authorize`: what a gate before an archive is told about each request, as consent has it at that moment."""

from collections.abc import Iterator

import pytest

from tests.functional.retrieval_exchange import COPIED, CT, OF_B, SPLIT, Retrieving
from tests.functional.small_exchange import barring


@pytest.fixture(scope="module")
def exchange() -> Iterator[Retrieving]:
    """North, south and east with the studies of `a` and `b`."""
    made = Retrieving.of_gates()
    yield made
    made.stop()


PERMITTED = (
    f"/studies/{CT}",
    f"/studies/{CT}/metadata",
    f"/studies/{CT}/rendered",
    f"/studies/{CT}/series",
    f"/studies/{CT}/instances?limit=10",
    f"/studies/{CT}/series/{CT}.1",
    f"/studies/{CT}/series/{CT}.1/metadata",
    f"/studies/{CT}/series/{CT}.1/instances",
    f"/studies/{CT}/series/{CT}.1/instances/{CT}.1.1",
    f"/studies/{CT}/series/{CT}.1/instances/{CT}.1.1/frames/1,2",
    f"/studies/{CT}/series/{CT}.1/instances/{CT}.1.1/frames/1%2C2",
    f"/studies/{CT}/series/{CT}.1/instances/{CT}.1.1/rendered?accept=image/jpeg",
    f"/studies/{CT}/series/{CT}.1/instances/{CT}.1.1/bulkdata/7FE00010",
    f"/studies?StudyInstanceUID={CT}&includefield=00081030&limit=1",
    f"/series?StudyInstanceUID={CT}",
)


@pytest.mark.parametrize("path", PERMITTED)
def test_what_consent_permits_is_let_through(exchange: Retrieving, path: str) -> None:
    """Every resource of a permitted study, to the EHR with its ordinary token, by reading alone."""
    answer = exchange.authorize(path)

    assert (answer.status_code, answer.headers["X-Retrieval-Decision"]) == (204, "permit")
    assert exchange.authorize(path, method="HEAD").status_code == 204
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", ""):
        assert exchange.authorize(path, method=method).status_code == 403


def test_t052_a_barred_facility_refuses_the_images_themselves(exchange: Retrieving) -> None:
    """Direct WADO at the archive of a facility that the patient has barred, from the very next request."""
    assert exchange.authorize(f"/studies/{CT}").status_code == 204
    exchange.bar("a", "north")
    asked = exchange.requests_made

    assert exchange.authorize(f"/studies/{CT}").status_code == 403
    assert exchange.authorize(f"/studies/{CT}/series/{CT}.1").status_code == 403
    assert exchange.requests_made == asked, "the facility is not even asked"

    exchange.file_consent("a", barring())
    assert exchange.authorize(f"/studies/{CT}").status_code == 204
