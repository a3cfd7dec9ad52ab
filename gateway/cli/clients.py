"""`python -m gateway clients`: who may ask, with which keys, and for which purposes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from gateway.adapters.registry import FacilityRegistry
from gateway.auth import app_scopes, purpose_of_use, smart_scopes
from gateway.auth.client_store import DatabaseClientStore
from gateway.auth.clients import Client
from gateway.cli.app_options import problems_of_kind
from gateway.cli.context import Operator, print_json
from gateway.cli.grant_commands import revoke
from gateway.errors import LoadRefused
from gateway.model import ClientID, FacilityID
from gateway.purposes import code_of

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}", re.ASCII)
_FACILITY = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+", re.ASCII)
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group(name="clients")
def command() -> None:
    """Clients: the systems that may ask the exchange, and the apps that people use."""


command.add_command(revoke)


@command.command()
@click.argument("client_id", metavar="ID")
@click.option("--name", required=True, help="What people call it.")
@click.option("--organization", required=True, metavar="ORG", help="A facility id, or the URI of an organisation.")
@click.option("--jwks", metavar="FILE_OR_URL", help="Its public keys: a JWK Set, or where it is.")
@click.option("--scope", "scope", multiple=True, required=True, help='SMART scopes: "system/ImagingStudy.rs …".')
@click.option("--purpose", "purposes", multiple=True, help="A v3-ActReason code; may be repeated.")
@click.option("--app", is_flag=True, help="People use it: it asks them to let it in, and acts for them.")
@click.option("--public", is_flag=True, help="The app can keep no key (it runs in a browser or on a phone).")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where the app is answered; may be repeated.")
@click.option("--launch-url", metavar="URL", help="Where the app is started from.")
@click.option("--token-exchange", is_flag=True, help="It exchanges its token for one of each facility.")
@click.option("--facility", help="It is the identity feed of this facility.")
@click.option("--enable", is_flag=True, help="Let a client in again that was disabled.")
@click.option("--check", is_flag=True, help="Refuse an address whose keys can't be read now, rather than warn.")
@_AS_JSON
def add(client_id: str, jwks: str | None, enable: bool, check: bool, as_json: bool, **given: Any) -> None:
    """Register the client ID, or bring it up to date: a system, or with --app an app that people use.

    A client that was disabled stays so, unless --enable is given. Everything that is wrong is told at once. Keys at an
    address are read once, for a try: if that fails, the client is registered and a warning says that it gets no token.
    """
    from gateway.cli.jwks_argument import doubts_about, read_keys  # slow to load, and only this command needs it

    with Operator() as operator:
        document, jwks_uri = None, None
        problems: list[str] = []
        if jwks is not None:
            document, jwks_uri, problems = read_keys(jwks, production=operator.settings.production)
        doubts = doubts_about(jwks_uri, production=operator.settings.production) if not problems else []
        problems += doubts if check else []
        client = _client(client_id, document, jwks_uri, given)
        facilities = {facility.id for facility in FacilityRegistry(operator.engine, operator.keys).all()}
        store = DatabaseClientStore(operator.engine)
        problems = [*_problems(client, facilities), *_other_feeds(client, store.list_all()), *problems]
        problems += problems_of_kind(client, app=given["app"], public=given["public"])
        if problems:
            raise LoadRefused(problems)
        before = store.find(client_id)
        if before is not None and not enable:
            client = replace(client, disabled_at=before.disabled_at)
        outcome = "added" if before is None else "unchanged" if before == client else "updated"
        if outcome != "unchanged":
            operator.note(f"client {outcome}", details=_details(client))
            store.save(client, operator.now)
    for doubt in doubts:
        click.echo(f"warning: {doubt}; registered as it is, a token needs a key from there", err=True)
    if client.organization not in facilities and not _URI.fullmatch(client.organization):
        click.echo(f"note: no facility {client.organization} is registered yet", err=True)
    if as_json:
        print_json({"outcome": outcome, **_as_json(client)})
    else:
        click.echo(f"client {client.id} {outcome}" + ("" if client.enabled else "; it stays disabled (--enable)"))


@command.command(name="list")
@_AS_JSON
def list_clients(as_json: bool) -> None:
    """Every client, and what it is registered for."""
    with Operator() as operator:
        clients = DatabaseClientStore(operator.engine).list_all()
    if as_json:
        print_json([_as_json(client) for client in clients])
        return
    for client in clients:
        state = "enabled" if client.enabled else "DISABLED"
        feed = f"  identity feed of {client.facility}" if client.facility else ""
        kind = "  public app" if client.public else "  app" if client.is_app else ""
        click.echo(f"{client.id}  {client.name}  ({client.organization})  {state}{kind}{feed}")
        click.echo(f"    {' '.join(client.purposes)}  {' '.join(client.scopes)}")
    if not clients:
        click.echo("no clients")


@command.command()
@click.argument("client_id", metavar="ID")
@_AS_JSON
def disable(client_id: str, as_json: bool) -> None:
    """Give the client ID no more tokens, and end those it holds: within a second, in every process."""
    with Operator() as operator:
        store = DatabaseClientStore(operator.engine)
        client = store.find(client_id)
        if client is None:
            raise LoadRefused(["no client of that id is registered"])
        if client.enabled:
            operator.note("client disabled", details=[("client", client.id)])
            store.disable(client.id, operator.now)
    if as_json:
        print_json({"id": client.id, "enabled": False})
    else:
        click.echo(f"client {client.id} is disabled")


@command.command()
@click.argument("client_id", metavar="ID")
@click.option("--key", required=True, metavar="PRIVATE_JWK", help="File with the client's private key, a JWK.")
@click.option("--purpose", "purposes", multiple=True, help="For which purpose of use; may be repeated.")
@click.option("--scope", help="Which of its scopes; all, where left out.")
@click.option("--subject-id", help="Who asks through the client.")
@click.option("--subject-name", help="Their name.")
@click.option("--subject-role", help="Their role.")
@_AS_JSON
def token(client_id: str, key: str, purposes: Sequence[str], scope: str | None, as_json: bool, **subject: Any) -> None:
    """Get an access token from the running gateway, as the client ID would, and print it alone."""
    from gateway.cli.client_token import fetch_token  # what it needs is slow to load, and only this command needs it

    with Operator() as operator:
        token_url = operator.settings.token_url
    b2b = {name: value for name, value in subject.items() if value}
    if purposes:
        b2b["purpose_of_use"] = list(purposes)
    answer = fetch_token(token_url, client_id, key_file=key, b2b=b2b, scope=scope)
    if as_json:
        print_json(answer)
    else:
        click.echo(answer["access_token"])


def _client(client_id: str, jwks: str | None, jwks_uri: str | None, given: Mapping[str, Any]) -> Client:
    purposes = [code_of(word) or word for text in given["purposes"] for word in re.split(r"[,\s]+", text) if word]
    return Client(
        id=ClientID(client_id),
        name=given["name"].strip(),
        organization=given["organization"].strip(),
        jwks=jwks,
        jwks_uri=jwks_uri,
        scopes=tuple(dict.fromkeys(" ".join(given["scope"]).split())),
        purposes=tuple(dict.fromkeys(purposes)),
        token_exchange=given["token_exchange"],
        facility=FacilityID(given["facility"]) if given["facility"] else None,
        kind="app" if given["app"] else "system",
        redirect_uris=tuple(dict.fromkeys(given["redirect_uris"])),
        launch_url=given["launch_url"],
    )


def _problems(client: Client, facilities: set[FacilityID]) -> list[str]:
    problems = []
    if not _ID.fullmatch(client.id):
        problems.append("ID: letters, digits and . _ : / @ - only, at most 128")
    if client.id.startswith("Patient/"):
        problems.append("ID: Patient/… is how a patient is named in a token")
    if not 0 < len(client.name) <= 200 or not client.name.isprintable():
        problems.append("--name: 1 to 200 printable characters")
    if not _FACILITY.fullmatch(client.organization) and not _URI.fullmatch(client.organization):
        problems.append("--organization: a facility id or a URI")
    if client.facility is not None and client.facility not in facilities:
        problems.append("--facility: no facility of that id is registered")
    judge = app_scopes.problems_of_app if client.is_app else smart_scopes.problems_of
    problems += [f"--scope: {text}" for text in judge(client.scopes)]
    if client.purposes or not client.is_app:
        problems += [f"--purpose: {text}" for text in purpose_of_use.problems_of(client.purposes)]
    return problems


def _other_feeds(client: Client, registered: Sequence[Client]) -> list[str]:
    """A domain has one source (IHE PIXm ITI-104)."""
    others = [one.id for one in registered if one.facility == client.facility and one.id != client.id and one.enabled]
    return [f"--facility: {one} is its feed already; disable that first" for one in others if client.facility]


def _details(client: Client) -> list[tuple[str, str]]:
    details = {
        "client": client.id,
        "name": client.name,
        "organization": client.organization,
        "scope": " ".join(client.scopes),
        "purpose_of_use": " ".join(client.purposes),
        "keys": client.jwks_uri or ("none" if client.public else "registered"),
        "token_exchange": "yes" if client.token_exchange else "no",
        "facility": client.facility or "",
        "kind": "public app" if client.public else client.kind,
        "redirect_uris": " ".join(client.redirect_uris),
        "state": "enabled" if client.enabled else "disabled",
    }
    return [(name, value) for name, value in details.items() if value]


def _as_json(client: Client) -> dict[str, Any]:
    return {
        "id": client.id,
        "name": client.name,
        "organization": client.organization,
        "scope": list(client.scopes),
        "purpose": list(client.purposes),
        "jwks_uri": client.jwks_uri,
        "token_exchange": client.token_exchange,
        "facility": client.facility,
        "kind": client.kind,
        "public": client.public,
        "redirect_uris": list(client.redirect_uris),
        "launch_url": client.launch_url,
        "enabled": client.enabled,
        "disabled_at": client.disabled_at,
    }
