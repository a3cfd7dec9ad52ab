"""Asking an archive by QIDO-RS (DICOM PS3.18 §10.6): how a question is written, and how a list is read page by page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic
from urllib.parse import quote

from gateway.adapters.base import HTTPExchange, HTTPResult
from gateway.adapters.manners import Manners
from gateway.adapters.qido_answer import Level, R, Refused, read_level
from gateway.imaging.dicom_json import Row

MOST_PAGES = 64
_MOST_PAGES_AT_ONCE = 8
_UNESCAPED = "!\"$'()-./:;<=>@[]^_`{|}~"
"""What may stand in a query as it is: an old Orthanc does not decode what is escaped. Never `& # % +` or a space."""
_is_plain = re.compile("[A-Za-z0-9_.~-]*").fullmatch
"""What nearly all are: written alike in every way."""
_GRAMMAR = "!$'()-./:;=@_~"
"""What RFC 3986 §3.4 allows there; a strict server refuses the rest."""


@dataclass(frozen=True, slots=True)
class Style:
    """A way of asking that some archives refuse with 400."""

    limit: int | None
    fields: bool


STYLES = (Style(1000, True), Style(200, True), Style(200, False), Style(None, False))
"""Tried in this order. Some archives allow at most 200 rows a page, some know no `includefield`, some neither."""


@dataclass(frozen=True, slots=True)
class PatientParameter:
    """`PatientID=…` as it is written in a query."""

    text: str
    escaped: bool
    """Where it is, so is the limit: a server that does not decode then refuses, and does not answer "nothing"."""


def patient_parameters(patient_id: str) -> tuple[PatientParameter, ...]:
    """The ways to write a PatientID, to be tried in this order: as it is, and escaped where that may be needed."""
    value = patient_id.rstrip(" ")
    if _is_plain(value):
        return (PatientParameter(f"PatientID={value}", escaped=False),)
    as_it_is = quote(value, safe=_UNESCAPED)
    strict = quote(value, safe=_GRAMMAR)
    first = PatientParameter(f"PatientID={as_it_is}", as_it_is != value)
    if strict == as_it_is:
        return (first,)
    return (first, PatientParameter(f"PatientID={strict}", True))


class Listing(Generic[R]):
    """One list of an archive, read page by page until it is complete, fails, or has grown to its cap."""

    def __init__(
        self,
        url: str,
        parameters: Sequence[PatientParameter | None],
        level: Level[R],
        manners: Manners,
        most_rows: int,
    ) -> None:
        """`parameters` are the ways to write the question, tried in order; None: the URL says it all."""
        self.failure: Refused | None = None
        self._url = url
        self._level = level
        self._manners = manners
        self._attempts = [
            (parameter, style)
            for parameter in parameters
            for style in range(manners.style, len(STYLES))
            if STYLES[style].limit is not None or parameter is None or not parameter.escaped
        ]
        self._pages: _Pages[R] = _Pages(level, manners, most_rows)
        if not self._attempts:
            self.failure = Refused("refused", 400)

    @property
    def rows(self) -> list[Row | R]:
        """What has been read."""
        return self._pages.rows

    @property
    def complete(self) -> bool:
        """Whether these are all rows that the archive has."""
        return self.failure is None and not self._pages.truncated

    @property
    def cut_off(self) -> bool:
        """Whether the archive has, or says that it has, more rows than are read."""
        return self._pages.truncated

    def stop(self) -> None:
        """The list has ended as it is; if it had not, it counts as cut off."""
        self._pages.truncated = self._pages.truncated or not self._pages.ended
        self._pages.ended = True

    @property
    def truncated(self) -> bool:
        """Whether the archive has more rows than are read of any."""
        return self._pages.truncated

    @property
    def not_understood(self) -> bool:
        """Whether the archive refused a question that had to be escaped: it does not decode what is."""
        parameter = self._attempts[0][0] if self._attempts else None
        return self.failure is not None and self.failure.code == 400 and (parameter is None or parameter.escaped)

    def wanted(self) -> list[HTTPExchange]:
        """The pages to ask for next; none where the list has ended."""
        if self.failure is not None or self._pages.ended:
            return []
        return [HTTPExchange(url=self._page_url(offset)) for offset in self._pages.offsets()]

    def take(self, results: Sequence[HTTPResult]) -> None:
        """Read what came back for `wanted`, in its order."""
        for result in results:
            if self.failure is not None or self._pages.ended:
                return
            _, style = self._attempts[0]
            try:
                page = read_level(result, self._level)
            except Refused as refused:
                self._take_refusal(refused)
            else:
                self._manners.style = max(self._manners.style, style)
                self._pages.take(page, STYLES[style].limit, told_of_more=_says_there_is_more(result))

    def _take_refusal(self, refused: Refused) -> None:
        if not self._pages.begun and refused.code == 400 and len(self._attempts) > 1:
            del self._attempts[0]
        elif self._pages.begun and refused.code == 404:
            self._pages.ended = True  # some archives say so of an offset behind the last row
        else:
            self.failure = refused

    def _page_url(self, offset: int) -> str:
        parameter, style_number = self._attempts[0]
        style = STYLES[style_number]
        parts = [parameter.text] if parameter is not None else []
        if style.limit is not None:
            limit = str(style.limit)
            if parameter is not None and parameter.escaped:
                limit = "".join(f"%{ord(digit):02X}" for digit in limit)
            parts += [f"limit={limit}", f"offset={offset}"]
        query = "&".join(parts) + (self._level.fields if style.fields else "")
        return f"{self._url}?{query}" if query else self._url


class _Pages(Generic[R]):
    """How far a list has been read, and whether there is more.

    Archives ignore `limit`, ignore `offset`, or cut an answer off at a cap of their own, without a word. So a page that
    is full is followed by the next ones; a page that is not, and yet longer than any this archive is known to give in
    full, is followed by one more to see; and a page that brings nothing new is the last. (What an archive cuts off and
    then denies at any offset, as Orthanc's `LimitFindResults` does, can't be seen here.)
    """

    def __init__(self, level: Level[R], manners: Manners, most_rows: int) -> None:
        self.rows: list[Row | R] = []
        self.ended = False
        self.truncated = False
        self._uid_of = level.uid_of
        self._manners = manners
        self._most_rows = most_rows
        self._seen: set[str] = set()
        self._step = 0
        self._count = 0
        self._at_once = 1
        self._probing = False

    @property
    def begun(self) -> bool:
        """Whether a page has been read."""
        return self._count > 0

    def offsets(self) -> list[int]:
        """Where the pages to be asked for begin: more and more of them at once, the longer the list."""
        if not self.begun or self._probing:
            return [self._count * self._step]
        at_once, self._at_once = self._at_once, min(self._at_once * 2, _MOST_PAGES_AT_ONCE)
        return [(self._count + n) * self._step for n in range(at_once)]

    def take(self, page: Sequence[Row | R], limit: int | None, *, told_of_more: bool) -> None:
        """Add the next page."""
        first = not self.begun
        self._count += 1
        if first:
            self._step = len(page)
        elif not self._brings_new(page):
            self._take_repetition(page, limit)
            return
        self.rows += page
        if first:
            more = told_of_more or len(page) == limit
            self._probing = not more and limit is not None and self._manners.truthful_up_to < len(page) < limit
            self.ended = not (more or self._probing)
        else:
            # What looked like the last page was not: this archive cuts off at a cap of its own.
            more = told_of_more or self._probing or len(page) >= self._step
            self._probing = False
            self.ended = not more
        if len(self.rows) > self._most_rows or (more and (self._count >= MOST_PAGES or limit is None)):
            self.truncated = self.ended = True
            del self.rows[self._most_rows :]

    def _brings_new(self, page: Sequence[Row | R]) -> bool:
        if not self._seen:  # most lists have one page, and need no memory of what was on it
            self._seen = self._uids_of(self.rows)
        new = self._uids_of(page) - self._seen
        self._seen |= new
        return bool(new)

    def _uids_of(self, rows: Sequence[Row | R]) -> set[str]:
        return {uid for row in rows if (uid := self._uid_of(row)) is not None}

    def _take_repetition(self, page: Sequence[Row | R], limit: int | None) -> None:
        self.ended = True
        if self._probing:
            self._manners.truthful_up_to = max(self._manners.truthful_up_to, self._step)
        elif page and self._count == 2 and self._step == limit:
            self.truncated = True  # a full page, and then the same again: what is behind it can't be reached


def _says_there_is_more(result: HTTPResult) -> bool:
    """PS3.18 §8.3.4.4: `Warning: 299 … There are n additional results that can be requested`."""
    return any(value.startswith("299") and "additional" in value for name, value in result.headers)
