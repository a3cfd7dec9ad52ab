"""A person lets an app in, or doesn't: the decision is stored with its audit, and a code comes of it."""

import secrets
import uuid
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from gateway.audit.record import AuditLog, Who
from gateway.auth.app_grants import AppGrant, AppGrants, CodeTerms
from gateway.auth.authorization_request import AuthorizationRequest
from gateway.auth.call import Call
from gateway.auth.capacities import Choice, choices
from gateway.auth.clients import Client
from gateway.auth.people import Account, SignIn
from gateway.auth.people_audit import people_record, who_is
from gateway.auth.smart_scopes import parse_scope
from gateway.auth.standing import People
from gateway.errors import AccessRefused, AuditUnavailable, NotFound

CODE_LASTS = timedelta(seconds=60)
OFFLINE_LASTS = timedelta(days=90)
"""How long an app that may stay connected does, whatever it refreshes, until it has to ask the person again."""
_SHORT = timedelta(hours=1)
_ID_CHARACTERS = 36


class AppAuthorization:
    """Decisions of people about apps."""

    def __init__(self, grants: AppGrants, people: People, audit: AuditLog, *, online_lasts: timedelta) -> None:
        """`online_lasts` is how long an app with `online_access` stays connected, as a session would."""
        self._grants = grants
        self._people = people
        self._audit = audit
        self._online_lasts = online_lasts

    def choices(self, account: Account, asked: AuthorizationRequest, now: datetime) -> list[Choice]:
        """As whom the account may use the app, as it stands now. Raises DependencyUnavailable."""
        delegations = self._people.delegations.standing(account.id, now)
        today = self._people.accounts.find(account.id)
        return [] if today is None else choices(today, delegations, asked.client, asked.scopes)

    def allow(
        self,
        asked: AuthorizationRequest,
        choice: Choice,
        kept: Collection[str],
        sign_in: SignIn,
        call: Call,
        now: datetime,
    ) -> str:
        """The code for what of the choice's scopes is `kept`, its grant and audit stored.

        Raises AccessRefused where no resource scope is kept, DependencyUnavailable.
        """
        scopes = tuple(text for text in choice.scopes if text in kept)
        if not any(parse_scope(text) for text in scopes):
            raise AccessRefused("nothing was granted")
        grant = AppGrant(
            id=str(uuid.uuid4()),
            client_id=asked.client.id,
            account_id=sign_in.account.id,
            capacity=choice.capacity,
            patient=choice.patient,
            delegation=choice.delegation,
            scopes=scopes,
            purposes=choice.purposes,
            person=choice.person,
            signed_in_at=sign_in.at,
            methods=sign_in.methods,
            session=sign_in.id,
            granted_at=now,
            until=self._until(scopes, choice, now),
        )
        code = secrets.token_urlsafe(32)
        terms = CodeTerms(redirect_uri=asked.to.redirect_uri, challenge=asked.challenge, nonce=asked.nonce)
        record = people_record(
            "app-authorized",
            _who(asked.client, sign_in, choice, call),
            now,
            "",
            patient=choice.patient,
            request=call.request,
            request_id=call.request_id,
            details=_details(grant),
        )
        self._grants.add(grant, code, terms, now + CODE_LASTS, record)
        return code

    def refuse(self, asked: AuthorizationRequest, sign_in: SignIn, reason: str, call: Call, now: datetime) -> None:
        """It is recorded that the app was not let in; where it can't be, it stays outside all the same."""
        record = people_record(
            "app-refused",
            _who(asked.client, sign_in, None, call),
            now,
            reason,
            outcome="refused",
            request=call.request,
            request_id=call.request_id,
            details=[("scope", " ".join(asked.scopes))],
        )
        with suppress(AuditUnavailable):
            self._audit.record([record])

    def connected(self, account: Account, now: datetime) -> Sequence[AppGrant]:
        """What the account has let apps do that still may, oldest first. Raises DependencyUnavailable."""
        return self._grants.standing(now, account_id=account.id)

    def end(self, grant_id: str, sign_in: SignIn, call: Call, now: datetime) -> None:
        """The person has ended what they granted, and every token that came of it.

        Raises NotFound where it is none of theirs; DependencyUnavailable.
        """
        grant = self._grants.find(grant_id) if len(grant_id) <= _ID_CHARACTERS else None
        if grant is None or grant.account_id != sign_in.account.id:
            raise NotFound
        record = people_record(
            "token-revoked",
            who_is(sign_in.account, session=sign_in.id, network=call.network),
            now,
            "the person ended it",
            patient=grant.patient,
            request=call.request,
            request_id=call.request_id,
            details=[("client", grant.client_id), ("grant", grant.id)],
        )
        self._grants.revoke(grant, record, now)

    def _until(self, scopes: Sequence[str], choice: Choice, now: datetime) -> datetime:
        lasts = _SHORT
        if "offline_access" in scopes:
            lasts = OFFLINE_LASTS
        elif "online_access" in scopes:
            lasts = self._online_lasts
        return min(now + lasts, choice.ends or now + lasts)


def _who(client: Client, sign_in: SignIn, choice: Choice | None, call: Call) -> Who:
    known = who_is(sign_in.account, session=sign_in.id, network=call.network)
    return Who(
        client_id=client.id,
        client_name=client.name,
        organization=client.organization,
        subject=known.subject,
        subject_id=known.subject_id,
        subject_name=known.subject_name,
        subject_role=choice.person.role if choice else known.subject_role,
        token_id=known.token_id,
        purposes=choice.purposes if choice else (),
        network=call.network,
    )


def _details(grant: AppGrant) -> list[tuple[str, str]]:
    details = [("grant", grant.id), ("capacity", grant.capacity), ("scope", " ".join(grant.scopes))]
    details.append(("until", grant.until.isoformat()))
    return details + ([("delegation", grant.delegation)] if grant.delegation else [])
