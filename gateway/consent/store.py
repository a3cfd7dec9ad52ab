"""Consents in the database: what is on file for a person now, every version there was, and filing another."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Engine, bindparam, insert, select, update

from gateway.consent.belonging import Identity, theirs
from gateway.consent.fhir_consent import ENDED, ReadConsent, from_consent
from gateway.consent.groups import StoredGroups
from gateway.consent.policy import ConsentVersion, PatientPolicy, Provision
from gateway.consent.tables import consent, consent_version
from gateway.consent.verdict import rules_of
from gateway.db.crypto import KeyRing
from gateway.db.lookup import looking
from gateway.db.prepared import Prepared
from gateway.db.session import reading, writing
from gateway.db.upsert import insert_into
from gateway.errors import DependencyUnavailable, LoadRefused
from gateway.log import Event, event
from gateway.metrics import ALERTS
from gateway.model import ImplicitPolicy, PatientID

_REMEMBERED = 4096
"""Versions kept as read, in each process: a version never changes, and which one is current is asked every time."""

Row = tuple[bytes, int, datetime, bytes, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """One Consent that has been read and may be filed for `patient`."""

    patient: PatientID
    consent: ReadConsent
    resource: Mapping[str, Any]
    identifier_key: bytes | None = None
    """The index's keyed hash of the identifier that names the patient, where one does: the consent follows it."""
    expected: int | None = None
    """The version that has to be the current one; None where any may be, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """What became of a filing.

    Refused: a Consent of that id is on file for another patient. Stale: the current version is not the one expected.
    """

    outcome: Literal["loaded", "updated", "unchanged", "refused", "stale"]
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """One version on file with the resource as it was filed."""

    consent: ConsentVersion
    resource: Mapping[str, Any]
    current: bool


class StoredConsents:
    """The Consents of a deployment. Every method raises DependencyUnavailable where the database fails (T58)."""

    def __init__(self, engine: Engine, keys: KeyRing, implicit: ImplicitPolicy, identity: Identity) -> None:
        """`identity` is how the index says whose a consent is, so that a link counts from the very next look-up."""
        self._engine = engine
        self._keys = keys
        self._implicit = implicit
        self._groups = StoredGroups(engine, keys)
        self._retired = identity.retired
        self._theirs = theirs(identity)
        self._current = Prepared(
            select(
                *(self._theirs.c.key, self._theirs.c.version, consent_version.c.recorded_at, consent_version.c.content),
                *(consent_version.c.person_id, self._theirs.c.shared),
            )
            # An outer join, so that a Consent whose version is lost is seen to be, and not taken for none.
            .outerjoin(
                consent_version,
                (consent_version.c.key == self._theirs.c.key) & (consent_version.c.version == self._theirs.c.version),
            )
            .order_by(consent_version.c.recorded_at, self._theirs.c.key)
        )
        self._read_once = lru_cache(maxsize=_REMEMBERED)(self._read)

    def find(self, patient: PatientID) -> PatientPolicy:
        """All consents of the person as of now, under every id the person ever had and every identifier of today.

        One that can't be evaluated comes without a rule, so that it denies, and raises an alert (T44): one that names a
        group which is no more is such a one. So does one whose identifier several persons carry, unless it permits
        everything: then it is nobody's.
        """
        with looking(self._engine) as session:
            rows = self._current.all(session, patient=patient)
        if any(content is None for _, _, _, content, *_ in rows):
            raise DependencyUnavailable("a consent on file has lost its current version")
        on_file = [(row, self._read_once(*row), shared) for *row, shared in rows]
        named = {group for _, version, _ in on_file if version.active for group in version.groups}
        groups = self._groups.members(named) if named else {}
        versions = []
        for row, version, shared in on_file:
            if version.active and not version.groups <= groups.keys():
                version = replace(version, root=None)
            if version.active and version.root is None:
                event(Event.CONSENT_NOT_EVALUABLE, level=logging.WARNING, reference=row[0].hex())
                ALERTS.labels(kind="consent-not-evaluable").inc()
            if shared and version.active:
                event(Event.CONSENT_OF_SEVERAL, level=logging.WARNING, reference=row[0].hex())
                ALERTS.labels(kind="consent-of-several").inc()
                version = _of_several(version)
            versions.append(version)
        return PatientPolicy(patient=patient, consents=tuple(versions), implicit=self._implicit, groups=groups)

    def history(self, patient: PatientID, *, certain: bool = False) -> Sequence[StoredVersion]:
        """Every version of every consent of the person, oldest first; `certain`: without those that may be another's.

        Which of two persons who carry one identifier a consent is about, nobody knows.
        """
        statement = _EVERY_VERSION.join(self._theirs, self._theirs.c.key == consent.c.key).order_by(
            consent_version.c.recorded_at, consent_version.c.key, consent_version.c.version
        )
        if certain:
            statement = statement.where(self._theirs.c.shared == 0)
        with reading(self._engine) as connection:
            rows = connection.execute(statement, {"patient": patient}).all()
        return [self._stored(*row) for row in rows]

    def versions(self, id_: str) -> Sequence[StoredVersion]:
        """Every version of the Consent of that id, oldest first; none where there is no such Consent."""
        statement = _EVERY_VERSION.where(consent.c.key == bindparam("id_key")).order_by(consent_version.c.version)
        with reading(self._engine) as connection:
            rows = connection.execute(statement, {"id_key": self._keys.blind("consent.id", id_)}).all()
        return [self._stored(*row) for row in rows]

    def _stored(
        self, key: bytes, version: int, recorded_at: datetime, content: bytes, person: str, current: bool
    ) -> StoredVersion:
        return StoredVersion(
            consent=self._read(key, version, recorded_at, content, person),
            resource=self._open(key, version, content)["resource"],
            current=current,
        )

    def save(self, filings: Sequence[Filing], now: datetime) -> Sequence[Filed]:
        """Each filing is on file as its own outcome says, all of them in one transaction.

        A Consent equal to the current version changes nothing; another one becomes the next version; the versions
        before it stay.
        """
        with writing(self._engine) as connection:
            return [self._save(connection, filing, now) for filing in filings]

    def revoke(self, version: StoredVersion, now: datetime, changed: Mapping[str, Any] | None = None) -> Filed:
        """The next version of the Consent is `inactive`, where `version` is the current one and in force (FAST OP6).

        Whatever it says is left as it is, or as `changed` has it: a revocation must not fail for what can't be
        evaluated.
        """
        consent_ = version.consent
        if not consent_.active:
            return Filed(outcome="unchanged", version=consent_.version)
        key = self._keys.blind("consent.id", consent_.id)
        with writing(self._engine) as connection:
            row = connection.execute(_CURRENT_OF_ID, {"id_key": key}).one_or_none()
            if row is None or row.version != consent_.version:
                return Filed(outcome="stale", version=0 if row is None else row.version)
            content = self._open(key, row.version, row.content)
            content["resource"] = {**(changed or content["resource"]), "status": "inactive"}
            next_version = row.version + 1
            self._add_version(connection, key, next_version, consent_.person or row.person_id, content, now)
            connection.execute(update(consent).where(consent.c.key == key).values(version=next_version))
        return Filed(outcome="updated", version=next_version)

    def _save(self, connection: Connection, filing: Filing, now: datetime) -> Filed:
        key = self._keys.blind("consent.id", filing.consent.id)
        content = {"resource": filing.resource, "facilities": filing.consent.facilities}
        if filing.consent.known:
            content["known"] = filing.consent.known
        if filing.expected is None and self._add(connection, key, filing):
            self._add_version(connection, key, 1, filing.patient, content, now)
            return Filed(outcome="loaded", version=1)
        row = connection.execute(_CURRENT_OF_ID, {"id_key": key}).one_or_none()
        if row is None or filing.expected not in (None, row.version):
            return Filed(outcome="stale", version=0 if row is None else row.version)
        stored = self._open(key, row.version, row.content)
        same_name = _patient_in(stored["resource"]) == _patient_in(filing.resource)
        same_person = self._is_theirs(connection, key, filing.patient)
        if not same_name and not same_person:
            return Filed(outcome="refused", version=row.version)
        if same_person and stored == content:
            return Filed(outcome="unchanged", version=row.version)
        # Filed under the same name for a person that was merged since: it stays theirs should that be undone.
        keeps = same_name and self._is_former_id(connection, row.person_id, filing.patient)
        person = row.person_id if keeps else filing.patient
        version = row.version + 1
        self._add_version(connection, key, version, person, content, now)
        values = {"person_id": person, "identifier_key": filing.identifier_key, "version": version}
        connection.execute(update(consent).where(consent.c.key == key).values(values))
        return Filed(outcome="updated", version=version)

    def _add(self, connection: Connection, key: bytes, filing: Filing) -> bool:
        """Whether the Consent is new. Of two that file the same new one at once, the second finds it on file."""
        values = {"key": key, "person_id": filing.patient, "identifier_key": filing.identifier_key, "version": 1}
        new = insert_into(consent, connection).values(values).on_conflict_do_nothing().returning(consent.c.key)
        return connection.execute(new).first() is not None

    def _is_theirs(self, connection: Connection, key: bytes, patient: PatientID) -> bool:
        found = select(self._theirs.c.key).where(self._theirs.c.key == key, self._theirs.c.shared == 0)
        return connection.execute(found, {"patient": patient}).first() is not None

    def _is_former_id(self, connection: Connection, filed_for: str, patient: PatientID) -> bool:
        return filed_for in connection.execute(self._retired, {"patient": patient}).scalars().all()

    def _add_version(
        self,
        connection: Connection,
        key: bytes,
        version: int,
        person: str,
        content: Mapping[str, Any],
        now: datetime,
    ) -> None:
        sealed = self._keys.seal(consent_version.name, _row(key, version), orjson.dumps(content))
        values = {"key": key, "version": version, "person_id": person, "recorded_at": now, "content": sealed}
        connection.execute(insert(consent_version), values)

    def _open(self, key: bytes, version: int, content: bytes) -> dict[str, Any]:
        opened: dict[str, Any] = orjson.loads(self._keys.open(consent_version.name, _row(key, version), content))
        return opened

    def _read(self, key: bytes, version: int, recorded_at: datetime, content: bytes, person: str) -> ConsentVersion:
        opened = self._open(key, version, content)
        resource = opened["resource"]
        try:
            read = from_consent(resource, opened["facilities"], opened.get("known"))
        except LoadRefused:
            # Only a status that says so takes a consent out of force: whatever else is wrong with it, it denies.
            ended = resource.get("status") in ENDED
            return ConsentVersion(
                id=str(resource.get("id")),
                version=version,
                active=not ended,
                recorded_at=recorded_at,
                root=None,
                person=PatientID(person),
            )
        return ConsentVersion(
            id=read.id,
            version=version,
            active=read.active,
            recorded_at=recorded_at,
            root=read.root,
            bases=read.bases,
            person=PatientID(person),
            groups=frozenset(name for rule in rules_of(read.root) for name in rule.actors if name.startswith("Group/")),
        )


def _patient_in(resource: Mapping[str, Any]) -> object:
    return resource.get("patient", resource.get("subject"))


def _of_several(version: ConsentVersion) -> ConsentVersion:
    # Nobody knows whose it is until somebody corrects a record. What it withholds (a permit with a condition withholds
    # the rest) must not be lost meanwhile, and what it permits must not open the images of another.
    root = version.root
    permits_all = root is not None and replace(root, period_start=None, period_end=None) == Provision(type="permit")
    return replace(version, active=False) if permits_all and not version.bases else replace(version, root=None)


_IS_CURRENT = consent_version.c.version == consent.c.version
_EVERY_VERSION = select(
    *(consent_version.c.key, consent_version.c.version, consent_version.c.recorded_at, consent_version.c.content),
    *(consent_version.c.person_id, _IS_CURRENT),
).join(consent, consent.c.key == consent_version.c.key)
_CURRENT_OF_ID = (
    select(consent.c.person_id, consent.c.version, consent_version.c.content)
    .join(consent_version, (consent_version.c.key == consent.c.key) & _IS_CURRENT)
    .where(consent.c.key == bindparam("id_key"))
    .with_for_update(of=consent)
)


def _row(key: bytes, version: int) -> str:
    return f"{key.hex()}.{version}"
