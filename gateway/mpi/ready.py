"""A Patient made ready to be stored: sealed, hashed, keyed. It needs the gateway's keys, and no database.

That is most of what taking in a record costs, so a load has it done by several processes at once.
"""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import orjson

from gateway.db.crypto import KeyRing
from gateway.mpi.blocking import tight_keys, wide_keys
from gateway.mpi.demographics import demographics_of, identifiers_of
from gateway.mpi.normalise import normalise
from gateway.mpi.normalise_identifier import is_placeholder
from gateway.mpi.patient_record import PatientRecord
from gateway.mpi.sealed import (
    block_hashes,
    content_key,
    identifier_key,
    open_patient,
    seal_comparable,
    seal_patient,
    source_identifier,
    source_key,
)
from gateway.mpi.search_index import hashed_keys
from gateway.mpi.search_keys import record_keys


class Ready(NamedTuple):
    """A source record as the tables hold it; a tuple, since it goes from one process to another."""

    source: bytes
    """The key it is known by in its domain."""
    system: str
    content: bytes
    """Sealed."""
    content_key: bytes
    identifiers: tuple[bytes, ...]
    strong: tuple[bytes, ...]
    """Those of the identifiers that name one person."""
    search_keys: Sequence[int]
    active: bool
    comparable: bytes | None = None
    """As matching compares it, sealed; None where nothing is matched."""
    block_keys: tuple[int, ...] = ()
    tight: tuple[int, ...] = ()
    """Those of the keys under which it is looked for itself."""

    def opened(self, keys: KeyRing) -> PatientRecord:
        """The record itself again."""
        patient = open_patient(keys, self.source, self.content)
        return PatientRecord(
            source=source_identifier(patient, self.system),
            identifiers=identifiers_of(patient),
            demographics=demographics_of(patient),
            active=self.active,
            content=orjson.dumps(patient, option=orjson.OPT_SORT_KEYS),
        )


class Readier:
    """Makes records ready for one index."""

    def __init__(self, keys: KeyRing, strong_systems: frozenset[str], *, matched: bool) -> None:
        """Where they are `matched`, they are made comparable too."""
        self._keys = keys
        self._strong_systems = strong_systems
        self._matched = matched

    def ready(self, patient: PatientRecord, today: date) -> Ready:
        """`patient`, ready to be stored."""
        keys = self._keys
        source = source_key(keys, patient.source)
        keyed = {identifier_key(keys, one): one for one in patient.identifiers}
        stated = orjson.loads(patient.content)
        stored = Ready(
            source=source,
            system=patient.source.system,
            content=seal_patient(keys, source, patient.content),
            content_key=content_key(keys, source, patient.content),
            identifiers=tuple(sorted(keyed)),
            strong=tuple(
                key
                for key, one in keyed.items()
                if one.system in self._strong_systems and not is_placeholder(one.system, one.value)
            ),
            search_keys=hashed_keys(keys, record_keys(stated, patient.source.system)),
            active=patient.active,
        )
        if not self._matched:
            return stored
        said = normalise(stated, today=today, strong_systems=self._strong_systems)
        tight = dict.fromkeys(block_hashes(keys, looked_under := tight_keys(said)))
        wide = block_hashes(keys, [key for key in wide_keys(said) if key not in looked_under])
        return stored._replace(
            comparable=seal_comparable(keys, source, said),
            tight=tuple(tight),
            block_keys=tuple(dict.fromkeys((*tight, *wide))),
        )
