"""What Inferno's SMART App Launch and (g)(10) kits assert of a server, each under the id that the kit gives it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.adapters.registry import FacilityRegistry
from gateway.auth.people import Role
from tests.factories import a_facility
from tests.factories_auth import a_client, a_client_key, a_jwks, an_assertion
from tests.factories_mpi import NORTH
from tests.functional.app_exchange import CALLBACK, AppExchange, an_app, answered, serving_apps
from tests.functional.people_app import Browser

SCOPE = "launch/patient openid fhirUser offline_access patient/*.read"
WELL_KNOWN = "/fhir/r4/.well-known/smart-configuration"
APP = {"client_id": "inferno"}


class Launched:
    """One launch of the kit's app by a patient who is in the index."""

    def __init__(self, exchange: AppExchange) -> None:
        self.exchange = exchange
        FacilityRegistry(exchange.engine, exchange.house.keys).apply([a_facility(identifier_system=NORTH)])
        self.patient = exchange.add_person("inga")
        exchange.add("inga", Role.PATIENT, patient=self.patient)
        exchange.registry.save(an_app(id="inferno", scopes=tuple(SCOPE.split())), exchange.clock())
        exchange.registry.save(a_client(jwks=a_jwks(a_client_key())), exchange.clock())
        self.browser: Browser = exchange.signed_in("inga")
        self.redirect = answered(exchange.decide(self.browser, exchange.ask(self.browser, **APP, scope=SCOPE)))
        self.token = exchange.redeem(self.redirect["code"], **APP)
        self.body: dict[str, Any] = self.token.get_json()

    def code(self) -> str:
        """A code of another launch."""
        return self.exchange.authorized(self.browser, **APP, scope=SCOPE)

    def id_token(self) -> Any:
        """The ID token, verified with the keys that the configuration leads to."""
        keys = KeySet.import_key_set(self.exchange.client.get("/.well-known/jwks.json").get_json())
        return jwt.decode(self.body["id_token"], keys, algorithms=["RS256"])


@pytest.fixture(scope="module")
def launched(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path, keys_file: Path
) -> Iterator[Launched]:
    """The launch that most assertions are about."""
    with serving_apps(tmp_path_factory.mktemp("apps"), migrated_sqlite_file, keys_file) as running:
        yield Launched(running)


def test_well_known_endpoint(launched: Launched) -> None:
    """JSON, whatever is accepted."""
    answer = launched.exchange.client.get(WELL_KNOWN, headers={"Accept": "application/fhir+json"})
    assert (answer.status_code, answer.mimetype) == (200, "application/json")


def test_well_known_capabilities_stu2(launched: Launched) -> None:
    """The required members, of their kinds; `issuer` and `jwks_uri` with `sso-openid-connect`."""
    told = launched.exchange.client.get(WELL_KNOWN).get_json()
    for name in ("authorization_endpoint", "token_endpoint", "issuer", "jwks_uri"):
        assert isinstance(told[name], str), name
    for name in ("capabilities", "grant_types_supported", "code_challenge_methods_supported"):
        assert all(isinstance(one, str) for one in told[name]), name
    assert "authorization_code" in told["grant_types_supported"]
    assert "S256" in told["code_challenge_methods_supported"]
    assert "plain" not in told["code_challenge_methods_supported"]
    assert "sso-openid-connect" in told["capabilities"]


def test_smart_cors_well_known_endpoint_and_smart_cors_metadata_request(launched: Launched) -> None:
    """Any page may read them."""
    for path in (WELL_KNOWN, "/fhir/r4/metadata"):
        answer = launched.exchange.client.get(path, headers={"Origin": "https://inferno.example"})
        assert answer.headers["Access-Control-Allow-Origin"] in ("*", "https://inferno.example"), path


def test_smart_app_redirect_stu2_and_smart_code_received(launched: Launched) -> None:
    """A code and the state, no error."""
    assert launched.redirect["code"]
    assert launched.redirect["state"] == "s-1"
    assert "error" not in launched.redirect


def test_the_question_names_a_facility_by_its_name(launched: Launched) -> None:
    """Not by the id that operators know it by."""
    launched.exchange.registry.save(an_app(id="of-north", organization="north"), launched.exchange.clock())
    assert "of North Hospital" in launched.exchange.ask(launched.browser, client_id="of-north").text


def test_smart_token_exchange_stu2(launched: Launched) -> None:
    """200 and JSON."""
    assert (launched.token.status_code, launched.token.mimetype) == (200, "application/json")


