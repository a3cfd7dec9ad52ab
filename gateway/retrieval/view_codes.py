"""The codes of the viewer: each is good once and brings the next; one that comes twice ends all of its view.

Whoever holds a code that was used is either the viewer, whose code somebody else used, or that somebody: which of them
can't be told. So the codes and tokens of that start end for both, as with authorization codes (RFC 6749 §4.1.2).
"""

import secrets
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from gateway.audit.record import AuditRecord, Who
from gateway.auth.call import Call
from gateway.auth.challenges import StoredChallenges
from gateway.auth.people import Account
from gateway.auth.people_audit import people_record, who_is
from gateway.auth.tokens import LIFETIME
from gateway.errors import AccessRefused
from gateway.log import Event, event
from gateway.metrics import ALERTS

FIRST_CODE_LASTS = timedelta(minutes=2)
_CODE_LASTS = LIFETIME + timedelta(minutes=1)
_MOST_CHARACTERS = 128
_NO = "the code does not hold"


class EndsTokens(Protocol):
    """What ends tokens by the grant that they name."""

    def end_tokens(self, grant: str, record: AuditRecord, now: datetime) -> bool:
        """All of them have ended, on record; False where they had. Raises DependencyUnavailable."""
        ...


class FindsAccounts(Protocol):
    """Accounts by their ids."""

    def find(self, id_: str) -> Account | None:
        """The account, or None. Raises DependencyUnavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One study that a person opened in the viewer."""

    id: str
    """Also the grant that its tokens name."""
    account_id: str
    session: str
    capacity: str
    """As whom they look: the key of the choice."""
    person: str | None
    """Whose study it is."""
    facility: str
    study: str
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A code that was not used yet."""

    code: str = field(repr=False)
    view: View
    until: datetime


class ViewCodes:
    """The codes of a deployment. Every method raises DependencyUnavailable where a store fails."""

    def __init__(self, codes: StoredChallenges, ends: EndsTokens, accounts: FindsAccounts) -> None:
        self._codes = codes
        self._ends = ends
        self._accounts = accounts

    def start(self, view: View, now: datetime) -> str:
        """The first code of a view, which goes on from now."""
        until = datetime.fromtimestamp(view.until, now.tzinfo)
        self._codes.ask("viewer", "view", view.id, now=now, until=until, account_id=view.account_id)
        return self._new(view, now, min(until, now + FIRST_CODE_LASTS))

    def following(self, view: View, now: datetime) -> str | None:
        """The next code; None where the view then ends."""
        until = min(datetime.fromtimestamp(view.until, now.tzinfo), now + _CODE_LASTS)
        return self._new(view, now, until) if until > now else None

    def find(self, code: str, call: Call, now: datetime) -> Held:
        """The code, where it holds; a guess costs two looks and changes nothing.

        Raises AccessRefused. Where it was used before, its view has ended.
        """
        if not 0 < len(code) <= _MOST_CHARACTERS:
            raise AccessRefused(_NO)
        asked = self._codes.find("viewer", code, now=now)
        if asked is None:
            self._end_if_used(code, call, now)
            raise AccessRefused(_NO)
        view = View(**asked.content)
        if self._codes.find("viewer", "view", view.id, now=now) is None:
            raise AccessRefused("the view has ended")
        return Held(code=code, view=view, until=asked.until)

    def spend(self, held: Held, call: Call, now: datetime) -> None:
        """The code is used, by exactly one caller. Raises AccessRefused as `find` does."""
        until = datetime.fromtimestamp(held.view.until, now.tzinfo)
        if self._codes.spend("viewer", held.code, now=now, remembered=until) is None:
            self._end_if_used(held.code, call, now)
            raise AccessRefused(_NO)

    def put_back(self, held: Held, now: datetime) -> None:
        """Nothing came of the code: it may be tried again for as long as it would have held."""
        self._codes.put_back("viewer", held.code, now=now, until=held.until)

    def end(self, view: View, now: datetime) -> None:
        """No code of the view holds any more."""
        self._codes.take("viewer", "view", view.id, now=now)

    def _new(self, view: View, now: datetime, until: datetime) -> str:
        code = secrets.token_urlsafe(32)
        self._codes.ask("viewer", code, now=now, until=until, account_id=view.account_id, content=asdict(view))
        return code

    def _end_if_used(self, code: str, call: Call, now: datetime) -> None:
        used = self._codes.spent("viewer", code, now=now)
        if used is None:
            return
        view = View(**used.content)
        if self._codes.find("viewer", "view", view.id, now=now) is None:
            return
        reason = "a code of the viewer came twice"
        account = self._accounts.find(view.account_id)
        who = Who(subject=view.account_id) if account is None else who_is(account, session=view.session)
        record = people_record(
            "alert",
            replace(who, network=call.network),
            now,
            f"{reason}: what came of it has ended",
            patient=view.person,
            request=call.request,
            request_id=call.request_id,
            details=[("grant", view.id), ("facility", view.facility), ("study", view.study)],
        )
        first = self._ends.end_tokens(view.id, record, now)
        self.end(view, now)
        if first:
            ALERTS.labels(kind="token-copied").inc()
            event(Event.TOKEN_COPIED, request_id=call.request_id, reason=reason)
