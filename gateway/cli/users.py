"""`python -m gateway users`: the accounts of people, what they may be, and whom they are or act for."""

import re
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import click

from gateway.adapters.registry import FacilityRegistry
from gateway.audit.record import AuditRecord
from gateway.auth import passwords
from gateway.auth.accounts import StoredAccounts
from gateway.auth.challenges import StoredChallenges
from gateway.auth.people import STAFF, Account, Role
from gateway.auth.second_factors import StoredFactors
from gateway.cli.context import Operator, print_json
from gateway.cli.delegation_commands import delegate, delegations, undelegate
from gateway.cli.patient_argument import patient_ref
from gateway.errors import LoadRefused
from gateway.model import FacilityID, PatientID
from gateway.mpi.resolve import PatientIndex

LINK_LASTS = timedelta(hours=24)
_LOGIN = re.compile(r"[\w][\w.@+-]{1,126}[\w]")
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
_ROLE = click.option(
    "--role", "roles", multiple=True, type=click.Choice([role.value for role in Role]), help="May be repeated."
)
_NEEDS_A_FACILITY = frozenset((Role.FACILITY_ADMINISTRATOR,))


@click.group(name="users")
def command() -> None:
    """People who sign in: their accounts, roles, and whom they are or act for."""


command.add_command(delegate)
command.add_command(undelegate)
command.add_command(delegations)


@command.command()
@click.argument("login")
@click.option("--name", required=True, help="What people call them.")
@_ROLE
@click.option("--patient", metavar="ID", help="The person of the index that they are: an id, Patient/ID, system|value.")
@click.option("--proof", metavar="WORDS", help="How it was proved that they are that person.")
@click.option("--facility", metavar="ID", help="The facility that they belong to.")
@click.option("--subject-id", metavar="URI", help="What consents and audits know a clinician by.")
@click.option("--subject-role", metavar="WORD", help="Their role at work, as consents and audits say it.")
@click.option("--password-stdin", is_flag=True, help="Their first password is the first line of standard input.")
@_AS_JSON
def add(login: str, password_stdin: bool, as_json: bool, **given: Any) -> None:
    """Make an account for LOGIN, with a link by which its owner sets a password. The link is shown this once."""
    with Operator() as operator:
        draft, problems = _drafted(login, given, operator)
        password = sys.stdin.readline().rstrip("\n") if password_stdin else None
        if password is not None and (weak := passwords.problem_with(password, login=login, name=given["name"])):
            problems.append(f"the password: {weak}")
        accounts = open_accounts(operator)
        if accounts.find_login(login) is not None:
            problems.append("there is an account of that login already")
        if problems:
            raise LoadRefused(problems)
        details = [("proof", given["proof"].strip())] if given["proof"] else []
        made = accounts.add(draft, noting(operator, "user added", details), operator.now)
        link = None
        if password is None:
            link = _link(operator, made)
        else:
            hashed = passwords.hash_of(password)
            accounts.set_password(made.id, hashed, noting(operator, "user password set"), operator.now)
    _tell(made, "added", link, as_json)


@command.command(name="list")
@_AS_JSON
def list_(as_json: bool) -> None:
    """Every account: who, in which roles, and whether it is open."""
    with Operator() as operator:
        found = open_accounts(operator).all()
        factors = StoredFactors(operator.engine, operator.keys, operator.audit)
        secured = {one.id for one in found if factors.has_any(one.id)}
    if as_json:
        print_json([{**_as_json(one), "secondFactor": one.id in secured} for one in found])
        return
    for one in found:
        state = "" if one.enabled else "  DISABLED"
        owes = "  has no second factor yet" if one.roles & STAFF and one.id not in secured else ""
        click.echo(f"{one.login}  {one.name}  {', '.join(sorted(one.roles)) or 'no role'}{state}{owes}")
        bound = [f"Patient/{one.patient}" if one.patient else "", one.facility or "", one.subject_id or ""]
        if any(bound):
            click.echo("    " + "  ".join(word for word in bound if word))
    if not found:
        click.echo("no users")


