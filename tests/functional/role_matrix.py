"""Every caller there is, in one exchange: what each gets at each route, in the words of `docs/reference/roles.md`."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from gateway.adapters.registry import FacilityRegistry
from gateway.auth.facility_keys import FacilityKeys
from gateway.auth.people import STAFF, Role
from gateway.model import ClientID, FacilityID
from tests.factories import a_facility
from tests.factories_auth import a_client, an_access_token
from tests.factories_consent import a_resource
from tests.functional.app_exchange import AppExchange
from tests.functional.people_app import Browser
from tests.functional.people_tokens import (
    PATIENT_SCOPES,
    SYSTEM_SCOPES,
    USER_SCOPES,
    delegate,
    register_apps,
    token_for,
)

PAGE = Path(__file__).parents[2] / "docs/reference/roles.md"
CALLERS = (
    *(
        "nobody",
        "client system",
        "identity feed",
        "patient",
        "delegate",
        "clinician",
        "facility administrator",
        "HIE administrator",
    ),
    *("privacy officer", "auditor", "facility"),
)
_ROW = re.compile(r"^\| `([A-Z, ]+) (/\S*)` \|(.+)\|$", re.MULTILINE)
_FILLED = {
    "Patient": "{person}",
    "kind": "view",
    "name": "gateway.css",
    "version": "1",
    "rest": "Nothing",
    "word": "made-up",
}
REFUSALS = ("anything_else", "whole_system", "refuse")
"""Views that only say that something isn't done: whoever may come in is told so (405 or 404)."""
WITH_EVERYTHING = {"GATEWAY_OIDC_ISSUER": "http://127.0.0.1:9", "GATEWAY_OIDC_CLIENT_ID": "gateway"}
"""Settings by which every route there is is served."""
Answers = Mapping[str, str]


def _parameters(name: str, reference: str) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": name, "valueReference": {"reference": reference}}]}


def page_rows() -> dict[tuple[str, str], Answers]:
    """What the page says: by methods and route, each caller's answer."""
    found = {}
    for methods, rule, cells in _ROW.findall(PAGE.read_text()):
        words = [cell.strip() for cell in cells.split("|")]
        assert len(words) == len(CALLERS), (methods, rule)
        assert (methods, rule) not in found, "a route stands twice"
        found[methods, rule] = dict(zip(CALLERS, words, strict=True))
    return found


def routes_of(app: Flask) -> dict[tuple[str, str], list[Rule]]:
    """Every route that leads to more than a refusal, by methods and path as the page writes them."""
    found: dict[tuple[str, str], list[Rule]] = {}
    for rule in app.url_map.iter_rules():
        if rule.endpoint.rpartition(".")[2].startswith(REFUSALS):
            continue
        methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        found.setdefault((", ".join(methods), str(rule.rule)), []).append(rule)
    return found


