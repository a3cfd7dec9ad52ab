"""`python -m gateway facilities`, as operators use it."""

import json
from collections.abc import Iterator

import pytest

from tests.facilities.dicomweb import DICOMwebServer
from tests.facilities.hostile import HostileServer, refused_url
from tests.services.exchange import facilities_toml
from tests.services.gateway import Gateway

SECRET = "topsecret-5519"


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def archive() -> Iterator[DICOMwebServer]:
    with DICOMwebServer() as server:
        server.manners.authorization = "Basic Z3c6dG9wc2VjcmV0LTU1MTk="
        server.add_study("N-1", "2.25.1")
        yield server


def table(id_: str, url: str, **changes: object) -> dict[str, object]:
    return {
        "id": id_,
        "name": f"{id_.title()} Hospital",
        "identifier_system": f"urn:x:{id_}",
        "query_url": url,
        "auth": {"type": "basic", "username": "gw", "password": SECRET},
        **changes,
    }


def apply(gateway: Gateway, *tables: dict[str, object], expect: int = 0) -> str:
    path = gateway.write("facilities.toml", facilities_toml(tables))
    done = gateway.run("facilities", "apply", str(path), expect=expect)
    return done.stdout + done.stderr


def test_provisioning_is_idempotent_and_shows_no_secret(gateway: Gateway) -> None:
    """Added, then unchanged, then updated; others are left alone."""
    north, south = table("north", "http://127.0.0.1:9/dicom-web"), table("south", "http://127.0.0.1:9/dicom-web")

    assert apply(gateway, north, south) == "north: loaded\nsouth: loaded\n"
    assert apply(gateway, north) == "north: unchanged\n"
    assert apply(gateway, north | {"name": "Renamed"}) == "north: updated\n"
    listed = gateway.run("facilities", "list")
    assert [one["name"] for one in gateway.run_json("facilities", "list")] == ["Renamed", "South Hospital"]
    assert SECRET not in listed.stdout + json.dumps(gateway.run_json("facilities", "list"))


def test_a_load_answers_in_the_words_of_the_contract(gateway: Gateway) -> None:
    """Contract §3: counts, and what was rejected."""
    path = gateway.write("f.toml", facilities_toml([table("north", "http://127.0.0.1:9/x")]))

    assert gateway.run_json("facilities", "apply", str(path)) == {
        "loaded": 1,
        "updated": 0,
        "unchanged": 0,
        "rejected": [],
    }


def test_a_bad_file_changes_nothing_and_names_every_problem(gateway: Gateway) -> None:
    """One good facility, two with problems: none is registered, all are told, no secret is quoted."""
    said = apply(
        gateway,
        table("north", "http://127.0.0.1:9/x"),
        table("south", "ftp://south.example"),
        table("east", "http://127.0.0.1:9/x", timezone="Europe/Zurich", auth={"type": "basic", "password": SECRET}),
        expect=1,
    )

    assert said.splitlines() == [
        "refused: facility south: query_url: must begin with http:// or https://",
        "refused: facility east: timezone: is not a known key; did you mean time_zone?",
        "refused: facility east: auth.username: is missing",
    ]
    assert gateway.run_json("facilities", "list") == []


def test_a_file_comes_from_standard_input_too(gateway: Gateway) -> None:
    """`-` reads it."""
    text = facilities_toml([table("north", "http://127.0.0.1:9/x")])

    assert gateway.run("facilities", "apply", "-", stdin=text).stdout == "north: loaded\n"


def test_a_missing_file_is_refused(gateway: Gateway) -> None:
    """With a reason, not a trace."""
    done = gateway.run("facilities", "apply", "no-such.toml", expect=1)

    assert done.stderr == "refused: no-such.toml can't be read\n"


def test_suspending_resuming_and_removing(gateway: Gateway) -> None:
    """Each says what it did; an unknown id is refused."""
    apply(gateway, table("north", "http://127.0.0.1:9/x"))

    assert gateway.run("facilities", "suspend", "north").stdout == "north: suspended\n"
    assert apply(gateway, table("north", "http://127.0.0.1:9/x")) == "north: unchanged\n"
    assert gateway.run_json("facilities", "list")[0]["suspended"] is True
    assert gateway.run_json("facilities", "resume", "north") == {
        "facility": "north",
        "suspended": False,
        "changed": True,
    }
    assert gateway.run("facilities", "remove", "north").stdout == "north: removed\n"
    for act in ("suspend", "resume", "remove", "check"):
        assert "no facility has the id north" in gateway.run("facilities", act, "north", expect=1).stderr


def test_a_check_reports_what_an_archive_supports(gateway: Gateway, archive: DICOMwebServer) -> None:
    """It asks for a patient who can't exist, and shows nothing the archive said."""
    archive.manners.series_by_patient = False
    apply(gateway, table("north", archive.url))
    report = gateway.run_json("facilities", "check", "north")
    shown = gateway.run("facilities", "check", "north").stdout

    assert report["usable"] is True
    assert {one["name"]: one["rating"] for one in report["findings"]} == {
        "QIDO-RS": "ok",
        "includefield": "ok",
        "paging": "ok",
        "percent-encoding": "ok",
        "series by patient": "limited",
    }
    assert "series by patient" in shown
    assert not any("N-1" in target for target in archive.targets)


def test_a_check_that_fails_says_why_and_exits_1(gateway: Gateway, archive: DICOMwebServer) -> None:
    """Wrong password, closed port, another path, a page of HTML: each with where to look."""
    with HostileServer("html") as page:
        apply(
            gateway,
            table("locked", archive.url, auth={"type": "basic", "username": "gw", "password": "wrong"}),
            table("closed", refused_url()),
            table("page", page.url),
            table("astray", archive.url + "/nowhere"),
        )
        ids = ("locked", "closed", "page", "astray")
        said = {id_: gateway.run("facilities", "check", id_, expect=1).stdout for id_ in ids}

    assert "refused the gateway's credentials (HTTP 401): look at [facility.auth]" in said["locked"]
    assert "can't be reached: look whether it runs" in said["closed"]
    assert "(HTTP 404): look at the path of query_url" in said["astray"]
    assert "not DICOM JSON" in said["page"]


def test_what_an_operator_did_is_in_the_audit(gateway: Gateway) -> None:
    """Begin and end of every change, without secrets."""
    apply(gateway, table("north", "http://127.0.0.1:9/x"))
    gateway.run("facilities", "suspend", "north")
    exported = gateway.run("audit", "export").stdout

    assert "facilities apply" in exported
    assert "facilities suspend" in exported
    assert SECRET not in exported
