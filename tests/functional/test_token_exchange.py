"""RFC 8693: a client's own token for one that is bound to a facility, and what that one opens, there alone."""

import time
from collections.abc import Iterator

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.functional.retrieval_exchange import COPIED, CT, OF_B, SPLIT, Retrieving, claims_of, link_of
from tests.functional.small_exchange import barring, identifier, patient_id, resources
from tests.services.exchange import add_client

SOUTH = link_of("south")


@pytest.fixture(scope="module")
def exchange() -> Iterator[Retrieving]:
    """North, south and east, and a viewer that exchanges its tokens."""
    made = Retrieving.of_gates()
    yield made
    made.stop()


def test_a_token_is_bound_to_a_facility_a_patient_and_a_study(exchange: Retrieving) -> None:
    """Contract §10: `aud`, five minutes at most, whose, which study, on which consent; anybody verifies it offline."""
    exchange.file_consent("a", barring())
    subject = exchange.viewers_token
    answer = exchange.exchange(f"{SOUTH}/studies/{COPIED}", subject_token=subject)
    told = answer.json()

    assert answer.status_code == 200, told
    assert answer.headers["Cache-Control"] == "no-store"
    assert told["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert told["token_type"] == "Bearer"
    jwks = KeySet.import_key_set(requests.get(f"{exchange.gateway.url}/.well-known/jwks.json", timeout=10).json())
    token = jwt.decode(told["access_token"], jwks, algorithms=["RS256"])
    claims, before = token.claims, claims_of(subject)
    assert token.header["typ"] == "at+jwt"
    assert claims["aud"] == SOUTH
    assert claims["client_id"] == claims["sub"] == "viewer"
    assert claims["exp"] <= before["exp"]
    assert claims["exp"] - claims["iat"] == told["expires_in"] <= 300
    assert claims["patient"] == exchange.person_id("a", "north")
    assert claims["scope"] == told["scope"] == "system/ImagingStudy.rs"
    extensions = claims["extensions"]
    assert extensions["retrieval"] == {
        "patient_id": patient_id("a"),
        "studies": [COPIED],
        "exchanged": before["jti"],
    }
    assert extensions["ihe_iua"] == before["extensions"]["ihe_iua"]
    base = f"{exchange.gateway.url}/fhir/r4"
    assert extensions["ihe_pcf"]["patient_id"] == f"{base}/Patient/{claims['patient']}"
    (consent,) = extensions["ihe_pcf"]["doc_id"]
    assert consent.startswith(f"{base}/Consent/c-a/_history/")
    data = [{"meaning": "instance", "reference": {"reference": f"urn:oid:{COPIED}"}}]
    assert extensions["ihe_pcf"]["residual"] == [{"type": "forbid"}, {"type": "permit", "data": data}]


def test_a_patients_studies_are_named_one_by_one(exchange: Retrieving) -> None:
    """A token for a patient opens what is permitted of them there now, and nothing that comes later."""
    patient = identifier("a", "south")
    claims = claims_of(exchange.exchange(SOUTH, patient=patient).json()["access_token"])
    by_audience = claims_of(exchange.exchange("", audience="south", patient=patient).json()["access_token"])

    assert set(claims["extensions"]["retrieval"]["studies"]) == {SPLIT, COPIED}
    assert by_audience["aud"] == SOUTH


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"resource": "https://elsewhere.example/dicom-web"}, "invalid_target"),
        ({"resource": link_of("east")}, "invalid_target"),
        ({"resource": "", "audience": "nobody"}, "invalid_target"),
        ({"resource": f"{SOUTH}.evil.example/studies/{COPIED}"}, "invalid_target"),
        ({"audience": "north"}, "invalid_target"),
        ({"resource": SOUTH, "study": None}, "invalid_request"),
        ({"resource": "", "study": COPIED}, "invalid_request"),
        ({"study": "*"}, "invalid_request"),
        ({"resource": f"{SOUTH}/studies/{COPIED}", "study": SPLIT}, "invalid_request"),
        ({"scope": "system/*.cruds"}, "invalid_scope"),
        ({"scope": "system/ImagingStudy.cruds"}, "invalid_scope"),
        ({"scope": "patient/ImagingStudy.rs"}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "system/Patient.rs"}, "invalid_scope"),
        ({"subject_token": "x"}, "invalid_request"),
        ({"subject_token": None}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
        ({"subject_token_type": None}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"),
        ({"patient": "Patient/00000000-0000-0000-0000-000000000000", "study": None}, "invalid_grant"),
        ({"study": "2.25.404"}, "invalid_grant"),
        ({"study": OF_B}, "invalid_grant"),
        ({"patient": identifier("b", "north")}, "invalid_request"),
        ({"patient": f"{identifier('a', 'north')}-unknown"}, "invalid_request"),
        ({"patient": "Patient/00000000-0000-0000-0000-000000000000"}, "invalid_request"),
        (
            {"study": None, "resource": f"{SOUTH}/studies/{COPIED}", "patient": identifier("b", "south")},
            "invalid_request",
        ),
        ({"study": "2.25.404", "patient": identifier("b", "north")}, "invalid_grant"),
        ({"patient": "Practitioner/1"}, "invalid_request"),
        ({"patient": "|"}, "invalid_request"),
        ({"patient": "urn:oid:2.25.1|"}, "invalid_request"),
        ({"patient": "\x00'"}, "invalid_request"),
        ({"study": None, "patient": "Patient/"}, "invalid_request"),
    ],
)
def test_t030c_what_can_not_be_exchanged(exchange: Retrieving, more: dict[str, str | None], error: str) -> None:
    """RFC 8693 §2.2.2: a wider scope, a target that is no member or takes no tokens, a token that isn't one."""
    asked = {"resource": SOUTH, "study": COPIED, **more}
    answer = exchange.exchange(str(asked.pop("resource")), **({"subject_token": exchange.viewers_token} | asked))

    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_t030c_the_patient_named_with_a_study_is_whose_it_is(exchange: Retrieving) -> None:
    """By any id or identifier of theirs, before and after a merge; another's name with it is refused, on record."""
    a, b = exchange.person_id("a", "north"), exchange.person_id("b", "north")
    study = f"{SOUTH}/studies/{COPIED}"
    for named in (a, f"Patient/{a}", identifier("a", "north"), identifier("a", "south")):
        assert exchange.exchange(study, patient=named).status_code == 200, named
    refused = exchange.exchange(study, patient=f"Patient/{b}")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    record = [one for one in exchange.audit() if one["kind"] == "token-refused"][-1]
    assert (record["outcome"], record["patient"]) == ("refused", a)
    assert "not known to be of the patient" in record["reason"]

    exchange.gateway.prepare("patients", "merge", b, a)
    try:
        assert exchange.exchange(study, patient=f"Patient/{b}").status_code == 200
    finally:
        exchange.gateway.prepare("patients", "unmerge", b)
    assert exchange.exchange(study, patient=f"Patient/{b}").status_code == 400


