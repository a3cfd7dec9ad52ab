"""A system asks for an access token: verified, decided, recorded, and only then handed out (contract §5).

Audit: a token that is issued is recorded before it leaves; if it can't be, there is no token. A refusal of a client
whose signature was proved is recorded too. Refusals of strangers are logged and counted, and recorded up to
`STRANGERS_A_MINUTE` in each process, so that nobody without a key can fill the store. A refusal that can't be recorded
stays a refusal.
"""

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.audit.record import AuditKind, AuditLog, AuditRecord, Outcome, Who
from gateway.auth import purpose_of_use, smart_scopes
from gateway.auth.b2b import Statement, parse_statement
from gateway.auth.client_assertion import AssertionRefused, AssertionVerifier, VerifiedAssertion
from gateway.auth.clients import Client
from gateway.auth.tokens import LIFETIME, AccessToken, issue_access_token
from gateway.db.crypto import KeyRing
from gateway.errors import AccessRefused, AuditUnavailable, DependencyUnavailable, GatewayError, ScopeMissing
from gateway.log import Event, event
from gateway.metrics import TOKENS

STRANGERS_A_MINUTE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """What a token request says, and where it came from."""

    assertion: str = field(repr=False)
    client_id: str | None = None
    scope: str | None = None
    network: str | None = None
    request: str = ""
    request_id: str = ""


class BackendServices:
    """Issues access tokens to systems (SMART App Launch 2.2, Backend Services)."""

    def __init__(
        self,
        verifier: AssertionVerifier,
        keys: KeyRing,
        audit: AuditLog,
        *,
        issuer: str,
        break_glass: timedelta = LIFETIME,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verifier = verifier
        self._keys = keys
        self._audit = audit
        self._issuer = issuer
        self._break_glass = break_glass
        self._strangers = _Allowance(STRANGERS_A_MINUTE, monotonic)

    def issue(self, asked: TokenRequest, now: datetime) -> AccessToken:
        """A token for the client that signed, its issuing stored.

        Raises AssertionRefused, AccessRefused (purpose, scope or statement), DependencyUnavailable.
        """
        verified: VerifiedAssertion | None = None
        try:
            verified = self._verifier.verify(asked.assertion, client_id=asked.client_id, now=now)
            statement = parse_statement(verified.claims)
            token = self._decide(verified.client, statement, asked, now)
            self._audit.record([_issued(asked, verified.client, statement, token, self._issuer, now)])
        except (AssertionRefused, AccessRefused) as exc:
            self._tell_refusal(asked, exc, _client_of(exc, verified), now)
            raise
        except DependencyUnavailable as exc:
            TOKENS.labels("unavailable").inc()
            if not isinstance(exc, AuditUnavailable):  # of which the audit log itself tells
                event(Event.DEPENDENCY_UNAVAILABLE, request_id=asked.request_id, reason=exc.reason)
            raise
        TOKENS.labels("issued").inc()
        event(Event.TOKEN_ISSUED, client=verified.client.id, request_id=asked.request_id)
        return token

    def _decide(self, client: Client, statement: Statement, asked: TokenRequest, now: datetime) -> AccessToken:
        purposes = purpose_of_use.decide_purposes(statement.purposes, client.purposes)
        purpose_of_use.require_complete_break_glass(
            purposes,
            subject_id=statement.subject.id,
            subject_role=statement.subject.role,
            declared=statement.break_glass,
        )
        return issue_access_token(
            self._keys,
            issuer=self._issuer,
            client=client,
            scopes=_granted(asked.scope, client),
            purposes=purposes,
            subject=statement.subject,
            patient=statement.break_glass.patient if statement.break_glass else None,
            at_most=self._break_glass if statement.break_glass else LIFETIME,
            now=now,
        )

    def _tell_refusal(self, asked: TokenRequest, exc: GatewayError, client: Client | None, now: datetime) -> None:
        TOKENS.labels("refused").inc()
        known = None if client is None else client.id
        event(Event.TOKEN_REFUSED, client=known, reason=exc.reason, request_id=asked.request_id)
        if client is None and not self._strangers.take():
            return
        who = Who(network=asked.network)
        if client is not None:
            who = Who(
                client_id=client.id,
                client_name=client.name,
                organization=client.organization,
                network=asked.network,
            )
        # A refusal stands whether or not it could be stored; the audit log tells where it could not.
        with suppress(AuditUnavailable):
            self._audit.record([_record(asked, "token-refused", "refused", who, now, reason=exc.reason)])


def _granted(scope: str | None, client: Client) -> tuple[str, ...]:
    """What of `scope` the client is registered for; all of that where nothing is asked. Raises ScopeMissing."""
    if scope is not None and len(scope) > smart_scopes.MOST_CHARACTERS:
        raise ScopeMissing("scope is too long")
    requested = client.scopes if scope is None else tuple(word for word in scope.split(" ") if word)
    granted = smart_scopes.grant(requested, client.scopes, context="system")
    if not granted:
        raise ScopeMissing("nothing that was asked for can be granted")
    return granted


def _client_of(exc: GatewayError, verified: VerifiedAssertion | None) -> Client | None:
    if verified is not None:
        return verified.client
    return exc.client if isinstance(exc, AssertionRefused) else None


def _issued(
    asked: TokenRequest, client: Client, statement: Statement, token: AccessToken, issuer: str, now: datetime
) -> AuditRecord:
    who = Who(
        client_id=client.id,
        client_name=client.name,
        organization=client.organization,
        subject_id=token.subject.id,
        subject_name=token.subject.name,
        subject_role=token.subject.role,
        issuer=issuer,
        subject=client.id,
        token_id=token.token_id,
        purposes=token.purposes,
        network=asked.network,
    )
    details = [("scope", " ".join(token.scopes)), ("expires_at", token.expires_at.isoformat())]
    patient = None
    if statement.break_glass is not None:
        patient = statement.break_glass.patient
        details.append(("break_glass_reason", statement.break_glass.reason))
    return _record(asked, "token-issued", "success", who, now, patient=patient, details=tuple(details))


def _record(
    asked: TokenRequest,
    kind: AuditKind,
    outcome: Outcome,
    who: Who,
    now: datetime,
    *,
    reason: str = "",
    patient: str | None = None,
    details: tuple[tuple[str, str], ...] = (),
) -> AuditRecord:
    return AuditRecord(
        id=str(uuid.uuid4()),
        recorded=now,
        kind=kind,
        outcome=outcome,
        reason=reason,
        who=who,
        patient=patient,
        # The body holds an assertion, which is a credential: it is left out.
        request=asked.request,
        request_id=asked.request_id,
        details=details,
    )


class _Allowance:
    """So many a minute, whoever takes them."""

    def __init__(self, a_minute: int, monotonic: Callable[[], float]) -> None:
        self._a_minute = a_minute
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._minute = -1
        self._left = 0

    def take(self) -> bool:
        minute = int(self._monotonic() // 60)
        with self._lock:
            if minute != self._minute:
                self._minute, self._left = minute, self._a_minute
            self._left -= 1
            return self._left >= 0
