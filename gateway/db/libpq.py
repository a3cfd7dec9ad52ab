"""Statements handed to PostgreSQL by libpq itself: what a cursor does around each costs more than the statement.

Psycopg's own transformer makes parameters and columns the types that its cursors do. A statement is prepared once a
connection and set of parameter types, where the connection keeps what it has prepared (not behind a pooler).
"""

from collections.abc import Sequence
from typing import Any

from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import DiagnosticField, ExecStatus, Format, TransactionStatus
from sqlalchemy import PoolProxiedConnection

_PREPARED = "gateway.prepared"
_NOT_PREPARED = b"26000"


def execute(connection: PoolProxiedConnection, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of `sql`, its parameters written `$1`, `$2`, …. Raises psycopg.Error.

    It runs in the transaction that is under way, or in one of its own. Other threads work meanwhile.
    """
    driver: Any = connection.driver_connection
    libpq, values = driver.pgconn, Transformer(driver)
    sent = values.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
    if driver.prepare_threshold is None:
        result = libpq.exec_params(sql.encode(), sent, values.types, values.formats, Format.BINARY)
    else:
        known: dict[Any, bytes] = connection.info.setdefault(_PREPARED, {})
        name = known.get((sql, values.types))
        if name is None:
            name = b"gateway_%d" % len(known)
            _require_ok(libpq.prepare(name, sql.encode(), values.types), driver)
            known[sql, values.types] = name
        result = libpq.exec_prepared(name, sent, values.formats, Format.BINARY)
        if result.error_field(DiagnosticField.SQLSTATE) == _NOT_PREPARED:
            # After a rollback psycopg has everything forgotten that is prepared (DEALLOCATE ALL), this included.
            known.clear()
            if libpq.transaction_status == TransactionStatus.IDLE:
                return execute(connection, sql, parameters)
    _require_ok(result, driver)
    if not result.nfields:
        return []
    values.set_pgresult(result)
    rows: list[tuple[Any, ...]] = values.load_rows(0, result.ntuples, tuple)
    return rows


def _require_ok(result: Any, driver: Any) -> None:
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise error_from_result(result, driver.info.encoding)
