"""An accounting of disclosures as JSON, and as CSV that no spreadsheet takes for formulas. Pure."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.audit.accounting import Accounting, Disclosure
from gateway.purposes import in_words

COLUMNS = (
    *("when (UTC)", "recipient", "organization", "application", "person", "address", "purpose"),
    *("given", "facility", "facility name", "studies", "relied on", "other data", "audit record"),
)
WRONG_LINK = "(while records were taken for another person's: part of it may be theirs)"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet may take for the beginning of a formula (OWASP ASVS 1.2.10), full-width forms included."""


def as_json(accounting: Accounting) -> dict[str, Any]:
    """For programs."""
    return {
        "patient": accounting.patient,
        "kind": accounting.kind,
        "from": _instant(accounting.since),
        "to": _instant(accounting.until),
        "made": _instant(accounting.made_at),
        "disclosures": [disclosure_json(one) for one in accounting.disclosures],
    }


def as_csv(accounting: Accounting) -> str:
    """For spreadsheets: a line for each facility of each disclosure (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for one in accounting.disclosures:
        for row in _rows(one):
            writer.writerow([neutral(cell) for cell in row])
    return out.getvalue()


def neutral(cell: str) -> str:
    """`cell` as text to any spreadsheet: what would begin a formula is led by an apostrophe."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _rows(one: Disclosure) -> Sequence[Sequence[str]]:
    to = one.recipient
    purposes = "; ".join(in_words(purpose) for purpose in one.purposes)
    begin = (_instant(one.at), to.name, to.organization, to.application, to.person, to.address, purposes)
    other = " ".join((*one.other, *([WRONG_LINK] if one.wrong_link else [])))
    rows = [
        (*begin, one.act, given.facility, given.name, " ".join(given.studies), " ".join(given.basis), other, one.id)
        for given in one.given
    ]
    return rows or [(*begin, one.act, "", "", "", "", other, one.id)]


def disclosure_json(one: Disclosure) -> dict[str, Any]:
    """One disclosure, for programs."""
    to = one.recipient
    return {
        "id": one.id,
        "date": _instant(one.at),
        "given": one.act,
        "recipient": {
            "name": to.name,
            "organization": to.organization,
            "application": to.application,
            "person": to.person,
            "address": to.address,
        },
        "purpose": [{"code": purpose, "display": in_words(purpose)} for purpose in one.purposes],
        "studies": [
            {"facility": given.facility, "name": given.name, "uids": list(given.studies), "basis": list(given.basis)}
            for given in one.given
        ],
        "other": list(one.other),
        **({"wrong_link": True} if one.wrong_link else {}),
    }


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
