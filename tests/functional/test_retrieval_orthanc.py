"""`/retrieval/orthanc/…`: the web service of Orthanc's authorization plugin, answered in its own contract."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.retrieval.orthanc import VALIDITY_S
from tests.functional.retrieval_exchange import COPIED, CT, OF_B, SPLIT, Retrieving
from tests.functional.small_exchange import barring

VALIDATE = "/tokens/validate"


@pytest.fixture(scope="module")
def exchange() -> Iterator[Retrieving]:
    """North, whose archive is itself the gate, and south, which takes bound tokens."""
    made = Retrieving.of_gates()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def token(exchange: Retrieving) -> str:
    """Bound to a study at south."""
    return exchange.bound(COPIED)


def test_a_study_and_its_series_are_granted(exchange: Retrieving, token: str) -> None:
    """Level by level, as the plugin asks; a series by its UID alone, of a study that the token names."""
    assert exchange.validate("study", COPIED, token)["granted"] is True
    assert exchange.validate("series", f"{COPIED}.1", token)["granted"] is True
    listed = exchange.validate("system", "", token, uri=f"/dicom-web/studies?StudyInstanceUID={COPIED}")
    assert listed["granted"] is True


def test_t096_validity_is_always_a_positive_whole_number(exchange: Retrieving, token: str) -> None:
    """0 or none would be remembered for ever; and never longer than the token has left, or ten seconds."""
    answers = [
        exchange.validate("study", COPIED, token),
        exchange.validate("study", OF_B, token),
        exchange.validate("study", COPIED, "nonsense"),
        exchange.ask_orthanc("/user/get-profile", {"token-value": token}).json(),
        exchange.ask_orthanc("/user/get-profile", {"user-id": "x"}).json(),
    ]

    assert all(type(one["validity"]) is int and 1 <= one["validity"] <= 10 for one in answers)


@pytest.mark.parametrize(
    "change",
    [
        {"level": "frame"},
        {"level": None},
        {"level": "patient", "dicom-uid": "p"},
        {"level": "instance", "dicom-uid": f"{COPIED}.1.1"},
        {"level": "series", "dicom-uid": f"{CT}.1"},
        {"level": "system", "uri": "/system"},
        {"level": "system", "uri": "/dicom-web/studies"},
        {"level": "system", "uri": None},
        {"level": "system", "uri": f"/dicom-web/studies?StudyInstanceUID={SPLIT}"},
        {"level": "system", "uri": f"/dicom-web/studies?StudyInstanceUID={COPIED}", "method": "delete"},
        {"dicom-uid": ""},
        {"dicom-uid": None},
        {"dicom-uid": "*"},
        {"dicom-uid": [COPIED]},
        {"dicom-uid": f"{COPIED}\\{SPLIT}"},
        {"method": "post"},
        {"method": "put"},
        {"method": "delete"},
        {"method": None},
        {"token-value": None},
        {"token-value": ""},
        {"token-value": 7},
        {"token-value": "Basic eDp5"},
        {"token-value": "Bearer"},
    ],
    ids=str,
)
def test_t095_what_is_not_understood_is_not_granted(exchange: Retrieving, token: str, change: dict[str, Any]) -> None:
    """Unknown levels, no token, no UID, anything but reading: `granted` false, for a while."""
    body = {
        "level": "study",
        "dicom-uid": COPIED,
        "orthanc-id": "x",
        "method": "get",
        "token-key": "Authorization",
        "token-value": f"Bearer {token}",
        **change,
    }
    answer = exchange.ask_orthanc(VALIDATE, {name: value for name, value in body.items() if value is not None})

    assert (answer.status_code, answer.json()) == (200, {"granted": False, "validity": 10})


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"null", b'{"a":NaN}', b"[" * 100_000, b'{"a":1,"a":2}'])
def test_t111_what_is_no_json_object_is_refused(exchange: Retrieving, body: bytes) -> None:
    """400, which the plugin takes for a no."""
    headers = {"Content-Type": "application/json"}
    answer = exchange.ask_orthanc(VALIDATE, None, data=body, headers=headers)

    assert answer.status_code in (400, 413)


@pytest.mark.parametrize("path", [VALIDATE, "/user/get-profile", "/tokens/decode"])
def test_only_a_facility_with_its_key_is_answered(exchange: Retrieving, token: str, path: str) -> None:
    """Id and key, both right, or the key alone in its header."""
    key = exchange.keys_of["south"]
    body = {"level": "study", "dicom-uid": COPIED, "method": "get", "token-value": f"Bearer {token}"}

    def status(**options: Any) -> int:
        return exchange.ask_orthanc(path, body, **options).status_code

    assert status(auth=("south", key)) == 200
    assert status(auth=None, headers={"X-Facility-Key": key}) == 200
    for auth in (("north", key), ("south", key + "x"), ("south", ""), ("", key), None):
        assert status(auth=auth) == 401
    assert status(auth=None, headers={"Authorization": f"Bearer {token}"}) == 401
    assert status(auth=None, headers={"Authorization": "Basic ???"}) == 401


def test_an_archive_that_is_itself_the_gate_takes_ordinary_tokens(exchange: Retrieving) -> None:
    """North does; a study of which part is permitted is refused, and its series are then granted by their UIDs."""
    assert exchange.validate("study", CT, exchange.token, "north")["granted"] is True
    part = exchange.signed_token(scope="system/ImagingStudy.rs?modality=CT", jti="part")

    assert exchange.validate("series", f"{CT}.1", part, "north")["granted"] is False, "nobody knows of which study"
    assert exchange.validate("study", CT, part, "north")["granted"] is False
    assert exchange.validate("series", f"{CT}.1", part, "north")["granted"] is True
    assert exchange.validate("series", f"{CT}.2", part, "north")["granted"] is False


def test_a_token_without_the_bearer_scheme_is_read_where_it_has_a_key_of_its_own(
    exchange: Retrieving, token: str
) -> None:
    """As a viewer sends it that can't set `Authorization`."""
    body = {"level": "study", "dicom-uid": COPIED, "method": "get", "token-key": "auth-token", "token-value": token}

    assert exchange.ask_orthanc(VALIDATE, body).json()["granted"] is True


