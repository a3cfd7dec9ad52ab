"""From one audit record to the FHIR AuditEvents it stands for, as IHE BALP asks for them. Pure and lossless.

What happened first (search, read, token, alert, …: `event_kinds.py` says in which words), then an event for each
facility that was asked, each consent basis that was relied on, each facility that disclosed. A failure or refusal has
the same shape and claims no profile: BALP's are for success.
"""

from collections.abc import Iterator, Sequence

from gateway.audit import balp, fhir_agents, fhir_entities
from gateway.audit.balp import Element
from gateway.audit.event_kinds import telling_of
from gateway.audit.fhir_agents import Site
from gateway.audit.fhir_event import event
from gateway.audit.fhir_shapes import what_happened
from gateway.audit.record import Asked, AuditRecord, Decided, Released


def to_audit_events(record: AuditRecord, *, base_url: str, site: str = "Imaging exchange gateway") -> list[Element]:
    """The FHIR R4 AuditEvents of `record`, with the ids `{record.id}-1`, `-2`, ... in a fixed order.

    `base_url` and `site` name the gateway. Everything the record says is in them.
    """
    here = Site(base_url=base_url, name=site)
    return [{**told, "id": f"{record.id}-{number}"} for number, told in enumerate(_events(record, here), start=1)]


def _events(record: AuditRecord, site: Site) -> Iterator[Element]:
    yield from what_happened(record, site)
    for asked in record.asked:
        yield _asked(record, site, asked)
    for basis in _by_basis(record.decided):
        yield _consent_decision(record, site, basis)
    for n, released in enumerate(record.released):
        yield _disclosure(record, site, released, record.resources if n == 0 and _is_search(record) else ())


def _is_search(record: AuditRecord) -> bool:
    return telling_of(record).shape == "search"


def _asked(record: AuditRecord, site: Site, asked: Asked) -> Element:
    """The gateway itself asked a facility, by exactly the patient's identifier there."""
    outcome = "8" if asked.status != "answered" else "4" if asked.incomplete else "0"
    facts = [
        ("status", asked.status),
        ("elapsed_ms", str(asked.elapsed_ms)),
        ("studies", str(asked.studies)),
        ("dropped", str(asked.dropped)),
        ("contradicted", str(asked.contradicted)),
        ("incomplete", str(asked.incomplete).lower()),
    ]
    agents = [site.agent(balp.SOURCE, requestor=True), fhir_agents.facility(asked.facility, balp.DESTINATION)]
    entities = [*fhir_entities.patient(record.patient), *fhir_entities.transaction(record), *fhir_entities.job(facts)]
    return event(record, site, balp.DICOM_QUERY, "E", agents, entities, outcome=outcome, why="")


def _by_basis(decided: Sequence[Decided]) -> list[list[Decided]]:
    """The decisions, those that rest on the same consents and end alike together."""
    groups: dict[object, list[Decided]] = {}
    for decision in decided:
        groups.setdefault((decision.decision, decision.consents, decision.policy), []).append(decision)
    return list(groups.values())


def _consent_decision(record: AuditRecord, site: Site, decisions: Sequence[Decided]) -> Element:
    """BALP AuthZconsent: what the patient's consent (or the policy where there is none) said about these facilities."""
    agents = [
        fhir_agents.client(record.who, balp.APPLICATION),
        fhir_agents.user(record.who),
        fhir_agents.user_organization(record.who),
        site.agent(balp.AUTHORIZER, with_network=False),
    ]
    entities = [
        *fhir_entities.patient(record.patient),
        *fhir_entities.consents(decisions),
        *fhir_entities.token(record.who.token_id),
    ]
    return event(
        record,
        site,
        balp.SECURITY_ALERT,
        "E",
        agents,
        entities,
        subtypes=[balp.BY_CONSENT],
        outcome="0" if decisions[0].decision == "permit" else "8",
        why="; ".join(fhir_entities.decision_text(decision) for decision in decisions),
        profile=balp.AUTHZ_CONSENT if record.patient else None,
    )


def _disclosure(record: AuditRecord, site: Site, released: Released, references: Sequence[str]) -> Element:
    """BALP PrivacyDisclosure.Source: the links of which studies of this facility left, for whom and why."""
    agents = [
        site.agent(balp.SOURCE),
        *fhir_agents.caller(record.who, balp.DESTINATION, balp.APPLICATION),
        fhir_agents.facility(released.facility, balp.CUSTODIAN),
    ]
    opened = any(d.facility == released.facility and d.decision == "permit" and d.consents for d in record.decided)
    if record.patient and opened:
        who = {"reference": f"Patient/{record.patient}"}
        agents.append({"type": balp.concept(balp.PATIENT_ADVOCATE), "who": who, "requestor": False})
    entities = [
        *fhir_entities.patient(record.patient),
        *(fhir_entities.study(uid) for uid in released.studies),
        *(fhir_entities.resource(reference) for reference in references),
        *fhir_entities.transaction(record),
    ]
    interaction = balp.SEARCH_TYPE if _is_search(record) else balp.READ_INTERACTION
    return event(
        record,
        site,
        balp.EXPORT,
        "R",
        agents,
        entities,
        subtypes=[balp.DISCLOSE, interaction],
        outcome="0",
        why="",
        profile=balp.DISCLOSURE_SOURCE if record.patient and released.studies else None,
    )
