"""Which facilities does a search on the directory find? Each is one Endpoint and one Organization."""

import unicodedata
from collections.abc import Sequence

from gateway.fhir.search_params import DirectorySearch
from gateway.model import Facility, Token

ENDPOINT_STATUS = "http://hl7.org/fhir/endpoint-status"


def facilities_found(search: DirectorySearch, facilities: Sequence[Facility]) -> list[Facility]:
    """Those of `facilities` whose Endpoint or Organization `search` means, in id order."""
    return sorted((facility for facility in facilities if _means(search, facility)), key=lambda found: found.id)


def _means(search: DirectorySearch, facility: Facility) -> bool:
    name = _folded(facility.name)
    return (
        all(facility.id in ids for ids in search.id)
        and all(facility.id in ids for ids in search.organization)
        and all(any(name.startswith(_folded(start)) for start in starts) for starts in search.name)
        and all(any(_has_status(facility, token) for token in tokens) for tokens in search.status)
    )


def _has_status(facility: Facility, token: Token) -> bool:
    status = "suspended" if facility.suspended else "active"
    return token.system in (None, ENDPOINT_STATUS) and token.code in (None, status)


def _folded(text: str) -> str:
    # FHIR R4 search §3.1.1.4.8: strings are compared without regard to case and accents.
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
