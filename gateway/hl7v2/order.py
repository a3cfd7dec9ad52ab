"""Is this event newer than what is known of the patient? Messages may be sent again, and overtake each other."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine, bindparam, insert, select, update

from gateway.db.crypto import KeyRing
from gateway.db.session import reading, writing
from gateway.hl7v2.tables import patient_order
from gateway.model import Identifier

_KNOWN = select(patient_order.c.patient_key, patient_order.c.event_at).where(
    patient_order.c.patient_key.in_(bindparam("keys", expanding=True))
)


class PatientOrder:
    """How far each patient's messages have come, over restarts."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self._engine = engine
        self._keys = keys

    def is_stale(self, patients: Sequence[Identifier], event_at: datetime) -> bool:
        """Whether a later event of any of `patients` has been taken in. Raises DependencyUnavailable."""
        with reading(self._engine) as connection:
            rows = connection.execute(_KNOWN, {"keys": [self._key(one) for one in patients]}).all()
        return any(event_at < known for _, known in rows)

    def advance(self, patients: Sequence[Identifier], event_at: datetime) -> None:
        """The event is the latest of each of `patients`. Raises DependencyUnavailable."""
        keys = sorted({self._key(one) for one in patients})
        with writing(self._engine) as connection:
            known = {bytes(row[0]) for row in connection.execute(_KNOWN, {"keys": keys})}
            for key in keys:
                values = {"event_at": event_at}
                if key in known:
                    changed = update(patient_order).where(patient_order.c.patient_key == key)
                    connection.execute(changed.values(values))
                else:
                    connection.execute(insert(patient_order), {"patient_key": key, **values})

    def _key(self, patient: Identifier) -> bytes:
        return self._keys.blind("hl7v2.patient", patient.system, patient.value)
