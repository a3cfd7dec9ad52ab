"""What a token's scopes allow, and what of the scopes asked for a client may be granted (SMART App Launch 2.2, scopes).

Grammar: `(patient|user|system)/(Type|*).c?r?u?d?s?`, and version 1's `.read`, `.write`, `.*`. Several scopes add up.

Rules of this form of the gateway:
- A granular scope (`?modality=…`) is understood and never counts: it is not granted and, found in a token, reaches
  nothing, because granting more than it says would be wrong and less than it says can't be enforced yet.
- `patient/…` reaches something only with a token that is bound to a patient. A token without that binding is never
  treated as if it were a system's.
- `user/…` reaches nothing, since no user signs in yet.
- Endpoint and Organization are a directory: any valid token reads them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from gateway.errors import ScopeMissing

Context = Literal["patient", "user", "system"]
Interaction = Literal["c", "r", "u", "d", "s"]

DIRECTORY = frozenset(("Endpoint", "Organization"))
"""Resource types that any valid token may read."""

MOST_CHARACTERS = 4096
_LETTERS = "cruds"
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
_GRAMMAR = re.compile(
    r"(?P<context>patient|user|system)/(?P<type>\*|[A-Z][A-Za-z]{0,63})"
    r"\.(?P<verbs>read|write|\*|(?=[cruds])c?r?u?d?s?)"
    r"(?P<parameters>\?[!-~]+)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One resource scope: in which context, on which type, which interactions."""

    context: Context
    resource_type: str
    interactions: frozenset[Interaction]
    parameters: str = ""
    """The search parameters of a granular scope, as written; empty where the whole type is meant."""

    def __str__(self) -> str:
        """The scope in version 2's words."""
        letters = "".join(letter for letter in _LETTERS if letter in self.interactions)
        tail = f"?{self.parameters}" if self.parameters else ""
        return f"{self.context}/{self.resource_type}.{letters}{tail}"

    def covers(self, resource_type: str, interaction: Interaction) -> bool:
        """Whether the scope's own words reach this; a granular scope reaches nothing."""
        return not self.parameters and self.resource_type in ("*", resource_type) and interaction in self.interactions


@lru_cache(maxsize=4096)
def parse_scope(text: str) -> Scope | None:
    """The scope that `text` is; None where it is no resource scope or breaks the grammar."""
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        return None
    verbs = match["verbs"]
    context: Context = match["context"]  # type: ignore[assignment]  # the grammar has just these three
    letters: frozenset[Interaction] = frozenset(_VERSION_1.get(verbs, verbs))  # type: ignore[arg-type]
    return Scope(
        context=context,
        resource_type=match["type"],
        interactions=letters,
        parameters=(match["parameters"] or "")[1:],
    )


@lru_cache(maxsize=1024)
def _parse_all(scopes: tuple[str, ...]) -> tuple[Scope, ...]:
    return tuple(scope for text in scopes if (scope := parse_scope(text)) is not None)


def can(scopes: tuple[str, ...], resource_type: str, interaction: Interaction, *, patient_bound: bool) -> bool:
    """Whether a token with `scopes` may do `interaction` on `resource_type`."""
    if resource_type in DIRECTORY and interaction in ("r", "s"):
        return True
    return any(
        scope.covers(resource_type, interaction)
        for scope in _parse_all(scopes)
        if scope.context == "system" or (scope.context == "patient" and patient_bound)
    )


def require(scopes: tuple[str, ...], resource_type: str, interaction: Interaction, *, patient_bound: bool) -> None:
    """The token's scopes reach `interaction` on `resource_type`. Raises ScopeMissing otherwise."""
    if not can(scopes, resource_type, interaction, patient_bound=patient_bound):
        raise ScopeMissing(f"the token has no scope for {resource_type}.{interaction}")


def can_include(scopes: tuple[str, ...], resource_type: str, *, patient_bound: bool) -> bool:
    """Whether resources of `resource_type` may stand beside what was searched: any reading scope of the type does."""
    return any(can(scopes, resource_type, letter, patient_bound=patient_bound) for letter in ("r", "s"))


def grant(requested: Sequence[str], registered: Iterable[str], *, context: Context) -> tuple[str, ...]:
    """The part of `requested` that `registered` covers, in the order asked; never more than either says.

    A scope that is covered whole keeps the words it was asked in (version 1's too); one that is covered in part is
    said in version 2's words. Scopes of another context, granular ones and unknown words are left out.
    """
    held = [scope for text in registered if (scope := parse_scope(text)) and _grantable(scope, context)]
    granted: dict[str, None] = {}
    for text in requested:
        scope = parse_scope(text)
        if scope is None or not _grantable(scope, context):
            continue
        parts = _intersection(scope, held)
        granted.update(dict.fromkeys((text,) if parts == [scope] else map(str, parts)))
    return tuple(granted)


def _grantable(scope: Scope, context: Context) -> bool:
    return scope.context == context and not scope.parameters


def _intersection(scope: Scope, held: Sequence[Scope]) -> list[Scope]:
    by_type: dict[str, frozenset[Interaction]] = {}
    for other in held:
        if "*" in (scope.resource_type, other.resource_type) or scope.resource_type == other.resource_type:
            narrower = other.resource_type if scope.resource_type == "*" else scope.resource_type
            by_type[narrower] = by_type.get(narrower, frozenset()) | (scope.interactions & other.interactions)
    everywhere = by_type.get("*", frozenset()) if scope.resource_type == "*" else frozenset()
    return [
        Scope(context=scope.context, resource_type=resource_type, interactions=letters)
        for resource_type, letters in by_type.items()
        if letters and (resource_type == scope.resource_type or not letters <= everywhere)
    ]


def problems_of(scopes: Sequence[str]) -> list[str]:
    """What is wrong with scopes that a client is to be registered for; empty where nothing is.

    A registered client asks for itself (SMART Backend Services), so no other scope could ever be granted to it.
    """
    problems = []
    for text in scopes:
        scope = parse_scope(text)
        if scope is None:
            problems.append(f"scope {text!r:.100} is not a SMART resource scope")
        elif scope.parameters:
            problems.append(f"scope {text!r:.100}: granular scopes are not supported")
        elif scope.context != "system":
            narrowed = replace(scope, context="system")
            problems.append(f"scope {text!r:.100} needs a user; a system client has system/, as {narrowed}")
    return problems if scopes else ["at least one scope is needed"]
