"""Statements handed to PostgreSQL by libpq itself: what a cursor does around each costs more than the statement.

Psycopg's own transformer makes parameters and columns the types that its cursors do. A statement is prepared once a
connection and set of parameter types, where the connection keeps what it has prepared (not behind a pooler).
"""

from collections.abc import Sequence
from typing import Any

from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import OperationalError, error_from_result
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format, TransactionStatus
from sqlalchemy import Connection, Engine, PoolProxiedConnection, event
from sqlalchemy.pool import ConnectionPoolEntry

_PREPARED = "gateway.prepared"
_ROLLED_BACK = "gateway.rolled-back"
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
            if connection.info.get(_ROLLED_BACK):
                libpq.close_prepared(name)  # it may be there yet; closing what is not is no error
            _require_ok(libpq.prepare(name, sql.encode(), values.types), driver)
            known[sql, values.types] = name
        result = libpq.exec_prepared(name, sent, values.formats, Format.BINARY)
        if result.error_field(DiagnosticField.SQLSTATE) == _NOT_PREPARED:
            _forget(connection.info)
            if libpq.transaction_status == TransactionStatus.IDLE:
                return execute(connection, sql, parameters)
    _require_ok(result, driver)
    if not result.nfields:
        return []
    values.set_pgresult(result)
    rows: list[tuple[Any, ...]] = values.load_rows(0, result.ntuples, tuple)
    return rows


def _require_ok(result: Any, driver: Any) -> None:
    if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        return
    if driver.pgconn.status == ConnStatus.BAD:
        raise OperationalError("the connection is lost")
    raise error_from_result(result, driver.info.encoding)


def _forget(info: dict[Any, Any]) -> None:
    info.pop(_PREPARED, None)
    info[_ROLLED_BACK] = True


def forget_at_rollback(engine: Engine) -> None:
    """After a rollback psycopg has everything forgotten that is prepared (DEALLOCATE ALL): ours is prepared anew."""

    def rolled_back(connection: Connection, *_: object) -> None:
        _forget(connection.connection.info)

    def reset(driver: Any, entry: ConnectionPoolEntry, _: object) -> None:
        if driver.pgconn.transaction_status != TransactionStatus.IDLE:
            _forget(entry.info)

    event.listen(engine, "rollback", rolled_back)
    event.listen(engine, "rollback_savepoint", rolled_back)
    event.listen(engine, "reset", reset)
