"""`/retrieval/authorize`: what a gate before an archive is told of each request, as consent has it at that moment."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories_consent import authored_by
from tests.functional.retrieval_exchange import COPIED, CT, OF_B, SPLIT, Retrieving, claims_of
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
    """Every resource of a permitted study, to the EHR with its ordinary token."""
    answer = exchange.authorize(path)

    assert (answer.status_code, answer.headers["X-Retrieval-Decision"]) == (204, "permit")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", ""])
def test_only_reading_is_let_through(exchange: Retrieving, method: str) -> None:
    """GET, and HEAD, which gives less."""
    assert exchange.authorize(f"/studies/{CT}", method="HEAD").status_code == 204
    assert exchange.authorize(f"/studies/{CT}", method=method).status_code == 403


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


def test_a_study_that_is_split_over_facilities_opens_by_series(exchange: Retrieving) -> None:
    """South's part is withheld: north's own series are open one by one, the study whole is not (contract §10)."""
    deny = {"type": "deny", "data": [authored_by("south")]}
    exchange.file_consent("a", {"type": "permit", "provision": [deny]})
    try:
        assert exchange.authorize(f"/studies/{SPLIT}").status_code == 403
        assert exchange.authorize(f"/studies/{SPLIT}/metadata").status_code == 403
        assert exchange.authorize(f"/studies/{SPLIT}/series/{SPLIT}.1").status_code == 204
        assert exchange.authorize(f"/studies/{SPLIT}/series").status_code == 204
        assert exchange.authorize(f"/studies/{COPIED}").status_code == 204, "of a copy nothing is missing"
    finally:
        exchange.file_consent("a", barring())
    assert exchange.authorize(f"/studies/{SPLIT}").status_code == 204


def test_t035_a_scope_for_one_modality_opens_its_series(exchange: Retrieving) -> None:
    """`system/ImagingStudy.rs?modality=CT`: the CT series of a CT and SR study, and not the study whole."""
    token = exchange.signed_token(scope="system/ImagingStudy.rs?modality=CT")

    assert exchange.authorize(f"/studies/{CT}/series/{CT}.1", token=token).status_code == 204
    for path in (f"/studies/{CT}", f"/studies/{CT}/series", f"/studies/{CT}/series/{CT}.2"):
        assert exchange.authorize(path, token=token).status_code == 403
    sr = exchange.signed_token(scope="system/ImagingStudy.rs?modality=SR")
    assert exchange.authorize(f"/studies/{CT}/series/{CT}.2", token=sr).status_code == 204


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("system/ImagingStudy.r", 204),
        ("system/*.read", 204),
        ("system/ImagingStudy.s", 403),
        ("system/Patient.rs", 403),
        ("patient/ImagingStudy.rs", 403),
    ],
)
def test_a_token_needs_a_scope_to_read_images(exchange: Retrieving, scope: str, status: int) -> None:
    """SMART Imaging Access, token checks; the challenge says what is missing."""
    answer = exchange.authorize(f"/studies/{CT}", token=exchange.signed_token(scope=scope))

    assert answer.status_code == status
    assert ("insufficient_scope" in answer.headers.get("WWW-Authenticate", "")) is (status == 403)


def test_a_token_of_one_patient_opens_that_patients_studies_alone(exchange: Retrieving) -> None:
    """And what nobody was ever told of opens for nobody."""
    bound = exchange.bound_token("a")

    assert exchange.authorize(f"/studies/{CT}", token=bound).status_code == 204
    assert exchange.authorize(f"/studies/{OF_B}", token=bound).status_code == 403
    assert exchange.authorize(f"/studies/{OF_B}").status_code == 204
    for token in (bound, ""):
        assert exchange.authorize("/studies/2.25.404", token=token).status_code == 403


def test_t098_a_series_of_another_study_is_not_let_through(exchange: Retrieving) -> None:
    """Whatever study stands before it in the path, and whoever's it is."""
    assert exchange.authorize(f"/studies/{CT}/series/{OF_B}.1").status_code == 403
    assert exchange.authorize(f"/studies/{CT}/series/{SPLIT}.1").status_code == 403


def test_without_a_token_the_client_is_asked_for_one(exchange: Retrieving) -> None:
    """RFC 6750: no error code without a token, one where it does not hold."""
    none = exchange.authorize(f"/studies/{CT}", token=None)
    broken = exchange.authorize(f"/studies/{CT}", token="x")
    expired = exchange.authorize(f"/studies/{CT}", token=exchange.signed_token(exp=1, iat=0))

    assert (none.status_code, "error" in none.headers["WWW-Authenticate"]) == (401, False)
    for answer in (broken, expired):
        assert (answer.status_code, 'error="invalid_token"' in answer.headers["WWW-Authenticate"]) == (401, True)


