"""Tokens for what a person granted an app: a code is redeemed once, a refresh token is used once (RFC 9700 §4.14).

Whoever comes with one that was used before holds a copy, or somebody does: nothing more comes of that grant then, what
came of it has ended, and people are alerted (T23, T26). A token is stored with its audit before it leaves.
"""

import hmac
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from gateway.audit.record import AuditLog, AuditRecord, Who
from gateway.auth import app_scopes
from gateway.auth.allowance import Allowance
from gateway.auth.app_grants import AppGrant, AppGrants, NewRefresh, StoredCode, StoredRefresh
from gateway.auth.call import Call
from gateway.auth.clients import Client, UnauthorizedClient
from gateway.auth.id_tokens import issue_id_token
from gateway.auth.people_audit import people_record
from gateway.auth.pkce import proves
from gateway.auth.signing_keys import SigningKeys
from gateway.auth.standing import People, require_capacity
from gateway.auth.tokens import AccessToken, Granted, issue_access_token
from gateway.errors import AccessRefused, AuditUnavailable, NotAuthenticated, ScopeMissing
from gateway.log import Event, event
from gateway.metrics import ALERTS, TOKENS

REFRESH_LASTS = timedelta(days=30)
"""How long a refresh token may lie unused."""
REFUSALS_A_MINUTE = 60
_MOST_CHARACTERS = 256
_NO_CODE, _CODE_TWICE = "the code does not hold", "an authorization code came twice"
_NO_REFRESH, _REFRESH_TWICE = "the refresh token does not hold", "a refresh token came twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppTokens:
    """What an app is handed, once."""

    access: AccessToken
    grant: AppGrant
    refresh: str | None = field(repr=False)
    id_token: str | None = field(repr=False)


