"""Who presents a token at a facility, and how often."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import pytest

from gateway.auth.bearer import BearerAuthenticator
from gateway.auth.revoked_tokens import Revocations
from gateway.db.crypto import KeyRing
from gateway.errors import TooManyRequests
from gateway.limits import RateLimits
from gateway.model import Requester
from gateway.rates import DEFAULTS, Kind, Rate
from gateway.retrieval.caller import Callers
from tests.factories import NOON, a_facility, a_requester

ISSUER = "https://gateway.example"
GATE = a_facility("north", retrieve="gate", gate_url="https://gate.north.example/dicom-web")


class Bearer:
    """Believes every token to be that of the client whose name it is."""

    def read(self, token: str, audiences: Sequence[str], now: datetime) -> tuple[Requester, Mapping[str, Any]]:
        """The client of that name."""
        return a_requester(client_id=token, subject=token), {"aud": ISSUER}


def test_a_caller_who_fetches_beyond_all_measure_waits_and_others_do_not(keys: KeyRing) -> None:
    """Counted by caller, whichever of its tokens it shows."""
    limits = RateLimits({**DEFAULTS, Kind.RETRIEVAL: Rate(3)}, keys)
    callers = Callers(cast("BearerAuthenticator", Bearer()), cast("Revocations", None), ISSUER, limits)
    for _ in range(3):
        assert callers.at_gate("viewer", GATE, NOON).requester.client_id == "viewer"
    with pytest.raises(TooManyRequests) as refused:
        callers.at_gate("viewer", GATE, NOON)
    assert 1 <= refused.value.retry_after_s <= 60
    assert callers.at_gate("other", GATE, NOON).requester.client_id == "other"
