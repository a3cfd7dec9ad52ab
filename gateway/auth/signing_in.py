"""How a person becomes signed in: a password, then a second factor where one is owed; or a passkey, which is both.

Staff owe a second factor always, others once they have one. Whoever owes it has a step of a sign-in, which opens the
way to the second factor and nothing else. What is refused is told in the same words, after the same time, whether the
account is there or not (ASVS 5.0 6.3.8), and what was typed is kept nowhere.
"""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from threading import BoundedSemaphore

from gateway import log, metrics
from gateway.audit.record import AuditKind, AuditLog, AuditRecord, Who
from gateway.auth import passwords
from gateway.auth.accounts import StoredAccounts
from gateway.auth.attempts import Attempts
from gateway.auth.people import STAFF, Account, SignIn
from gateway.auth.people_audit import people_record, who_is
from gateway.auth.second_factors import StoredFactors
from gateway.auth.sessions import Begun, StoredSignIns

PASSWORD = ("pwd",)
_HASHING: AbstractContextManager[object] = BoundedSemaphore(3)
"""Each password takes 46 MiB and some of a core: a crowd at the door must not take the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt, as it came."""

    network: str | None
    request: str
    request_id: str
    now: datetime


class SigningIn:
    """Signs people in. Every method raises DependencyUnavailable (the audit included) and TooManyRequests."""

    def __init__(
        self,
        accounts: StoredAccounts,
        signins: StoredSignIns,
        factors: StoredFactors,
        audit: AuditLog,
        attempts: Attempts,
    ) -> None:
        self._accounts = accounts
        self._signins = signins
        self._factors = factors
        self._audit = audit
        self._attempts = attempts

    def by_password(self, login: str, password: str, attempt: Attempt, *, again: SignIn | None = None) -> Begun | None:
        """A sign-in, or the step of one; None where login and password are not an account's.

        `again` is the session of somebody who proves once more who they are; it ends with the new one.
        """
        counted = f"login:{login.strip().casefold()[:200]}"
        self._attempts.require(counted, attempt.network)
        found, hashed = self._accounts.find_for_password(login)
        with _HASHING:
            right = passwords.matches(hashed, password)
        if found is None or not right or not found.enabled or (again and again.account.id != found.id):
            self._refuse(counted, found, "password" if found is None or found.enabled else "disabled", attempt)
            return None
        if hashed is not None and passwords.is_outdated(hashed):
            self._accounts.renew_hash(found.id, passwords.hash_of(password))
        owes = self.owes_second_factor(found)
        if not owes:
            self._attempts.succeeded(counted, attempt.network)
        return self._begin(found, PASSWORD, attempt, complete=not owes, replaces=again)

    def owes_second_factor(self, account: Account) -> bool:
        """Whether a password alone is not enough for this account."""
        return bool(account.roles & STAFF) or self._factors.has_any(account.id)

    def must_enrol(self, account: Account) -> bool:
        """Whether a second factor is owed and there is none yet."""
        return bool(account.roles & STAFF) and not self._factors.has_any(account.id)

    def by_code(self, step: SignIn, code: str, attempt: Attempt) -> Begun | None:
        """The sign-in that the step becomes by an authenticator's code, or by one that was kept for losing it.

        None where it is neither, or has been used.
        """
        account, now = step.account, attempt.now
        counted = _of_code(account)
        self._attempts.require(counted, attempt.network)
        if self._factors.use_totp(account.id, code, now):
            how = "otp"
        elif self._factors.use_recovery_code(account.id, code, now):
            how = "otp"
            self._note("recovery code used", account, attempt)
        else:
            self._refuse(counted, account, "second factor", attempt)
            return None
        return self._completed(step, (how, "mfa"), attempt)

    def by_enrolling(self, step: SignIn, how: str, attempt: Attempt) -> Begun:
        """The sign-in that a step, or a session by one factor, becomes once a second factor was set up and proved."""
        return self._completed(step, (how, "mfa"), attempt)

    def by_passkey(self, account: Account, attempt: Attempt, *, replaces: SignIn | None) -> Begun:
        """The sign-in by a passkey that has verified its user: it is two factors in one (`replaces` ends)."""
        return self._begin(account, ("hwk", "user", "mfa"), attempt, complete=True, replaces=replaces)

    def by_provider(
        self,
        account: Account,
        methods: Sequence[str],
        attempt: Attempt,
        *,
        proved_at: datetime,
        replaces: SignIn | None,
    ) -> Begun:
        """The sign-in that an identity provider vouches for; a step where it proved one factor and two are owed.

        It is as fresh as the proof there (`proved_at`), not as its answer.
        """
        complete = "mfa" in methods or not self.owes_second_factor(account)
        return self._begin(account, methods, attempt, complete=complete, replaces=replaces, proved_at=proved_at)

    def refuse_passkey(self, account: Account | None, attempt: Attempt) -> None:
        """The attempt by a passkey failed: it is counted and in the audit."""
        self._refuse(_of_code(account) if account else "passkey", account, "passkey", attempt)

    def refuse_provider(self, why: str, attempt: Attempt) -> None:
        """What the identity provider said led nowhere: it is in the audit."""
        self._refuse("provider", None, f"identity provider: {why}", attempt)

    def require_attempt(self, account: Account | None, attempt: Attempt) -> None:
        """Another attempt is allowed."""
        self._attempts.require(_of_code(account) if account else "passkey", attempt.network)

    def sign_out(self, session: SignIn, attempt: Attempt) -> None:
        """The session is over in every process, and that is in the audit."""
        self._signins.end(session.id, attempt.now)
        who = who_is(session.account, session=session.id, network=attempt.network)
        self._audit.record([_record("sign-out", who, "signed out", attempt)])

    def _completed(self, step: SignIn, methods: Sequence[str], attempt: Attempt) -> Begun:
        self._attempts.succeeded(_of_code(step.account), attempt.network)
        both = tuple(dict.fromkeys((*step.methods, *methods)))
        return self._begin(step.account, both, attempt, complete=True, replaces=step)

    def _begin(
        self,
        account: Account,
        methods: Sequence[str],
        attempt: Attempt,
        *,
        complete: bool,
        replaces: SignIn | None,
        proved_at: datetime | None = None,
    ) -> Begun:
        begun = self._signins.begin(
            account,
            methods,
            attempt.now,
            complete=complete,
            replaces=replaces.id if replaces else None,
            proved_at=proved_at,
        )
        who = who_is(account, session=begun.sign_in.id, network=attempt.network)
        reason = "signed in" if complete else "password given, second factor owed"
        self._audit.record([_record("sign-in", who, reason, attempt, details=[("methods", " ".join(methods))])])
        metrics.SIGN_INS.labels(outcome="done" if complete else "step").inc()
        return begun

    def _refuse(self, counted: str, account: Account | None, what: str, attempt: Attempt) -> None:
        who = Who(network=attempt.network) if account is None else who_is(account, network=attempt.network)
        records = [_record("sign-in", who, f"not signed in: {what}", attempt, refused=True)]
        metrics.SIGN_INS.labels(outcome="refused").inc()
        if self._attempts.failed(counted, attempt.network):
            records.append(_record("alert", who, "too many attempts to sign in", attempt))
            metrics.ALERTS.labels(kind="sign-in-closed").inc()
            log.event(log.Event.SIGN_IN_CLOSED, level=logging.WARNING, request_id=attempt.request_id)
        self._audit.record(records)

    def _note(self, reason: str, account: Account, attempt: Attempt) -> None:
        self._audit.record([_record("sign-in", who_is(account, network=attempt.network), reason, attempt)])


def _of_code(account: Account) -> str:
    return f"account:{account.id}"


def _record(
    kind: AuditKind,
    who: Who,
    reason: str,
    attempt: Attempt,
    *,
    refused: bool = False,
    details: Sequence[tuple[str, str]] = (),
) -> AuditRecord:
    return people_record(
        kind,
        who,
        attempt.now,
        reason,
        outcome="refused" if refused else "success",
        request=attempt.request,
        request_id=attempt.request_id,
        details=details,
    )
