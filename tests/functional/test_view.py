"""`/retrieval/view`: somebody signs in and opens one study in the viewer, which is given a token for nothing else."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests import canary
from tests.functional.retrieval_exchange import COPIED, CT, OF_B, SPLIT, Retrieving
from tests.functional.small_exchange import barring, identifier, resources, uid_of
from tests.services.person import PASSWORD, PersonsBrowser, add_user

VIEWER = "https://viewer.example"
GATE = "https://gate.north.example/dicom-web"


@pytest.fixture(scope="module")
def exchange() -> Iterator[Retrieving]:
    """With a viewer, a clinician, the patient `a`, and a delegate who acts for nobody."""
    made = Retrieving.of_gates(GATEWAY_VIEWER_CLIENT="viewer")
    made.gateway.prepare(
        *("clients", "add", "viewer", "--name", "Viewer", "--organization", "https://viewer.example", "--app"),
        *("--public", "--redirect-uri", f"{VIEWER}/", "--launch-url", f"{VIEWER}/viewer", "--purpose", "TREAT"),
        *("--scope", "patient/ImagingStudy.rs user/ImagingStudy.rs"),
    )
    add_user(made.gateway, "doc", "clinician", "--subject-id", "urn:oid:2.25.7")
    add_user(made.gateway, "pat", "patient", "--patient", identifier("a", "north"), "--proof", "passport seen")
    add_user(made.gateway, "del", "delegate")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def ids(exchange: Retrieving) -> dict[str, str]:
    """The id of each study, by UID."""
    found = [study for name in ("a", "b") for study in resources(exchange.search(name, "north"))]
    return {uid_of(study): study["id"] for study in found}


@pytest.fixture(scope="module")
def doc(exchange: Retrieving) -> Iterator[PersonsBrowser]:
    """The clinician, signed in."""
    with closing(PersonsBrowser(exchange.gateway)) as browser:
        assert browser.sign_in("doc").status_code == 303
        yield browser


@pytest.fixture(scope="module")
def pat(exchange: Retrieving) -> Iterator[PersonsBrowser]:
    """The patient `a`, signed in."""
    with closing(PersonsBrowser(exchange.gateway)) as browser:
        assert browser.sign_in("pat").status_code == 303
        yield browser


def begin(browser: PersonsBrowser, study: str, facility: str = "north") -> requests.Response:
    """The answer to the button."""
    return browser.submit(f"/retrieval/view?study={study}", "/retrieval/view/open", study=study, facility=facility)


def code_of(answer: requests.Response) -> str:
    """The code behind the `#` of the address that the button leads to."""
    assert answer.status_code == 303, answer.text
    return parse_qs(urlsplit(answer.headers["Location"]).fragment)["code"][0]


def redeem(exchange: Retrieving, code: str, **headers: str) -> requests.Response:
    """What the viewer's page is told."""
    answer = requests.post(
        f"{exchange.gateway.url}/retrieval/view/token", data={"code": code}, headers=headers, timeout=30
    )
    if not answer.ok:
        canary.record(answer.text, "a refusal of the viewer")
    return answer


def test_who_has_not_signed_in_is_led_there_and_back(exchange: Retrieving, ids: dict[str, str]) -> None:
    """`next` is the link itself; after signing in the page is there."""
    link = f"/retrieval/view?study={ids[CT]}"
    with closing(PersonsBrowser(exchange.gateway)) as browser:
        away = browser.get(link)
        assert away.status_code == 303
        assert urlsplit(away.headers["Location"]).path == "/signin"
        (following,) = parse_qs(urlsplit(away.headers["Location"]).query)["next"]
        back = browser.sign_in("doc", next=following)
        assert back.headers["Location"].endswith(link)
        assert browser.get(link).status_code == 200


