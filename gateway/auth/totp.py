"""Time-based one-time passwords (RFC 6238, SHA-1, six digits, 30 seconds), as every authenticator app has them. Pure.

The code of this moment counts and the one before it, since people are slow and phones' clocks are off; no other does.
"""

import hmac
import re
from datetime import datetime

import pyotp

INTERVAL_S = 30
_WINDOW = (0, -1)
_CODE = re.compile(r"[0-9]{6}", re.ASCII)


def new_secret() -> str:
    """160 random bits in base 32 (RFC 4226 §4: recommended)."""
    return pyotp.random_base32(32)


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step whose code that is, of those that count at `now`; None where there is none.

    A step may be used once: who stores it holds to that (ASVS 5.0 6.5.1).
    """
    plain = code.replace(" ", "")
    if not _CODE.fullmatch(plain):
        return None
    current = int(now.timestamp()) // INTERVAL_S
    generator = pyotp.HOTP(secret)
    found = None
    for step in (current + offset for offset in _WINDOW):
        if hmac.compare_digest(generator.at(step), plain) and found is None:
            found = step
    return found


def uri_of(secret: str, login: str, issuer: str) -> str:
    """What an authenticator app reads from the picture."""
    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=issuer)