def test_smart_token_response_body(launched: Launched) -> None:
    """`access_token`, `token_type` bearer, `scope`, a numeric `expires_in`, the patient, no empty member."""
    body = launched.body
    assert body["token_type"].lower() == "bearer"
    assert isinstance(body["expires_in"], int)
    assert body["patient"] == launched.patient
    assert set(body["scope"].split()) == set(SCOPE.split())
    for name in ("access_token", "refresh_token", "id_token"):
        assert isinstance(body[name], str)
        assert body[name]


def test_smart_token_response_headers(launched: Launched) -> None:
    """`Cache-Control: no-store`, `Pragma: no-cache`."""
    assert "no-store" in launched.token.headers["Cache-Control"]
    assert "no-cache" in launched.token.headers["Pragma"]


def test_smart_openid_retrieve_configuration_and_smart_openid_retrieve_jwks(launched: Launched) -> None:
    """Below the issuer that the ID token names; the keys that it leads to."""
    issuer = launched.id_token().claims["iss"]
    told = launched.exchange.client.get("/.well-known/openid-configuration").get_json()
    assert told["issuer"] == issuer
    assert told["jwks_uri"] == f"{issuer}/.well-known/jwks.json"
    for name in ("response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"):
        assert told[name], name
    assert "RS256" in told["id_token_signing_alg_values_supported"]


def test_smart_openid_token_header(launched: Launched) -> None:
    """RS256, by a published key that is named."""
    header = launched.id_token().header
    assert header["alg"] == "RS256"
    assert header["kid"]


def test_smart_openid_token_payload(launched: Launched) -> None:
    """`iss`, `sub` (at most 255 characters), `aud` the app, `exp` ahead, `iat`."""
    claims = launched.id_token().claims
    assert claims["aud"] == "inferno"
    assert 0 < len(claims["sub"]) < 256
    assert claims["exp"] > int(launched.exchange.clock().timestamp())
    assert isinstance(claims["iat"], int)


def test_smart_openid_fhir_user_claim(launched: Launched) -> None:
    """It is a resource of this server, and the token reads it."""
    fhir_user = launched.id_token().claims["fhirUser"]
    base = f"{launched.exchange.base}/fhir/r4/"
    assert fhir_user.startswith(base)
    read = launched.exchange.get(fhir_user.removeprefix(base), launched.body["access_token"])
    assert (read.status_code, read.get_json()["resourceType"]) == (200, "Patient")


def test_g10_unauthorized_access(launched: Launched) -> None:
    """401 without a token."""
    path = f"/fhir/r4/Patient/{launched.patient}"
    assert launched.exchange.client.get(path).status_code == 401


@pytest.mark.parametrize("scope", [None, SCOPE], ids=["without scopes", "with scopes"])
def test_smart_token_refresh_and_smart_token_refresh_body(scope: str | None, launched: Launched) -> None:
    """200, the required members, scopes no wider; the headers as before."""
    answer = launched.exchange.refresh(launched.body["refresh_token"], **APP, scope=scope)
    assert answer.status_code == 200
    body = answer.get_json()
    assert body["access_token"]
    assert body["token_type"].lower() == "bearer"
    assert isinstance(body["expires_in"], int)
    assert set(body["scope"].split()) <= set(SCOPE.split())
    assert "no-store" in answer.headers["Cache-Control"]
    launched.body["refresh_token"] = body["refresh_token"]


def test_g10_invalid_token_refresh(launched: Launched) -> None:
    """A refresh token that was never given: 400."""
    refused = launched.exchange.refresh("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", **APP)
    assert refused.status_code == 400


def test_g10_smart_invalid_token_request_stu2(launched: Launched) -> None:
    """A bad code, and a bad client: 400 each."""
    assert launched.exchange.redeem("BAD_CODE", **APP).status_code == 400
    assert launched.exchange.redeem(launched.code(), client_id="BAD_CLIENT_ID").status_code == 400


@pytest.mark.parametrize(
    "kind",
    [
        "smart_no_verifier_token_request",
        "smart_blank_verifier_token_request",
        "smart_bad_code_verifier_token_request",
        "smart_plain_code_verifier_token_request",
    ],
)
def test_g10_smart_invalid_pkce_code_verifier_group(kind: str, launched: Launched) -> None:
    """Four launches, none of which ends in a token (T22)."""
    verifier = {
        "smart_no_verifier_token_request": None,
        "smart_blank_verifier_token_request": "",
        "smart_bad_code_verifier_token_request": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6-f81d4fae-7dec-11d0",
        "smart_plain_code_verifier_token_request": launched.exchange.verifier.challenge,
    }[kind]
    answer = launched.exchange.redeem(launched.code(), **APP, code_verifier=verifier)
    assert answer.status_code == 400
    assert "access_token" not in answer.get_json()