def test_the_page_tells_of_the_study_and_where_it_is_held(doc: PersonsBrowser, ids: dict[str, str]) -> None:
    """A button a facility that can be opened from here; no script, and forms lead to the viewer alone."""
    page = doc.get(f"/retrieval/view?study={ids[COPIED]}")

    assert page.status_code == 200
    assert page.text.count("Open the images of") == 2
    assert "North Hospital" in page.text
    assert f"{canary.GIVEN} {canary.FAMILY}, born" in page.text
    policy = page.headers["Content-Security-Policy"]
    assert f"form-action 'self' {VIEWER}" in policy
    assert "default-src 'none'" in policy
    assert page.headers["Cache-Control"] == "no-store"


def test_the_viewer_is_given_a_token_for_that_study_alone(
    exchange: Retrieving, doc: PersonsBrowser, ids: dict[str, str]
) -> None:
    """At that facility, for minutes; not for another study of the same patient, and not at the gateway."""
    answer = begin(doc, ids[CT])
    where = urlsplit(answer.headers["Location"])
    assert (f"{where.scheme}://{where.netloc}", where.path, where.query) == (VIEWER, "/viewer", "")
    assert parse_qs(where.fragment)["study"] == [CT]

    told = redeem(exchange, code_of(answer)).json()
    assert (told["address"], told["study"], told["token_type"]) == (GATE, CT, "Bearer")
    assert 0 < told["expires_in"] <= 300
    token = told["access_token"]
    assert exchange.authorize(f"/studies/{CT}", token=token).status_code == 204
    assert exchange.authorize(f"/studies/{CT}/series/{CT}.1/instances/1.2/frames/1", token=token).status_code == 204
    assert exchange.authorize(f"/studies/{COPIED}", token=token).status_code == 403
    assert exchange.authorize(f"/studies/{OF_B}", token=token).status_code == 403
    assert exchange.authorize(f"/studies/{COPIED}", token=token, facility="south").status_code in (401, 403)
    assert exchange.get(f"/ImagingStudy/{ids[CT]}", token=token).status_code == 401


def test_a_code_is_good_once_and_brings_the_next(
    exchange: Retrieving, doc: PersonsBrowser, ids: dict[str, str]
) -> None:
    """Whatever is wrong with a code, the answer is the same."""
    code = code_of(begin(doc, ids[CT]))
    first = redeem(exchange, code).json()
    second = redeem(exchange, first["code"]).json()
    assert second["access_token"] != first["access_token"]
    refusals = [redeem(exchange, one) for one in (code, first["code"], "", "x" * 200, "unknown", "\x00")]
    assert {(one.status_code, one.text) for one in refusals} == {(400, '{"error":"invalid_grant"}')}
    assert {one.headers["Cache-Control"] for one in refusals} == {"no-store"}


def test_a_code_that_two_bring_at_once_is_good_for_one(
    exchange: Retrieving, doc: PersonsBrowser, ids: dict[str, str]
) -> None:
    """In parallel, too; and what that one got is of no further use."""
    code, before = code_of(begin(doc, ids[CT])), len(_alerts(exchange))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: redeem(exchange, code), range(8)))
    assert sorted(one.status_code for one in answers) == [200] + [400] * 7
    (told,) = [one.json() for one in answers if one.ok]
    assert redeem(exchange, told["code"]).status_code == 400
    assert len(_alerts(exchange)) == before + 1


def test_t023_a_code_that_comes_twice_ends_all_that_came_of_it(
    exchange: Retrieving, doc: PersonsBrowser, ids: dict[str, str]
) -> None:
    """Whoever used it first: the codes that followed and their tokens are of no use, which is an alert, once.

    What the same person has opened besides goes on.
    """
    code, besides = code_of(begin(doc, ids[CT])), redeem(exchange, code_of(begin(doc, ids[CT]))).json()
    first = redeem(exchange, code).json()
    second = redeem(exchange, first["code"]).json()
    before = len(_alerts(exchange))
    assert exchange.authorize(f"/studies/{CT}", token=second["access_token"]).status_code == 204

    assert [redeem(exchange, one).status_code for one in (code, second["code"], code, first["code"])] == [400] * 4
    time.sleep(1.1)  # what has ended is known to every process within a second
    for told in (first, second):
        assert exchange.authorize(f"/studies/{CT}", token=told["access_token"]).status_code == 401
    assert exchange.authorize(f"/studies/{CT}", token=besides["access_token"]).status_code == 204
    assert redeem(exchange, besides["code"]).status_code == 200
    (alert,) = _alerts(exchange)[before:]
    assert alert["reason"] == "a code of the viewer came twice: what came of it has ended"
    assert (alert["who"]["subject_id"], alert["patient"]) == ("urn:oid:2.25.7", exchange.person_id("a", "north"))
    assert ["study", CT] in alert["details"]
    assert code not in str(alert)


