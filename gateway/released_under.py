"""What left the exchange while two persons were taken for one, and to whom? For those who have to be told of it."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.audit.accounting import Directory, Disclosure, disclosures_in
from gateway.audit.log import StoredAuditLog
from gateway.model import Facility
from gateway.mpi.stays import FalseLink
from gateway.watch.notices import Notice

KIND = "released-under-false-link"
_MOST_NAMED = 500
_NAMESPACE = uuid.UUID("5a3c1a54-0f0c-4a0e-9d7b-3b1f6f0f7a10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who was given something, and with which answers."""

    organization: str
    name: str
    application: str
    answers: tuple[Disclosure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedUnder:
    """Everything that was released under a link that was wrong."""

    link: str
    spans: tuple[FalseLink, ...]
    answers: tuple[Disclosure, ...]
    recipients: tuple[Recipient, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedUnderDesk:
    """What the list needs."""

    audit: StoredAuditLog
    facilities: Callable[[], Sequence[Facility]]

    def find(self, link: str, spans: Sequence[FalseLink]) -> ReleasedUnder:
        """The answers that something left with in one of `spans`, each once, in order of time.

        Which part was whose can't be told from them: who asked for one person was given both. Raises AuditRecordBroken,
        DependencyUnavailable.
        """
        directory = Directory(names={one.id: one.name for one in self.facilities()})
        found: dict[str, Disclosure] = {}
        for person, since, until in sorted({(one.person, one.since, one.until) for one in spans}):
            records = self.audit.read(patients=[person], since=since, until=until)
            found |= {one.id: one for one in disclosures_in(records, "hipaa", directory)}
        answers = tuple(sorted(found.values(), key=lambda one: one.at))
        return ReleasedUnder(link=link, spans=tuple(spans), answers=answers, recipients=_recipients(answers))


def _recipients(answers: Sequence[Disclosure]) -> tuple[Recipient, ...]:
    by_whom: dict[tuple[str, str, str], list[Disclosure]] = {}
    for one in answers:
        to = one.recipient
        by_whom.setdefault((to.organization, to.name, to.application), []).append(one)
    return tuple(
        Recipient(organization=organization, name=name, application=application, answers=tuple(its))
        for (organization, name, application), its in sorted(by_whom.items())
    )


def notices_of(released: ReleasedUnder, now: datetime) -> list[Notice]:
    """A notice to each recipient, by ids alone. Said again of the same answers it is the same notice."""
    persons = sorted({person for one in released.spans for person in one.persons})
    return [_notice(one, released.link, persons, now) for one in released.recipients]


def _notice(one: Recipient, link: str, persons: Sequence[str], now: datetime) -> Notice:
    name = "\x1f".join((link, one.organization, one.application, one.answers[-1].id))
    facts: Mapping[str, object] = {
        "link": link,
        "organization": one.organization,
        "application": one.application,
        "patients": list(persons),
        "count": len(one.answers),
        "from": one.answers[0].at,
        "to": one.answers[-1].at,
        "records": [answer.id for answer in one.answers[:_MOST_NAMED]],
    }
    return Notice(id=str(uuid.uuid5(_NAMESPACE, name)), kind=KIND, made_at=now, facts=dict(facts))
