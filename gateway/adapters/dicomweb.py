"""What a DICOMweb archive holds of a patient: `/studies` and `/series` by PatientID, side by side (DICOM PS3.18 §10.6).

Pure protocol: it yields exchanges and is sent their results. Whatever an archive returns is checked against the record
that was asked for; nothing it says about where to fetch (RetrieveURL) is used.
"""

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from gateway.adapters.base import (
    Conversation,
    FacilityQuestion,
    FacilityReply,
    HTTPExchange,
    HTTPResult,
    ReplyStatus,
    Target,
)
from gateway.adapters.heard import HeardBefore
from gateway.adapters.manners import Manners, MannersMemory
from gateway.adapters.qido import Listing, patient_parameters
from gateway.adapters.qido_answer import SERIES, STUDIES, STUDIES_WITH_DEPARTMENT, Refused
from gateway.adapters.row_check import RowCheck, Verdict, can_be_sent, issuers_of
from gateway.imaging.dicom_json import Row
from gateway.imaging.from_dicom import (
    UnreadableStudy,
    issuer_of,
    patient_id_of,
    read_series,
    read_study,
    study_uid_of,
    with_series,
)
from gateway.imaging.plain_rows import SeriesRow, StudyRow
from gateway.imaging.study import Series, SourceStudy
from gateway.model import Facility, LocalPatientID, SourceRecord, StudyUID

MOST_STUDIES = 5_000
"""Of one record; more are cut off, and the facility is named incomplete."""
MOST_SERIES = 20_000
MOST_SERIES_OF_A_STUDY = 1_000
MOST_STUDIES_ASKED_ONE_BY_ONE = 200
_AT_ONCE = 8
"""Requests side by side to an archive that must be asked for each study's series."""
_NOT_SUPPORTED = frozenset({400, 404, 405, 406, 410, 501})
_WORST_FIRST: tuple[ReplyStatus, ...] = ("timed_out", "unreachable", "refused", "unreadable")

Asking = Generator[Sequence[HTTPExchange], Sequence[HTTPResult], None]


