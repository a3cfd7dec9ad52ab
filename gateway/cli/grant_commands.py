"""`python -m gateway clients revoke`: what people have granted an app ends, for one who asks for it or for all."""

from collections.abc import Sequence

import click

from gateway.auth.accounts import StoredAccounts
from gateway.auth.app_grant_store import StoredGrants
from gateway.auth.app_grants import AppGrant
from gateway.auth.client_store import DatabaseClientStore
from gateway.cli.context import Operator, print_json
from gateway.errors import LoadRefused


@click.command()
@click.argument("client_id", metavar="ID")
@click.option("--login", help="Only what this account has granted.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def revoke(client_id: str, login: str | None, as_json: bool) -> None:
    """End what people have granted the app ID: within a second no token of it is taken. They may let it in anew."""
    with Operator() as operator:
        ended = _revoke(operator, client_id, login)
    if as_json:
        print_json({"id": client_id, "ended": [grant.id for grant in ended]})
    else:
        click.echo(f"{len(ended)} grants of {client_id} have ended" if ended else "nothing was granted")


def _revoke(operator: Operator, client_id: str, login: str | None) -> Sequence[AppGrant]:
    if DatabaseClientStore(operator.engine).find(client_id) is None:
        raise LoadRefused(["no client of that id is registered"])
    account_id = None
    if login is not None:
        account = StoredAccounts(operator.engine, operator.keys, operator.audit).find_login(login)
        if account is None:
            raise LoadRefused(["--login: there is no such account"])
        account_id = account.id
    grants = StoredGrants(operator.engine, operator.keys, operator.audit)
    ended = []
    for grant in grants.standing(operator.now, client_id=client_id, account_id=account_id):
        details = [("client", client_id), ("grant", grant.id), ("account", grant.account_id)]
        record = operator.record_of("client grant revoked", patient=grant.patient, details=details)
        if grants.revoke(grant, record, operator.now):
            ended.append(grant)
    return ended
