"""Which part of the matches is this page, and how is the next one found?

Keyset paging: a page link carries the place of the last entry that was handed out, not an offset. Every page is
decided afresh, so studies that appear or vanish meanwhile neither repeat nor lose the others.
"""

from base64 import b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import orjson

from gateway.db.crypto import KeyRing, SealBroken
from gateway.errors import ExpiredCursor, InvalidQuery, NotFound
from gateway.fhir.query_string import Pairs, write_url
from gateway.model import Requester

CURSOR = "_cursor"
"""The parameter of a page link. It is opaque: sealed with the gateway's key, for this caller, for ten minutes."""
LIFETIME = timedelta(minutes=10)
_MOST_CHARACTERS = 8000

Place = tuple[int | str, ...]
"""Where an entry stands in the order of a search (`imaging.matching.sort_key`); no two entries have the same."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """What a page link says: the search it goes on with, and after which place."""

    pairs: Pairs
    after: Place


def page_of(
    entries: Iterable[T], place: Callable[[T], Place], count: int, after: Place | None = None
) -> tuple[list[T], Place | None]:
    """The first `count` of `entries` after the place `after`, in order; and the place of the last if more follow."""
    placed = [(place(entry), entry) for entry in entries]
    placed = [pair for pair in placed if after is None or pair[0] > after]
    placed.sort(key=lambda pair: pair[0])
    page = placed[:count]
    return [entry for _, entry in page], page[-1][0] if len(placed) > count else None


def cursor_in(pairs: Sequence[tuple[str, str]]) -> str | None:
    """The cursor, where `pairs` are those of a page link. Raises InvalidQuery where anything is added to one."""
    cursors = [value for name, value in pairs if name == CURSOR]
    if not cursors:
        return None
    if len(pairs) > 1:
        raise InvalidQuery("a page link is used as it was given, with nothing added")
    return cursors[0]


def page_url(base: str, resource_type: str, cursor: str) -> str:
    """The link of a page. It goes on by GET, however the search began, and shows nothing of the search."""
    return write_url(f"{base}/{resource_type}", ((CURSOR, cursor),))


def encode_cursor(keys: KeyRing, cursor: Cursor, *, resource_type: str, requester: Requester, now: datetime) -> str:
    """`cursor` as text that only this gateway reads, and only for this caller and this type, for ten minutes."""
    content = (int((now + LIFETIME).timestamp()), _caller(keys, requester), cursor.pairs, cursor.after)
    return urlsafe_b64encode(keys.seal("cursor", resource_type, orjson.dumps(content))).decode().rstrip("=")


def decode_cursor(keys: KeyRing, text: str, *, resource_type: str, requester: Requester, now: datetime) -> Cursor:
    """The cursor that was encoded.

    Raises InvalidQuery where it was altered, NotFound where it was given to somebody else, ExpiredCursor after its
    ten minutes.
    """
    try:
        expires, caller, pairs, after = orjson.loads(keys.open("cursor", resource_type, _bytes_of(text)))
    except (Error, ValueError, SealBroken) as exc:
        raise InvalidQuery("the page link has been altered") from exc
    if caller != _caller(keys, requester):
        raise NotFound
    if now.timestamp() >= expires:
        raise ExpiredCursor
    return Cursor(pairs=tuple((name, value) for name, value in pairs), after=tuple(after))


def _bytes_of(text: str) -> bytes:
    if len(text) > _MOST_CHARACTERS:
        raise ValueError
    sealed = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if urlsafe_b64encode(sealed).decode().rstrip("=") != text:  # one cursor has one spelling
        raise ValueError
    return sealed


def _caller(keys: KeyRing, requester: Requester) -> str:
    # Tokens change between pages, callers don't: the client, the user it acts for and the patient it is bound to.
    return keys.blind(
        "cursor",
        requester.issuer,
        requester.client_id,
        requester.subject,
        requester.subject_id or "",
        requester.patient or "",
    ).hex()
