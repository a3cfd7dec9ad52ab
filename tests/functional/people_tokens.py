"""People with apps: what a patient, a delegate and a clinician are handed by an app that asks for all it may."""

import re
from datetime import timedelta

from gateway.auth.delegation_store import Granted
from gateway.auth.delegations import Basis
from gateway.auth.people import Account
from gateway.model import ClientID, PatientID
from tests.factories_auth import a_client
from tests.functional.app_exchange import AppExchange, an_app, answered

EVERYTHING = "Consent.cruds Patient.cruds ImagingStudy.cruds AuditEvent.cruds"
PATIENT_SCOPES = "launch/patient " + " ".join(f"patient/{scope}" for scope in EVERYTHING.split())
USER_SCOPES = " ".join(f"user/{scope}" for scope in EVERYTHING.split())
SYSTEM_SCOPES = tuple(f"system/{scope}" for scope in EVERYTHING.split())
_RADIO = re.compile(r'type="radio" name="as" value="([^"]+)"')


def register_apps(exchange: AppExchange) -> None:
    """`all` is an app that is registered for everything an app can be, `ehr` a system that is."""
    scopes = tuple(f"{PATIENT_SCOPES} {USER_SCOPES}".split())
    app = an_app(id=ClientID("all"), name="Everything", scopes=scopes, purposes=("TREAT",))
    exchange.registry.save(app, exchange.clock())
    exchange.registry.save(a_client(scopes=SYSTEM_SCOPES), exchange.clock())


def delegate(
    exchange: AppExchange, account: Account, patient: PatientID, basis: Basis = "guardian", days: int = 30
) -> Granted:
    """The account may act for the patient."""
    now = exchange.clock()
    granted = Granted(
        id="",
        account_id=account.id,
        patient=patient,
        basis=basis,
        purpose="FAMRQT",
        proof="court order 7",
        granted_by="tests",
        granted_at=now,
        until=now + timedelta(days=days),
        revoked_at=None,
    )
    return exchange.people.delegations.grant(granted, exchange.noted(account))


def token_for(exchange: AppExchange, login: str, scope: str, capacity: str | None = None) -> str:
    """What the app `all` is handed for that person, who allows everything; `capacity` is the choice they make."""
    browser = exchange.signed_in(login)
    page = exchange.ask(browser, client_id="all", scope=scope)
    assert page.status_code == 200, page.text
    chosen = {} if capacity is None else {"as": next(key for key in _RADIO.findall(page.text) if capacity in key)}
    code = answered(exchange.decide(browser, page, **chosen))["code"]
    issued = exchange.redeem(code, client_id="all")
    assert issued.status_code == 200, issued.text
    token: str = issued.get_json()["access_token"]
    return token
