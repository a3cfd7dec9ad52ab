"""Passwords: kept as argon2id hashes, checked in the same time whether the account is there or not (ASVS 5.0 6.3.8).

Length is what is asked for, and that it isn't one of those tried first; no rules about kinds of characters (6.2.5).
"""

import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LEAST = 12
MOST = 256
_HASHER = PasswordHasher(memory_cost=47104, time_cost=1, parallelism=1)
"""46 MiB and one pass: the first of the equal choices of OWASP's password storage cheat sheet, and the one that asks
least of a machine that also answers queries."""
_TRIED_FIRST = (
    *("password", "passwort", "motdepasse", "qwerty", "qwertz", "azerty", "letmein", "welcome", "administrator"),
    *("changeme", "iloveyou", "trustno", "hospital", "radiology", "imaging", "gateway", "exchange", "monkey", "dragon"),
    *(
        "football",
        "sunshine",
        "princess",
        "baseball",
        "superman",
        "abc123",
        "123456",
        "111111",
        "000000",
        "correcthorse",
    ),
)


def problem_with(password: str, *, login: str, name: str = "") -> str | None:
    """Why `password` can't be taken for the account, in words for its owner; None where it can."""
    if len(password) < LEAST:
        return f"Use at least {LEAST} characters. Several words in a row are easy to remember."
    if len(password) > MOST:
        return f"Use at most {MOST} characters."
    if not password.isprintable():
        return "Use characters that can be seen."
    plain = _plain(password)
    words = [login, *name.split()]
    left = plain
    for word in sorted((_plain(word) for word in (*words, *_TRIED_FIRST)), key=len, reverse=True):
        if len(word) >= 4:
            left = left.replace(word, "")
    if plain == _plain(login) or len(set(plain)) < 5 or len(left.strip("0123456789 !?.-_")) < 4:
        return "This one is tried first by anybody who guesses. Use something only you would think of."
    return None


def hash_of(password: str) -> str:
    """What is kept of `password`: nothing that it could be read from."""
    return _HASHER.hash(_as_typed(password))


def matches(hashed: str | None, password: str) -> bool:
    """Whether `password` is the one that was hashed; False, after as long, where there is no hash."""
    try:
        return _HASHER.verify(hashed or _nobodys(), _as_typed(password)) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(hashed: str) -> bool:
    """Whether today's parameters ask for more work than this hash took."""
    return _HASHER.check_needs_rehash(hashed)


@cache
def _nobodys() -> str:
    return _HASHER.hash("nobody has this password, and it opens nothing")


def _as_typed(password: str) -> str:
    # Keyboards differ in how they compose a letter with its accent (NIST SP 800-63B §5.1.1.2).
    return unicodedata.normalize("NFKC", password)[: MOST * 4]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