def test_t030c_expired_foreign_and_bound_subject_tokens(exchange: Retrieving) -> None:
    """What isn't an access token of the client's own that holds is no subject token, and looks like nonsense."""
    past = int(time.time()) - 10
    expired = exchange.signed_token(client_id="viewer", sub="viewer", iat=past - 300, exp=past)
    tokens = [expired, exchange.token, exchange.bound(COPIED)]
    answers = [exchange.exchange(f"{SOUTH}/studies/{COPIED}", subject_token=token) for token in tokens]

    assert {(one.status_code, one.content) for one in answers} == {(400, answers[0].content)}
    assert answers[0].json()["error"] == "invalid_request"


def test_t030c_actor_tokens(exchange: Retrieving) -> None:
    """Another client's actor token is no proof of the client; its own says nothing new, and is refused by name."""
    kind = {"actor_token_type": "urn:ietf:params:oauth:token-type:access_token"}
    resource = f"{SOUTH}/studies/{COPIED}"
    foreign = exchange.exchange(resource, actor_token=exchange.token, **kind)
    own = exchange.exchange(resource, actor_token=exchange.viewers_token, **kind)

    assert (foreign.status_code, foreign.json()) == (400, {"error": "invalid_client"})
    assert (own.status_code, own.json()["error"]) == (400, "invalid_request")


