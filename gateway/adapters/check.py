"""What an archive is able to do, found out by asking for a patient who can't exist: nobody's data is asked for."""

import secrets
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.adapters.base import Conversation, FacilityReply, HTTPExchange, HTTPResult, ReplyStatus
from gateway.adapters.qido_answer import STUDIES, Refused, read_rows
from gateway.model import Facility

Rating = Literal["ok", "limited", "failed"]
_WORDS: dict[ReplyStatus, str] = {
    "answered": "answered",
    "timed_out": "did not answer in time",
    "unreachable": "answered with an error of its own",
    "refused": "refused the question",
    "unreadable": "answered with something that is not DICOM JSON",
}
_NOBODY = "can't be reached: look whether it runs, and at the host, port and certificate of query_url"
_ADVICE: dict[int, str] = {
    401: "look at [facility.auth]",
    403: "look at [facility.auth], and at what the archive lets this account do",
    404: "look at the path of query_url",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was tried, how it went, and what that means. Never anything that the archive said."""

    name: str
    rating: Rating
    detail: str


class FacilityCheck:
    """One look at one facility. `findings` grows while `conversation` goes on."""

    def __init__(self, facility: Facility) -> None:
        self._facility = facility
        self.findings: list[Finding] = []

    @property
    def usable(self) -> bool:
        """Whether the facility can be asked at all."""
        return bool(self.findings) and all(finding.rating != "failed" for finding in self.findings)

    def conversation(self) -> Conversation:
        """The exchanges of the check, one after the other, so that each is seen alone."""
        nobody = f"PatientID=gateway-check-{secrets.token_hex(8)}"
        base = self._facility.query_url or ""
        first = yield from self._ask(f"{base}/studies?{nobody}&limit=1")
        if not self._reachable(first):
            return FacilityReply(facility=self._facility, status=_status(first) or "answered")
        self._note_fields((yield from self._ask(f"{base}/studies?{nobody}&limit=1{STUDIES.fields}")))
        self._note_limit((yield from self._ask(f"{base}/studies?{nobody}&limit=1000&offset=0")))
        self._note_decoding((yield from self._ask(f"{base}/studies?{nobody}&limit=%31")))
        self._note_series((yield from self._ask(f"{base}/series?{nobody}&limit=1")))
        return FacilityReply(facility=self._facility, status="answered")

    def _ask(self, url: str) -> Generator[Sequence[HTTPExchange], Sequence[HTTPResult], HTTPResult]:
        (result,) = yield [HTTPExchange(url=url)]
        return result

    def _reachable(self, result: HTTPResult) -> bool:
        status = _status(result)
        if status is not None:
            self._note("QIDO-RS", "failed", f"the archive {_why(result, status)}")
            return False
        if read_rows(result):
            self._note(
                "patient filter",
                "limited",
                "the archive answers with studies of others: every row is checked, and those are dropped",
            )
        self._note("QIDO-RS", "ok", "/studies answers")
        return True

    def _note_fields(self, result: HTTPResult) -> None:
        if _status(result) is None:
            self._note("includefield", "ok", "accepted")
        else:
            self._note("includefield", "limited", "refused: descriptions and issuers may be missing")

    def _note_limit(self, result: HTTPResult) -> None:
        if _status(result) is None:
            self._note("paging", "ok", "pages of 1000 accepted")
        else:
            self._note("paging", "limited", "pages of 1000 refused: smaller ones are asked for")

    def _note_decoding(self, result: HTTPResult) -> None:
        # An archive that does not decode reads `limit=%31` as no number, and refuses it.
        if _status(result) is None:
            self._note("percent-encoding", "ok", "accepted")
        else:
            self._note(
                "percent-encoding",
                "limited",
                "not decoded: PatientIDs with a space, &, #, %, + or letters beyond ASCII can't be asked for",
            )

    def _note_series(self, result: HTTPResult) -> None:
        if _status(result) is None:
            self._note("series by patient", "ok", "/series answers for all studies at once")
        else:
            self._note("series by patient", "limited", "not supported: series are asked for study by study")

    def _note(self, name: str, rating: Rating, detail: str) -> None:
        self.findings.append(Finding(name=name, rating=rating, detail=detail))


def _why(result: HTTPResult, status: ReplyStatus) -> str:
    """What went wrong, and where an operator looks first."""
    if not result.status:
        return _NOBODY if status == "unreachable" else _WORDS[status]
    words = "refused the gateway's credentials" if result.status in (401, 403) else _WORDS[status]
    advice = _ADVICE.get(result.status)
    return f"{words} (HTTP {result.status})" + (f": {advice}" if advice else "")


def _status(result: HTTPResult) -> ReplyStatus | None:
    """Why an answer holds no rows; None where it is one."""
    try:
        read_rows(result)
    except Refused as refused:
        return refused.status
    return None
