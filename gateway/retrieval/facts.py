"""What facilities tell of a person's studies, remembered for a short time: a viewer asks for every frame.

Only what a study is like is remembered (its UIDs, series, dates, words), never what was decided about it, nor whose it
is: identity, links and consent are read anew for every request.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from gateway.adapters.base import Facilities, FacilityQuestion, FacilityReply, Target
from gateway.consent.label_rules import LabelRules
from gateway.consent.labels import Labels
from gateway.deadline import Deadline
from gateway.errors import DependencyUnavailable
from gateway.imaging.study import SourceStudy
from gateway.log import Event, event
from gateway.model import FacilityID, PatientID, StudyUID
from gateway.retrieval.whose import RecordKey

FRESH_S = 60.0
"""How long an answer of the facilities is used; by so much does a study that an archive moves or changes lag."""
RETRY_S = 5.0
"""How soon they are asked again where one of them failed."""
LATE_S = 60.0
"""For how long after that it is used while they are asked again: whoever looks at images is not to wait, least of all
for another facility that is down."""
KEPT_S = 600.0
"""How long the last answer of a facility serves while the facility does not answer."""
_MOST_STUDIES = 50_000
_MOST_PERSONS = 5_000
_MOST_AT_ONCE = 8
"""Of those that are asked again meanwhile."""

Asked = tuple[PatientID, tuple[tuple[FacilityID, tuple[RecordKey, ...]], ...]]
"""The person, and which facilities were asked about which records: not every caller may have all asked."""


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """One study as each facility that was asked tells it, with the labels that follow of it."""

    sources: tuple[SourceStudy, ...]
    labels: tuple[Labels, ...]
    series: tuple[frozenset[str] | None, ...]
    """The UIDs of each source's series; None where they are not told."""


@dataclass(slots=True, eq=False)
class PersonFacts:
    """All that the facilities told of one person."""

    replies: Mapping[FacilityID, FacilityReply]
    at: float
    fresh_until: float
    studies: int
    by_uid: Mapping[StudyUID, tuple[SourceStudy, ...]]
    silent: frozenset[FacilityID]
    """Those that did not answer, nor have of late."""
    judged: dict[StudyUID, tuple[Mapping[FacilityID, Labels], StudyFacts]] = field(default_factory=dict)
    """With the labels of whole facilities that each was labelled by."""

    def of(self, uid: StudyUID, rules: LabelRules, floors: Mapping[FacilityID, Labels]) -> StudyFacts | None:
        """The study with its labels; None where no facility that was asked tells of it."""
        judged = self.judged.get(uid)
        if judged is not None and judged[0] == floors:
            return judged[1]
        sources = self.by_uid.get(uid)
        if sources is None:
            return None
        series = tuple(None if s.series is None else frozenset(one.uid for one in s.series) for s in sources)
        found = StudyFacts(sources, tuple(rules.label(sources, floors)), series)
        self.judged[uid] = (floors, found)
        return found


Targets = Callable[[], Sequence[Target]]
"""Whom to ask about which records. Raises DependencyUnavailable."""


def _in_a_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="retrieval-facts", daemon=True).start()


