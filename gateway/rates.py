"""How often is something let through? The kinds of limits, what each is unless an operator says otherwise, its words.

Each is so many in a moving window. The defaults are well above what a busy EHR does; 0 is no limit, and production
doesn't start with one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

MOST = 100_000_000
_WORD = re.compile(r"([a-z-]+)=([0-9]{1,9})")


class Kind(StrEnum):
    """What is counted, and for whom."""

    REQUESTS = "requests"
    """Requests with a token: of each system, or of each person in an app."""
    RETRIEVAL = "retrieval"
    """Questions whether images may be fetched: of each caller (a viewer asks for every frame)."""
    IDENTIFIERS = "identifiers"
    """Different identifiers of patients that a client has asked for, known or unknown alike (T39)."""
    MATCHES = "matches"
    """Descriptions of patients that a client has asked `$match` about."""
    TOKENS = "tokens"
    """Requests to the token, introspection and revocation endpoints from one network address."""
    CLIENT_FAILURES = "client-failures"
    """Failures to prove to be a client, by the name that was claimed and the address (T30)."""
    NETWORK_FAILURES = "network-failures"
    """Failures to prove to be any client, by the address."""
    SIGN_IN_FAILURES = "sign-in-failures"
    """Failures to sign in to an account, by account and address."""
    SIGN_IN_ACCOUNT_FAILURES = "sign-in-account-failures"
    """Failures to sign in to an account, from anywhere."""
    SIGN_IN_NETWORK_FAILURES = "sign-in-network-failures"
    """Failures to sign in to any account, by the address."""
    SIGN_IN_QUESTIONS = "sign-in-questions"
    """What is kept of people who begin to sign in, by the address: a passkey's challenge, a provider's state."""
    ALERTS = "alerts"
    """Alerts about one client that goes beyond one limit; what is more is counted in the metrics alone."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many in so many seconds; 0 is no limit."""

    most: int
    seconds: int = 60


Rates = Mapping[Kind, Rate]
_A_QUARTER = 15 * 60

DEFAULTS: Rates = {
    Kind.REQUESTS: Rate(120_000),
    Kind.RETRIEVAL: Rate(300_000),
    Kind.IDENTIFIERS: Rate(400),
    Kind.MATCHES: Rate(6_000),
    Kind.TOKENS: Rate(30_000),
    Kind.CLIENT_FAILURES: Rate(100),
    Kind.NETWORK_FAILURES: Rate(500),
    Kind.SIGN_IN_FAILURES: Rate(10, _A_QUARTER),
    Kind.SIGN_IN_ACCOUNT_FAILURES: Rate(50, _A_QUARTER),
    Kind.SIGN_IN_NETWORK_FAILURES: Rate(100, _A_QUARTER),
    Kind.SIGN_IN_QUESTIONS: Rate(600),
    Kind.ALERTS: Rate(1),
}


def parse_rates(text: str) -> Rates:
    """The defaults with what `text` says instead: `identifiers=1000 requests=0`, each kind at most once.

    Raises ValueError.
    """
    stated: dict[Kind, Rate] = {}
    for word in re.split(r"[,\s]+", text.strip()) if text.strip() else ():
        found = _WORD.fullmatch(word)
        kind = Kind(found[1]) if found else None
        if found is None or kind is None or kind in stated or int(found[2]) > MOST:
            raise ValueError("not a limit")
        stated[kind] = Rate(int(found[2]), DEFAULTS[kind].seconds)
    return {**DEFAULTS, **stated}
