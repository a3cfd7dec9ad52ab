"""What a token's scopes allow, and what of the scopes asked for a client may be granted (SMART App Launch 2.2, scopes).

Grammar: `(patient|user|system)/(Type|*).c?r?u?d?s?[?parameter=value&…]`, and version 1's `.read`, `.write`, `.*`.
Several scopes add up.

- A granular scope (`?modality=…`, `auth/granular.py`) reaches its type, and limits which studies are shown: faces ask
  `require`, and whoever hands out studies asks `limits_of` and keeps to it. One that can't be understood is not granted
  and reaches nothing.
- `patient/…` reaches something only with a token that is bound to a patient. A token without that binding is never
  treated as if it were a system's.
- `user/…` reaches something only with a token of somebody who signed in (a clinician: `auth/capacities.py`), and no
  more than reading images, patients and consents; `system/…` only with one of a system that asks for itself.
- Endpoint and Organization are a directory: any valid token reads them.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Literal

from gateway.auth.granular import PARAMETERS, limit_of, meet
from gateway.errors import ScopeMissing
from gateway.imaging.narrowing import StudyLimit, admits
from gateway.imaging.study import SourceStudy

Context = Literal["patient", "user", "system"]
Interaction = Literal["c", "r", "u", "d", "s"]

DIRECTORY = frozenset(("Endpoint", "Organization"))
"""Resource types that any valid token may read."""

OF_USERS = frozenset(("ImagingStudy", "Patient", "Consent"))
"""Resource types that a clinician who signed in may read and search; the audit and the feeds are not for them."""

MOST_CHARACTERS = 4096
_OF_SYSTEMS: tuple[Context, ...] = ("system",)
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

    @property
    def limit(self) -> StudyLimit | None:
        """The studies it admits, where it is granular and can be understood."""
        return limit_of(self.resource_type, self.parameters) if self.parameters else None

    def covers(self, resource_type: str, interaction: Interaction) -> bool:
        """Whether the scope's own words reach this, or some of this; one that can't be understood reaches nothing."""
        if self.resource_type not in ("*", resource_type) or interaction not in self.interactions:
            return False
        return not self.parameters or self.limit is not None


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


@lru_cache(maxsize=4096)
def can(
    scopes: tuple[str, ...],
    resource_type: str,
    interaction: Interaction,
    *,
    patient_bound: bool,
    signed_in: bool = False,
) -> bool:
    """Whether a token with `scopes` may do `interaction` on `resource_type`, or on some of them (`limits_of`)."""
    if resource_type in DIRECTORY and interaction in ("r", "s"):
        return True
    return any(
        scope.covers(resource_type, interaction)
        and _counts(scope.context, resource_type, interaction, patient_bound, signed_in)
        for scope in _parse_all(scopes)
    )


def _counts(
    context: Context, resource_type: str, interaction: Interaction, patient_bound: bool, signed_in: bool
) -> bool:
    if context == "patient":
        return patient_bound
    if context == "user":
        return signed_in and resource_type in OF_USERS and interaction in ("r", "s")
    return not signed_in


def require(
    scopes: tuple[str, ...],
    resource_type: str,
    interaction: Interaction,
    *,
    patient_bound: bool,
    signed_in: bool = False,
) -> None:
    """The token's scopes reach `interaction` on `resource_type`. Raises ScopeMissing otherwise."""
    if not can(scopes, resource_type, interaction, patient_bound=patient_bound, signed_in=signed_in):
        raise ScopeMissing(f"the token has no scope for {resource_type}.{interaction}")


@lru_cache(maxsize=1024)
def limits_of(
    scopes: tuple[str, ...], interaction: Interaction, *, patient_bound: bool, signed_in: bool = False
) -> tuple[StudyLimit, ...] | None:
    """The studies that the scopes admit for `interaction`; None where no granular scope narrows what they reach.

    They add up. Only granular scopes that reach are meant: that any scope reaches at all, `require` says.
    """
    if not any("?" in text for text in scopes):
        return None
    reaching = [
        scope
        for scope in _parse_all(scopes)
        if scope.covers("ImagingStudy", interaction)
        and _counts(scope.context, "ImagingStudy", interaction, patient_bound, signed_in)
    ]
    if any(not scope.parameters for scope in reaching):
        return None
    return tuple([limit for scope in reaching if (limit := scope.limit) is not None])


