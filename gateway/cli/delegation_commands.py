"""`python -m gateway users delegate …`: who may act for a patient, on what basis, and until when."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from gateway.auth.accounts import StoredAccounts
from gateway.auth.delegation_store import Granted, StoredDelegations
from gateway.auth.delegations import BASES, PURPOSE_OF, PURPOSES, stands_until
from gateway.auth.people import Account, Role
from gateway.cli.context import Operator, print_json
from gateway.cli.patient_argument import patient_ref
from gateway.errors import LoadRefused
from gateway.model import PatientIdentity
from gateway.mpi.resolve import PatientIndex

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
_FOR = click.option("--for", "patient", required=True, metavar="ID", help="An id, Patient/ID or system|value.")


@click.command()
@click.argument("login")
@_FOR
@click.option("--until", required=True, metavar="DATE", help="The last day on which they may act, as YYYY-MM-DD.")
@click.option("--basis", required=True, type=click.Choice(BASES), help="A parent's ends when the child comes of age.")
@click.option(
    "--purpose", type=click.Choice(PURPOSES), help="What their acts are recorded under; by the basis if not given."
)
@click.option("--proof", required=True, metavar="WORDS", help="How the basis was proved.")
@_AS_JSON
def delegate(login: str, patient: str, until: str, basis: str, purpose: str | None, proof: str, as_json: bool) -> None:
    """Let LOGIN act for a patient until the end of a day."""
    with Operator() as operator:
        one = _account(operator, login)
        person = _person(operator, patient)
        if one.patient == person.id:
            raise LoadRefused(["nobody is their own delegate"])
        if not proof.strip():
            raise LoadRefused(["--proof: say how it was proved"])
        asked = Granted(
            id="",
            account_id=one.id,
            patient=person.id,
            basis=basis,  # type: ignore[arg-type]  # click lets no other through
            purpose=purpose or PURPOSE_OF[basis],  # type: ignore[index]
            proof=proof.strip(),
            granted_by=operator.name,
            granted_at=operator.now,
            until=_end_of(until, operator),
            revoked_at=None,
        )
        _require_standing(asked, person, operator)
        store = _delegations(operator)
        details = [
            *_named(one),
            ("basis", asked.basis),
            ("purpose", asked.purpose),
            ("until", until),
            ("proof", asked.proof),
        ]
        granted = store.grant(asked, operator.record_of("user delegation granted", patient=person.id, details=details))
        if Role.DELEGATE not in one.roles:
            accounts = StoredAccounts(operator.engine, operator.keys, operator.audit)
            record = operator.record_of("user changed", details=_named(one))
            accounts.change(one.id, {"roles": one.roles | {Role.DELEGATE}}, lambda _: record, operator.now)
        stands = any(held.id == granted.id for held in store.standing(one.id, operator.now))
    if not stands:
        click.echo("note: it does not stand while the account is disabled", err=True)
    if as_json:
        print_json({"outcome": "granted", "stands": stands, **_as_json(granted)})
    else:
        click.echo(f"{login} acts for Patient/{person.id} ({basis}) until {until}: {granted.id}")


@click.command()
@click.argument("delegation_id", metavar="ID")
@_AS_JSON
def undelegate(delegation_id: str, as_json: bool) -> None:
    """End the delegation ID (`users delegations` shows them): from the next request on, in every process."""
    with Operator() as operator:
        store = _delegations(operator)
        granted = store.find(delegation_id)
        if granted is None:
            raise LoadRefused(["there is no such delegation"])
        details = [("delegation", granted.id), ("account", granted.account_id)]
        record = operator.record_of("user delegation revoked", patient=granted.patient, details=details)
        ended = store.revoke(granted.id, record, operator.now)
    if as_json:
        print_json({"id": granted.id, "outcome": "revoked" if ended else "unchanged"})
    else:
        click.echo(f"delegation {granted.id} " + ("is revoked" if ended else "was revoked already"))


@click.command()
@click.option("--for", "patient", metavar="ID", help="For one patient: an id, Patient/ID or system|value.")
@click.option("--login", metavar="LOGIN", help="Of one account.")
@_AS_JSON
def delegations(patient: str | None, login: str | None, as_json: bool) -> None:
    """Who acts for a patient, or whom a user acts for; ended ones too."""
    with Operator() as operator:
        store = _delegations(operator)
        if (patient is None) == (login is None):
            raise LoadRefused(["--for or --login: one of the two"])
        if login is not None:
            found = store.of_account(_account(operator, login).id)
        else:
            found = store.of_patient(_person(operator, patient or "").id)
        accounts = StoredAccounts(operator.engine, operator.keys, operator.audit)
        logins = {one.account_id: held.login for one in found if (held := accounts.find(one.account_id))}
        standing = {held.id for one in logins for held in store.standing(one, operator.now)}
    if as_json:
        told = [{**_as_json(one), "login": logins.get(one.account_id), "stands": one.id in standing} for one in found]
        print_json(told)
        return
    for one in found:
        state = "stands" if one.id in standing else "revoked" if one.revoked_at else "does not stand"
        click.echo(f"{one.id}  {logins.get(one.account_id)} for Patient/{one.patient}  {one.basis}  {state}")
    if not found:
        click.echo("no delegations")


def _delegations(operator: Operator) -> StoredDelegations:
    resolve = PatientIndex(operator.engine, operator.keys).resolve
    settings = operator.settings
    return StoredDelegations(
        operator.engine,
        operator.keys,
        operator.audit,
        resolve,
        age=settings.age_of_majority,
        zone=ZoneInfo(settings.time_zone),
    )


def _account(operator: Operator, login: str) -> Account:
    found = StoredAccounts(operator.engine, operator.keys, operator.audit).find_login(login)
    if found is None:
        raise LoadRefused(["there is no user of that login"])
    return found


def _person(operator: Operator, text: str) -> PatientIdentity:
    found = PatientIndex(operator.engine, operator.keys).resolve(patient_ref(text))
    if found is None:
        raise LoadRefused(["patient not known"])
    return found


def _require_standing(asked: Granted, person: PatientIdentity, operator: Operator) -> None:
    """Raises LoadRefused where nobody could act by it."""
    born = [record.demographics.birth_date for record in person.records]
    settings = operator.settings
    age, zone = settings.age_of_majority, ZoneInfo(settings.time_zone)
    if stands_until(asked.basis, asked.until, born, operator.now, age=age, zone=zone) is None:
        raise LoadRefused(
            ["--basis: nobody acts as a parent for who is of age, or of whom no record states a birth date"]
        )


def _end_of(text: str, operator: Operator) -> datetime:
    try:
        following = date.fromisoformat(text) + timedelta(days=1)
        end = datetime.combine(following, time(), ZoneInfo(operator.settings.time_zone)).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise LoadRefused(["--until: a day, as YYYY-MM-DD"]) from exc
    if end <= operator.now:
        raise LoadRefused(["--until: the day is over"])
    return end


def _named(one: Account) -> list[tuple[str, str]]:
    return [("account", one.id), ("login", one.login)]


def _as_json(one: Granted) -> dict[str, Any]:
    return {
        "id": one.id,
        "patient": one.patient,
        "basis": one.basis,
        "purpose": one.purpose,
        "proof": one.proof,
        "grantedBy": one.granted_by,
        "grantedAt": one.granted_at,
        "until": one.until,
        "revokedAt": one.revoked_at,
    }
