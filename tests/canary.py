"""A patient whose values must never be read in a log, a metric or an error: planted in samples, looked for at the end.

A functional test hands over what an outsider could read (`record`); when the run ends, `leaks` names every place in
which a planted value was seen, and the run fails. Tokens and private keys are looked for by their looks, there and in
the audit (`record_secrets`), and so are secrets that a test says it has (`keep_secret`).
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_plus

FAMILY = "Canarybird"
GIVEN = "Zephyrine"
MRN = "CNRY-90210"
NATIONAL_ID = "999-55-0042"
BIRTH_DATE = "1966-11-11"
PLANTED = (FAMILY, GIVEN, MRN, NATIONAL_ID)
"""What is looked for. A birth date alone could be anybody's, so it is planted and not looked for."""

SECRETS = {
    "a signed token": re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}"),
    "a bearer token": re.compile(r"(?i)\bbearer\s+[\w.~+/-]{33,}"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\"d\":\s*\"[\w-]{40,}\""),
}
"""What tokens (RFC 7515 compact form, RFC 6750) and private keys (PEM, RFC 7517) look like."""
MOST_OF_AN_OPAQUE_TOKEN = 32
"""Characters from its end that may be shown (IHE BALP, OAUTHaccessTokenUse.Opaque)."""

_AROUND = 60


@dataclass(frozen=True, slots=True)
class Leak:
    """A planted value, where it was seen, and the words around it."""

    value: str
    where: str
    excerpt: str


_leaks: list[Leak] = []
_kept: set[str] = set()


def record(text: str | bytes, where: str) -> None:
    """The text has been searched, as it is and percent-decoded; what was found fails the run."""
    raw = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    _leaks.extend(found_in(raw, where))
    record_secrets(raw, where)


def record_secrets(text: str, where: str) -> None:
    """The text has been searched for tokens, keys and the secrets that are kept; patients may be in it."""
    _leaks.extend(secrets_in(text, where))


def keep_secret(value: str) -> str:
    """The value itself; more than its last 32 characters must be read nowhere."""
    _kept.add(value)
    return value


def secrets_in(text: str, where: str) -> list[Leak]:
    """Every token, private key and kept secret that can be read in the text. What is told of it is not the secret."""
    found = [Leak(what, where, "…") for what, looks in SECRETS.items() if looks.search(text)]
    for value in _kept:
        too_much = value[-MOST_OF_AN_OPAQUE_TOKEN - 1 :]
        if too_much in text or value[: len(too_much)] in text:
            found.append(Leak(f"a secret of {len(value)} characters", where, "…"))
    return found


def found_in(text: str, where: str) -> list[Leak]:
    """Every planted value that can be read in the text, upper and lower case alike."""
    found: list[Leak] = []
    for shown in dict.fromkeys((text, unquote_plus(text))):
        folded = shown.casefold()
        for value in PLANTED:
            at = folded.find(value.casefold())
            if at >= 0 and value not in {leak.value for leak in found}:
                found.append(Leak(value, where, shown[max(0, at - _AROUND) : at + _AROUND]))
    return found


def leaks() -> tuple[Leak, ...]:
    """What has been found so far in this run."""
    return tuple(_leaks)
