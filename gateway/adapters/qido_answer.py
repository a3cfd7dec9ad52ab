"""What an archive's answer to a QIDO-RS query holds (DICOM PS3.18 §10.6, Annex F), or why it holds nothing."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

import orjson

from gateway.adapters.base import HTTPResult, ReplyStatus
from gateway.imaging.dicom_json import Row
from gateway.imaging.from_dicom import series_uid_of, study_uid_of
from gateway.imaging.plain_rows import SeriesRow, StudyRow, decode_series, decode_studies

R = TypeVar("R")
STUDY_FIELDS = (
    *("00080051", "00080056", "00080061", "00080090", "00080201", "00081030", "00081032"),
    *("00100010", "00100021", "00100030", "00201206", "00201208"),
)
DEPARTMENT_FIELDS = ("00081040", "00321033")
SERIES_FIELDS = (
    "00080021",
    "00080031",
    "00080060",
    "00080201",
    "0008103E",
    "00100021",
    "00180015",
    "00200060",
    "00201209",
)


_MOST_TOKENS = 1_500_000
_BOM = b"\xef\xbb\xbf"


class Refused(Exception):
    """An answer that holds no rows; `status` says why, `code` is the HTTP status where there was one."""

    def __init__(self, status: ReplyStatus, code: int = 0) -> None:
        super().__init__(status)
        self.status = status
        self.code = code


def read_rows(result: HTTPResult) -> list[Row]:
    """The rows of an answer, as they stand there.

    204, `[]`, `null` and nothing at all are no rows; what is no object among rows is an empty row, for the reader to
    count. Raises Refused.
    """
    body = _body_of(result)
    return _sound(_any_rows, body) if body else []


def read_level(result: HTTPResult, level: "Level[R]") -> Sequence[Row | R]:
    """The rows of an answer, decoded where it is plain throughout and as they stand there where not. Raises Refused."""
    body = _body_of(result)
    if not body:
        return []
    try:
        return _sound(lambda body: level.decode(body.decode()), body)  # as text: what is passed by is UTF-8 as well
    except Refused:
        return _sound(_any_rows, body)


def _body_of(result: HTTPResult) -> bytes:
    if result.failure is not None:
        raise Refused("unreadable" if result.failure == "too_large" else result.failure)
    if result.status == 204:
        return b""
    if result.status not in (200, 206):
        raise Refused(_status_of(result.status), result.status)
    body = result.body.removeprefix(_BOM)
    if len(body) > _MOST_TOKENS and sum(map(body.count, (b",", b"[", b"{"))) > _MOST_TOKENS:
        raise Refused("unreadable")
    return body if body.strip() else b""


def _sound(read: Callable[[bytes], list[R]], body: bytes) -> list[R]:
    """What `read` makes of the body, unless an attribute stands twice in one row. Raises Refused."""
    try:
        rows = read(body)
        if body.count(b'"00100020"') > len(rows) or body.count(b'"0020000D"') > len(rows):
            # Identifiers stand there more often than there are rows: inside sequences, or twice in a row.
            json.loads(body, object_pairs_hook=_refuse_duplicates)
    except (ValueError, RecursionError):
        raise Refused("unreadable") from None
    return rows


def _any_rows(body: bytes) -> list[Row]:
    rows = orjson.loads(body)  # refuses NaN, invalid UTF-8, lone surrogates and deep nesting by itself
    if rows is None:
        return []
    if type(rows) is not list or (rows and dict not in set(map(type, rows))):
        raise Refused("unreadable")
    return [row if type(row) is dict else {} for row in rows]


def _status_of(code: int) -> ReplyStatus:
    return "unreachable" if code >= 500 or code in (408, 425, 429) else "refused"


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _duplicate()
    return found


def _duplicate() -> NoReturn:
    msg = "an attribute stands twice in one row"
    raise ValueError(msg)


def _included(fields: Sequence[str]) -> str:
    return "".join([f"&includefield={field}" for field in fields])


@dataclass(frozen=True, slots=True)
class Level(Generic[R]):
    """What is asked for at one level of an archive, and how a plain answer is decoded."""

    fields: str
    """The part of the query that asks for what an archive may leave out."""
    uid_of: Callable[[Row | R], str | None]
    """The UID of one of its rows."""
    decode: Callable[[str], list[R]]
    """Raises ValueError or RecursionError for an answer that is not plain."""


STUDIES: Level[StudyRow] = Level(_included(STUDY_FIELDS), study_uid_of, decode_studies)
STUDIES_WITH_DEPARTMENT: Level[StudyRow] = Level(
    _included((*STUDY_FIELDS, *DEPARTMENT_FIELDS)), study_uid_of, decode_studies
)
SERIES: Level[SeriesRow] = Level(_included(SERIES_FIELDS), series_uid_of, decode_series)