class Everybody:
    """One of each caller, with all that such a caller can hold: a token with every scope, a session, a key."""

    def __init__(self, exchange: AppExchange) -> None:
        self.exchange = exchange
        register_apps(exchange)
        self.person = exchange.add_person("ann")
        child = exchange.add_person("ben")
        exchange.add("ann", Role.PATIENT, patient=self.person)
        delegate(exchange, exchange.add("dee", Role.DELEGATE), child)
        exchange.add("doc", Role.CLINICIAN, subject_id="npi|7")
        feed = a_client(id=ClientID("feed"), scopes=("system/Patient.cud",), facility=FacilityID("north"))
        exchange.registry.save(feed, exchange.clock())
        self._about = {"delegate": child}
        keys = exchange.house.keys
        self._tokens = {
            "client system": an_access_token(keys, exchange.base, scope=" ".join(SYSTEM_SCOPES)),
            "identity feed": an_access_token(
                keys, exchange.base, client_id="feed", sub="feed", scope="system/Patient.cud"
            ),
            "patient": token_for(exchange, "ann", PATIENT_SCOPES),
            "delegate": token_for(exchange, "dee", PATIENT_SCOPES),
            "clinician": token_for(exchange, "doc", USER_SCOPES),
        }
        self._logins = {"patient": "ann", "delegate": "dee", "clinician": "doc"}
        for role in STAFF:
            login = f"staff-{role}"
            exchange.add(login, role, totp=True, facility=FacilityID("north"))
            self._logins[str(role).replace("-", " ").replace("hie", "HIE")] = login
        self._browsers: dict[str, Browser] = {}
        self._coded: set[str] = set()
        self._form_tokens: dict[str, str] = {}
        FacilityRegistry(exchange.engine, keys).apply([a_facility("north")], now=exchange.clock())
        self._facility_key = FacilityKeys(exchange.engine, keys).make(FacilityID("north"), exchange.clock())

    def answer(self, caller: str, method: str, rule: str) -> str:
        """What the caller gets there: `yes`, `sign in`, or the status of a refusal of who they are."""
        told = self.sent(caller, method, rule)
        if told.status_code == 303 and (told.location or "").startswith("/signin?"):
            return "sign in"
        return str(told.status_code) if told.status_code in (401, 403) else "yes"

    def sent(self, caller: str, method: str, rule: str) -> TestResponse:
        """The answer to what the caller asks there, so that it would be done for who may do it."""
        about = self._about.get(caller, self.person)
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: self._filled(rule, found[1], about), rule)
        headers = {}
        if caller in self._tokens:
            headers["Authorization"] = f"Bearer {self._tokens[caller]}"
        if caller == "facility":
            headers["X-Facility-Key"] = self._facility_key
        browser = self._browser(caller)
        if not rule.startswith("/fhir/"):
            form = {"csrf_token": self._form_token(caller), "study": "x", "facility": "x"} if method == "POST" else None
            if rule == "/signout":
                del self._browsers[caller], self._form_tokens[caller]
            query = {"study": "x"} if rule == "/retrieval/view" else {}
            return browser.client.open(path, method=method, query_string=query, data=form, headers=headers)
        query, body = self._question(method, rule, about)
        if method == "GET":
            return browser.client.get(path, query_string=query, headers=headers)
        if rule.endswith("_search"):
            return browser.client.open(path, method=method, data=query, headers=headers)
        headers["Content-Type"] = "application/fhir+json"
        return browser.client.open(path, method=method, query_string=query, data=json.dumps(body), headers=headers)

    def _form_token(self, caller: str) -> str:
        if caller not in self._form_tokens:
            self._form_tokens[caller] = self._browser(caller).token("/signin")
        return self._form_tokens[caller]

    def _question(self, method: str, rule: str, about: str) -> tuple[dict[str, str], dict[str, Any]]:
        """Parameters and a body by which the route would do what it is for."""
        known = {"system": a_facility("north").identifier_system, "value": "7"}
        if rule.endswith("$ihe-pix"):
            own = f"{self.exchange.base}/fhir/r4"
            said = [{"name": "sourceIdentifier", "valueIdentifier": {"system": own, "value": f"Patient/{about}"}}]
            named = {"sourceIdentifier": f"{own}|Patient/{about}"} if method == "GET" else {}
            return named, {"resourceType": "Parameters", "parameter": said}
        if rule == "/fhir/r4/Patient" and method != "GET":
            record = {"resourceType": "Patient", "identifier": [known], "name": [{"family": "Example"}]}
            return {"identifier": f"{known['system']}|7"}, record
        if rule.endswith("$match"):
            return {}, {"resourceType": "Patient", "name": [{"family": "Example", "given": ["Ann"]}]}
        if rule.endswith("$who-may-answer"):
            return {}, _parameters("patient", f"Patient/{about}")
        if rule == "/fhir/r4/Consent/$revokeConsent":
            return {}, _parameters("consent", "Consent/x")
        if "/Consent" in rule and method != "GET":
            return {}, a_resource(id="x", patient={"reference": f"Patient/{about}"}, performer=[{"reference": "x/1"}])
        return {"patient": about}, {}

    def _filled(self, rule: str, name: str, about: str) -> str:
        return about if "/Patient/<" in rule and name == "id_" else _FILLED.get(name, "x")

    def _browser(self, caller: str) -> Browser:
        found = self._browsers.get(caller)
        if found is None:
            found = self._browsers[caller] = self.exchange.browser()
            login = self._logins.get(caller)
            if login is not None and login.startswith("staff-"):
                if login in self._coded:
                    self.exchange.clock.advance(seconds=30)  # a code counts once
                self._coded.add(login)
                found.sign_in(login)
                assert found.submit("/signin/second", code=self.exchange.code()).status_code == 303
            elif login is not None:
                assert found.sign_in(login).status_code == 303
        return found


def as_page(answers: Mapping[tuple[str, str], Answers]) -> Iterator[str]:
    """The rows of the page."""
    for (methods, rule), by_caller in sorted(answers.items(), key=lambda item: (item[0][1], item[0][0])):
        yield f"| `{methods} {rule}` | " + " | ".join(by_caller[caller] for caller in CALLERS) + " |"
