"""Of which study is a series that is asked about by its UID alone? Those of a study that was just refused as a whole.

Orthanc's plugin asks about the study, and where that is refused about the series, without saying of which study it is.
What is kept is only where to look: whether the series may be read is decided as ever.
"""

from datetime import datetime, timedelta

import orjson

from gateway.cache import Cache
from gateway.model import Facility, StudyUID
from gateway.retrieval.desk import RetrievalDesk
from gateway.retrieval.ruling import Caller

_KEPT = timedelta(seconds=60)
_MOST = 8


class StudiesInPart:
    """The studies that a token was refused as a whole and may read in part, for a minute, in every process."""

    def __init__(self, cache: Cache, desk: RetrievalDesk) -> None:
        self._cache = cache
        self._desk = desk

    def note(self, caller: Caller, facility: Facility, study: StudyUID) -> None:
        """Series of `study` may be asked about next."""
        studies = [study, *(one for one in self._noted(caller, facility) if one != study)]
        self._cache.save(_key(caller, facility), orjson.dumps(studies[:_MOST]), _KEPT)

    def study_of(self, caller: Caller, facility: Facility, series: str, now: datetime) -> StudyUID | None:
        """The study that the series is of, among those that the token was refused or is bound to."""
        candidates = dict.fromkeys([*self._noted(caller, facility), *sorted(caller.studies or ())])
        return next((uid for uid in candidates if self._desk.holds(caller, facility, uid, series, now)), None)

    def _noted(self, caller: Caller, facility: Facility) -> list[StudyUID]:
        saved = self._cache.find(_key(caller, facility))
        return [] if saved is None else [StudyUID(uid) for uid in orjson.loads(saved)]


def _key(caller: Caller, facility: Facility) -> str:
    return f"retrieval.part {facility.id} {caller.requester.token_id}"