class AppTokenService:
    """Issues tokens on grants."""

    def __init__(
        self,
        grants: AppGrants,
        people: People,
        keys: SigningKeys,
        audit: AuditLog,
        *,
        issuer: str,
        fhir_base: str,
        signed_in: Callable[[str, datetime], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`signed_in` tells whether an account is signed in somewhere, which `online_access` goes by."""
        self._grants = grants
        self._people = people
        self._keys = keys
        self._audit = audit
        self._issuer = issuer
        self._fhir_base = fhir_base
        self._signed_in = signed_in
        self._refusals = Allowance(REFUSALS_A_MINUTE, monotonic)

    def redeem(
        self,
        client: Client,
        code: str | None,
        redirect_uri: str | None,
        verifier: str | None,
        call: Call,
        now: datetime,
    ) -> AppTokens:
        """The tokens for a code (RFC 6749 §4.1.3, PKCE).

        Raises AccessRefused, alike whether the code is unknown, another client's, used or too old; UnauthorizedClient;
        DependencyUnavailable.
        """
        try:
            return self._redeem(client, code, redirect_uri, verifier, call, now)
        except AccessRefused as exc:
            self._tell_refusal(client, "authorization_code", exc, call, now)
            raise

    def refresh(self, client: Client, token: str | None, scope: str | None, call: Call, now: datetime) -> AppTokens:
        """The tokens for a refresh token, which another takes the place of (RFC 6749 §6).

        Raises AccessRefused; ScopeMissing where more is asked than was granted; DependencyUnavailable.
        """
        try:
            return self._refresh(client, token, scope, call, now)
        except AccessRefused as exc:
            self._tell_refusal(client, "refresh_token", exc, call, now)
            raise

    def _redeem(
        self,
        client: Client,
        code: str | None,
        redirect_uri: str | None,
        verifier: str | None,
        call: Call,
        now: datetime,
    ) -> AppTokens:
        _require_app(client)
        stored = self._grants.find_code(code) if code and len(code) <= _MOST_CHARACTERS else None
        if code is None or stored is None:
            raise AccessRefused(_NO_CODE)
        grant = self._require_unused(client, stored, _NO_CODE, _CODE_TWICE, call, now)
        fits = hmac.compare_digest(stored.terms.redirect_uri.encode(), (redirect_uri or "").encode())
        if not fits or not proves(verifier, stored.terms.challenge):
            # One try a code: what was guessed wrong once is not guessed again.
            self._end_as_copied(client, grant, "an authorization code came without its proof", call, now)
            raise AccessRefused(_NO_CODE)
        scopes = app_scopes.still_registered(grant.scopes, client)
        if not scopes:
            raise ScopeMissing("nothing that was granted is registered any more")
        self._require_standing(grant, now)
        issued = self._issue(client, grant, scopes, now, nonce=stored.terms.nonce, first=True)
        record = _issued(client, issued, "authorization_code", self._issuer, call, now)
        refresh = None
        if issued.refresh is not None:
            refresh = NewRefresh(value=issued.refresh, until=min(grant.until, now + REFRESH_LASTS))
        if not self._grants.use_code(code, refresh, record, now):
            self._end_as_copied(client, grant, _CODE_TWICE, call, now)
            raise AccessRefused(_NO_CODE)
        return _handed_out(issued, client, call)

    def _refresh(self, client: Client, token: str | None, scope: str | None, call: Call, now: datetime) -> AppTokens:
        _require_app(client)
        stored = self._grants.find_refresh(token) if token and len(token) <= _MOST_CHARACTERS else None
        if token is None or stored is None:
            raise AccessRefused(_NO_REFRESH)
        grant = self._require_unused(client, stored, _NO_REFRESH, _REFRESH_TWICE, call, now)
        scopes = app_scopes.narrowed(scope, app_scopes.still_registered(grant.scopes, client))
        if not scopes:
            raise ScopeMissing("more is asked for than was granted")
        if "offline_access" not in grant.scopes and not self._signed_in(grant.account_id, now):
            raise AccessRefused("the person has signed out")
        self._require_standing(grant, now)
        issued = self._issue(client, grant, scopes, now, nonce=None, first=False)
        record = _issued(client, issued, "refresh_token", self._issuer, call, now)
        following = NewRefresh(value=issued.refresh or "", until=min(grant.until, now + REFRESH_LASTS))
        if not self._grants.use_refresh(token, following, record, now):
            self._end_as_copied(client, grant, _REFRESH_TWICE, call, now)
            raise AccessRefused(_NO_REFRESH)
        return _handed_out(issued, client, call)

    def _require_standing(self, grant: AppGrant, now: datetime) -> None:
        try:
            require_capacity(
                self._people,
                grant.account_id,
                grant.capacity,
                patient=grant.patient,
                delegation=grant.delegation,
                now=now,
            )
        except NotAuthenticated as exc:
            raise AccessRefused("the person may not do that any more") from exc

    def _issue(
        self, client: Client, grant: AppGrant, scopes: tuple[str, ...], now: datetime, *, nonce: str | None, first: bool
    ) -> AppTokens:
        access = issue_access_token(
            self._keys,
            issuer=self._issuer,
            client=client,
            scopes=scopes,
            purposes=grant.purposes,
            subject=grant.person,
            patient=grant.patient,
            granted=Granted(sub=grant.sub, account=grant.account_id, grant=grant.id, delegation=grant.delegation),
            now=now,
        )
        stays = not first or not {"offline_access", "online_access"}.isdisjoint(grant.scopes)
        return AppTokens(
            access=access,
            grant=grant,
            refresh=secrets.token_urlsafe(32) if stays else None,
            id_token=issue_id_token(
                self._keys,
                replace(grant, scopes=scopes),
                issuer=self._issuer,
                fhir_base=self._fhir_base,
                nonce=nonce,
                now=now,
            ),
        )

    def _require_unused(
        self, client: Client, stored: StoredCode | StoredRefresh, refused: str, twice: str, call: Call, now: datetime
    ) -> AppGrant:
        """The grant of what was presented: it is this client's, was never used, and stands. Raises AccessRefused.

        What comes twice was copied, and ends the grant. Raises DependencyUnavailable where that can't be stored.
        """
        if stored.grant.client_id != client.id:
            raise AccessRefused(refused)
        if stored.used_at is not None:
            self._end_as_copied(client, stored.grant, twice, call, now)
            raise AccessRefused(refused)
        if now >= stored.until or not stored.grant.stands(now):
            raise AccessRefused(refused)
        return stored.grant

    def _end_as_copied(self, client: Client, grant: AppGrant, reason: str, call: Call, now: datetime) -> None:
        """Nothing more comes of the grant. Raises DependencyUnavailable where that can't be stored."""
        record = people_record(
            "alert",
            _who(client, grant, call),
            now,
            f"{reason}: what came of it has ended",
            patient=grant.patient,
            request=call.request,
            request_id=call.request_id,
            details=[("grant", grant.id)],
        )
        if self._grants.revoke(grant, record, now):
            ALERTS.labels(kind="token-copied").inc()
            event(Event.TOKEN_COPIED, client=client.id, request_id=call.request_id, reason=reason)

    def _tell_refusal(self, client: Client, grant_type: str, exc: AccessRefused, call: Call, now: datetime) -> None:
        TOKENS.labels("refused").inc()
        event(Event.TOKEN_REFUSED, client=client.id, reason=exc.reason, request_id=call.request_id)
        if not self._refusals.take():
            return
        who = Who(client_id=client.id, client_name=client.name, organization=client.organization, network=call.network)
        record = people_record(
            "token-refused",
            who,
            now,
            exc.reason,
            outcome="refused",
            request=call.request,
            request_id=call.request_id,
            details=[("grant_type", grant_type)],
        )
        # A refusal stands whether or not it could be stored; the audit log tells where it could not.
        with suppress(AuditUnavailable):
            self._audit.record([record])


def _require_app(client: Client) -> None:
    if not client.is_app:
        raise UnauthorizedClient("a system asks for itself")


def _handed_out(issued: AppTokens, client: Client, call: Call) -> AppTokens:
    TOKENS.labels("issued").inc()
    event(Event.TOKEN_ISSUED, client=client.id, request_id=call.request_id)
    return issued


def _who(client: Client, grant: AppGrant, call: Call, issued: AccessToken | None = None, issuer: str = "") -> Who:
    return Who(
        client_id=client.id,
        client_name=client.name,
        organization=client.organization,
        subject=grant.sub,
        subject_id=grant.person.id,
        subject_name=grant.person.name,
        subject_role=grant.person.role,
        issuer=issuer or None,
        token_id=issued.token_id if issued else None,
        purposes=grant.purposes,
        network=call.network,
    )


def _issued(client: Client, issued: AppTokens, grant_type: str, issuer: str, call: Call, now: datetime) -> AuditRecord:
    grant, access = issued.grant, issued.access
    details = [
        ("grant_type", grant_type),
        ("scope", " ".join(access.scopes)),
        ("expires_at", access.expires_at.isoformat()),
        ("grant", grant.id),
    ]
    if grant.delegation is not None:
        details.append(("delegation", grant.delegation))
    return people_record(
        "token-issued",
        _who(client, grant, call, access, issuer),
        now,
        "",
        patient=grant.patient,
        request=call.request,
        request_id=call.request_id,
        details=details,
    )
