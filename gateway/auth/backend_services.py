"""A system asks for an access token: verified, decided, recorded, and only then handed out (contract §5).

Audit: a token that is issued is recorded before it leaves; if it can't be, there is no token. A refusal of a client
whose signature was proved is recorded too. Refusals of strangers are logged and counted, and recorded up to
`STRANGERS_A_MINUTE` in each process, so that nobody without a key can fill the store. A refusal that can't be recorded
stays a refusal.
"""

import time
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from gateway.audit.record import AuditKind, AuditLog, AuditRecord, Outcome, Who
from gateway.auth import purpose_of_use, smart_scopes
from gateway.auth.allowance import Allowance
from gateway.auth.b2b import Statement, parse_statement
from gateway.auth.break_glass import NO_DECLARATIONS, Declaration, Declarations
from gateway.auth.client_assertion import AssertionRefused, AssertionVerifier, VerifiedAssertion
from gateway.auth.clients import Client, UnauthorizedClient
from gateway.auth.signing_keys import SigningKeys
from gateway.auth.tokens import LIFETIME, AccessToken, issue_access_token
from gateway.errors import (
    AccessRefused,
    AuditUnavailable,
    DependencyUnavailable,
    GatewayError,
    PurposeNotAllowed,
    ScopeMissing,
)
from gateway.log import Event, event
from gateway.metrics import TOKENS

STRANGERS_A_MINUTE = 60
RestsOn = tuple[Declaration, bool] | None
"""The break-glass declaration that a token rests on, and whether it is new."""


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
        keys: SigningKeys,
        audit: AuditLog,
        *,
        issuer: str,
        declarations: Declarations = NO_DECLARATIONS,
        break_glass_roles: Collection[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verifier = verifier
        self._keys = keys
        self._audit = audit
        self._issuer = issuer
        self._declarations = declarations
        self._roles = break_glass_roles
        self._strangers = Allowance(STRANGERS_A_MINUTE, monotonic)

    def issue(self, asked: TokenRequest, now: datetime) -> AccessToken:
        """A token for the client that signed, its issuing stored.

        Raises AssertionRefused, AccessRefused (purpose, scope or statement), DependencyUnavailable.
        """
        verified: VerifiedAssertion | None = None
        statement = Statement()
        try:
            verified = self._verifier.verify(asked.assertion, client_id=asked.client_id, now=now)
            statement = parse_statement(verified.claims)
            token, rests_on = self._decide(verified.client, statement, asked, now)
            self._audit.record([_issued(asked, verified.client, token, statement, rests_on, self._issuer, now)])
        except (AssertionRefused, AccessRefused) as exc:
            self._tell_refusal(asked, exc, _client_of(exc, verified), statement, now)
            raise
        except DependencyUnavailable as exc:
            TOKENS.labels("unavailable").inc()
            if not isinstance(exc, AuditUnavailable):  # of which the audit log itself tells
                event(Event.DEPENDENCY_UNAVAILABLE, request_id=asked.request_id, reason=exc.reason)
            raise
        TOKENS.labels("issued").inc()
        event(Event.TOKEN_ISSUED, client=verified.client.id, request_id=asked.request_id)
        return token

    def _decide(
        self, client: Client, statement: Statement, asked: TokenRequest, now: datetime
    ) -> tuple[AccessToken, RestsOn]:
        """The token, and the break-glass declaration that it rests on, if it does."""
        if client.is_app:
            raise UnauthorizedClient("people use this client: it doesn't ask for itself")
        purposes = purpose_of_use.decide_purposes(statement.purposes, client.purposes)
        purpose_of_use.require_complete_break_glass(
            purposes,
            subject_id=statement.subject.id,
            subject_role=statement.subject.role,
            declared=statement.break_glass,
            roles=self._roles,
        )
        scopes = _granted(asked.scope, client)
        stated, subject = statement.break_glass, statement.subject
        rests_on = self._declarations.declare(client, subject, stated, now) if stated else None
        declaration = rests_on[0] if rests_on else None
        token = issue_access_token(
            self._keys,
            issuer=self._issuer,
            client=client,
            scopes=scopes,
            purposes=purposes,
            subject=subject,
            context=statement.context,
            patient=declaration.patient if declaration else None,
            declaration=declaration.id if declaration else None,
            useful=declaration.until - now if declaration else LIFETIME,
            now=now,
        )
        return token, rests_on

    def _tell_refusal(
        self, asked: TokenRequest, exc: GatewayError, client: Client | None, statement: Statement, now: datetime
    ) -> None:
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
                subject_id=statement.subject.id,
                subject_name=statement.subject.name,
                subject_role=statement.subject.role,
                purposes=statement.purposes,
                network=asked.network,
            )
        patient = statement.break_glass.patient if statement.break_glass else None
        details = statement.context.facts()
        if client is not None and isinstance(exc, PurposeNotAllowed):
            # Beside what was asked for, which is in `who`: what might have been (T41).
            details += (("registered_purposes", " ".join(client.purposes)),)
        # A refusal stands whether or not it could be stored; the audit log tells where it could not.
        with suppress(AuditUnavailable):
            record = _record(
                asked, "token-refused", "refused", who, now, reason=exc.reason, patient=patient, details=details
            )
            self._audit.record([record])


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
    asked: TokenRequest,
    client: Client,
    token: AccessToken,
    statement: Statement,
    rests_on: RestsOn,
    issuer: str,
    now: datetime,
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
    details += statement.context.facts()
    patient = None
    if rests_on is not None:
        declaration, is_new = rests_on
        patient = declaration.patient
        details += [
            ("break_glass_reason", declaration.reason),
            ("declaration", declaration.id),
            ("declared", "anew" if is_new else "before"),
            ("declared_until", declaration.until.isoformat()),
        ]
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