def test_nobody_has_a_permission_for_the_whole_archive(exchange: Retrieving, token: str) -> None:
    """The profile tells a name; every resource is asked about by itself."""
    profile = exchange.ask_orthanc("/user/get-profile", {"token-key": "x", "token-value": token}).json()
    nobody = exchange.ask_orthanc("/user/get-profile", {}).json()

    assert (profile["name"], nobody["name"]) == ("viewer", "anonymous")
    for told in (profile, nobody):
        assert told["permissions"] == told["authorized-labels"] == told["groups"] == []


def test_a_token_is_decoded_for_its_facility_alone(exchange: Retrieving, token: str) -> None:
    """What it opens; or which kind of nothing it is."""

    def decoded(value: str, facility: str = "south") -> Any:
        return exchange.ask_orthanc("/tokens/decode", {"token-key": "x", "token-value": value}, facility).json()

    told = decoded(token)
    assert (told["token-type"], told["resources"]) == ("facility-access", [{"dicom-uid": COPIED, "level": "study"}])
    assert decoded(token, "north") == decoded("x") == {"error-code": "invalid"}
    assert decoded("") == {"error-code": "unknown"}
    expired = exchange.signed_token(aud="https://pacs.south.example/dicom-web", iat=0, exp=1)
    assert decoded(expired) == {"error-code": "expired"}


def test_links_for_whoever_holds_them_are_not_made(exchange: Retrieving) -> None:
    """`PUT /tokens/{type}`: refused by name, with what to do instead."""
    answer = exchange.ask_orthanc("/tokens/viewer-instant-link", {"resources": []}, method="PUT")

    assert (answer.status_code, answer.json()["error"]) == (501, "not-supported")


def test_t097_a_revocation_is_obeyed_within_what_is_published(exchange: Retrieving) -> None:
    """At the gate and by introspection at the very next request; at an archive that goes by validity, within that."""
    page = (Path(__file__).parents[2] / "docs/reference/retrieval.md").read_text()
    assert f"`validity` is at most {VALIDITY_S} seconds" in page
    at_south, at_north = exchange.bound(COPIED), exchange.bound(COPIED, "north")
    before = exchange.validate("study", COPIED, at_south)
    assert before["granted"] is True
    assert before["validity"] <= VALIDITY_S
    assert exchange.authorize(f"/studies/{COPIED}", token=at_north).status_code == 204

    exchange.bar("a", "north", "south")
    try:
        assert exchange.authorize(f"/studies/{COPIED}", token=at_north).status_code == 403
        assert exchange.authorize(f"/studies/{COPIED}").status_code == 403
        assert exchange.introspect(at_south) == {"active": False}
        assert exchange.validate("study", COPIED, at_south)["granted"] is False

    finally:
        exchange.file_consent("a", barring())