@command.command()
@click.argument("login")
@click.option("--name", help="What people call them.")
@_ROLE
@click.option("--facility", metavar="ID", help="The facility that they belong to; empty for none.")
@click.option("--subject-id", metavar="URI", help="What consents and audits know a clinician by; empty for none.")
@click.option("--subject-role", metavar="WORD", help="Their role at work; empty for none.")
@_AS_JSON
def change(login: str, as_json: bool, **given: Any) -> None:
    """Change what is said of LOGIN. Roles that are given replace those there were, save patient and delegate."""
    with Operator() as operator:
        before = require_account(operator, login)
        given_words = {name: word for name, word in given.items() if word is not None and name != "roles"}
        changes: dict[str, Any] = {name: word or None for name, word in given_words.items()}
        if given["roles"]:
            kept = before.roles & {Role.PATIENT, Role.DELEGATE}
            changes["roles"] = kept | frozenset(Role(role) for role in given["roles"])
        if changes.get("name", before.name) is None:
            raise LoadRefused(["--name: 1 to 200 printable characters"])
        problems = _problems(replace(before, **changes), operator)
        if problems or not changes:
            raise LoadRefused(problems or ["nothing to change was given"])
        after = open_accounts(operator).change(before.id, changes, noting(operator, "user changed"), operator.now)
    _tell(after, "changed", None, as_json)


@command.command()
@click.argument("login")
@_AS_JSON
def disable(login: str, as_json: bool) -> None:
    """Let nobody sign in as LOGIN, and end the sessions there are: in every process, at once."""
    with Operator() as operator:
        one = require_account(operator, login)
        after = open_accounts(operator).disable(one.id, noting(operator, "user disabled"), operator.now)
    _tell(after, "disabled", None, as_json)


@command.command()
@click.argument("login")
@_AS_JSON
def enable(login: str, as_json: bool) -> None:
    """Let LOGIN sign in again."""
    with Operator() as operator:
        one = require_account(operator, login)
        after = open_accounts(operator).enable(one.id, noting(operator, "user enabled"), operator.now)
    _tell(after, "enabled", None, as_json)


@command.command()
@click.argument("login")
@click.option("--patient", required=True, metavar="ID", help="An id, Patient/ID or system|value.")
@click.option("--proof", required=True, metavar="WORDS", help="How it was proved that they are that person.")
@_AS_JSON
def bind(login: str, patient: str, proof: str, as_json: bool) -> None:
    """Say which person of the index LOGIN is. It is then a patient's account, for that person alone."""
    with Operator() as operator:
        one = require_account(operator, login)
        person = require_person(operator, patient)
        if one.patient not in (None, person):
            raise LoadRefused(["the account is another person's: unbind it first"])
        if not proof.strip():
            raise LoadRefused(["--proof: say how it was proved"])
        changes = {"patient": person, "roles": one.roles | {Role.PATIENT}}
        noted = noting(operator, "user bound", [("proof", proof.strip())])
        after = open_accounts(operator).change(one.id, changes, noted, operator.now)
    _tell(after, "bound", None, as_json)


@command.command()
@click.argument("login")
@_AS_JSON
def unbind(login: str, as_json: bool) -> None:
    """Say that LOGIN is no patient of the index."""
    with Operator() as operator:
        one = require_account(operator, login)
        if one.patient is None:
            raise LoadRefused(["the account is bound to nobody"])
        changes = {"patient": None, "roles": one.roles - {Role.PATIENT}}
        noted = noting(operator, "user unbound", [("was", f"Patient/{one.patient}")])
        after = open_accounts(operator).change(one.id, changes, noted, operator.now)
    _tell(after, "unbound", None, as_json)


@command.command()
@click.argument("login")
@click.option("--second-factors", is_flag=True, help="Also remove every second factor: its owner has lost them.")
@_AS_JSON
def reset(login: str, second_factors: bool, as_json: bool) -> None:
    """A new link by which LOGIN sets a password, shown this once; the old password holds until then."""
    with Operator() as operator:
        one = require_account(operator, login)
        if not one.enabled:
            raise LoadRefused(["the account is disabled"])
        if second_factors:
            factors = StoredFactors(operator.engine, operator.keys, operator.audit)
            factors.remove_all(
                one.id, operator.record_of("user second factors removed", details=_named(one)), operator.now
            )
        operator.note("user reset", details=_named(one))
        link = _link(operator, one)
    _tell(one, "reset", link, as_json)


