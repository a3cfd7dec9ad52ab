"""Does a break-glass stand? One named person declares it, for one patient, with a reason, for minutes (contract §9).

A declaration outlives the tokens that are got under it, and ends them: a token of five minutes that was issued in its
last minute opens nothing after its end (T49). Whether it stands is asked when a token is used and once more when the
facilities have answered.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.auth.b2b import Subject
from gateway.auth.clients import Client
from gateway.auth.purpose_of_use import BreakGlass
from gateway.errors import BreakGlassEnded, BreakGlassRefused
from gateway.model import ClientID, PatientID, Requester
from gateway.purposes import BREAK_GLASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """Who overrides whose protection, why, and until when."""

    id: str
    client_id: ClientID
    client_name: str
    organization: str
    subject: Subject
    patient: PatientID
    reason: str
    declared_at: datetime
    until: datetime
    """Exclusive."""


class Declarations(Protocol):
    """The break-glass declarations of the exchange."""

    def declare(self, client: Client, subject: Subject, stated: BreakGlass, now: datetime) -> tuple[Declaration, bool]:
        """The declaration under which a token may be issued, and whether it is new.

        The same statement of the same person with the same client stands until it ends, and is then a new declaration.
        A new one is stored, with a notice to the patient, when this returns. Raises DependencyUnavailable.
        """
        ...

    def find(self, id_: str) -> Declaration | None:
        """The declaration of that id; None where there was never one. Raises DependencyUnavailable."""
        ...


class NoDeclarations:
    """Where nothing can be declared: a break-glass never stands."""

    def declare(self, client: Client, subject: Subject, stated: BreakGlass, now: datetime) -> tuple[Declaration, bool]:
        """Raises BreakGlassRefused."""
        raise BreakGlassRefused("a break-glass can't be declared here")

    def find(self, id_: str) -> Declaration | None:
        """None."""
        return None


NO_DECLARATIONS = NoDeclarations()


def require_standing(declarations: Declarations, requester: Requester, now: datetime) -> None:
    """Whoever asks for the purpose BTG has a declaration that stands; other purposes need none.

    Raises BreakGlassRefused where there is none of this client, person and patient, BreakGlassEnded after its end.
    """
    if BREAK_GLASS not in requester.purposes:
        return
    declaration = declarations.find(requester.declaration) if requester.declaration else None
    if declaration is None or not _is_theirs(declaration, requester):
        raise BreakGlassRefused("no break-glass has been declared for this")
    if now >= declaration.until:
        raise BreakGlassEnded("the break-glass declaration has ended: declare it anew")


def _is_theirs(declaration: Declaration, requester: Requester) -> bool:
    return (declaration.client_id, declaration.subject.id, declaration.patient) == (
        requester.client_id,
        requester.subject_id,
        requester.patient,
    )
