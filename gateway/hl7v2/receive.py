"""What is done with a message: its patients are filed, replaced, linked or parted, then it is acknowledged."""

import logging
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from threading import Lock
from zoneinfo import ZoneInfo

from gateway.audit.record import Who
from gateway.disclosure import Request, refusal_record
from gateway.errors import AccessRefused, Conflict, DependencyUnavailable, GatewayError, LoadRefused
from gateway.hl7v2.acknowledge import acknowledge
from gateway.hl7v2.message import Header, Message, Segment, component, read_message
from gateway.hl7v2.order import PatientOrder
from gateway.hl7v2.patient import moved_to, own_identifier, to_patient
from gateway.hl7v2.refusal import Acknowledgement, MessageRefused
from gateway.identity_desk import IdentityDesk, Told
from gateway.log import Event, event
from gateway.metrics import ADT_MESSAGES
from gateway.model import Facility, FacilityID, Identifier

_FILED = frozenset(("A01", "A04", "A05", "A08", "A28", "A31"))
_REPLACED = frozenset(("A40", "A47"))
_LINKED = frozenset(("A24", "A37"))
_TIME = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(?:(\d{2})(?:\.(\d{1,6}))?)?([+-]\d{4})?")
_NOTHING = Header()


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Where a connection comes from."""

    address: str | None = None
    facility: FacilityID | None = None
    """The facility that its certificate names; None without one."""
    certified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AdtReceiver:
    """Takes in one message at a time, so that the order in which they come is the order in which they are stored."""

    desk: IdentityDesk
    order: PatientOrder
    clock: Callable[[], datetime]
    taking: Lock

    def receive(self, block: bytes, peer: Peer) -> bytes:
        """The acknowledgement of `block`. AA is given only once all that it says is stored and in the audit."""
        header = _NOTHING
        try:
            message = read_message(block)
            header = message.header
            words = self._take(message, peer)
            return self._answered(header, "AA", words=words)
        except MessageRefused as exc:
            return self._answered(header, exc.answer, condition=exc.condition, words=exc.reason)
        except LoadRefused as exc:
            return self._answered(header, "AE", condition="102", words=exc.reason)
        except Conflict as exc:
            return self._answered(header, "AE", condition="207", words=exc.reason)
        except AccessRefused as exc:
            return self._refused(header, peer, exc)
        except GatewayError as exc:
            if isinstance(exc, DependencyUnavailable):
                event(Event.DEPENDENCY_UNAVAILABLE, level=logging.ERROR, exc_info=True)
            return self._answered(header, "AE", condition="207", words="nothing was stored, or not all: send it again")

    def _take(self, message: Message, peer: Peer) -> str:
        header = message.header
        _require_readable(header)
        facility = self._facility(header, peer)
        told = Told(
            facility=facility,
            who=Who(
                organization=facility.id, subject_id=f"{facility.id}-adt", subject_role="feed", network=peer.address
            ),
            name=f"feed {facility.id} (HL7 v2)",
            request=f"MLLP ADT^{header.event}",
            request_id=str(uuid.uuid4()),
        )
        turn = _Turn(self.desk, message, told, self.clock())
        acts = turn.acts()
        event_at = _event_time(message, facility)
        with self.taking:
            patients = [patient for act in acts for patient in act.about]
            if event_at is not None:
                if self.order.is_stale(patients, event_at):
                    return "older than what is known of the patient: nothing was changed"
                # Before it is stored: a message that fails halfway is sent again and is not older than itself.
                self.order.advance(patients, event_at)
            for act in acts:
                act.do()
        return ""

    def _facility(self, header: Header, peer: Peer) -> Facility:
        namespace, universal = component(header.facility, 1), component(header.facility, 2)
        named = [
            facility
            for facility in self.desk.facilities()
            if namespace in (facility.id, facility.issuer)
            or (universal and facility.identifier_system in (universal, f"urn:oid:{universal}"))
        ]
        if len(named) != 1:
            raise AccessRefused("MSH-4: not one of the exchange's facilities")
        if peer.certified and peer.facility != named[0].id:
            raise AccessRefused("MSH-4: not the facility of the certificate")
        return named[0]

    def _refused(self, header: Header, peer: Peer, exc: AccessRefused) -> bytes:
        now = self.clock()
        asked = Request(
            kind="patient-feed", raw=f"MLLP ADT^{header.event[:3]}", id=str(uuid.uuid4()), network=peer.address
        )
        try:
            self.desk.audit.record([refusal_record(asked, exc.reason, now, None)])
        except DependencyUnavailable:
            return self._answered(header, "AE", condition="207", words="the audit can't be stored: send it again")
        return self._answered(header, "AR", condition="103", words=exc.reason)

    def _answered(self, header: Header, answer: Acknowledgement, *, condition: str = "", words: str = "") -> bytes:
        ADT_MESSAGES.labels(answer=answer).inc()
        event(Event.ADT_ANSWERED, status=answer, reason=words or None)
        return acknowledge(header, answer, uuid.uuid4().hex[:20], self.clock(), condition=condition, words=words)


@dataclass(frozen=True, slots=True)
class _Act:
    """One thing that a message wants done, and the patients that it is about."""

    about: Sequence[Identifier]
    do: Callable[[], object]


class _Turn:
    """One message of one facility."""

    def __init__(self, desk: IdentityDesk, message: Message, told: Told, now: datetime) -> None:
        self._desk = desk
        self._message = message
        self._told = told
        self._facility = told.facility
        self._now = now

    def acts(self) -> list[_Act]:
        """What is to be done, in order; all of it has been read before any of it is done. Raises MessageRefused."""
        kind = self._message.header.event
        if kind in _FILED:
            return [self._file(self._only_pid())]
        if kind in _REPLACED:
            return [self._replace(pid, mrg, new=kind == "A47") for pid, mrg in self._pairs()]
        return [self._link(same=kind == "A24")]

    def _file(self, pid: Segment) -> _Act:
        patient = self._desk.read(self._patient(pid))
        return _Act([patient.source], lambda: self._desk.file(patient, self._told, self._now))

    def _replace(self, pid: Segment, mrg: Segment, *, new: bool) -> _Act:
        survivor = own_identifier(pid, 3, self._facility)
        prior = own_identifier(mrg, 1, self._facility)
        if prior == survivor:
            raise MessageRefused("AE", "102", "MRG-1: the same identifier as PID-3")
        stated = self._patient(pid)
        self._desk.read(stated)

        def do() -> None:
            known, old = self._desk.find(survivor), self._desk.find(prior)
            # A merge says little of the patient who stays: what is known already isn't overwritten by it.
            if known is None or not known.active:
                resource = moved_to(old.patient, stated, self._facility) if new and old else stated
                self._desk.file(self._desk.read(resource), self._told, self._now)
            gone = self._subsumed(prior, survivor, old.patient if old else {})
            self._desk.replace(self._desk.read(gone), survivor, self._told, self._now)

        return _Act([survivor, prior], do)

    def _link(self, *, same: bool) -> _Act:
        pids = [segment for _, segment in self._message.named("PID")]
        if len(pids) != 2:
            raise MessageRefused("AE", "100", "expected two PID segments")
        one, other = (own_identifier(pid, 3, self._facility) for pid in pids)
        return _Act([one, other], lambda: self._desk.link(one, other, self._told, self._now, same=same))

    def _patient(self, pid: Segment) -> dict[str, object]:
        return to_patient(pid, self._facility, self._desk.domains - {self._facility.identifier_system})

    def _subsumed(self, prior: Identifier, survivor: Identifier, known: Mapping[str, object]) -> dict[str, object]:
        other = {"identifier": {"system": survivor.system, "value": survivor.value}}
        bare = {"resourceType": "Patient", "identifier": [{"system": prior.system, "value": prior.value}]}
        return {**bare, **known, "active": False, "link": [{"other": other, "type": "replaced-by"}]}

    def _only_pid(self) -> Segment:
        pids = [segment for _, segment in self._message.named("PID")]
        if len(pids) != 1:
            raise MessageRefused("AE", "100", "expected one PID segment")
        return pids[0]

    def _pairs(self) -> list[tuple[Segment, Segment]]:
        found = list(self._message.named("PID", "MRG"))
        pids, mrgs = found[::2], found[1::2]
        if not mrgs or len(pids) != len(mrgs) or any(n != "PID" for n, _ in pids) or any(n != "MRG" for n, _ in mrgs):
            raise MessageRefused("AE", "100", "expected each PID with its MRG")
        return [(pid, mrg) for (_, pid), (_, mrg) in zip(pids, mrgs, strict=True)]


def _require_readable(header: Header) -> None:
    if not header.control_id:
        raise MessageRefused("AR", "101", "MSH-10: the message has no control id")
    if header.type != "ADT":
        raise MessageRefused("AR", "200", "MSH-9: only ADT is taken in")
    if header.event not in _FILED | _REPLACED | _LINKED:
        raise MessageRefused("AR", "201", "MSH-9: an event that is not taken in")
    if header.processing != "P":
        raise MessageRefused("AR", "202", "MSH-11: only P (production) is taken in")
    if not header.version.startswith("2."):
        raise MessageRefused("AR", "203", "MSH-12: only versions 2.x are read")


def _event_time(message: Message, facility: Facility) -> datetime | None:
    """When the event was recorded (EVN-2), else when the message was written (MSH-7); None where neither says."""
    recorded = next((segment.first(2) for _, segment in message.named("EVN")), "")
    return _instant(recorded, facility) or _instant(message.header.time, facility)


def _instant(text: str, facility: Facility) -> datetime | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    *date, fraction, zone = found.groups()
    try:
        numbers = [int(part or 0) for part in date]
        time = datetime(*numbers[:6], int((fraction or "0").ljust(6, "0")), tzinfo=UTC)  # type: ignore[misc, arg-type]
        if zone is None:
            return time.replace(tzinfo=ZoneInfo(facility.time_zone) if facility.time_zone else UTC).astimezone(UTC)
        offset = timedelta(hours=int(zone[:3]), minutes=int(zone[0] + zone[3:]))
        return time.replace(tzinfo=timezone(offset)).astimezone(UTC)
    except ValueError:
        return None
