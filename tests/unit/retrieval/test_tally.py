"""What is fetched is on record before it is let through; what follows is counted and stored, or nothing goes on."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from gateway.audit.record import AuditRecord, Released
from gateway.errors import AuditUnavailable
from gateway.retrieval.tally import MOST_REFUSALS, RetrievalTally

T0 = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = ("jti", "north", "2.25.1")


class Log:
    """An audit log that can fail."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []
        self.fails = False

    def record(self, records: Sequence[AuditRecord]) -> None:
        """Stored, or not."""
        if self.fails:
            raise AuditUnavailable("away")
        self.records += records


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.passed = 0.0

    def wall(self) -> datetime:
        """The time of day."""
        return T0 + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        """Seconds."""
        return self.passed


def an_opening() -> AuditRecord:
    """The first request of a token for a study."""
    return AuditRecord(
        id=str(uuid.uuid4()),
        recorded=T0,
        kind="retrieval",
        outcome="success",
        patient="anne",
        released=(Released(facility="north", studies=("2.25.1",)),),
        details=(("facility", "north"), ("study", "2.25.1"), ("bound", "facility")),
    )


def a_refusal() -> AuditRecord:
    """One refusal."""
    return AuditRecord(
        id=str(uuid.uuid4()), recorded=T0, kind="retrieval-refused", outcome="refused", details=(("facility", "north"),)
    )


def a_tally() -> tuple[RetrievalTally, Log, Clock]:
    """A tally over a log that can fail."""
    log, clock = Log(), Clock()
    return RetrievalTally(log, clock.wall, clock.monotonic), log, clock


def test_the_first_request_is_stored_and_the_rest_counted() -> None:
    """A count says of which record, since when, and discloses nothing a second time."""
    tally, log, clock = a_tally()
    for _ in range(1000):
        tally.fetched(KEY, an_opening)
    assert len(log.records) == 1

    clock.passed = 30
    tally.close()
    opening, count = log.records
    assert dict(count.details) == {
        "facility": "north",
        "study": "2.25.1",
        "counted": "999",
        "since": T0.isoformat(),
        "of": opening.id,
    }
    assert (count.kind, count.patient, count.released, count.recorded) == ("retrieval", "anne", (), clock.wall())


def test_nothing_is_let_through_whose_opening_can_not_be_stored() -> None:
    """T59: and it is not taken for opened afterwards."""
    tally, log, _ = a_tally()
    log.fails = True
    for _ in range(2):
        with pytest.raises(AuditUnavailable):
            tally.fetched(KEY, an_opening)
    log.fails = False
    tally.fetched(KEY, an_opening)
    assert len(log.records) == 1
    tally.close()


def test_a_count_that_can_not_be_stored_stops_what_follows_and_is_not_lost() -> None:
    """Until it can: then it is stored before anything goes on."""
    tally, log, _ = a_tally()
    for _ in range(3):
        tally.fetched(KEY, an_opening)
    log.fails = True
    with pytest.raises(AuditUnavailable):
        tally.flush()
    with pytest.raises(AuditUnavailable):
        tally.fetched(KEY, an_opening)
    log.fails = False
    tally.fetched(KEY, an_opening)
    tally.close()

    counted = [int(dict(one.details)["counted"]) for one in log.records[1:]]
    assert sum(counted) == 3


def test_a_token_that_is_not_used_any_more_is_forgotten_and_opens_anew() -> None:
    """Its next request is an opening again."""
    tally, log, clock = a_tally()
    tally.fetched(KEY, an_opening)
    clock.passed = 601
    tally.flush()
    tally.fetched(KEY, an_opening)
    tally.close()

    assert [one.released != () for one in log.records] == [True, True]


def test_each_refusal_is_stored_and_a_flood_counted() -> None:
    """Twenty a minute for one token; the number of the rest, and the next minute begins anew."""
    tally, log, clock = a_tally()
    for _ in range(MOST_REFUSALS + 80):
        tally.refused(("jti", "north"), a_refusal)
    tally.refused(("other", "north"), a_refusal)
    assert len(log.records) == MOST_REFUSALS + 1

    clock.passed = 61
    tally.refused(("jti", "north"), a_refusal)
    tally.close()
    counts = [dict(one.details)["counted"] for one in log.records if "counted" in dict(one.details)]
    assert counts == ["80"]
    assert len(log.records) == MOST_REFUSALS + 3


def test_a_refusal_that_can_not_be_stored_says_so() -> None:
    """The answer is then that we can't answer, and no image either way."""
    tally, log, _ = a_tally()
    log.fails = True
    with pytest.raises(AuditUnavailable):
        tally.refused(("jti", "north"), a_refusal)
    log.fails = False
    tally.close()
