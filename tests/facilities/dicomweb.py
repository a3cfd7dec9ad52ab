"""A DICOMweb archive with a state and with manners, on a loopback port.

with DICOMwebServer() as north:
    north.add_study("N-1", "2.25.11", series=[a_series_row("2.25.11", "2.25.111")])
    north.manners.delay_s = 0.03
    ...                # ask north.url (ends in /dicom-web)
    north.targets[0]   # '/studies?PatientID=N-1&…', as it was written
"""

import gzip
import socket
from collections.abc import Iterable, Sequence
from typing import Any

from tests.facilities.archive import Archive, Manners
from tests.facilities.little_server import LittleServer, Request, response
from tests.facilities.rows import Row

__all__ = ["DICOMwebServer", "Manners"]


class DICOMwebServer(LittleServer):
    """A facility's archive. `requests` remembers what was asked, as it was written."""

    root = "/dicom-web"

    def __init__(
        self, studies: Iterable[Row] = (), series: Iterable[Row] = (), *, manners: Manners | None = None
    ) -> None:
        self.archive = Archive(list(studies), list(series), manners or Manners())
        super().__init__()

    @property
    def manners(self) -> Manners:
        """How the archive behaves; change what it holds at any time."""
        return self.archive.manners

    @manners.setter
    def manners(self, manners: Manners) -> None:
        self.archive.manners = manners

    @property
    def studies(self) -> list[Row]:
        """The study level rows."""
        return self.archive.studies

    @property
    def series(self) -> list[Row]:
        """The series level rows."""
        return self.archive.series

    def add_study(self, patient_id: str, uid: str, *, series: Sequence[Row] = (), **attributes: Any) -> Row:
        """One more study with its series; `attributes` are those of `a_study_row`."""
        return self.archive.add_study(patient_id, uid, series=series, **attributes)

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
        path = request.path.removeprefix(self.root)
        answer = self.archive.answer(path, request.query, request.headers.get("authorization"))
        body, headers = answer.body, answer.headers
        if manners.gzip and body:
            body, headers = gzip.compress(body), (*headers, ("Content-Encoding", "gzip"))
        connection.sendall(response(answer.status, body, headers=headers))
        connection.settimeout(manners.closes_idle_after_s)
        return True
