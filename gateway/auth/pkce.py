"""Does whoever redeems a code show what they kept when they asked for it? PKCE, method S256 alone (RFC 7636). Pure."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


def proves(verifier: str | None, challenge: str) -> bool:
    """Whether `verifier` is what `challenge` was made of (RFC 7636 §4.6)."""
    if verifier is None or not _VERIFIER.fullmatch(verifier):
        return False
    digest = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(digest, challenge.encode())