@command.command()
@click.argument("login")
@click.option("--subject", required=True, metavar="SUB", help="What the identity provider knows them by (`sub`).")
@_AS_JSON
def link(login: str, subject: str, as_json: bool) -> None:
    """Let LOGIN sign in at the identity provider of GATEWAY_OIDC_ISSUER, as whom it calls SUB."""
    with Operator() as operator:
        one = require_account(operator, login)
        provider = operator.settings.provider
        if provider is None:
            raise LoadRefused(["GATEWAY_OIDC_ISSUER names no identity provider"])
        noted = noting(operator, "user linked to the provider")
        open_accounts(operator).link_external(one.id, provider.issuer, subject, noted, operator.now)
    _tell(one, "linked", None, as_json)


def open_accounts(operator: Operator) -> StoredAccounts:
    """The accounts, as the operator reaches them."""
    return StoredAccounts(operator.engine, operator.keys, operator.audit)


def require_account(operator: Operator, login: str) -> Account:
    """The account of that login. Raises LoadRefused."""
    found = open_accounts(operator).find_login(login)
    if found is None:
        raise LoadRefused(["there is no user of that login"])
    return found


def require_person(operator: Operator, text: str) -> PatientID:
    """The one person that is meant. Raises LoadRefused."""
    found = PatientIndex(operator.engine, operator.keys).resolve(patient_ref(text))
    if found is None:
        raise LoadRefused(["patient not known"])
    return found.id


def noting(
    operator: Operator, reason: str, details: Sequence[tuple[str, str]] = ()
) -> Callable[[Account], AuditRecord]:
    """What the audit is told of a change to an account."""
    return lambda one: operator.record_of(reason, patient=one.patient, details=[*_named(one), *details])


def _named(one: Account) -> list[tuple[str, str]]:
    return [("account", one.id), ("login", one.login), ("roles", " ".join(sorted(one.roles)))]


def _drafted(login: str, given: Mapping[str, Any], operator: Operator) -> tuple[Account, list[str]]:
    roles = frozenset(Role(role) for role in given["roles"])
    patient = require_person(operator, given["patient"]) if given["patient"] else None
    draft = Account(
        id="",
        login=login.strip(),
        name=given["name"].strip(),
        roles=roles | ({Role.PATIENT} if patient else frozenset()),
        patient=patient,
        facility=FacilityID(given["facility"]) if given["facility"] else None,
        subject_id=given["subject_id"],
        subject_role=given["subject_role"],
    )
    problems = _problems(draft, operator)
    if patient and not (given["proof"] or "").strip():
        problems.append("--proof: say how it was proved that they are that person")
    return draft, problems


def _problems(one: Account, operator: Operator) -> list[str]:
    problems = []
    if not _LOGIN.fullmatch(one.login):
        problems.append("LOGIN: 3 to 128 letters, digits and . _ @ + -")
    if not 0 < len(one.name) <= 200 or not one.name.isprintable():
        problems.append("--name: 1 to 200 printable characters")
    facilities = {facility.id for facility in FacilityRegistry(operator.engine, operator.keys).all()}
    if one.facility is not None and one.facility not in facilities:
        problems.append("--facility: no facility of that id is registered")
    if one.roles & _NEEDS_A_FACILITY and one.facility is None:
        problems.append("--facility: a facility administrator belongs to one")
    for name, value in (("--subject-id", one.subject_id), ("--subject-role", one.subject_role)):
        if value is not None and (not 0 < len(value) <= 200 or not value.isprintable()):
            problems.append(f"{name}: 1 to 200 printable characters")
    return problems


def _link(operator: Operator, one: Account) -> str:
    word, now = secrets.token_urlsafe(32), operator.now
    challenges = StoredChallenges(operator.engine, operator.keys)
    challenges.forget("password", one.id)  # the newest link is the one that counts
    challenges.ask("password", word, now=now, until=now + LINK_LASTS, account_id=one.id)
    return f"{operator.settings.base_url}/signin/set-password/{word}"


def _as_json(one: Account) -> dict[str, Any]:
    return {
        "id": one.id,
        "login": one.login,
        "name": one.name,
        "roles": sorted(one.roles),
        "patient": one.patient,
        "facility": one.facility,
        "subjectId": one.subject_id,
        "subjectRole": one.subject_role,
        "enabled": one.enabled,
    }


def _tell(one: Account, outcome: str, link: str | None, as_json: bool) -> None:
    if as_json:
        print_json({"outcome": outcome, **_as_json(one), **({"link": link} if link else {})})
        return
    click.echo(f"user {one.login} {outcome}")
    if link:
        click.echo(f"to set a password, within {LINK_LASTS.total_seconds() / 3600:.0f} hours, once: {link}")
