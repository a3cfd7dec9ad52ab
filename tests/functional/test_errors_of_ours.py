"""T127: a mistake of ours in any layer is a number to whoever asked, in the form of the place they are at."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from gateway.auth.client_store import DatabaseClientStore
from gateway.auth.people import Role
from gateway.db.session import open_database
from tests import canary
from tests.factories_auth import a_client, an_access_token
from tests.functional.people_app import PASSWORD, PeopleApp, serving

SAID = f"{canary.FAMILY} in /etc/passwd: secret"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _breaks(*_: Any, **__: Any) -> Any:
    raise RuntimeError(SAID)


@pytest.fixture
def exchange(sqlite_url: str, keys_file: Path) -> Iterator[PeopleApp]:
    """A patient, and an EHR."""
    engine = open_database(sqlite_url)
    with serving(sqlite_url, keys_file) as app:
        app.app.config["PROPAGATE_EXCEPTIONS"] = False  # as a served application has it
        DatabaseClientStore(engine).save(a_client(), app.clock())
        app.add("ann", Role.PATIENT)
        yield app
    engine.dispose()


def _fhir(exchange: PeopleApp, path: str, **options: Any) -> TestResponse:
    now = int(exchange.clock().timestamp())
    token = an_access_token(exchange.house.keys, exchange.settings.base_url, iat=now, exp=now + 300)
    return exchange.app.test_client().get(path, headers={"Authorization": f"Bearer {token}"}, **options)


def _search(exchange: PeopleApp) -> TestResponse:
    return _fhir(exchange, "/fhir/r4/ImagingStudy?patient=x")


def _page(exchange: PeopleApp) -> TestResponse:
    browser = exchange.browser()
    browser.put_cookie("anything")
    return browser.get("/signin/security")


def _sign_in(exchange: PeopleApp) -> TestResponse:
    return exchange.browser().sign_in("ann", PASSWORD)


LAYERS: dict[str, tuple[str, Callable[[PeopleApp], TestResponse]]] = {
    "identity, under a search": ("house.rooms.mpi.resolve", _search),
    "the token check": ("house.oauth.bearer.authenticate", _search),
    "the audit, under a search": ("house.rooms.audit.record", _search),
    "sessions, in a guard": ("people.signins.find", _page),
    "accounts, under a page": ("people.accounts.find_for_password", _sign_in),
    "the audit, under a page": ("house.rooms.audit.record", _sign_in),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_t127_whatever_breaks_is_told_as_a_number_alone(exchange: PeopleApp, layer: str) -> None:
    """500, generic words, a number to give to whoever helps; nothing of the exception, no debugger, no path of ours."""
    path, ask = LAYERS[layer]
    *way, name = path.split(".")
    broken: Any = exchange
    for step in way:
        broken = getattr(broken, step)
    assert callable(getattr(broken, name)), "the layer has moved: name it anew"
    vars(broken)[name] = _breaks
    try:
        answer = ask(exchange)
    finally:
        del vars(broken)[name]

    assert answer.status_code == 500
    for word in (canary.FAMILY, "secret", "passwd", "Traceback", "RuntimeError", "werkzeug", "gateway/", "Debugger"):
        assert word not in answer.text, word
    assert UUID.search(answer.text)
    assert answer.headers["X-Request-Id"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_t127_a_template_that_lacks_a_value_is_such_a_mistake(exchange: PeopleApp) -> None:
    """A page that can't be written is the error page, not half a page."""
    provider = exchange.people.factors
    vars(provider)["of"] = lambda *_: [object()]
    try:
        browser = exchange.browser()
        browser.sign_in("ann")
        answer = browser.get("/signin/security")
    finally:
        del vars(provider)["of"]

    assert (answer.status_code, answer.mimetype) == (500, "text/html")
    assert "Something went wrong" in answer.text
    assert "object" not in answer.text


def test_t127_each_place_has_its_own_form(exchange: PeopleApp) -> None:
    """An OperationOutcome on FHIR paths, a page where people are, JSON elsewhere; unknown paths too."""
    vars(exchange.house.rooms.mpi)["resolve"] = _breaks
    fhir = _search(exchange)
    del vars(exchange.house.rooms.mpi)["resolve"]
    assert fhir.mimetype == "application/fhir+json"
    assert fhir.get_json()["resourceType"] == "OperationOutcome"
    client = exchange.app.test_client()
    assert client.get("/signin/nothing").mimetype == "text/html"
    assert client.post("/signed-out").mimetype == "text/html"
    assert json.loads(client.get("/nothing").text) == {"error": "not-found"}
    assert client.get("/console").status_code == 404
    assert client.get("/signin?__debugger__=yes&cmd=resource&f=style.css").mimetype == "text/html"


def test_t121_what_a_browser_is_sent_to_is_never_run(exchange: PeopleApp) -> None:
    """Script in a path, a parameter or a form comes back as JSON or escaped, or not at all; nothing is sniffed."""
    script = "<script>alert(1)</script>"
    client = exchange.app.test_client()
    for path in (
        f"/fhir/r4/ImagingStudy?patient={script}",
        f"/signin?next={script}",
        f"/signin/{script}",
        f"/{script}",
    ):
        answer = client.get(path)
        assert script not in answer.text, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.mimetype in ("application/json", "application/fhir+json", "text/html"), path
    told = exchange.browser().sign_in(f'"><{script}', "x" * 12)
    assert script not in told.text