@pytest.mark.parametrize("key", ["", "x", "ixk_" + "A" * 43, "é", "north"])
def test_only_a_gate_that_proves_itself_is_answered(exchange: Retrieving, key: str) -> None:
    """The client is told nothing by which it could help itself: 403, without a challenge."""
    answer = exchange.authorize(f"/studies/{CT}", headers={"X-Facility-Key": key.encode()})

    assert (answer.status_code, "WWW-Authenticate" in answer.headers) == (403, False)


def test_a_token_without_a_known_purpose_is_refused_and_recorded(exchange: Retrieving) -> None:
    """It holds, and says nothing of why: 403, to an archive no, and on record."""
    nothing = exchange.signed_token(purposes=[], jti="no-purpose")

    assert exchange.authorize(f"/studies/{CT}", token=nothing).status_code == 403
    assert exchange.validate("study", CT, nothing, "north")["granted"] is False
    reasons = [one["reason"] for one in exchange.audit() if one["kind"] == "retrieval-refused"]
    assert reasons.count("purpose-not-allowed") >= 2


def test_a_gate_asks_for_its_own_facility_alone(exchange: Retrieving) -> None:
    """South's key decides about south, where an ordinary token is no use; east takes no tokens at all."""
    for facility in ("south", "east"):
        assert exchange.authorize(f"/studies/{CT}", facility=facility).status_code == 401


@pytest.mark.parametrize("missing", ["X-Original-URI", "X-Original-Method"])
def test_what_the_gate_does_not_say_is_refused(exchange: Retrieving, missing: str) -> None:
    """By default nothing is let through."""
    assert exchange.authorize(f"/studies/{CT}", headers={missing: ""}).status_code == 403


@pytest.mark.parametrize(
    "path", [f"/studies/{CT}/../{OF_B}", f"//studies/{CT}", f"/studies/{CT}%2F", f"/studies/{CT};x", "/studies", "/.."]
)
def test_t098_path_tricks_at_the_gate(exchange: Retrieving, path: str) -> None:
    """Refused as they are; what is read, and what isn't, is in `unit/retrieval/test_resource.py`."""
    assert exchange.authorize(path).status_code == 403


def test_a_new_key_works_at_once_and_a_replaced_one_ends(exchange: Retrieving) -> None:
    """Keys overlap unless one is to be replaced; a key is shown once and stored nowhere."""
    old = exchange.keys_of["east"]
    new = exchange.make_key("east")

    def status(key: str) -> int:
        answer = exchange.ask_orthanc("/user/get-profile", {}, auth=None, headers={"X-Facility-Key": key})
        return answer.status_code

    assert (status(old), status(new)) == (200, 200)
    newest = exchange.make_key("east", "--replace")
    time.sleep(1.1)
    assert (status(old), status(new), status(newest)) == (401, 401, 200)
    exchange.keys_of["east"] = newest
    database = (Path(exchange.gateway.env["GATEWAY_DATA_DIR"]) / "gateway.db").read_bytes()
    assert newest.encode() not in database


def test_fetches_are_on_record_once_and_counted(exchange: Retrieving) -> None:
    """One record as a token first opens a study, a disclosure; refusals each, with their reason."""
    token = exchange.client.token(exchange.gateway)
    for frame in range(1, 6):
        instance = f"/studies/{CT}/series/{CT}.1/instances/{CT}.1.1"
        assert exchange.authorize(f"{instance}/frames/{frame}", token=token).status_code == 204
    assert exchange.authorize("/studies/2.25.405", token=token).status_code == 403
    jti = claims_of(token)["jti"]
    records = [one for one in exchange.audit() if one.get("who", {}).get("token_id") == jti]
    fetched = [one for one in records if one["kind"] == "retrieval"]
    (refused,) = [one for one in records if one["kind"] == "retrieval-refused"]

    assert len(fetched) == 1
    assert fetched[0]["released"] == [{"facility": "north", "studies": [CT]}]
    assert fetched[0]["patient"] == exchange.person_id("a", "north")
    assert fetched[0]["decided"][0]["decision"] == "permit"
    assert refused["request"] == "GET /dicom-web/studies/2.25.405"
    assert token not in str(records)


def test_every_study_that_was_refused_is_on_record(exchange: Retrieving) -> None:
    """However many: only what is asked for again and again within a minute is counted, study by study."""
    token = exchange.client.token(exchange.gateway)
    refused = [f"2.25.{number}" for number in range(4000, 4050)]
    for study in refused:
        assert exchange.authorize(f"/studies/{study}", token=token).status_code == 403
    jti = claims_of(token)["jti"]
    records = [one for one in exchange.audit() if one.get("who", {}).get("token_id") == jti]

    assert [one["kind"] for one in records if one["kind"] == "retrieval"] == []
    assert [one["request"] for one in records if one["kind"] == "retrieval-refused"] == [
        f"GET /dicom-web/studies/{study}" for study in refused
    ]
