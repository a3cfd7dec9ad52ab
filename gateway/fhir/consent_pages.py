"""Which Consents stand on this page of a search, and where does the next one begin?

A search keeps the order that there was when it began, so that a Consent that is changed between two pages is neither
missed nor told twice; what is told of each is what it says now. One that was filed since is for the next search.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.consent.store import StoredVersion
from gateway.db.base import EPOCH
from gateway.fhir.consent_search import ConsentSearch
from gateway.fhir.paging import Place, page_of

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentPage:
    """One page of a search."""

    consents: Sequence[StoredVersion]
    total: int
    """How many there are, over all pages."""
    next: Place | None
    """After which place the next page begins; None where this one is the last."""


def page_of_consents(
    history: Sequence[StoredVersion], search: ConsentSearch, now: datetime, after: Place | None = None
) -> ConsentPage:
    """The page after `after` of the Consents that `search` finds; `history` are all their versions, oldest first.

    The first page begins the search `now`; on the others `after` says when that was.
    """
    began = int(after[0]) if after else (now - EPOCH) // _MICROSECOND
    recorded: dict[str, int] = {}
    current: list[StoredVersion] = []
    for one in history:
        at = (one.consent.recorded_at - EPOCH) // _MICROSECOND
        if at <= began or (one.consent.version == 1 and after is None):
            recorded[one.consent.id] = max(at, recorded.get(one.consent.id, at))
        if one.current:
            current.append(one)
    found = [one for one in current if one.consent.id in recorded and search.finds(one)]
    if search.form.summary == "count":
        return ConsentPage(consents=(), total=len(found), next=None)
    consents, following = page_of(
        found, lambda one: _place(one, recorded, began, descends=search.descends), search.form.count, after
    )
    return ConsentPage(consents=consents, total=len(found), next=following)


def _instant(moment: datetime) -> int:
    return (moment - EPOCH) // _MICROSECOND


def _place(one: StoredVersion, recorded: Mapping[str, int], began: int, *, descends: bool) -> Place:
    at = recorded[one.consent.id]
    return began, -at if descends else at, one.consent.id
