"""Granular scopes through HTTP (T35): a token for CT finds, counts, reads and includes CT; nothing tells of more."""

from collections.abc import Iterator

import pytest
import requests

from tests.facilities.dicomweb import DICOMwebServer
from tests.facilities.rows import a_series_row
from tests.functional.small_exchange import (
    PLANTED_NAME,
    SmallExchange,
    identifier,
    patient_id,
    resources,
    uid_of,
    uids,
)
from tests.services.exchange import add_client

DCM = "http://dicom.nema.org/resources/ontology/DCM"
CT = f"?modality={DCM}|CT"
CT_STUDY, MR_STUDY, MIXED_STUDY, SPLIT_STUDY, OLD_CT = (f"2.25.10{n}" for n in range(1, 6))
Row = dict[str, object]


def hold(archive: DICOMwebServer, uid: str, *modalities: str, date: str = "20240301") -> None:
    """A study of `a` with one series of each modality, of ten instances."""
    series = [
        a_series_row(
            uid,
            f"{uid}.{code}".replace("CT", "1").replace("MR", "2").replace("SR", "3"),
            patient_id=patient_id("a"),
            modality=code,
            instances=10,
            description=f"{code} series",
        )
        for code in modalities
    ]
    archive.add_study(
        patient_id("a"),
        uid,
        series=series,
        person=PLANTED_NAME,
        modalities=modalities,
        date=date,
        number_of_series=len(modalities),
        number_of_instances=10 * len(modalities),
    )


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """North has CT, MR and mixed studies; south has MR alone and the SR half of a study whose CT half is north's."""
    made = SmallExchange()
    north, south = made.add_archive("north"), made.add_archive("south")
    hold(north, CT_STUDY, "CT", date="20240301")
    hold(north, MR_STUDY, "MR", date="20240302")
    hold(north, MIXED_STUDY, "CT", "SR", date="20240303")
    hold(north, OLD_CT, "CT", date="20100101")
    hold(north, SPLIT_STUDY, "CT", date="20240304")
    hold(south, SPLIT_STUDY, "SR", date="20240304")
    hold(south, "2.25.200", "MR", date="20240305")
    made.add_person("a", "north", "south")
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def ids(exchange: SmallExchange) -> dict[str, str]:
    """The id of each study, as one who may see all of them is told it."""
    return {uid_of(one): one["id"] for one in resources(exchange.search("a", "north"))}


@pytest.fixture(scope="module")
def ct(exchange: SmallExchange) -> str:
    """A patient's app's token that is for CT."""
    return exchange.signed_token(scope=f"patient/ImagingStudy.rs{CT}", patient=exchange.person_id("a", "north"))


def find(exchange: SmallExchange, token: str, **asked: str) -> dict[str, object]:
    """The Bundle about `a`."""
    answer = exchange.get("/ImagingStudy", {"patient.identifier": identifier("a", "north"), **asked}, token=token)
    assert answer.status_code == 200, answer.text
    bundle: dict[str, object] = answer.json()
    return bundle


CT_SHOWS = [SPLIT_STUDY, MIXED_STUDY, CT_STUDY, OLD_CT]


def test_t035_a_search_finds_ct_alone(exchange: SmallExchange, ct: str) -> None:
    """Whatever it asks for, the MR studies are not there, not counted, and not behind another page."""
    assert (uids(find(exchange, ct)), find(exchange, ct)["total"]) == (CT_SHOWS, 4)
    assert uids(find(exchange, ct, modality="MR")) == []
    assert uids(find(exchange, ct, modality="SR")) == []
    assert uids(find(exchange, ct, modality="CT,MR")) == CT_SHOWS
    assert find(exchange, ct, _summary="count")["total"] == 4
    assert uids(find(exchange, ct, identifier=MR_STUDY)) == []
    first = find(exchange, ct, _count="3")
    (following,) = [link["url"] for link in first["link"] if link["relation"] == "next"]  # type: ignore[attr-defined]
    second = exchange.get(following.partition("/fhir/r4")[2], token=ct).json()
    assert (uids(second), second["total"], [one["relation"] for one in second["link"]]) == ([OLD_CT], 4, ["self"])