class DICOMwebAdapter:
    """Asks archives by QIDO-RS. One object serves all facilities and threads.

    It remembers the archives' manners, and what it has read of the answers heard last (`heard.py`).
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, heard: HeardBefore | None = None) -> None:
        self._memory = MannersMemory(clock)
        self._heard = heard or HeardBefore(clock)

    def converse(self, target: Target, question: FacilityQuestion) -> Conversation:
        """The exchanges that answer `question` for `target`, ending in its reply."""
        manners = self._memory.of(target.facility, "studies"), self._memory.of(target.facility, "series")
        return self._heard.hold(_converse(target, question, *manners), target, question, manners)


def _converse(target: Target, question: FacilityQuestion, studies: Manners, series: Manners) -> Conversation:
    facility = target.facility
    sendable = [record for record in target.records if can_be_sent(record.identifier.value)]
    asked = [_Asked(facility, record, studies, series, question) for record in sendable]
    yield from _fetch([listing for one in asked for listing in one.listings()])
    for one in asked:
        one.read()
    if question.wants_series:
        one_by_one = [listing for one in asked for listing in one.series_left()]
        yield from _fetch(one_by_one, at_once=_AT_ONCE)
        for one in asked:
            one.read_series_left()
    return _reply(facility, asked, unasked=len(target.records) - len(sendable))


def _fetch(listings: Sequence[Listing[Any]], at_once: int | None = None) -> Asking:
    """All `listings` have ended: complete, cut off or failed.

    Asked some at once, they are no longer asked once one is cut off: the archive does not keep to what it is asked.
    """
    waiting = list(listings)
    while waiting:
        wanted = [(listing, listing.wanted()) for listing in waiting[:at_once]]
        exchanges = [exchange for _, of_one in wanted for exchange in of_one]
        if exchanges:
            results = iter((yield exchanges))
            for listing, of_one in wanted:
                listing.take(list(islice(results, len(of_one))))
        waiting = [listing for listing, of_one in wanted if of_one] + waiting[len(wanted) :]
        if at_once is not None and any(listing.cut_off for listing, _ in wanted):
            for listing in waiting:
                listing.stop()


@dataclass(slots=True)
class _Counts:
    dropped: int = 0
    contradicted: int = 0
    unreadable: int = 0

    def count(self, verdict: Verdict) -> None:
        if verdict == "another_patient":
            self.dropped += 1
        elif verdict == "contradicts":
            self.contradicted += 1


class _Asked:
    """One record that an archive is asked about: the lists that are read for it, and what they hold."""

    def __init__(
        self,
        facility: Facility,
        record: SourceRecord,
        studies: Manners,
        series: Manners,
        question: FacilityQuestion,
    ) -> None:
        self._facility = facility
        self._record = record
        self._local_id = LocalPatientID(record.identifier.value)
        self._patient_id = record.identifier.value.strip(" ")
        self._series_manners = series
        self._base = facility.query_url or ""
        parameters = patient_parameters(record.identifier.value)
        level = STUDIES_WITH_DEPARTMENT if question.wants_department else STUDIES
        self.studies_listing = Listing(f"{self._base}/studies", parameters, level, studies, MOST_STUDIES)
        self._series_listing = (
            Listing(f"{self._base}/series", parameters, SERIES, series, MOST_SERIES)
            if question.wants_series and not series.unsupported
            else None
        )
        self._uids: set[str | None] | None = None
        self._known: set[StudyUID] = set()
        """The studies whose series are all told."""
        self._left: dict[StudyUID, Listing[SeriesRow]] = {}
        self._series: dict[StudyUID, dict[str, Series]] = {}
        self.studies: dict[StudyUID, SourceStudy] = {}
        self.counts = _Counts()
        self.lacks_series = False
        self.lacks_studies = False
        """True where the patient's series tell of a study that the list of studies does not hold."""

    def listings(self) -> list[Listing[Any]]:
        """What is asked first, side by side."""
        return [self.studies_listing] if self._series_listing is None else [self.studies_listing, self._series_listing]

    def read(self) -> None:
        """The studies of the record, and the series that came with them, are read."""
        rows = self.studies_listing.rows
        check = RowCheck(self._record, issuers_of(self._facility, [issuer_of(row) for row in rows]))
        for row in rows:
            if not row:
                self.counts.unreadable += 1
                continue
            verdict = check.verdict(row)
            if verdict == "accepted":
                self._accept(row)
            else:
                self.counts.count(verdict)
        if self._series_listing is not None:
            failure = self._series_listing.failure
            if failure is not None and failure.code in _NOT_SUPPORTED and self.studies_listing.failure is None:
                self._series_manners.unsupported = True
            self._accept_series(self._series_listing.rows, None)

    def series_left(self) -> list[Listing[Any]]:
        """A list for each study whose series did not come, or not all, when all series were asked for at once."""
        # Of an archive that overflows, enough has been read.
        given_up = self._timed_out() or self.studies_listing.truncated
        self._known = {uid for uid in self.studies if self._has_all_series(uid)}
        left = [] if given_up else [uid for uid in self.studies if uid not in self._known]
        self._left = {
            uid: Listing(
                f"{self._base}/studies/{uid}/series",
                (None,),
                SERIES,
                self._series_manners,
                MOST_SERIES_OF_A_STUDY,
            )
            for uid in left[:MOST_STUDIES_ASKED_ONE_BY_ONE]
        }
        return list(self._left.values())

    def read_series_left(self) -> None:
        """Every study has its series, or None where they are not known."""
        known = self._known
        for uid, listing in self._left.items():
            before = len(self._series.get(uid, ()))
            self._accept_series(listing.rows, uid)
            if listing.complete:
                known.add(uid)
                if before and before == len(self._series[uid]):
                    # Asked for one by one it has no more either: the archive counts series that it does not show.
                    self._series_manners.counts_hold = False
        for uid, study in self.studies.items():
            if uid in known and uid in self._series:
                self.studies[uid] = with_series(study, tuple(self._series[uid].values()))
            else:
                self.lacks_series = True

    def _timed_out(self) -> bool:
        listing = self._series_listing
        return listing is not None and listing.failure is not None and listing.failure.status == "timed_out"

    def _has_all_series(self, uid: StudyUID) -> bool:
        found, stated = len(self._series.get(uid, ())), self.studies[uid].number_of_series
        if stated is not None and self._series_manners.counts_hold:
            return found > 0 and found >= stated
        return found > 0 and self._series_listing is not None and self._series_listing.complete

    def _accept(self, row: Row | StudyRow) -> None:
        try:
            study = read_study(row, self._facility, self._record.record_id, self._local_id)
        except UnreadableStudy:
            self.counts.unreadable += 1
            return
        self.studies.setdefault(study.uid, study)

    def _accept_series(self, rows: Sequence[Row | SeriesRow], of: StudyUID | None) -> None:
        own, studies, told = (self._patient_id,), self.studies, self._series
        for row in rows:
            if isinstance(row, SeriesRow) and (stated := row.patient_id) and stated.Value == own:
                patient_id: str | None = self._patient_id
            else:
                patient_id = patient_id_of(row)
                if patient_id is not None and patient_id != self._patient_id:
                    self.counts.dropped += 1
                    continue
            try:
                uid, series = read_series(row, self._facility, of, studies)
            except UnreadableStudy:
                self.counts.unreadable += 1
                continue
            if uid in studies:
                told.setdefault(uid, {}).setdefault(series.uid, series)
            elif patient_id is not None and uid not in self._listed():
                self.lacks_studies = True

    def _listed(self) -> set[str | None]:
        """The UIDs in the list of studies, whatever became of them."""
        if self._uids is None:
            self._uids = {study_uid_of(row) for row in self.studies_listing.rows if row}
        return self._uids


def _reply(facility: Facility, asked: Sequence[_Asked], *, unasked: int) -> FacilityReply:
    # An identifier that the archive would not understand was not asked for, whatever it said to the attempt.
    understood = [one for one in asked if not one.studies_listing.not_understood]
    unasked += len(asked) - len(understood)
    failures = [one.studies_listing.failure for one in understood]
    answered = not understood or None in failures or any(one.studies for one in understood)
    contradicted = sum([one.counts.contradicted for one in understood])
    unreadable = sum([one.counts.unreadable for one in understood])
    lacking = any(one.lacks_series or one.lacks_studies or not one.studies_listing.complete for one in understood)
    return FacilityReply(
        facility=facility,
        status="answered" if answered else _worst(failures),
        studies=tuple([study for one in understood for study in one.studies.values()]),
        incomplete=lacking or unasked > 0 or contradicted > 0 or unreadable > 0,
        dropped=sum([one.counts.dropped for one in understood]),
        contradicted=contradicted,
        unreadable=unreadable,
        unasked=unasked,
    )


def _worst(failures: Sequence[Refused | None]) -> ReplyStatus:
    failed = {failure.status for failure in failures if failure is not None}
    return next(status for status in _WORST_FIRST if status in failed)