def test_smart_app_launch_invalid_aud_group(launched: Launched) -> None:
    """Another server's address as `aud`: the app gets no code (T25)."""
    told = answered(launched.exchange.ask(launched.browser, **APP, aud="https://inferno.example/invalid_aud"))
    assert "code" not in told
    assert told["error"]


def test_smart_granular_scope_selection_a_granular_scope_is_told_and_granted_as_asked(launched: Launched) -> None:
    """The person reads what it is limited to; the token has it, and nothing wider."""
    asked = "patient/ImagingStudy.rs?modality=http://dicom.nema.org/resources/ontology/DCM|CT"
    page = launched.exchange.ask(launched.browser, **APP, scope=f"launch/patient {asked}")
    assert "only: modality CT" in page.text
    code = answered(launched.exchange.decide(launched.browser, page))["code"]
    scope = launched.exchange.redeem(code, **APP).get_json()["scope"].split()
    assert asked in scope
    assert "patient/ImagingStudy.rs" not in scope


def test_token_introspection_response_group(launched: Launched) -> None:
    """Of an active token what the launch gave; of an invalid one `active` alone."""
    exchange = launched.exchange
    issued = exchange.redeem(
        exchange.authorized(launched.browser, client_id="portal"), client_id=None, **exchange.signs()
    ).get_json()
    told = exchange.post("/oauth/introspect", token=issued["access_token"], **exchange.signs()).get_json()
    assert told["active"] is True
    assert told["client_id"] == "portal"
    assert set(told["scope"].split()) == set(issued["scope"].split())
    assert told["exp"] >= exchange.clock().timestamp()
    assert told["patient"] == issued["patient"]
    keys = KeySet.import_key_set(exchange.client.get("/.well-known/jwks.json").get_json())
    person = jwt.decode(issued["id_token"], keys, algorithms=["RS256"]).claims
    assert [told[name] for name in ("iss", "sub", "fhirUser")] == [person[n] for n in ("iss", "sub", "fhirUser")]
    assert exchange.post("/oauth/introspect", token="invalid", **exchange.signs()).get_json() == {"active": False}


def _asked(launched: Launched, **changes: str) -> Any:
    form = {"grant_type": "client_credentials", "scope": "system/ImagingStudy.rs", **launched.exchange.signs("ehr")}
    return launched.exchange.token(**(form | changes))


def test_smart_backend_services_auth_request_success_and_auth_response_body(launched: Launched) -> None:
    """A token of five minutes for the scopes asked."""
    answer = _asked(launched)
    assert answer.status_code == 200
    assert {"access_token", "token_type", "expires_in", "scope"} <= set(answer.get_json())
    assert answer.get_json()["token_type"].lower() == "bearer"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"grant_type": "not_a_grant_type"}, "smart_backend_services_invalid_grant_type"),
        ({"client_assertion_type": "not_an_assertion_type"}, "smart_backend_services_invalid_client_assertion"),
        ({"client_assertion": "not_a_jwt"}, "smart_backend_services_invalid_jwt"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_backend_services_authorization_refuses(changes: dict[str, str], kind: str, launched: Launched) -> None:
    """400 for each of the three."""
    assert _asked(launched, **changes).status_code == 400, kind


def test_smart_backend_services_invalid_jwt_of_another_issuer(launched: Launched) -> None:
    """As the kit makes it: signed, with an `iss` that is nobody's."""
    now = int(launched.exchange.clock().timestamp())
    signed = an_assertion(iss="not_a_client", sub="ehr", aud=f"{launched.exchange.base}/oauth/token", exp=now + 60)
    assert _asked(launched, client_assertion=signed).status_code == 400


def test_g10_token_revocation(launched: Launched) -> None:
    """The patient ends it on their page: reading the Patient is 401 within a second, a refresh 400."""
    exchange = launched.exchange
    issued = exchange.redeem(launched.code(), **APP).get_json()
    path = f"Patient/{launched.patient}"
    assert exchange.get(path, issued["access_token"]).status_code == 200
    page = launched.browser.get("/oauth/apps").text
    grant = page.partition('name="grant" value="')[2].partition('"')[0]
    assert launched.browser.submit("/oauth/apps", "/oauth/apps/end", grant=grant).status_code == 303
    time.sleep(1.05)
    assert exchange.get(path, issued["access_token"]).status_code == 401
    assert exchange.refresh(issued["refresh_token"], **APP).status_code == 400
    assert CALLBACK not in page
