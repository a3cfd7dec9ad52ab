"""What an app asks a person for: `/oauth/authorize`, read strictly (RFC 6749 §4.1.1, RFC 9700, SMART App Launch 2.2).

What is wrong is told to the app only where it is registered with the address that it names; anything before that is
told to the person, and nobody is sent anywhere (T24).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.auth import app_scopes
from gateway.auth.app_redirects import is_registered
from gateway.auth.clients import Client, ClientRegistry
from gateway.errors import InvalidQuery

PARAMETERS = (
    *("response_type", "client_id", "redirect_uri", "scope", "state", "aud", "code_challenge"),
    *("code_challenge_method", "nonce", "prompt", "max_age", "response_mode", "launch", "request", "request_uri"),
)
"""Parameters that are read; others are ignored (RFC 6749 §3.1)."""

Prompt = Literal["none", "login", "consent", "select_account"]
_PROMPTS: tuple[Prompt, ...] = ("none", "login", "consent", "select_account")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_MAX_AGE = re.compile(r"[0-9]{1,9}", re.ASCII)
_MOST_STATE = 1024
_MOST_NONCE = 512


class NotOurApp(InvalidQuery):
    """No app is registered that may be answered there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTo:
    """The registered address that an answer goes to, and what the app knows it by."""

    redirect_uri: str
    state: str | None


class AuthorizationRefused(Exception):
    """The app is told so at its address: `error` is RFC 6749's, OpenID Connect's or RFC 9101's word for it."""

    def __init__(self, error: str, words: str, to: AnswerTo) -> None:
        super().__init__(error)
        self.error = error
        self.words = words
        self.to = to


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A request that may be put before a person."""

    client: Client
    to: AnswerTo
    scopes: tuple[str, ...]
    """What of the scopes asked for the app is registered for."""
    challenge: str
    nonce: str | None
    prompt: frozenset[Prompt]
    max_age: int | None


def read_authorization(
    pairs: Sequence[tuple[str, str]], clients: ClientRegistry, *, fhir_base: str
) -> AuthorizationRequest:
    """What `pairs`, the parameters in order, ask for.

    Raises NotOurApp where nobody may be answered; AuthorizationRefused where the app is to be told what is wrong;
    DependencyUnavailable.
    """
    given = {name: value for name, value in pairs if name in PARAMETERS and value}
    counts = [name for name, _ in pairs if name in PARAMETERS]
    twice = {name for name in counts if counts.count(name) > 1}
    if twice & {"client_id", "redirect_uri"}:
        raise NotOurApp("a parameter is there twice")
    client = _app(given, clients)
    to = AnswerTo(redirect_uri=given["redirect_uri"], state=None if "state" in twice else given.get("state"))
    problem = "a parameter is there twice" if twice else _problem(given, fhir_base)
    if problem is not None:
        raise AuthorizationRefused("invalid_request", problem, to)
    if given.get("response_type") != "code":
        raise AuthorizationRefused("unsupported_response_type", "response_type is code", to)
    if "request" in given or "request_uri" in given:
        error = "request_not_supported" if "request" in given else "request_uri_not_supported"
        raise AuthorizationRefused(error, "parameters stand in the request itself", to)
    scopes = app_scopes.wanted(given.get("scope", ""), client)
    if not (app_scopes.in_context(scopes, "patient") or app_scopes.in_context(scopes, "user")):
        raise AuthorizationRefused("invalid_scope", "nothing that was asked for can be granted", to)
    return AuthorizationRequest(
        client=client,
        to=to,
        scopes=scopes,
        challenge=given["code_challenge"],
        nonce=given.get("nonce"),
        prompt=frozenset(word for word in _PROMPTS if word in given.get("prompt", "").split(" ")),
        max_age=int(given["max_age"]) if "max_age" in given else None,
    )


def _app(given: dict[str, str], clients: ClientRegistry) -> Client:
    client = clients.find(given["client_id"]) if len(given.get("client_id", "")) in range(1, 129) else None
    if client is None or not client.enabled or not client.is_app:
        raise NotOurApp("no app of that name is registered")
    if not is_registered(given.get("redirect_uri", ""), client.redirect_uris):
        raise NotOurApp("the app is not registered with that address")
    return client


def _problem(given: dict[str, str], fhir_base: str) -> str | None:
    """The first rule that is broken, each in words of ours."""
    prompts = given.get("prompt", "").split()
    rules = (
        (0 < len(given.get("state", "")) <= _MOST_STATE, f"state is needed, at most {_MOST_STATE} characters"),
        (
            given.get("state", " ").isprintable() and given.get("nonce", " ").isprintable(),
            "state or nonce can't be shown",
        ),
        (given.get("response_mode", "query") == "query", "response_mode is query"),
        (given.get("code_challenge_method") == "S256", "code_challenge_method is S256 (PKCE, RFC 7636)"),
        (_CHALLENGE.fullmatch(given.get("code_challenge", "")), "code_challenge is 43 characters of base64url"),
        (given.get("aud", "").rstrip("/") == fhir_base, "aud is the FHIR base URL"),
        ("launch" not in given, "a launch from an EHR is not offered; a standalone launch is"),
        (len(given.get("nonce", "")) <= _MOST_NONCE, f"nonce has at most {_MOST_NONCE} characters"),
        (all(word in _PROMPTS for word in prompts), "prompt has a word that is not known"),
        ("none" not in prompts or len(prompts) == 1, "prompt none stands alone"),
        (_MAX_AGE.fullmatch(given.get("max_age", "0")), "max_age is a number of seconds"),
    )
    return next((words for holds, words in rules if not holds), None)
