"""For which purposes a client may ask, and whether what it states of a break-glass is complete.

Purposes are judged one by one and by their exact code: to be registered for TREAT is not to be registered for BTG or
ETREAT below it, and one purpose that is not registered refuses the whole statement.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gateway.errors import PurposeNotAllowed
from gateway.model import PatientID
from gateway.purposes import BREAK_GLASS, KNOWN, code_of

MOST_PURPOSES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass:
    """The one patient whose protection is to be overridden, and why."""

    patient: PatientID
    reason: str


def parse_purposes(stated: object) -> tuple[str, ...]:
    """The codes that `hl7-b2b.purpose_of_use` states, each once; empty where nothing is stated.

    Accepts a list of URNs or `v3-ActReason` codes, or one such text. Raises PurposeNotAllowed for anything else.
    """
    if stated is None:
        return ()
    texts = [stated] if isinstance(stated, str) else stated
    if not isinstance(texts, list) or len(texts) > MOST_PURPOSES:
        raise PurposeNotAllowed("purpose_of_use is not a list of codes")
    codes = [code_of(text) if isinstance(text, str) else None for text in texts]
    if None in codes:
        raise PurposeNotAllowed("a purpose of use is not one that is known here")
    return tuple(dict.fromkeys(code for code in codes if code is not None))


def decide_purposes(stated: tuple[str, ...], registered: Sequence[str]) -> tuple[str, ...]:
    """The purposes a token is given: those stated, or the only one registered where none is stated.

    Raises PurposeNotAllowed where one that is stated is not registered, or none is stated and several could be meant.
    A break-glass is never assumed and never mixed with another purpose.
    """
    if not stated:
        if len(registered) != 1:
            raise PurposeNotAllowed("the client is registered for several purposes of use and stated none")
        if registered[0] == BREAK_GLASS:
            raise PurposeNotAllowed("a break-glass has to be declared")
        return (registered[0],)
    if any(code not in registered for code in stated):
        raise PurposeNotAllowed("the client is not registered for this purpose of use")
    if BREAK_GLASS in stated and len(stated) > 1:
        raise PurposeNotAllowed("a break-glass is declared alone")
    return stated


def require_complete_break_glass(
    purposes: tuple[str, ...],
    *,
    subject_id: str | None,
    subject_role: str | None,
    declared: BreakGlass | None,
    roles: Collection[str] = (),
) -> None:
    """A BTG purpose names its person, role, patient and reason (contract §9). Raises PurposeNotAllowed otherwise.

    `roles` are those that have the right to it; every one has where none are named.
    A declaration without the purpose is refused too: its patient would otherwise be thought protected.
    """
    if (BREAK_GLASS in purposes) != (declared is not None):
        raise PurposeNotAllowed("a break-glass is the purpose BTG together with its declaration")
    if declared is not None and not (subject_id and subject_role and declared.reason):
        raise PurposeNotAllowed("a break-glass names the person, the role, the patient and the reason")
    if declared is not None and roles and subject_role not in roles:
        raise PurposeNotAllowed("this role may not break the glass")


def problems_of(purposes: Sequence[str]) -> list[str]:
    """What is wrong with purposes that a client is to be registered for; empty where nothing is."""
    unknown = [f"purpose {text!r:.60} is not a v3-ActReason purpose of use" for text in purposes if text not in KNOWN]
    return unknown if purposes else ["at least one purpose of use is needed"]
