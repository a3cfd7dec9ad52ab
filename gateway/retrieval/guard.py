"""Who may ask for decisions: a facility, or the gate before it, that proves itself by its key."""

from collections.abc import Callable, Sequence
from datetime import datetime

from flask import g, request

from gateway.auth.facility_keys import FacilityKeys
from gateway.auth.guards import Guard
from gateway.errors import NotAuthenticated
from gateway.model import Facility

HEADER = "X-Facility-Key"


def requires_facility(
    keys: FacilityKeys, facilities: Callable[[], Sequence[Facility]], clock: Callable[[], datetime]
) -> Guard:
    """A guard after which `current_facility()` is the registered facility whose key was sent.

    The key stands in `X-Facility-Key`; where there is none, with the facility's id in Basic authentication, which is
    all that some programs can be told.
    """

    def check() -> None:
        stated = request.headers.get(HEADER)
        now = clock()
        if stated is None and request.headers.get("Authorization", "").lower().startswith("basic "):
            id_ = keys.require_basic(request.headers["Authorization"], now)
        else:
            id_ = keys.require(stated, now)
        found = next((one for one in facilities() if one.id == id_), None)
        if found is None:
            raise NotAuthenticated("the facility is no member")
        g.facility = found

    return Guard("requires_facility", "the key of a registered facility", check)


def current_facility() -> Facility:
    """The facility that asks. Raises NotAuthenticated where no guard let one in."""
    found = g.get("facility")
    if not isinstance(found, Facility):
        raise NotAuthenticated("a facility's key is needed", presented=False)
    return found