class FactsMemory:
    """Asks facilities about persons, each once while it is fresh. One object serves all threads of a process."""

    def __init__(
        self,
        facilities: Facilities,
        question: FacilityQuestion,
        monotonic: Callable[[], float] = time.monotonic,
        meanwhile: Callable[[Callable[[], None]], None] = _in_a_thread,
    ) -> None:
        """`meanwhile` runs what nobody waits for."""
        self._meanwhile = meanwhile
        self._facilities = facilities
        self._question = question
        self._monotonic = monotonic
        self._known: OrderedDict[Asked, PersonFacts] = OrderedDict()
        self._studies = 0
        self._lock = threading.Lock()
        self._asking: dict[Asked, threading.Event] = {}

    def recall(self, asked: Asked) -> PersonFacts | None:
        """What is known and fresh."""
        known = self._known.get(asked)
        return known if known is not None and self._monotonic() < known.fresh_until else None

    def find(self, asked: Asked, targets: Targets, deadline: Deadline) -> PersonFacts:
        """What the facilities tell, at most `FRESH_S` old; of several that want it at once, one asks.

        A facility that does not answer is spoken for by what it said before, for `KEPT_S`. Never raises of itself.
        """
        while True:
            if (known := self.recall(asked)) is not None:
                return known
            under_way = self._begin(asked)
            if under_way is None:
                return self._ask(asked, targets, deadline)
            if not under_way.wait(deadline.remaining()):
                return self._nothing()

    def recall_lately(self, asked: Asked, targets: Targets, patience: timedelta) -> PersonFacts | None:
        """What is known, also where it has just ceased to be fresh: the facilities are asked again meanwhile."""
        known = self._known.get(asked)
        if known is None:
            return None
        late = self._monotonic() - known.fresh_until
        if late >= LATE_S:
            return None
        if late >= 0 and len(self._asking) < _MOST_AT_ONCE and self._begin(asked) is None:
            self._meanwhile(lambda: self._ask_unheard(asked, targets, Deadline.after(patience)))
        return known

    def _begin(self, asked: Asked) -> threading.Event | None:
        """None where it is now this thread's to ask; otherwise what tells that another has asked."""
        with self._lock:
            under_way = self._asking.get(asked)
            if under_way is None:
                self._asking[asked] = threading.Event()
            return under_way

    def _ask(self, asked: Asked, targets: Targets, deadline: Deadline) -> PersonFacts:
        try:
            replies = self._facilities.ask(targets(), self._question, deadline)
            return self._remember(asked, replies)
        finally:
            with self._lock:
                under_way = self._asking.pop(asked)
            under_way.set()

    def _ask_unheard(self, asked: Asked, targets: Targets, deadline: Deadline) -> None:
        try:
            self._ask(asked, targets, deadline)
        except DependencyUnavailable as exc:
            event(Event.DEPENDENCY_UNAVAILABLE, reason=exc.reason)

    def _nothing(self) -> PersonFacts:
        now = self._monotonic()
        return PersonFacts(replies={}, at=now, fresh_until=now, studies=0, by_uid={}, silent=frozenset())

    def _remember(self, asked: Asked, replies: Sequence[FacilityReply]) -> PersonFacts:
        now = self._monotonic()
        before = self._known.get(asked)
        if before is not None and now - before.at > KEPT_S:
            before = None
        heard: dict[FacilityID, FacilityReply] = {}
        failed = {reply.facility.id for reply in replies if reply.failed}
        for reply in replies:
            id_ = reply.facility.id
            earlier = before.replies.get(id_) if before is not None else None
            heard[id_] = earlier if reply.failed and earlier is not None and not earlier.failed else reply
        by_uid: dict[StudyUID, tuple[SourceStudy, ...]] = {}
        for reply in heard.values():
            for study in reply.studies:
                by_uid[study.uid] = (*by_uid.get(study.uid, ()), study)
        facts = PersonFacts(
            replies=heard,
            # What is spoken for by an earlier answer grows no younger by it.
            at=before.at if before is not None and failed & before.replies.keys() else now,
            fresh_until=now + (RETRY_S if failed else FRESH_S),
            studies=sum(len(reply.studies) for reply in heard.values()),
            by_uid=by_uid,
            silent=frozenset(id_ for id_, reply in heard.items() if reply.failed),
        )
        with self._lock:
            self._forget(asked)
            self._known[asked] = facts
            self._studies += facts.studies
            while self._studies > _MOST_STUDIES or len(self._known) > _MOST_PERSONS:
                self._forget(next(iter(self._known)))
        return facts

    def _forget(self, asked: Asked) -> None:
        gone = self._known.pop(asked, None)
        if gone is not None:
            self._studies -= gone.studies
