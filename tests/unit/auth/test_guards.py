"""Who comes in by a guarded route."""

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask, g

from gateway.auth.challenge import challenge_for
from gateway.auth.guards import Guard, current_requester, guard_of, only_from, open_to_anyone, requires_token
from gateway.db.crypto import KeyRing
from gateway.errors import GatewayError, NotAuthenticated
from tests.factories_auth import an_access_token, an_authenticator


def _app(guard: Guard) -> Flask:
    app = Flask(__name__)
    blueprint = Blueprint("guarded", __name__)
    guard(blueprint)

    @blueprint.route("/who", methods=["GET", "POST"])
    def who() -> str:
        return current_requester().client_id if "requester" in g else "anyone"

    @app.errorhandler(GatewayError)
    def refuse(exc: GatewayError) -> Any:
        status = 401 if isinstance(exc, NotAuthenticated) else 403
        return exc.reason, status, {"WWW-Authenticate": challenge_for(exc) or ""}

    app.register_blueprint(blueprint)
    return app


@pytest.fixture
def ask(keys: KeyRing) -> Callable[..., Any]:
    """Asks a route that needs a token."""
    client = _app(requires_token(an_authenticator(keys))).test_client()
    return lambda path="/who", **arguments: client.open(path, **arguments)


def test_a_guard_can_be_asked_for() -> None:
    """So that a test can prove that no route stands without one."""
    blueprint, bare = Blueprint("a", __name__), Blueprint("b", __name__)
    guard = open_to_anyone("public keys")
    guard(blueprint)
    assert guard_of(blueprint) is guard
    assert (guard.name, guard.reason) == ("open_to_anyone", "public keys")
    assert guard_of(bare) is None


def test_t001_without_a_token_nobody_comes_in(ask: Callable[..., Any]) -> None:
    """401, and no error code."""
    answer = ask()
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="imaging exchange"'


def test_a_token_lets_its_client_in(ask: Callable[..., Any], keys: KeyRing) -> None:
    """The view sees who asks, in GET and in POST, and the form is still there to be read."""
    headers = {"Authorization": f"Bearer {an_access_token(keys)}"}
    assert ask(headers=headers).text == "ehr"
    assert ask(method="POST", data={"patient": "1"}, headers=headers).text == "ehr"


def test_t010_a_token_in_the_url_or_form_lets_nobody_in(ask: Callable[..., Any], keys: KeyRing) -> None:
    """Alone or beside a header; nothing of it is repeated."""
    token = an_access_token(keys)
    headers = {"Authorization": f"Bearer {token}"}
    for answer in (
        ask(f"/who?access_token={token}"),
        ask(f"/who?access_token={token}", headers=headers),
        ask(method="POST", data={"access_token": token}),
        ask(method="POST", data={"access_token": token}, headers=headers),
    ):
        assert answer.status_code == 401
        assert token not in answer.text


def test_t011_two_headers_let_nobody_in(ask: Callable[..., Any], keys: KeyRing) -> None:
    """As two lines, or joined by a comma on the way."""
    value = f"Bearer {an_access_token(keys)}"
    assert ask(headers=[("Authorization", value), ("Authorization", value)]).status_code == 401
    assert ask(headers={"Authorization": f"{value}, {value}"}).status_code == 401


def test_t040_headers_that_claim_somebody_let_nobody_in(ask: Callable[..., Any]) -> None:
    """Only the token names who asks."""
    headers = {"X-Forwarded-User": "ehr", "X-User-ID": "ehr", "X-Purpose-Of-Use": "TREAT", "X-Original-URI": "/livez"}
    assert ask(headers=headers).status_code == 401


def test_t126_another_method_is_no_way_around(ask: Callable[..., Any]) -> None:
    """HEAD and OPTIONS pass the same guard."""
    assert ask(method="HEAD").status_code == 401
    assert ask(method="OPTIONS").status_code == 401


def test_an_open_route_lets_anybody_in() -> None:
    """With or without a header."""
    client = _app(open_to_anyone("public")).test_client()
    assert client.get("/who", headers={"Authorization": "Bearer x"}).text == "anyone"


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("::ffff:127.0.0.1", 200), ("::1", 200), ("10.0.0.1", 403), ("", 403), ("unix", 403)],
)
def test_only_addresses_that_are_named_come_in(address: str, status: int) -> None:
    """By the address of the connection; one that can't be told stays outside."""
    networks = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")]
    client = _app(only_from(networks)).test_client()
    answer = client.get("/who", environ_base={"REMOTE_ADDR": address}, headers={"X-Forwarded-For": "127.0.0.1"})
    assert answer.status_code == status


def test_nobody_is_the_requester_where_no_guard_let_anybody_in() -> None:
    """A view that forgot its guard gets no one."""
    with Flask(__name__).test_request_context("/"), pytest.raises(NotAuthenticated):
        current_requester()