def scope_admits(
    scopes: tuple[str, ...],
    source: SourceStudy,
    now: datetime,
    *,
    patient_bound: bool,
    signed_in: bool = False,
    series_uid: str | None = None,
    interaction: Interaction = "r",
) -> bool:
    """Whether a token with `scopes` may fetch the whole of `source`, or the one series of it that is named.

    A study that the scopes admit in part (`?modality=…|CT` of one with CT and SR series) is refused whole and opens by
    series. With granular scopes a source has to be told with its series; without them it is not looked at. Whether the
    scopes reach ImagingStudy at all is the first thing that this asks.
    """
    if not can(scopes, "ImagingStudy", interaction, patient_bound=patient_bound, signed_in=signed_in):
        return False
    limits = limits_of(scopes, interaction, patient_bound=patient_bound, signed_in=signed_in)
    return admits(source, limits, now, series_uid)


def can_include(scopes: tuple[str, ...], resource_type: str, *, patient_bound: bool, signed_in: bool = False) -> bool:
    """Whether resources of `resource_type` may stand beside what was searched: any reading scope of the type does."""
    return any(
        can(scopes, resource_type, letter, patient_bound=patient_bound, signed_in=signed_in) for letter in ("r", "s")
    )


def grant(requested: Sequence[str], registered: Iterable[str], *, context: Context) -> tuple[str, ...]:
    """The part of `requested` that `registered` covers, in the order asked; never more than either says.

    A scope that is covered whole keeps the words it was asked in (version 1's too); one that is covered in part is
    said in version 2's words. Scopes of another context, granular ones that can't be understood and unknown words are
    left out.
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
    return scope.context == context and (not scope.parameters or scope.limit is not None)


def _intersection(scope: Scope, held: Sequence[Scope]) -> list[Scope]:
    """What both say, a type and set of parameters once each; what another part says already is left out."""
    letters: dict[tuple[str, str], frozenset[Interaction]] = {}
    for other in held:
        if "*" not in (scope.resource_type, other.resource_type) and scope.resource_type != other.resource_type:
            continue
        narrower = other.resource_type if scope.resource_type == "*" else scope.resource_type
        parameters = meet(narrower, scope.parameters, other.parameters)
        if parameters is not None:
            place = (narrower, parameters)
            letters[place] = letters.get(place, frozenset()) | (scope.interactions & other.interactions)
    parts = [
        Scope(context=scope.context, resource_type=resource_type, interactions=shared, parameters=parameters)
        for (resource_type, parameters), shared in letters.items()
        if shared
    ]
    kept: list[Scope] = []
    for number, part in enumerate(parts, 1):
        if not any(_says_already(other, part) for other in (*kept, *parts[number:])):
            kept.append(part)
    return kept


def _says_already(wide: Scope, part: Scope) -> bool:
    """Whether `wide`, a scope of the same type or of all, admits all that `part` does."""
    if wide.resource_type not in ("*", part.resource_type) or not part.interactions <= wide.interactions:
        return False
    return not wide.parameters or meet(part.resource_type, part.parameters, wide.parameters) == part.parameters


def problems_of(scopes: Sequence[str], contexts: Collection[Context] = _OF_SYSTEMS) -> list[str]:
    """What is wrong with scopes that a client is to be registered for; empty where nothing is.

    A system asks for itself (SMART Backend Services): no scope of another context could ever be granted to it.
    """
    problems = []
    for text in scopes:
        scope = parse_scope(text)
        if scope is None:
            problems.append(f"scope {text!r:.100} is not a SMART resource scope")
        elif scope.parameters and scope.limit is None:
            known = ", ".join(PARAMETERS)
            problems.append(f"scope {text!r:.100}: a granular scope is one of ImagingStudy, by {known}, each once")
        elif scope.context not in contexts:
            problems.append(_of_another_context(text, scope, contexts))
    return problems if scopes else ["at least one scope is needed"]


def _of_another_context(text: str, scope: Scope, contexts: Collection[Context]) -> str:
    if "system" not in contexts:
        return f"scope {text!r:.100} is none of " + ", ".join(f"{context}/" for context in contexts)
    narrowed = replace(scope, context="system")
    return f"scope {text!r:.100} needs a user; a system client has system/, as {narrowed}"