def test_only_clients_that_were_added_for_it_exchange(exchange: Retrieving) -> None:
    """`clients add --token-exchange`."""
    answer = exchange.exchange(f"{SOUTH}/studies/{COPIED}", client=exchange.client, subject_token=exchange.token)

    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


def test_t030c_a_barred_facility_is_an_oauth_error_that_tells_nothing(exchange: Retrieving) -> None:
    """IHE PCF: a refusal by consent comes of the token endpoint; a study that isn't there looks the same."""
    exchange.bar("a", "south")
    try:
        barred = exchange.exchange(f"{SOUTH}/studies/{COPIED}")
        absent = exchange.exchange(f"{SOUTH}/studies/2.25.404")
        of_patient = exchange.exchange(SOUTH, patient=identifier("a", "south"))
    finally:
        exchange.file_consent("a", barring())

    assert {(one.status_code, one.content) for one in (barred, absent, of_patient)} == {(400, absent.content)}
    assert absent.json()["error"] == "invalid_grant"
    refused = [one for one in exchange.audit() if one["kind"] == "token-refused"]
    assert any(d["facility"] == "south" and d["decision"] == "deny" for one in refused for d in one.get("decided", ()))


def test_t100_a_token_is_of_no_use_elsewhere(exchange: Retrieving) -> None:
    """Not at another member, not at the gateway, not for another study; and an ordinary token not at the facility."""
    token = exchange.bound(COPIED)

    assert exchange.validate("study", COPIED, token)["granted"] is True
    assert exchange.validate("study", SPLIT, token)["granted"] is False
    assert exchange.validate("study", COPIED, token, "north")["granted"] is False
    assert exchange.validate("study", COPIED, exchange.viewers_token)["granted"] is False
    at_gate = exchange.authorize(f"/studies/{COPIED}", token=token)
    assert (at_gate.status_code, 'error="invalid_token"' in at_gate.headers["WWW-Authenticate"]) == (401, True)
    assert exchange.get("/ImagingStudy", {"patient": "x"}, token=token).status_code == 401
    assert exchange.introspect(token, "north") == {"active": False}
    assert exchange.exchange(f"{SOUTH}/studies/{COPIED}", subject_token=token).status_code == 400


def test_a_gate_takes_bound_tokens_too(exchange: Retrieving) -> None:
    """For a viewer, which is better not given a token for everything."""
    token = exchange.bound(CT, "north")

    assert claims_of(token)["aud"] == link_of("north")
    assert exchange.authorize(f"/studies/{CT}", token=token).status_code == 204
    assert exchange.authorize(f"/studies/{COPIED}", token=token).status_code == 403


def test_introspection_is_decided_anew_and_each_facility_sees_its_own(exchange: Retrieving) -> None:
    """RFC 7662: active with its claims; what consent closes is inactive at once, and open again as it is filed."""
    token = exchange.bound(COPIED)
    told = exchange.introspect(token)

    assert told["active"] is True
    assert told["extensions"]["retrieval"]["studies"] == [COPIED]
    assert {name: told[name] for name in ("aud", "client_id", "exp", "patient", "scope")} == {
        name: claims_of(token)[name] for name in ("aud", "client_id", "exp", "patient", "scope")
    }
    exchange.bar("a", "south")
    assert exchange.introspect(token) == {"active": False}
    exchange.file_consent("a", barring())
    assert exchange.introspect(token)["active"] is True
    assert exchange.introspect("nonsense") == exchange.introspect(exchange.viewers_token) == {"active": False}
    bare = requests.post(f"{exchange.gateway.url}/oauth/introspect", data={"token": token}, timeout=10)
    assert bare.status_code == 401
    wrong = requests.post(
        f"{exchange.gateway.url}/oauth/introspect",
        data={"token": token},
        auth=("north", exchange.keys_of["south"]),
        timeout=10,
    )
    assert wrong.status_code == 401


