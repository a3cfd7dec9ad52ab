"""What left the exchange about one person, when, to whom, why and on which word? From audit records. Pure.

The accounting of disclosures of HIPAA (45 CFR 164.528: six years, date, recipient and address, what, purpose) and the
list of an intermediary for Part 2 programmes (42 CFR 2.24: three years, those facilities alone). It tells more than
either asks: treatment too, and what the patient's own app was given.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.audit.record import AuditRecord, Decided, Released
from gateway.errors import InvalidQuery

Kind = Literal["hipaa", "part2"]
Act = Literal["links", "images", "record"]
"""What was given: where studies can be fetched, the images themselves, or what is on file about the person."""
YEARS: Mapping[Kind, int] = {"hipaa": 6, "part2": 3}
"""How far back each goes unless it is asked otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who was given it."""

    organization: str
    """Its id or URI."""
    name: str
    """What it is called, where that is known; else what the application is called."""
    application: str
    person: str
    """The clinician or user, by name or number and role; empty where a system asked for itself."""
    address: str
    """From where it asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What was given of one facility, and on which word."""

    facility: str
    name: str
    studies: tuple[str, ...]
    basis: tuple[str, ...]
    """The consents that permitted it (`Consent/{id}/_history/{version}`), else the policy's URL, else in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """One answer that something left with."""

    id: str
    """The audit record; its AuditEvents are `{id}-{n}`."""
    at: datetime
    act: Act
    recipient: Recipient
    purposes: tuple[str, ...]
    given: tuple[Given, ...]
    """Links to studies, by facility."""
    wrong_link: bool = False
    """Whether the person's records were taken for another's then: some of `given` may be of that other."""
    other: tuple[str, ...]
    """Resources besides: `Patient/…` (who the person is), `Consent/…`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """All of one person in one span, in order."""

    patient: str
    kind: Kind
    since: datetime
    until: datetime
    made_at: datetime
    disclosures: tuple[Disclosure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """What organisations are called, and which facilities are Part 2 programmes."""

    names: Mapping[str, str]
    part2: Collection[str] = ()


def disclosures_in(records: Iterable[AuditRecord], kind: Kind, directory: Directory) -> Iterator[Disclosure]:
    """The disclosures among `records` that such an accounting lists, in the same order."""
    for record in records:
        released = [one for one in record.released if kind == "hipaa" or one.facility in directory.part2]
        other = _other(record) if kind == "hipaa" else ()
        if record.outcome == "success" and (any(one.studies for one in released) or other):
            yield Disclosure(
                id=record.id,
                at=record.recorded,
                act=_act(record),
                recipient=_recipient(record, directory),
                purposes=record.who.purposes,
                given=tuple(_given(one, record, directory) for one in released if one.studies),
                other=other,
            )


def span_of(kind: Kind, now: datetime, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """From when to when such an accounting goes: the law's years up to now unless it is given.

    Raises InvalidQuery where there can be nothing in it, which would read as if nothing had been disclosed.
    """
    end = until or now
    if since is None and end.year <= YEARS[kind]:
        raise InvalidQuery(f"there are no {YEARS[kind]} years before the end of the time asked for")
    begin = since or years_before(end, YEARS[kind])
    if begin > now:
        raise InvalidQuery("the time asked for begins in the future")
    if begin >= end:
        raise InvalidQuery("the time asked for ends before it begins")
    return begin, end


def years_before(moment: datetime, years: int) -> datetime:
    """The same day so many years earlier; the day before where there is no such day."""
    try:
        return moment.replace(year=moment.year - years)
    except ValueError:  # the 29th of February
        return moment.replace(year=moment.year - years, day=28)


def _act(record: AuditRecord) -> Act:
    if record.kind == "retrieval":
        return "images"
    return "links" if record.released else "record"


def _other(record: AuditRecord) -> tuple[str, ...]:
    if record.kind not in ("patient-search", "patient-read", "consent-search", "consent-read"):
        return ()
    return tuple(one for one in record.resources if one.startswith(("Patient/", "Consent/")))


def _recipient(record: AuditRecord, directory: Directory) -> Recipient:
    who = record.who
    application = who.client_name or who.client_id or ""
    organization = who.organization or ""
    role = f" ({who.subject_role})" if who.subject_role else ""
    person = who.subject_name or who.subject_id or (who.subject if who.subject != who.client_id else "") or ""
    return Recipient(
        organization=organization,
        name=directory.names.get(organization, "") or application or person or "unknown",
        application=application,
        person=f"{person}{role}" if person else "",
        address=who.network or "",
    )


def _given(released: Released, record: AuditRecord, directory: Directory) -> Given:
    permits = [
        one
        for one in record.decided
        if one.facility == released.facility
        and one.decision == "permit"
        and (one.study is None or one.study in released.studies)
    ]
    return Given(
        facility=released.facility,
        name=directory.names.get(released.facility, released.facility),
        studies=released.studies,
        basis=tuple(dict.fromkeys(word for one in permits for word in _basis(one))),
    )


def _basis(decided: Decided) -> tuple[str, ...]:
    return decided.consents or ((decided.policy,) if decided.policy else (decided.reason,))
