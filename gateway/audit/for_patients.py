"""What may patients read of an event of their own history? All about them, and nothing of anybody else. Pure."""

import re
from collections.abc import Collection
from typing import Any

from gateway.audit.record import AuditKind

Event = dict[str, Any]
_A_PATIENT = re.compile(r"Patient/([A-Za-z0-9.-]{1,64})")
_OF_OTHERS = frozenset(("detail:note", "detail:previous person", "detail:persons", "detail:records"))
"""Facts in which a steward or an operator may speak of somebody else."""
_BY_DESCRIPTION: frozenset[AuditKind] = frozenset(("patient-search",))
"""Kinds whose request describes whoever was looked for, who may have been somebody else."""
REDACTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "REDACTED"}


def only_about(event: Event, patients: Collection[str], kind: AuditKind) -> Event:
    """`event` without what it says of persons other than the one known by `patients`.

    Where something was taken out, it says so (`meta.security`) and claims no profile any more.
    """
    kept = [
        told
        for entity in event.get("entity", ())
        if (told := _about(entity, patients, by_description=kind in _BY_DESCRIPTION))
    ]
    if kept == event.get("entity", []):
        return event
    told = {name: value for name, value in event.items() if name not in ("meta", "entity")}
    told = {"resourceType": told.pop("resourceType"), "id": told.pop("id"), "meta": {"security": [REDACTED]}, **told}
    return {**told, "entity": kept} if kept else told


def _about(entity: Event, patients: Collection[str], *, by_description: bool) -> Event | None:
    if _names_another(entity.get("what", {}).get("reference", ""), patients):
        return None
    if by_description and "query" in entity:
        return None
    details = entity.get("detail")
    if details is None:
        return entity
    kept = [
        detail
        for detail in details
        if detail["type"] not in _OF_OTHERS and not _names_another(detail.get("valueString", ""), patients)
    ]
    if kept == details:
        return entity
    return {**entity, "detail": kept} if kept else None


def _names_another(text: str, patients: Collection[str]) -> bool:
    return any(found not in patients for found in _A_PATIENT.findall(text))
