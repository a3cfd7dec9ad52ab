"""Statements that run many times a second: made to text once, run by the driver itself.

What SQLAlchemy does for each execution (cache keys, parameters, a result object) costs several times what a look-up by
key costs. Here a Core statement is compiled once for each database, and for each length of its lists; it runs inside
the transaction of the session it is given, with the same types.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    Insert,
    PoolProxiedConnection,
    Table,
    TypeDecorator,
    bindparam,
    insert,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.expression import Executable
from sqlalchemy.sql.visitors import iterate
from sqlalchemy.types import TypeEngine

from gateway.db.mishap import unavailable

Values = Mapping[str, Any]
Processor = Callable[[Any], Any]
_PLACE = re.compile(r"%\((\w+)\)s|%%")
_MOST_ROWS = 64
"""Rows that one INSERT takes: their parameters stay far below what either database allows."""


class Session(Protocol):
    """Where a statement runs: SQLAlchemy's Connection is one."""

    @property
    def dialect(self) -> Dialect:
        """Which database it is."""
        ...

    @property
    def connection(self) -> PoolProxiedConnection:
        """The driver's connection."""
        ...


@dataclass(frozen=True, slots=True)
class _Text:
    """A statement as one database takes it."""

    sql: str
    run: Callable[[PoolProxiedConnection, str, Any], list[tuple[Any, ...]]]
    """What hands it to the driver, and its parameters with it."""
    order: tuple[str, ...] | None
    """The parameters by name, where the driver wants them by place."""
    constants: Values
    """Parameters that the statement itself gives."""
    into: tuple[tuple[str, Processor], ...]
    """What makes a parameter the driver's value."""
    out: tuple[tuple[int, Processor], ...]
    """What makes a column's value ours."""

    def parameters(self, values: Values) -> Any:
        """`values` as the driver takes them."""
        given = {**self.constants, **values}
        for name, convert in self.into:
            given[name] = convert(given[name])
        return given if self.order is None else tuple([given[name] for name in self.order])


class Prepared:
    """One Core statement. A list is given for each parameter that is `expanding`; it must not be empty."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._lists = tuple(sorted(_lists(statement)))
        self._texts: dict[tuple[str, tuple[int, ...]], _Text] = {}

    def all(self, session: Session, **values: Any) -> list[tuple[Any, ...]]:
        """All rows. Raises DependencyUnavailable."""
        sizes = tuple([_room(len(values[name])) for name in self._lists])
        text = self._texts.get((session.dialect.name, sizes)) or self._made(session.dialect, sizes)
        for name, size in zip(self._lists, sizes, strict=True):
            wanted = values.pop(name)
            last = wanted[-1]
            for place in range(size):
                values[f"{name}_{place + 1}"] = wanted[place] if place < len(wanted) else last
        rows = _executed(session, text, values)
        return [_converted(row, text.out) for row in rows] if text.out else rows

    def first(self, session: Session, **values: Any) -> tuple[Any, ...] | None:
        """The first row, None where there is none. Raises DependencyUnavailable."""
        rows = self.all(session, **values)
        return rows[0] if rows else None

    def _made(self, dialect: Dialect, sizes: tuple[int, ...]) -> _Text:
        given = {name: [None] * size for name, size in zip(self._lists, sizes, strict=True)}
        statement: Any = self._statement.params(given) if given else self._statement  # type: ignore[attr-defined]
        text = _compiled(statement, dialect, getattr(statement, "selected_columns", ()))
        self._texts[dialect.name, sizes] = text
        return text


class PreparedInsert:
    """Rows into one table, several at a time."""

    def __init__(self, table: Table, *columns: str, returning: Sequence[str] = ()) -> None:
        self._table = table
        self._columns = columns
        self._returning = returning
        self._texts: dict[tuple[str, int], _Text] = {}

    def run(self, session: Session, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """All of `rows`, each with a value for each column, are there; what is `returning`, in no certain order.

        Raises DependencyUnavailable.
        """
        returned: list[tuple[Any, ...]] = []
        for start in range(0, len(rows), _MOST_ROWS):
            part = rows[start : start + _MOST_ROWS]
            text = self._texts.get((session.dialect.name, len(part))) or self._made(session.dialect, len(part))
            values = {
                f"{name}_m{place}": value
                for place, row in enumerate(part)
                for name, value in zip(self._columns, row, strict=True)
            }
            returned += _executed(session, text, values)
        return returned

    def _made(self, dialect: Dialect, rows: int) -> _Text:
        types = {name: self._table.c[name].type for name in self._columns}
        given = [
            {name: bindparam(f"{name}_m{place}", type_=kind) for name, kind in types.items()} for place in range(rows)
        ]
        statement: Insert = insert(self._table).values(given)
        returned = [self._table.c[name] for name in self._returning]
        text = _compiled(statement.returning(*returned) if returned else statement, dialect)
        self._texts[dialect.name, rows] = text
        return text


def _lists(statement: Executable) -> set[str]:
    return {one.key for one in iterate(statement) if isinstance(one, BindParameter) and one.expanding}  # type: ignore[arg-type]


def _room(length: int) -> int:
    # A text for each power of two, not for each length: the last value is said again to fill it.
    return 1 << (length - 1).bit_length()


def _converted(row: tuple[Any, ...], out: tuple[tuple[int, Processor], ...]) -> tuple[Any, ...]:
    values = list(row)
    for place, convert in out:
        values[place] = convert(values[place])
    return tuple(values)


def _compiled(statement: Any, dialect: Dialect, columns: Iterable[ColumnElement[Any]] = ()) -> _Text:
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    order = compiled.positiontup
    names = compiled.binds.keys() if order is None else dict.fromkeys(order)
    binds = {name: one for name, one in compiled.binds.items() if not one.expanding}
    into = ((name, one.type.dialect_impl(dialect).bind_processor(dialect)) for name, one in binds.items())
    out = ((place, _reader(one.type, dialect)) for place, one in enumerate(columns))
    sql, run = str(compiled), _by_cursor
    if dialect.name == "postgresql":
        from gateway.db.libpq import execute  # only where PostgreSQL is used, since it is slow to load

        sql, order = _numbered(sql)
        run = execute
    return _Text(
        sql=sql,
        run=run,
        order=None if order is None else tuple(order),
        constants={name: one.effective_value for name, one in binds.items() if name in names and not one.required},
        into=tuple((name, convert) for name, convert in into if convert),
        out=tuple((place, convert) for place, convert in out if convert),
    )


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> Processor | None:
    # The drivers give text, numbers and bytes as they are.
    if isinstance(kind, TypeDecorator | Boolean):
        return kind.dialect_impl(dialect).result_processor(dialect, None)
    return None


def _numbered(sql: str) -> tuple[str, list[str]]:
    """`%(name)s` as `$1`, `$2`, …, and the names in that order."""
    order: list[str] = []

    def number(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return "%"
        if name not in order:
            order.append(name)
        return f"${order.index(name) + 1}"

    return _PLACE.sub(number, sql), order


def _executed(session: Session, text: _Text, values: Values) -> list[tuple[Any, ...]]:
    """The rows as the driver gives them; none where the statement has none. Raises DependencyUnavailable."""
    try:
        return text.run(session.connection, text.sql, text.parameters(values))
    except session.dialect.loaded_dbapi.Error as exc:
        raise unavailable("the database can't be read or written", exc) from exc


def _by_cursor(connection: PoolProxiedConnection, sql: str, parameters: Any) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    try:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall()) if cursor.description else []
    finally:
        cursor.close()