def test_a_token_of_which_part_has_closed_is_told_without_it(exchange: Retrieving) -> None:
    """Of two studies, the one that is withheld since is not among those that it opens."""
    token = exchange.exchange(SOUTH, patient=identifier("a", "south")).json()["access_token"]
    deny = {"type": "deny", "data": [{"meaning": "instance", "reference": {"identifier": a_study(SPLIT)}}]}
    exchange.file_consent("a", {"type": "permit", "provision": [deny]})
    try:
        told = exchange.introspect(token)
    finally:
        exchange.file_consent("a", barring())

    assert told["extensions"]["retrieval"]["studies"] == [COPIED]
    assert SPLIT not in str(told["extensions"]["ihe_pcf"])


def a_study(uid: str) -> dict[str, str]:
    """How a consent names a study."""
    return {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}


def test_a_revoked_token_takes_what_it_was_exchanged_for_with_it(exchange: Retrieving) -> None:
    """RFC 7009 at the gateway reaches tokens at facilities."""
    subject = exchange.viewers_token
    token = exchange.exchange(f"{SOUTH}/studies/{COPIED}", subject_token=subject).json()["access_token"]
    assert exchange.introspect(token)["active"] is True

    revoked = requests.post(
        f"{exchange.gateway.url}/oauth/revoke",
        data={
            "token": subject,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": exchange.viewer.assertion(exchange.gateway),
        },
        timeout=10,
    )
    assert revoked.status_code == 200
    time.sleep(1.1)
    assert exchange.introspect(token) == {"active": False}
    assert exchange.validate("study", COPIED, token)["granted"] is False


def test_clients_are_given_the_address_that_fits_them(exchange: Retrieving) -> None:
    """Contract §10: the viewer south's own address, which it exchanges its token for; north's gate for everybody."""
    with_token = {"token": exchange.viewers_token}
    for options, south in ((with_token, SOUTH), ({}, SOUTH)):
        read = exchange.get("/Endpoint/south", **options).json()
        assert (read["address"], "extension" in read) == (south, False)
        assert exchange.get("/Endpoint/north", **options).json()["address"] == "https://gate.north.example/dicom-web"
    bundle = exchange.search("a", "north", _include="ImagingStudy:endpoint")
    addresses = {one["id"]: one["address"] for one in resources(bundle, "include")}
    assert addresses["north"] == "https://gate.north.example/dicom-web"


def test_every_issued_token_is_on_record_with_its_decision(exchange: Retrieving) -> None:
    """Who, for whom, at which facility, for which study, on which consent; never the token."""
    token = exchange.bound(COPIED)
    (record,) = [one for one in exchange.audit() if ["jti", claims_of(token)["jti"]] in one.get("details", [])]

    assert (record["kind"], record["outcome"]) == ("token-issued", "success")
    assert record["patient"] == exchange.person_id("a", "north")
    assert ["facility", "south"] in record["details"]
    assert ["study", COPIED] in record["details"]
    assert [d["decision"] for d in record["decided"]] == ["permit"]
    assert token not in str(exchange.audit())


def test_a_disabled_client_exchanges_nothing_and_its_bound_tokens_end(exchange: Retrieving) -> None:
    """They end with it."""
    client = add_client(exchange.gateway, "other", token_exchange="yes")
    subject = client.token(exchange.gateway)
    token = exchange.exchange(f"{SOUTH}/studies/{COPIED}", client=client, subject_token=subject).json()["access_token"]
    assert exchange.introspect(token)["active"] is True

    exchange.gateway.prepare("clients", "disable", "other")
    time.sleep(1.1)
    assert exchange.introspect(token) == {"active": False}
