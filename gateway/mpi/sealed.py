"""How the index keeps what may not be read from its files: identifiers as keyed hashes, Patients sealed."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from gateway.db.crypto import KeyRing
from gateway.model import Identifier
from gateway.mpi.match_record import MatchRecord, pack, unpack
from gateway.mpi.tables import record

_COMPARABLE = f"{record.name}.comparable"


def identifier_key(keys: KeyRing, identifier: Identifier) -> bytes:
    """The keyed hash any record's identifier is looked up by. White space around a value is no part of it."""
    return keys.blind("mpi.identifier", identifier.system, identifier.value.strip())


def source_key(keys: KeyRing, identifier: Identifier) -> bytes:
    """The keyed hash a source record is known by: another than `identifier_key` of the same identifier."""
    return keys.blind("mpi.source", identifier.system, identifier.value.strip())


def content_key(keys: KeyRing, source: bytes, content: bytes) -> bytes:
    """A keyed hash that tells whether a record's Patient has changed; no two records share one."""
    return keys.blind("mpi.content", source.hex(), content.decode())


def seal_patient(keys: KeyRing, source: bytes, content: bytes) -> bytes:
    """A Patient's JSON, readable only in the row of the source record it belongs to."""
    return keys.seal(record.name, source.hex(), content)


def open_patient(keys: KeyRing, source: bytes, sealed: bytes) -> dict[str, Any]:
    """The Patient that was sealed. Raises SealBroken where it was altered or moved to another row."""
    patient: dict[str, Any] = orjson.loads(keys.open(record.name, source.hex(), sealed))
    return patient


def seal_comparable(keys: KeyRing, source: bytes, content: MatchRecord) -> bytes:
    """A record as matching compares it, readable only in the row of that source record."""
    return keys.seal(_COMPARABLE, source.hex(), pack(content))


def open_packed(keys: KeyRing, source: bytes, sealed: bytes) -> bytes:
    """What was sealed, still packed. Raises SealBroken."""
    return keys.open(_COMPARABLE, source.hex(), sealed)


def open_comparable(keys: KeyRing, source: bytes, sealed: bytes) -> MatchRecord:
    """The record that was sealed. Raises SealBroken."""
    return unpack(open_packed(keys, source, sealed))


def block_hashes(keys: KeyRing, wanted: Iterable[tuple[str, str]]) -> list[int]:
    """Blocking keys as the index keeps them: 64 bits of a keyed hash of each."""
    return [int.from_bytes(one[:8], signed=True) for one in keys.blind_all("mpi.block", wanted)]


def source_identifier(patient: Mapping[str, Any], system: str) -> Identifier:
    """The identifier that `patient` is known by in the domain `system`."""
    for identifier in patient["identifier"]:
        if identifier.get("system") == system:
            return Identifier(system, identifier["value"].strip())
    msg = "a stored record has lost its source identifier"
    raise ValueError(msg)