def test_t035_of_a_mixed_study_the_ct_series_alone_is_told(exchange: SmallExchange, ct: str) -> None:
    """Series, modalities, counts: in a search, in a read, and where the answer leaves series out."""
    for study in resources(find(exchange, ct)):
        assert [one["code"] for one in study["modality"]] == ["CT"]
        assert [one["modality"]["code"] for one in study["series"]] == ["CT"]
        assert (study["numberOfSeries"], study["numberOfInstances"]) == (1, 10)
    (short,) = resources(find(exchange, ct, identifier=MIXED_STUDY, _elements="numberOfSeries,numberOfInstances"))
    assert (short["numberOfSeries"], short["numberOfInstances"]) == (1, 10)
    assert "SR" not in exchange.get("/ImagingStudy", {"patient.identifier": identifier("a", "north")}, token=ct).text


def test_t035_no_endpoint_of_what_is_left_out(exchange: SmallExchange, ct: str) -> None:
    """South holds SR and MR: it is neither included, nor named by a study, nor found by `endpoint`."""
    bundle = find(exchange, ct, _include="ImagingStudy:endpoint")
    assert [one["id"] for one in resources(bundle, "include")] == ["north"]
    assert {one["reference"] for study in resources(bundle) for one in study["endpoint"]} == {"Endpoint/north"}
    assert uids(find(exchange, ct, endpoint="Endpoint/south")) == []


def test_t035_a_read_of_another_study_is_not_found(exchange: SmallExchange, ct: str, ids: dict[str, str]) -> None:
    """With the bytes of a study that never was; of a mixed one, the part."""
    absent = exchange.get(f"/ImagingStudy/{'0' * 32}", token=ct)
    hidden = exchange.get(f"/ImagingStudy/{ids[MR_STUDY]}", token=ct)
    assert (hidden.status_code, hidden.content) == (404, absent.content)
    mixed = exchange.get(f"/ImagingStudy/{ids[MIXED_STUDY]}", token=ct).json()
    assert [one["modality"]["code"] for one in mixed["series"]] == ["CT"]


def test_t035_scopes_add_up_by_letter(exchange: SmallExchange, ids: dict[str, str]) -> None:
    """CT and what was made before 2011; a search that is narrowed beside a read that is not."""
    a = exchange.person_id("a", "north")
    two = f"patient/ImagingStudy.rs{CT}&started=ge2024-03-03 patient/ImagingStudy.rs?started=lt2011"
    assert uids(find(exchange, exchange.signed_token(scope=two, patient=a))) == [SPLIT_STUDY, MIXED_STUDY, OLD_CT]
    letters = exchange.signed_token(scope=f"system/ImagingStudy.r system/ImagingStudy.s{CT}")
    assert uids(find(exchange, letters)) == CT_SHOWS
    assert exchange.get(f"/ImagingStudy/{ids[MR_STUDY]}", token=letters).status_code == 200
    wide = exchange.signed_token(scope=f"system/ImagingStudy.rs{CT} system/*.rs")
    assert find(exchange, wide)["total"] == 6


def test_t035_a_token_endpoint_grants_what_is_registered_and_asked(exchange: SmallExchange) -> None:
    """A client registered for all of ImagingStudy asks for CT, gets it in its words, and is held to it."""
    scope = f"system/ImagingStudy.rs{CT}"
    token = exchange.client.token(exchange.gateway, scope=scope)
    assert uids(find(exchange, token)) == CT_SHOWS


def test_t035_a_client_that_is_registered_for_ct_gets_no_more(exchange: SmallExchange) -> None:
    """Asked for all of ImagingStudy it is given CT; asked for MR, nothing; the registered words are in the token."""
    radiology = add_client(exchange.gateway, "radiology", scope=f"system/ImagingStudy.rs{CT}")
    assert uids(find(exchange, radiology.token(exchange.gateway, scope="system/*.read"))) == CT_SHOWS
    with pytest.raises(requests.HTTPError, match="400"):
        radiology.token(exchange.gateway, scope=f"system/ImagingStudy.rs?modality={DCM}|MR")


def test_a_users_scope_reaches_what_a_systems_does_with_a_person_behind_it(exchange: SmallExchange) -> None:
    """A clinician who signed in; the same scope in a system's token reaches nothing."""
    clinician = exchange.signed_token(scope="user/ImagingStudy.rs", sub="1f6c6bb2-5d0b-4a2e-9d53-6f2f0f4d9d11")
    assert find(exchange, clinician)["total"] == 6
    both = {"patient.identifier": identifier("a", "north")}
    system = exchange.signed_token(scope="user/ImagingStudy.rs")
    assert exchange.get("/ImagingStudy", both, token=system).status_code == 403
    user_of_system = exchange.signed_token(scope="system/ImagingStudy.rs", sub="1f6c6bb2-5d0b-4a2e-9d53-6f2f0f4d9d11")
    assert exchange.get("/ImagingStudy", both, token=user_of_system).status_code == 403
