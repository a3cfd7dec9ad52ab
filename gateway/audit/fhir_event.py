"""One FHIR AuditEvent: what each has whatever it tells, in the order of the specification. Pure."""

from collections.abc import Sequence

from gateway.audit import balp, fhir_agents
from gateway.audit.balp import Element, shown
from gateway.audit.event_kinds import Action
from gateway.audit.fhir_agents import Site
from gateway.audit.record import AuditRecord, Outcome

OUTCOMES: dict[Outcome, str] = {"success": "0", "refused": "4", "failed": "12"}
"""`audit-event-outcome`: success, minor failure (the caller's), major failure (ours). A consent's denial is `8`."""


def event(
    record: AuditRecord,
    site: Site,
    kind: Element,
    action: Action,
    agents: list[Element],
    entities: list[Element],
    *,
    subtypes: Sequence[Element] = (),
    outcome: str | None = None,
    why: str | None = None,
    profile: str | None = None,
) -> Element:
    """The AuditEvent; its outcome and words are those of the record unless others are given."""
    told: Element = {"resourceType": "AuditEvent", "id": record.id}
    profiles = [] if profile is None else [profile]
    if profiles and fhir_agents.is_token_use(record.who):
        profiles.append(balp.TOKEN_USE)
    if profiles:
        told["meta"] = {"profile": profiles}
    told["type"] = kind
    if subtypes:
        told["subtype"] = list(subtypes)
    told["action"] = action
    told["recorded"] = record.recorded.isoformat(timespec="microseconds").replace("+00:00", "Z")
    told["outcome"] = outcome or OUTCOMES[record.outcome]
    words = record.reason if why is None else why
    if words:
        told["outcomeDesc"] = shown(words)
    if record.who.purposes:
        told["purposeOfEvent"] = fhir_agents.purposes_of(record.who)
    told["agent"] = agents
    told["source"] = site.source
    if entities:
        told["entity"] = entities
    return told