def _alerts(exchange: Retrieving) -> list[dict[str, Any]]:
    return [one for one in exchange.audit() if one["kind"] == "alert" and "viewer" in one["reason"]]


def test_signing_out_ends_what_the_viewer_can_renew(exchange: Retrieving, ids: dict[str, str]) -> None:
    """The code that it holds does not outlive the session."""
    with closing(PersonsBrowser(exchange.gateway)) as browser:
        browser.sign_in("doc")
        told = redeem(exchange, code_of(begin(browser, ids[CT]))).json()
        unused = code_of(begin(browser, ids[CT]))
        browser.sign_out()
        assert redeem(exchange, told["code"]).status_code == 400
        assert redeem(exchange, unused).status_code == 400


def test_t133_a_revocation_closes_the_viewer_at_once(
    exchange: Retrieving, doc: PersonsBrowser, ids: dict[str, str]
) -> None:
    """The next image is refused at the gate, no further token is given, and the link finds nothing any more."""
    told = redeem(exchange, code_of(begin(doc, ids[CT]))).json()
    token = told["access_token"]
    assert exchange.authorize(f"/studies/{CT}", token=token).status_code == 204
    exchange.bar("a", "north")

    assert exchange.authorize(f"/studies/{CT}", token=token).status_code == 403
    assert redeem(exchange, told["code"]).status_code == 400
    gone, never = (doc.get(f"/retrieval/view?study={study}") for study in (ids[CT], "0" * 32))
    assert (gone.status_code, never.status_code) == (404, 404)

    exchange.file_consent("a", barring())
    assert exchange.authorize(f"/studies/{CT}", token=token).status_code == 204


def test_a_patient_opens_their_own_studies_and_nobody_elses(
    exchange: Retrieving, pat: PersonsBrowser, ids: dict[str, str]
) -> None:
    """Another's is not there, like one that never was."""
    token = redeem(exchange, code_of(begin(pat, ids[CT]))).json()["access_token"]
    assert exchange.authorize(f"/studies/{CT}", token=token).status_code == 204
    others = pat.get(f"/retrieval/view?study={ids[OF_B]}")
    absent = pat.get(f"/retrieval/view?study={'0' * 32}")
    assert (others.status_code, absent.status_code) == (404, 404)
    assert _without_ids(others.text) == _without_ids(absent.text)


def _without_ids(text: str) -> list[str]:
    return [line for line in text.splitlines() if "csrf_token" not in line and "give this number" not in line]


def test_what_is_permitted_in_part_opens_by_series(
    exchange: Retrieving, doc: PersonsBrowser, ids: dict[str, str]
) -> None:
    """South's part is barred: north's series open, the whole of the study doesn't."""
    exchange.bar("a", "south")
    try:
        token = redeem(exchange, code_of(begin(doc, ids[SPLIT]))).json()["access_token"]
        assert exchange.authorize(f"/studies/{SPLIT}/series/{SPLIT}.1", token=token).status_code == 204
        assert begin(doc, ids[SPLIT], "south").status_code == 404
    finally:
        exchange.file_consent("a", barring())


