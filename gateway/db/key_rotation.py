"""A new signing key takes over, and an old one is given up: changes of the key file that running processes follow."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gateway.db.crypto import new_signing_key, read_key_file, rewrite_key_file
from gateway.errors import LoadRefused

SHOWN_FIRST_S = 330
"""How long a key is published before it signs: whoever verifies offline may keep the published keys for 300 seconds."""
VALID_S = 300
"""How long a token may still be valid that was signed with a key that signs no more."""

State = Literal["signs", "waits", "verifies"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyState:
    """One signing key of the file."""

    kid: str
    state: State
    signs_from: float | None
    """From when on it signs (seconds since 1970), where the file says."""


def signing_keys(path: Path, now: float) -> list[SigningKeyState]:
    """The signing keys of the file, the newest first. Raises ConfigurationError."""
    current = read_key_file(path).signing
    found: list[SigningKeyState] = []

    def look(keys: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for key in filter(_signs, keys):
            turn = key.get("signs_from")
            name = str(key.get("kid", ""))
            waits = turn is not None and float(turn) > now
            state: State = "waits" if waits else "signs" if name == (current.kid or "") else "verifies"
            found.append(SigningKeyState(kid=name, state=state, signs_from=None if turn is None else float(turn)))
        return keys

    rewrite_key_file(path, look)
    return found


def add_signing_key(path: Path, signs_from: float) -> str:
    """A new signing key is in the file, to sign from then on; its `kid`. Raises ConfigurationError."""
    key = {**new_signing_key(), "signs_from": signs_from}
    rewrite_key_file(path, lambda keys: [key, *keys])
    return str(key["kid"])


def retire_signing_key(path: Path, kid: str, now: float, *, at_once: bool) -> None:
    """The key is not in the file any more: no token that it signed is taken.

    Raises LoadRefused where it is none that only verifies, or (unless `at_once`) its tokens may still be valid;
    ConfigurationError.
    """

    def without(keys: list[dict[str, Any]]) -> list[dict[str, Any]]:
        signing = list(filter(_signs, keys))
        due = [key for key in signing if float(key.get("signs_from", 0)) <= now]
        retired = next((key for key in signing if key.get("kid") == kid), None)
        if retired is None:
            raise LoadRefused(["no signing key of that kid is in the file"])
        if not due or retired is due[0]:
            raise LoadRefused(["that key signs: rotate first, and retire it when another one does"])
        since = float(due[0].get("signs_from", 0))
        if retired in due and now < since + VALID_S and not at_once:
            raise LoadRefused([f"tokens that it signed are valid for {since + VALID_S - now:.0f} seconds more (--now)"])
        return [key for key in keys if key is not retired]

    rewrite_key_file(path, without)


def _signs(key: dict[str, Any]) -> bool:
    return key.get("kty") == "RSA"
