"""What does a refusal, a failure or a gap look like in FHIR? The one table of statuses and issue codes.

Errors know nothing of HTTP; here each class has its status and `issue-type` (contract §8), and a class without a row
of its own has its nearest ancestor's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.auth.challenge import challenge_for
from gateway.errors import (
    AccessRefused,
    AllFacilitiesFailed,
    AlreadyThere,
    Conflict,
    DeadlinePassed,
    DependencyUnavailable,
    DomainNotFound,
    ExpiredCursor,
    GatewayError,
    InvalidQuery,
    LoadRefused,
    MethodNotAllowed,
    NotAcceptable,
    NotAuthenticated,
    NotFound,
    PayloadTooLarge,
    StaleVersion,
    TooCostly,
    TooManyRequests,
    UnknownDomain,
    UnknownIdentifier,
    UnknownModifier,
    UnknownTarget,
    UnsupportedMediaType,
    UnsupportedParameter,
)

Severity = Literal["fatal", "error", "warning", "information"]
GapReason = Literal["timeout", "transient", "incomplete", "suspended", "unreadable"]

_MOST_DIAGNOSTICS = 300
_MOST_PROBLEMS = 6
"""With so many issues, each cut, the OperationOutcome of a refusal stays within 2 KB."""
_GAPS: Mapping[str, tuple[str, str]] = {
    "timeout": ("timeout", "did not answer in time"),
    "transient": ("transient", "could not answer"),
    "incomplete": ("incomplete", "answered in part: some of its studies or their details are missing"),
    "suspended": ("incomplete", "was not asked: it is out of service at the exchange, and its studies are missing"),
    "unreadable": ("incomplete", "gave an answer that can't be read: its studies are missing"),
}
"""The issue code (contract §6 knows three) and the words of each reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """An error as a FHIR client is told it."""

    status: int
    outcome: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Row:
    status: int
    issue: str
    words: str | None = None
    """Told in place of the error's own reason: where two refusals must look the same, and where the fault is ours."""
    retry_after: int | None = None
    severity: Severity = "error"


_ROWS: Mapping[type[BaseException], _Row] = {
    InvalidQuery: _Row(400, "invalid"),
    UnsupportedParameter: _Row(400, "not-supported"),
    PayloadTooLarge: _Row(413, "too-long"),
    NotAcceptable: _Row(406, "not-supported"),
    UnsupportedMediaType: _Row(415, "not-supported"),
    MethodNotAllowed: _Row(405, "not-supported"),
    ExpiredCursor: _Row(410, "not-found", "this page link has run out: repeat the search"),
    Conflict: _Row(409, "conflict"),
    StaleVersion: _Row(412, "conflict", "somebody else has changed it: read it again"),
    AlreadyThere: _Row(412, "conflict", "If-None-Match: it is on file already"),
    NotAuthenticated: _Row(401, "login"),
    AccessRefused: _Row(403, "forbidden"),
    NotFound: _Row(404, "not-found", "not found"),
    UnknownModifier: _Row(400, "extension"),
    UnknownDomain: _Row(400, "code-invalid"),
    TooCostly: _Row(400, "too-costly"),
    DomainNotFound: _Row(404, "not-found", "targetSystem not found", severity="warning"),
    UnknownTarget: _Row(403, "code-invalid"),
    UnknownIdentifier: _Row(404, "not-found", "sourceIdentifier Patient Identifier not found"),
    LoadRefused: _Row(422, "business-rule"),
    TooManyRequests: _Row(429, "throttled"),
    DeadlinePassed: _Row(503, "timeout", "the gateway ran out of time: try again", 1),
    DependencyUnavailable: _Row(503, "transient", "the gateway can't answer at the moment: try again", 5),
    AllFacilitiesFailed: _Row(503, "transient", None, 5),
}


def answer_for(exc: BaseException, *, reference: str = "") -> ErrorAnswer:
    """The status, body and headers that tell `exc`: by its own class, or by its nearest ancestor's.

    An error outside the table is a bug: 500 with `reference`, under which the log has it, and nothing else.
    """
    row = _row(type(exc))
    if row is None or not isinstance(exc, GatewayError):
        words = f"an unexpected error; the log has it under {reference}" if reference else "an unexpected error"
        return ErrorAnswer(status=500, outcome=outcome("error", "exception", words))
    return ErrorAnswer(status=row.status, outcome=_outcome(*_issues(exc, row)), headers=_headers(exc, row))


def status_of(error: type[BaseException]) -> int:
    """The status that errors of this class are told with."""
    row = _row(error)
    return row.status if row else 500


def outcome(severity: Severity, code: str, diagnostics: str) -> dict[str, Any]:
    """An OperationOutcome with one issue."""
    return _outcome(_issue(severity, code, diagnostics))


def gap_outcome(facility_id: str, facility_name: str, reason: GapReason) -> dict[str, Any]:
    """The warning that names a facility whose part of the answer is missing (contract §6)."""
    return _outcome(_gap("warning", facility_id, facility_name, reason))


def _row(error: type[BaseException]) -> _Row | None:
    return next((_ROWS[cls] for cls in error.__mro__ if cls in _ROWS), None)


def _gap(severity: Severity, facility_id: str, facility_name: str, reason: str) -> dict[str, Any]:
    code, words = _GAPS[reason]
    return _issue(severity, code, f"{facility_id} ({facility_name}) {words}")


def _issues(exc: GatewayError, row: _Row) -> list[dict[str, Any]]:
    if isinstance(exc, AllFacilitiesFailed) and exc.gaps:
        return [_gap("error", facility, name, reason) for facility, name, reason in exc.gaps]
    if isinstance(exc, LoadRefused) and exc.problems:
        return [_issue("error", row.issue, problem) for problem in exc.problems[:_MOST_PROBLEMS]]
    expired = isinstance(exc, NotAuthenticated) and exc.expired
    return [_issue(row.severity, "expired" if expired else row.issue, row.words or exc.reason)]


def _headers(exc: GatewayError, row: _Row) -> dict[str, str]:
    challenge = challenge_for(exc)
    if challenge is not None:
        return {"WWW-Authenticate": challenge}
    if isinstance(exc, TooManyRequests):
        return {"Retry-After": str(exc.retry_after_s)}
    if isinstance(exc, MethodNotAllowed):
        head = ["HEAD"] if "GET" in exc.allowed and "HEAD" not in exc.allowed else []  # RFC 9110 §10.2.1
        return {"Allow": ", ".join(sorted([*exc.allowed, *head]))}
    return {"Retry-After": str(row.retry_after)} if row.retry_after else {}


def _outcome(*issues: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "OperationOutcome", "issue": list(issues)}


def _issue(severity: Severity, code: str, diagnostics: str) -> dict[str, Any]:
    issue = {"severity": severity, "code": code}
    if diagnostics:
        issue["diagnostics"] = diagnostics[:_MOST_DIAGNOSTICS]
    return issue