def test_an_account_that_looks_at_no_images_is_refused(exchange: Retrieving, ids: dict[str, str]) -> None:
    """And so is a form that is not ours, whoever sends it."""
    with closing(PersonsBrowser(exchange.gateway)) as browser:
        browser.sign_in("del")
        assert browser.get(f"/retrieval/view?study={ids[CT]}").status_code == 403
    with closing(PersonsBrowser(exchange.gateway)) as browser:
        browser.sign_in("doc")
        assert browser.post("/retrieval/view/open", study=ids[CT], facility="north").status_code == 403


@pytest.mark.parametrize("query", ["", "?study=", "?study=1&study=2", "?study=%00", f"?study={'a' * 4000}"])
def test_what_names_no_study_is_refused(doc: PersonsBrowser, query: str) -> None:
    """As a page, without repeating it."""
    answer = doc.get(f"/retrieval/view{query}")
    assert answer.status_code in (400, 404)
    assert "aaaa" not in answer.text


def test_a_facility_with_its_own_way_in_is_named_and_not_opened(
    exchange: Retrieving, doc: PersonsBrowser, ids: dict[str, str]
) -> None:
    """East gives no images to tokens of the exchange."""
    page = doc.get(f"/retrieval/view?study={ids['2.25.50']}")
    assert page.status_code == 200
    assert "own viewer only" in page.text
    assert "Open the images" not in page.text


def test_t123_only_the_viewers_page_reads_tokens(
    exchange: Retrieving, doc: PersonsBrowser, ids: dict[str, str]
) -> None:
    """Its origin is named, without credentials; an app's origin reads nothing here."""
    told = redeem(exchange, code_of(begin(doc, ids[CT])), Origin=VIEWER)
    assert told.headers["Access-Control-Allow-Origin"] == VIEWER
    assert "Access-Control-Allow-Credentials" not in told.headers
    for origin in ("https://evil.example", "null", f"{VIEWER}.evil.com"):
        assert "Access-Control-Allow-Origin" not in redeem(exchange, "x", Origin=origin).headers
    page = requests.get(f"{exchange.gateway.url}/retrieval/view", headers={"Origin": VIEWER}, timeout=10)
    assert "Access-Control-Allow-Origin" not in page.headers


def test_codes_and_tokens_are_in_no_log(exchange: Retrieving, doc: PersonsBrowser, ids: dict[str, str]) -> None:
    """What is opened is on record, by whom and through what; what opens it is not."""
    code = code_of(begin(doc, ids[CT]))
    token = redeem(exchange, code).json()["access_token"]
    said = exchange.gateway.log()
    assert code not in said
    assert token not in said
    records = exchange.audit()
    issued = [one for one in records if one["kind"] == "token-issued" and one["who"].get("client_id") == "viewer"]
    assert issued[-1]["who"]["subject_id"] == "urn:oid:2.25.7"
    assert ["study", CT] in issued[-1]["details"]
    assert code not in str(records)
    assert PASSWORD not in str(records)


def test_a_viewer_that_is_disabled_opens_nothing(
    exchange: Retrieving, doc: PersonsBrowser, ids: dict[str, str]
) -> None:
    """Neither the page nor a code nor a token that it holds."""
    told = redeem(exchange, code_of(begin(doc, ids[CT]))).json()
    exchange.gateway.prepare("clients", "disable", "viewer")
    try:
        time.sleep(1.1)  # clients are known as of at most a second ago
        assert exchange.authorize(f"/studies/{CT}", token=told["access_token"]).status_code == 401
        assert redeem(exchange, told["code"]).status_code == 400
        assert doc.get(f"/retrieval/view?study={ids[CT]}").status_code == 404
    finally:
        exchange.gateway.prepare(
            *("clients", "add", "viewer", "--name", "Viewer", "--organization", "https://viewer.example", "--app"),
            *("--public", "--redirect-uri", f"{VIEWER}/", "--launch-url", f"{VIEWER}/viewer", "--purpose", "TREAT"),
            *("--scope", "patient/ImagingStudy.rs user/ImagingStudy.rs", "--enable"),
        )
