"""The gateway's log: one JSON line an event, from a closed vocabulary, with allow-listed fields only.

No field can hold a patient's value: names, identifiers, query strings, headers and bodies have no key here. A field
outside the list is dropped and counted.
"""

import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum

import orjson

from gateway.metrics import DROPPED_LOG_FIELDS

logger = logging.getLogger("gateway")


class Event(StrEnum):
    """Everything the gateway says of itself."""

    STARTED = "started"
    STOPPING = "stopping"
    SERVER_MESSAGE = "server-message"
    REQUEST = "request"
    UNEXPECTED_ERROR = "unexpected-error"
    FACILITY_ANSWERED = "facility-answered"
    FACILITY_FAILED = "facility-failed"
    ROWS_OF_ANOTHER_PATIENT = "rows-of-another-patient"
    ROWS_CONTRADICT_RECORD = "rows-contradict-record"
    ROWS_UNREADABLE = "rows-unreadable"
    LOCAL_ID_NOT_SENT = "local-id-not-sent"
    STUDY_UNDER_TWO_PERSONS = "study-under-two-persons"
    IDENTIFIER_AMBIGUOUS = "identifier-ambiguous"
    IDENTIFIERS_TRIED_OUT = "identifiers-tried-out"
    STRONG_IDENTIFIER_CONFLICT = "strong-identifier-conflict"
    CONSENT_NOT_EVALUABLE = "consent-not-evaluable"
    CONSENT_OF_SEVERAL = "consent-of-several"
    ADT_ANSWERED = "adt-answered"
    ADT_CONNECTION = "adt-connection"
    SIGN_IN_CLOSED = "sign-in-closed"
    TOKEN_ISSUED = "token-issued"
    TOKEN_REFUSED = "token-refused"
    TOKEN_COPIED = "token-copied"
    ACCESS_REFUSED = "access-refused"
    AUDIT_UNAVAILABLE = "audit-unavailable"
    ALERT = "alert"
    NOTICE_NOT_TAKEN = "notice-not-taken"
    AUDIT_NOT_FOLLOWED = "audit-not-followed"
    AUDIT_LOG_NOT_KEPT = "audit-log-not-kept"
    AUDIT_CHECKPOINT_NOT_DELIVERED = "audit-checkpoint-not-delivered"
    DEPENDENCY_UNAVAILABLE = "dependency-unavailable"
    JWKS_FETCH_FAILED = "jwks-fetch-failed"
    KEYS_FOLLOWED = "keys-followed"
    KEYS_NOT_FOLLOWED = "keys-not-followed"


_FIELDS = frozenset(
    {
        *("facility", "client", "status", "elapsed_ms", "count", "request_id", "route", "method", "reason"),
        *("reference", "error", "dependency", "worker", "version", "listen"),
    }
)
_MOST_CHARACTERS = 200


def event(kind: Event, /, *, level: int = logging.INFO, exc_info: bool = False, **fields: str | float | None) -> None:
    """One line in the log. Fields outside the allow-list are dropped and counted; long texts are cut."""
    if not logger.isEnabledFor(level):
        return
    kept = {name: value for name, value in fields.items() if name in _FIELDS and value is not None}
    if len(kept) != len(fields):
        DROPPED_LOG_FIELDS.inc(sum(name not in _FIELDS for name in fields))
    logger.log(level, kind.value, extra={"gateway": kept}, exc_info=exc_info)


class JSONLines(logging.Formatter):
    """Each record as one JSON object on one line; exceptions as their types and places, never their messages."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line break inside."""
        fields = getattr(record, "gateway", {})
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage()[:_MOST_CHARACTERS] if fields or record.name == "gateway" else record.name,
            **{name: value[:_MOST_CHARACTERS] if isinstance(value, str) else value for name, value in fields.items()},
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _trace(record.exc_info[1])
        return orjson.dumps(line).decode()


def _trace(exc: BaseException) -> list[str]:
    # A message of somebody else's exception may quote what a patient or an archive said: only its type is kept.
    steps = [type(exc).__name__]
    frame = exc.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        steps.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{frame.tb_lineno} {code.co_name}")
        frame = frame.tb_next
    if exc.__cause__ is not None:
        steps.extend(_trace(exc.__cause__))
    return steps


def set_up(level: int = logging.INFO) -> None:
    """The gateway's log goes to standard error as JSON lines; other libraries speak only of warnings, without text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logger.setLevel(level)
