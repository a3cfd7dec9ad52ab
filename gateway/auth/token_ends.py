"""A client says that it is done with a token (RFC 7009): the token ends, and with a refresh token all of its grant."""

from datetime import datetime

from gateway.audit.record import AuditRecord, Who
from gateway.auth.app_grants import AppGrants
from gateway.auth.bearer import BearerAuthenticator
from gateway.auth.call import Call
from gateway.auth.clients import Client, UnauthorizedClient
from gateway.auth.people_audit import people_record
from gateway.errors import AccessRefused, NotAuthenticated

_MOST_CHARACTERS = 8192


class TokenEnds:
    """Ends tokens for the clients that they were issued to."""

    def __init__(self, grants: AppGrants, bearer: BearerAuthenticator, *, issuer: str) -> None:
        self._grants = grants
        self._bearer = bearer
        self._issuer = issuer

    def revoke(self, client: Client, token: str, call: Call, now: datetime) -> None:
        """The token is of no use any more, in any process within a second. One that holds no longer is left alone.

        Raises UnauthorizedClient where it is another client's, of which nothing is changed; DependencyUnavailable.
        """
        if not token or len(token) > _MOST_CHARACTERS:
            return
        if token.count(".") == 2:
            self._revoke_access(client, token, call, now)
        else:
            self._revoke_refresh(client, token, call, now)

    def _revoke_refresh(self, client: Client, token: str, call: Call, now: datetime) -> None:
        stored = self._grants.find_refresh(token)
        if stored is None:
            return
        grant = stored.grant
        if grant.client_id != client.id:
            raise UnauthorizedClient("the token is another client's")
        details = [("token", "refresh"), ("grant", grant.id)]
        self._grants.revoke(grant, _record(client, call, now, details, patient=grant.patient, subject=grant.sub), now)

    def _revoke_access(self, client: Client, token: str, call: Call, now: datetime) -> None:
        try:
            requester, _ = self._bearer.read(token, (self._issuer,), now)
        except (NotAuthenticated, AccessRefused):
            return  # it opens nothing as it is
        if requester.client_id != client.id:
            raise UnauthorizedClient("the token is another client's")
        details = [("token", "access"), ("jti", requester.token_id)]
        record = _record(client, call, now, details, patient=requester.patient, subject=requester.subject)
        self._grants.revoke_token(requester.token_id, record, now)


def _record(
    client: Client, call: Call, now: datetime, details: list[tuple[str, str]], *, patient: str | None, subject: str
) -> AuditRecord:
    who = Who(
        client_id=client.id,
        client_name=client.name,
        organization=client.organization,
        subject=subject,
        network=call.network,
    )
    return people_record(
        "token-revoked",
        who,
        now,
        "",
        patient=patient,
        request=call.request,
        request_id=call.request_id,
        details=details,
    )
