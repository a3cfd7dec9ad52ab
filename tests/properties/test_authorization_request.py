"""Whatever an authorization request says, nobody is answered at an address that is not registered."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.authorization_request import (
    PARAMETERS,
    AuthorizationRefused,
    AuthorizationRequest,
    NotOurApp,
    read_authorization,
)
from gateway.auth.clients import ClientRegistry
from tests.factories_auth import FakeClientStore, a_client

BASE = "https://gateway.example/fhir/r4"
ADDRESS = "https://app.example/callback"
SCOPES = ("launch/patient", "patient/ImagingStudy.rs", "openid")
RIGHT = {
    "response_type": "code",
    "client_id": "app",
    "redirect_uri": ADDRESS,
    "scope": "patient/ImagingStudy.rs openid",
    "state": "s",
    "aud": BASE,
    "code_challenge": "c" * 43,
    "code_challenge_method": "S256",
}
CLIENTS = ClientRegistry(
    FakeClientStore(
        a_client(id="app", kind="app", jwks=None, scopes=SCOPES, redirect_uris=(ADDRESS,)),
        a_client(id="system", redirect_uris=(ADDRESS,)),
    )
)
LIKELY = st.sampled_from(
    [*RIGHT.values(), "", "system", "token", "plain", "none", "login none", "\x00", "0", "-1", "9" * 20, ADDRESS + "#"]
)
VALUES = LIKELY | st.text(max_size=60)
PAIRS = st.lists(st.tuples(st.sampled_from(PARAMETERS) | st.text(max_size=8), VALUES), max_size=4)


def _read(pairs: list[tuple[str, str]]) -> AuthorizationRequest | AuthorizationRefused | None:
    try:
        return read_authorization(pairs, CLIENTS, fhir_base=BASE)
    except AuthorizationRefused as exc:
        return exc
    except NotOurApp:
        return None


@given(changes=st.dictionaries(st.sampled_from(PARAMETERS), VALUES | st.none(), max_size=4), more=PAIRS)
def test_t024_only_a_registered_address_is_ever_answered(changes: dict[str, Any], more: list[tuple[str, str]]) -> None:
    """And what may be put before a person keeps every rule."""
    pairs = [(name, value) for name, value in {**RIGHT, **changes}.items() if value is not None] + more
    read = _read(pairs)
    if read is None:
        return
    assert read.to.redirect_uri == ADDRESS
    if isinstance(read, AuthorizationRequest):
        given_ = dict(pairs)
        assert read.client.id == "app"
        assert read.to.state
        assert set(read.scopes) <= set(SCOPES) | {"patient/ImagingStudy.r", "patient/ImagingStudy.s"}
        assert given_["code_challenge_method"] == "S256"
        assert given_["aud"].rstrip("/") == BASE
        assert len(read.challenge) == 43
        assert sum(name == "state" for name, _ in pairs) == 1


def test_the_right_one_is_read() -> None:
    """So that the property says something."""
    assert isinstance(_read(list(RIGHT.items())), AuthorizationRequest)
