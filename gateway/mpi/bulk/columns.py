"""Records as columns: what bulk jobs hand to DuckDB, and what they keep of each record for deciding."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from gateway.model import PatientID
from gateway.mpi.blocking import tight_keys
from gateway.mpi.bulk.sql import COLUMNS
from gateway.mpi.match_record import MatchRecord, pack

_ARROW = {
    "VARCHAR": pa.string(),
    "VARCHAR[]": pa.list_(pa.string()),
    "BOOLEAN": pa.bool_(),
    "INTEGER": pa.int32(),
}
FIELDS = pa.schema([("unique_id", pa.int64()), *((name, _ARROW[kind]) for name, kind in COLUMNS.items())])
"""A record's number and what matching compares of it."""
SCHEMA = pa.schema(
    [*FIELDS, ("person", pa.string()), ("packed", pa.large_binary()), ("block_keys", pa.list_(pa.int64()))],
)
"""And whose it is, the record as it is packed, the hashed keys under which it is looked for."""


def tabulate(rows: Iterable[tuple[int, PatientID, MatchRecord]]) -> pa.Table:
    """(number, person, record) of each as columns of SCHEMA."""
    numbers, persons, records, packed, keys = [], [], [], [], []
    for number, person, record in rows:
        numbers.append(number)
        persons.append(person)
        records.append(record)
        packed.append(pack(record))
        keys.append([_hashed(*key) for key in tight_keys(record)])
    fields: list[Any] = list(zip(*records, strict=True)) if records else [()] * len(COLUMNS)
    columns = [numbers, *fields, persons, packed, keys]
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def _hashed(kind: str, text: str) -> int:
    # It leaves this machine's memory no more than the records do, so it needs no key of the gateway's.
    digest = blake2b(f"{kind}\x1f{text}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
