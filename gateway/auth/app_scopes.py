"""Which scopes an app may be registered for, and what of those it asks for can be granted. Pure (SMART App Launch 2.2).

Beside resource scopes (`auth/smart_scopes.py`) an app has words that say how it is launched and what it is told of the
person. `system/…` is no app's: people use it. A refresh token comes of `offline_access` (it outlives the person's
session) or `online_access` (it doesn't).
"""

from collections.abc import Sequence

from gateway.auth import smart_scopes
from gateway.auth.clients import Client
from gateway.auth.smart_scopes import Context, parse_scope

WORDS = ("launch/patient", "openid", "fhirUser", "profile", "online_access", "offline_access")
"""Scopes that are no resource scopes."""


def problems_of_app(scopes: Sequence[str]) -> list[str]:
    """What is wrong with scopes that an app is to be registered for; empty where nothing is."""
    problems = []
    for text in scopes:
        scope = parse_scope(text)
        if text in WORDS:
            continue
        if scope is None:
            problems.append(f"scope {text!r:.100} is neither a SMART resource scope nor one of {', '.join(WORDS)}")
        elif scope.context == "system":
            problems.append(f"scope {text!r:.100} is a system's; an app has patient/ and user/ scopes")
    if not any(parse_scope(text) for text in scopes):
        problems.append("at least one resource scope is needed, such as patient/ImagingStudy.rs")
    return problems


def wanted(asked: str, client: Client) -> tuple[str, ...]:
    """What of `asked` the app is registered for, in the order asked; unknown words and what is wider are left out."""
    if len(asked) > smart_scopes.MOST_CHARACTERS:
        return ()
    granted: dict[str, None] = {}
    for text in (word for word in asked.split(" ") if word):
        if text in WORDS:
            granted.update({text: None} if text in client.scopes else {})
        else:
            granted.update(dict.fromkeys(_covered(text, client)))
    return tuple(granted)


def in_context(scopes: Sequence[str], context: Context) -> tuple[str, ...]:
    """The resource scopes of `context` among `scopes`."""
    return tuple(text for text in scopes if (scope := parse_scope(text)) is not None and scope.context == context)


def for_capacity(scopes: Sequence[str], context: Context) -> tuple[str, ...]:
    """What of `scopes` counts for somebody who acts in `context`: its resource scopes, and every word that fits it.

    `launch/patient` is about being bound to a patient, so it belongs to `patient` alone.
    """
    words = set(WORDS) if context == "patient" else set(WORDS) - {"launch/patient"}
    kept = words | set(in_context(scopes, context))
    return tuple(text for text in scopes if text in kept)


def still_registered(granted: Sequence[str], client: Client) -> tuple[str, ...]:
    """What of `granted` the app is registered for now: a registration that was narrowed narrows what is refreshed."""
    return wanted(" ".join(granted), client)


def narrowed(asked: str | None, granted: Sequence[str]) -> tuple[str, ...]:
    """What a refresh is given that asks for `asked` (RFC 6749 §6): all that was granted where nothing is asked.

    Less than was granted is given in the words it was asked in, by the rule that scopes are granted by. Empty where
    `asked` names anything that was not granted, or not as far.
    """
    if asked is None:
        return tuple(granted)
    if len(asked) > smart_scopes.MOST_CHARACTERS:
        return ()
    words = tuple(dict.fromkeys(word for word in asked.split(" ") if word))
    return words if all(_was_granted(word, granted) for word in words) else ()


def _was_granted(text: str, granted: Sequence[str]) -> bool:
    scope = parse_scope(text)
    if text in granted or scope is None:
        return text in granted
    return smart_scopes.grant((text,), granted, context=scope.context) == (text,)


def _covered(text: str, client: Client) -> tuple[str, ...]:
    scope = parse_scope(text)
    if scope is None or scope.context == "system":
        return ()
    return smart_scopes.grant((text,), client.scopes, context=scope.context)
