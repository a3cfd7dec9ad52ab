"""What an archive would answer to a QIDO-RS request, as its state and its manners have it. No sockets."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.facilities.rows import Row, a_study_row, value_of

ADDED_ON_REQUEST = ("00081030", "00100021", "00080051", "00081032")
"""Attributes that an old Orthanc answers only where `includefield` names them."""
Parameters = list[tuple[str, str]]


@dataclass(slots=True, kw_only=True)
class Manners:
    """How the archive behaves. Change it at any time; the next request sees it."""

    delay_s: float = 0.0
    series_delay_s: float | None = None
    """Where series requests wait for another time than studies."""
    status: int | None = None
    """Answer everything with this status and an empty body."""
    series_status: int | None = None
    """Answer every series request with this status."""
    authorization: str | None = None
    """The only `Authorization` that is let in; others get 401."""
    decodes_percent: bool = True
    """False: values are compared as written, as Debian's Orthanc does; a `limit` that is no number is refused."""
    series_by_patient: bool = True
    """False: `/series` is 404, as in tiny_pacs."""
    refuses_includefield: bool = False
    refuses_paging: bool = False
    """True: any `limit` or `offset` is 400."""
    most_limit: int | None = None
    """A greater `limit` is 400, as in Microsoft's DICOM server (200)."""
    only_on_request: bool = False
    """True: some attributes come only where `includefield` names them."""
    ignores_limit: bool = False
    ignores_offset: bool = False
    ignores_patient: bool = False
    """True: every study of everyone is answered, as a server does that doesn't know the filter."""
    strict_urls: bool = False
    """True: what RFC 3986 does not allow in a query is 400, as in Tomcat."""
    most_rows: int | None = None
    """The archive's own cap on the rows of an answer."""
    warns: bool = False
    """Whether a capped answer says so (PS3.18 §8.3.4.4)."""
    nothing: str = "empty-list"
    """How no match is said: `empty-list` (200 `[]`), `no-content` (204), `empty-body` (200, nothing) or `null`."""
    gzip: bool = False
    closes_idle_after_s: float | None = None
    """Orthanc closes an idle connection after a second."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Archive:
    """Rows by level, and how questions about them are answered."""

    studies: list[Row] = field(default_factory=list)
    series: list[Row] = field(default_factory=list)
    manners: Manners = field(default_factory=Manners)

    def add_study(self, patient_id: str, uid: str, *, series: Iterable[Row] = (), **attributes: Any) -> Row:
        """One more study with its series; `attributes` are those of `a_study_row`."""
        row = a_study_row(patient_id, uid, **attributes)
        self.studies.append(row)
        self.series.extend(series)
        return row

    def answer(self, path: str, query: str, authorization: str | None = None) -> Answer:
        """What comes back for `path` (without the base) and `query`, as they are written."""
        manners, is_series = self.manners, path.endswith("/series")
        if manners.status is not None:
            return Answer(manners.status)
        if manners.authorization is not None and authorization != manners.authorization:
            return Answer(401, headers=(("WWW-Authenticate", 'Basic realm="archive"'),))
        if is_series and manners.series_status is not None:
            return Answer(manners.series_status)
        parameters = self._parameters(query)
        if self._refuses(query, dict(parameters)):
            return Answer(400)
        found = self._found(path, dict(parameters))
        if found is None:
            return Answer(404)
        return self._page(found, parameters)

    def _parameters(self, query: str) -> Parameters:
        if self.manners.decodes_percent:
            return parse_qsl(query, keep_blank_values=True)
        pairs = [part.partition("=") for part in query.split("&") if part]
        return [(name, value) for name, _, value in pairs]

    def _refuses(self, query: str, values: dict[str, str]) -> bool:
        manners, limit = self.manners, values.get("limit", "0")
        return (
            (manners.refuses_includefield and "includefield" in values)
            or (manners.refuses_paging and not values.keys().isdisjoint({"limit", "offset"}))
            or (manners.strict_urls and any(mark in query for mark in '"<>^`{|}[]\\'))
            or not limit.isdecimal()
            or (manners.most_limit is not None and int(limit) > manners.most_limit)
        )

    def _found(self, path: str, values: dict[str, str]) -> list[Row] | None:
        patient_id = None if self.manners.ignores_patient else values.get("PatientID") or None
        studies = [row for row in self.studies if patient_id in (None, value_of(row, "00100020"))]
        if path == "/studies":
            return studies
        if path == "/series" and self.manners.series_by_patient:
            uids = {value_of(row, "0020000D") for row in studies}
            return [row for row in self.series if value_of(row, "0020000D") in uids]
        step = path.split("/")
        if len(step) == 4 and step[1] == "studies" and step[3] == "series":
            return [row for row in self.series if value_of(row, "0020000D") == unquote(step[2])]
        return None

    def _page(self, rows: Sequence[Row], parameters: Parameters) -> Answer:
        manners, values = self.manners, dict(parameters)
        offset = 0 if manners.ignores_offset else int(values.get("offset", 0))
        limit = None if manners.ignores_limit else int(values.get("limit", 0)) or None
        rest = list(rows[offset:])
        page = rest[:limit][: manners.most_rows]
        if manners.only_on_request:
            asked = {tag for name, value in parameters if name == "includefield" for tag in value.split(",")}
            hidden = set(ADDED_ON_REQUEST) - asked
            page = [{tag: value for tag, value in row.items() if tag not in hidden} for row in page]
        if not page and manners.nothing != "empty-list":
            return {"no-content": Answer(204), "null": Answer(200, b"null")}.get(manners.nothing, Answer(200))
        left = len(rest) - len(page)
        warning = (("Warning", f'299 archive "There are {left} additional results that can be requested"'),)
        headers = warning if manners.warns and left else ()
        return Answer(200, json.dumps(page, ensure_ascii=False).encode(), headers)
