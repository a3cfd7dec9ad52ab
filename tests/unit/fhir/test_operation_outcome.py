"""Refusals and failures as FHIR tells them: contract §8."""

import json

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from gateway.audit.log import AuditUnavailable
from gateway.db.crypto import SealBroken
from gateway.errors import (
    AccessRefused,
    AllFacilitiesFailed,
    ConfigurationError,
    DeadlinePassed,
    DependencyUnavailable,
    ExpiredCursor,
    GatewayError,
    InvalidQuery,
    LoadRefused,
    MethodNotAllowed,
    NotAcceptable,
    NotAuthenticated,
    NotFound,
    PayloadTooLarge,
    PurposeNotAllowed,
    ScopeMissing,
    UnsupportedMediaType,
    UnsupportedParameter,
)
from gateway.fhir.operation_outcome import answer_for, gap_outcome, outcome, status_of

BEARER = 'Bearer realm="imaging exchange"'

ANSWERS: list[tuple[BaseException, int, str, dict[str, str]]] = [
    (InvalidQuery("why"), 400, "invalid", {}),
    (UnsupportedParameter("why"), 400, "not-supported", {}),
    (PayloadTooLarge("why"), 413, "too-long", {}),
    (NotAcceptable("why"), 406, "not-supported", {}),
    (UnsupportedMediaType("why"), 415, "not-supported", {}),
    (MethodNotAllowed(["GET", "POST"]), 405, "not-supported", {"Allow": "GET, HEAD, POST"}),
    (ExpiredCursor(), 410, "not-found", {}),
    (NotAuthenticated("why", presented=False), 401, "login", {"WWW-Authenticate": BEARER}),
    (NotAuthenticated("why"), 401, "login", {"WWW-Authenticate": f'{BEARER}, error="invalid_token"'}),
    (
        NotAuthenticated("why", expired=True),
        401,
        "expired",
        {"WWW-Authenticate": f'{BEARER}, error="invalid_token"'},
    ),
    (AccessRefused("why"), 403, "forbidden", {}),
    (PurposeNotAllowed("why"), 403, "forbidden", {}),
    (ScopeMissing("why"), 403, "forbidden", {"WWW-Authenticate": f'{BEARER}, error="insufficient_scope"'}),
    (NotFound(), 404, "not-found", {}),
    (LoadRefused(["why"]), 422, "business-rule", {}),
    (DeadlinePassed("why"), 503, "timeout", {"Retry-After": "1"}),
    (DependencyUnavailable("why"), 503, "transient", {"Retry-After": "5"}),
    (AuditUnavailable("why"), 503, "transient", {"Retry-After": "5"}),
    (SealBroken("why"), 503, "transient", {"Retry-After": "5"}),
    (AllFacilitiesFailed([]), 503, "transient", {"Retry-After": "5"}),
    (ConfigurationError(["why"]), 500, "exception", {}),
    (GatewayError("why"), 500, "exception", {}),
    (KeyError("Jane Doe"), 500, "exception", {}),
]

BEARER = 'Bearer realm="imaging exchange"'


@pytest.mark.parametrize(("exc", "status", "issue", "headers"), ANSWERS, ids=lambda value: type(value).__name__)
def test_each_error_has_its_status_issue_and_headers(
    exc: BaseException, status: int, issue: str, headers: dict[str, str]
) -> None:
    """The one table, subclasses by their nearest ancestor; every body is a valid OperationOutcome of at most 2 KB."""
    answer = answer_for(exc, reference="ref-1")

    assert (answer.status, answer.outcome["issue"][0]["code"], dict(answer.headers)) == (status, issue, headers)
    assert status_of(type(exc)) == status
    assert len(json.dumps(answer.outcome)) <= 2048
    OperationOutcome.model_validate(answer.outcome)


def test_t127a_an_unexpected_error_shows_its_reference_and_nothing_else() -> None:
    """Neither type nor text of what went wrong."""
    diagnostics = answer_for(ValueError("Jane Doe, select *"), reference="ref-1").outcome["issue"][0]["diagnostics"]

    assert diagnostics == "an unexpected error; the log has it under ref-1"
    assert answer_for(ValueError("x")).outcome["issue"][0]["diagnostics"] == "an unexpected error"


def test_t033a_absent_and_withheld_are_byte_equal() -> None:
    """Whatever reason the code gives, the answer is the same."""
    assert answer_for(NotFound("withheld by consent")) == answer_for(NotFound())


def test_failures_of_ours_are_told_without_their_reason() -> None:
    """A table's or a server's name is nobody's business."""
    assert "seal" not in json.dumps(answer_for(SealBroken("a sealed value of patients")).outcome)


def test_t137a_when_every_facility_failed_the_body_names_each() -> None:
    """One issue a facility, with its own code, id and name; none is left out."""
    gaps = [("north", "North Hospital", "timeout"), ("south", "South Clinic", "transient")]
    issues = answer_for(AllFacilitiesFailed(gaps)).outcome["issue"]

    assert [(issue["severity"], issue["code"], issue["diagnostics"]) for issue in issues] == [
        ("error", "timeout", "north (North Hospital) did not answer in time"),
        ("error", "transient", "south (South Clinic) could not answer"),
    ]
    many = [(f"f{number}", "F", "timeout") for number in range(200)]
    assert len(answer_for(AllFacilitiesFailed(many)).outcome["issue"]) == 200


def test_many_problems_are_cut_to_two_kilobytes() -> None:
    """A refusal names the first problems, each cut."""
    answer = answer_for(LoadRefused(["x" * 5000] * 100))

    assert len(json.dumps(answer.outcome)) <= 2304
    assert len(answer.outcome["issue"]) > 1


@pytest.mark.parametrize("code", ["timeout", "transient", "incomplete"])
def test_t136a_a_gap_is_a_warning_that_names_the_facility(code: str) -> None:
    """Contract §6: severity `warning`, its code, the facility's id and name."""
    gap = gap_outcome("north", "North Hospital", code)  # type: ignore[arg-type]

    issue = gap["issue"][0]
    assert (issue["severity"], issue["code"]) == ("warning", code)
    assert issue["diagnostics"].startswith("north (North Hospital) ")
    OperationOutcome.model_validate(gap)


@pytest.mark.parametrize(("reason", "words"), [("suspended", "was not asked"), ("unreadable", "can't be read")])
def test_what_is_wholly_missing_is_not_called_a_part(reason: str, words: str) -> None:
    """A facility out of service was not asked, a login page is no answer in part; the code stays `incomplete`."""
    issue = gap_outcome("north", "North Hospital", reason)["issue"][0]  # type: ignore[arg-type]

    assert issue["code"] == "incomplete"
    assert words in issue["diagnostics"]
    assert "in part" not in issue["diagnostics"]


def test_an_outcome_has_no_empty_text() -> None:
    """FHIR JSON knows no empty strings."""
    assert outcome("information", "informational", "")["issue"] == [
        {"severity": "information", "code": "informational"}
    ]
