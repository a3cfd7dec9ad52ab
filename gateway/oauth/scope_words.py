"""What an app asks for, in words for the person who decides. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from gateway.auth.smart_scopes import Scope, parse_scope
from gateway.search_values import split_alternatives

_THINGS = {
    "ImagingStudy": "imaging studies (such as X-rays, CT and MR scans) and open their images",
    "Patient": "name, birth date, sex and identifiers",
    "Consent": "the rules of who may see imaging",
    "AuditEvent": "the record of who has looked",
    "Endpoint": "the addresses of the archives",
    "Organization": "the names of the facilities",
    "*": "everything that the exchange holds",
}
_IDENTITY = frozenset(("openid", "fhirUser", "profile"))
_ALWAYS = frozenset(("launch/patient",))
"""Goes with the patient that is chosen; there is nothing to decide about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that can be allowed or not."""

    words: str
    scopes: tuple[str, ...]


def rows_of(scopes: Sequence[str], *, offline_days: int, online_hours: int) -> list[Row]:
    """What can be decided on, in the order asked."""
    rows = [Row(words=_sentence(scope), scopes=(text,)) for text in scopes if (scope := parse_scope(text)) is not None]
    identity = tuple(text for text in scopes if text in _IDENTITY)
    if identity:
        rows.append(Row(words="Know who you are", scopes=identity))
    if "offline_access" in scopes:
        words = f"Stay connected for {offline_days} days, also while you don't use it"
        rows.append(Row(words=words, scopes=("offline_access",)))
    if "online_access" in scopes:
        words = f"Stay connected while you are signed in here, for up to {online_hours} hours"
        rows.append(Row(words=words, scopes=("online_access",)))
    return rows


def kept_of(rows: Sequence[Row], ticked: Sequence[str]) -> frozenset[str]:
    """The scopes of the rows whose numbers were ticked, and those that nobody is asked about."""
    chosen = (
        rows[int(number)] for number in ticked if number.isascii() and number.isdigit() and int(number) < len(rows)
    )
    return _ALWAYS | {text for row in chosen for text in row.scopes}


def _sentence(scope: Scope) -> str:
    thing = _THINGS.get(scope.resource_type, f"{scope.resource_type} records")
    sees = bool(scope.interactions & {"r", "s"})
    changes = bool(scope.interactions & {"c", "u", "d"})
    does = "See and change" if sees and changes else "Change" if changes else "See"
    words = f"{does} {thing}"
    if scope.context == "user":
        words += " of patients, as your work allows"
    limits = [f"{name} {_values(value)}" for name, value in parse_qsl(scope.parameters.replace("+", "%2B"))]
    return f"{words}, only: {', '.join(limits)}" if limits else words


def _values(value: str) -> str:
    """Every alternative, by its code; by its system where any code of that will do."""
    return " or ".join([part.rpartition("|")[2] or part for part in split_alternatives(value)])
