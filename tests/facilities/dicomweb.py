"""A DICOMweb archive with a state and with manners: QIDO-RS over DICOM JSON rows on a loopback port.

with DICOMwebServer() as north:
    north.add_study("N-1", "2.25.11", series=[a_series_row("2.25.11", "2.25.111")])
    north.manners.delay_s = 0.03
    ...                        # ask north.url (ends in /dicom-web)
    north.requests[0].target   # '/dicom-web/studies?PatientID=N-1&…', as it was written
"""

import gzip
import json
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tests.facilities.little_server import LittleServer, Request, response
from tests.facilities.rows import Row, a_study_row, value_of

ADDED_ON_REQUEST = ("00081030", "00100021", "00080051", "00081032")
"""Attributes that an old Orthanc answers only where `includefield` names them."""


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
    """False: values are compared as written, as Debian's Orthanc does."""
    series_by_patient: bool = True
    """False: `/series` is 404, as in tiny_pacs."""
    refuses_includefield: bool = False
    only_on_request: bool = False
    """True: some attributes come only where `includefield` names them."""
    ignores_limit: bool = False
    ignores_offset: bool = False
    ignores_patient: bool = False
    """True: every study of everyone is answered, as a server does that doesn't know the filter."""
    most_rows: int | None = None
    """The archive's own cap on the rows of an answer."""
    nothing: str = "empty-list"
    """How no match is said: `empty-list` (200 `[]`), `no-content` (204) or `empty-body` (200, nothing)."""
    gzip: bool = False
    closes_idle_after_s: float | None = None
    """Orthanc closes an idle connection after a second."""


class DICOMwebServer(LittleServer):
    """A facility's archive. `requests` remembers what was asked, as it was written."""

    root = "/dicom-web"

    def __init__(
        self, studies: Iterable[Row] = (), series: Iterable[Row] = (), *, manners: Manners | None = None
    ) -> None:
        self.studies: list[Row] = list(studies)
        self.series: list[Row] = list(series)
        self.manners = manners or Manners()
        super().__init__()

    def add_study(self, patient_id: str, uid: str, *, series: Sequence[Row] = (), **attributes: Any) -> Row:
        """One more study with its series; `attributes` are those of `a_study_row`."""
        row = a_study_row(patient_id, uid, **attributes)
        self.studies.append(row)
        self.series.extend(series)
        return row

    @property
    def targets(self) -> list[str]:
        """Paths and queries that were asked, without the root."""
        return [request.target.removeprefix(self.root) for request in self.requests]

    def answer(self, request: Request, connection: socket.socket) -> bool:
        """The rows that were asked for, as the manners have it."""
        manners = self.manners
        is_series = request.path.endswith("/series")
        delay = manners.series_delay_s if is_series and manners.series_delay_s is not None else manners.delay_s
        if delay and self.stopping.wait(delay):
            return False
        connection.sendall(self._response(request, is_series=is_series))
        connection.settimeout(manners.closes_idle_after_s)
        return True

    def _response(self, request: Request, *, is_series: bool) -> bytes:
        manners = self.manners
        if manners.status is not None:
            return response(manners.status)
        if manners.authorization is not None and request.headers.get("authorization") != manners.authorization:
            return response(401, headers=(("WWW-Authenticate", 'Basic realm="archive"'),))
        if is_series and manners.series_status is not None:
            return response(manners.series_status)
        parameters = self._parameters(request)
        if manners.refuses_includefield and "includefield" in dict(parameters):
            return response(400)
        found = self._found(request.path.removeprefix(self.root), dict(parameters))
        if found is None:
            return response(404)
        return self._encoded(self._page(found, parameters))

    def _parameters(self, request: Request) -> list[tuple[str, str]]:
        if self.manners.decodes_percent:
            return request.parameters
        pairs = [part.partition("=") for part in request.query.split("&") if part]
        return [(name, value) for name, _, value in pairs]

    def _found(self, path: str, parameters: dict[str, str]) -> list[Row] | None:
        patient_id = None if self.manners.ignores_patient else parameters.get("PatientID") or None
        if path == "/studies":
            return [row for row in self.studies if patient_id in (None, value_of(row, "00100020"))]
        if path == "/series" and self.manners.series_by_patient:
            uids = {
                value_of(row, "0020000D") for row in self.studies if patient_id in (None, value_of(row, "00100020"))
            }
            return [row for row in self.series if value_of(row, "0020000D") in uids]
        step = path.split("/")
        if len(step) == 4 and step[1] == "studies" and step[3] == "series":
            return [row for row in self.series if value_of(row, "0020000D") == unquote(step[2])]
        return None

    def _page(self, rows: list[Row], parameters: list[tuple[str, str]]) -> list[Row]:
        manners = self.manners
        values = dict(parameters)
        offset = 0 if manners.ignores_offset else int(values.get("offset", 0))
        limit = None if manners.ignores_limit else int(values["limit"]) if "limit" in values else None
        rows = rows[offset:]
        rows = rows[: limit or None][: manners.most_rows]
        if manners.only_on_request:
            asked = {tag for name, value in parameters if name == "includefield" for tag in value.split(",")}
            hidden = set(ADDED_ON_REQUEST) - asked
            rows = [{tag: value for tag, value in row.items() if tag not in hidden} for row in rows]
        return rows

    def _encoded(self, rows: list[Row]) -> bytes:
        manners = self.manners
        if not rows and manners.nothing != "empty-list":
            return response(204 if manners.nothing == "no-content" else 200)
        body = json.dumps(rows, ensure_ascii=False).encode()
        if manners.gzip:
            return response(200, gzip.compress(body), headers=(("Content-Encoding", "gzip"),))
        return response(200, body)
