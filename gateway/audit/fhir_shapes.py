"""What happened, as events: a function for each shape that `event_kinds.py` names. Pure."""

from collections.abc import Callable, Mapping

from gateway import purposes
from gateway.audit import balp, fhir_agents, fhir_entities
from gateway.audit.balp import Element
from gateway.audit.event_kinds import Shape, Telling, telling_of
from gateway.audit.fhir_agents import Site
from gateway.audit.fhir_event import event
from gateway.audit.record import AuditRecord


def what_happened(record: AuditRecord, site: Site) -> list[Element]:
    """The events of the act itself, at least one; those of what followed from it are `fhir_audit_event.py`'s."""
    telling = telling_of(record)
    return _SHAPES[telling.shape](record, site, telling)


def _facts(record: AuditRecord, *, resources: bool) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = [("kind", record.kind)]
    if record.algorithm is not None:
        facts.append(("algorithm", record.algorithm))
    if resources:
        facts += [("resource", reference) for reference in record.resources]
    return facts + [(f"detail:{name}", value) for name, value in record.details]


def _all_facts(record: AuditRecord) -> list[Element]:
    """Patient, raw request, request id and facts: for what has no profile of its own."""
    return [
        *fhir_entities.patient(record.patient),
        *fhir_entities.query(record),
        *fhir_entities.transaction(record),
        *fhir_entities.job(_facts(record, resources=True)),
    ]


def _searches(record: AuditRecord, site: Site, telling: Telling) -> list[Element]:
    """BALP Query, or PatientQuery: one event for every patient the answer is about. Results are not recorded in it."""
    found = [ref.removeprefix("Patient/") for ref in record.resources if ref.startswith("Patient/")]
    patients: list[str | None] = list(dict.fromkeys([*([record.patient] if record.patient else []), *found])) or [None]
    told_later = bool(record.released)
    events = []
    for n, patient in enumerate(patients):
        job = fhir_entities.job(_facts(record, resources=not told_later)) if n == 0 else []
        request = [*fhir_entities.query(record), *fhir_entities.transaction(record)]
        asked_well = record.outcome == "success" and bool(record.request)
        profile = balp.QUERY if patient is None else balp.PATIENT_QUERY
        agents = [*fhir_agents.caller(record.who, balp.SOURCE, balp.APPLICATION), site.agent(balp.DESTINATION)]
        events.append(
            event(
                record,
                site,
                telling.type,
                telling.action,
                agents,
                [*fhir_entities.patient(patient), *request, *job],
                subtypes=telling.subtypes,
                profile=profile if asked_well else None,
            )
        )
    return events


def _reads(record: AuditRecord, site: Site, telling: Telling) -> list[Element]:
    """BALP Read, or PatientRead: one event for every resource that was read."""
    read: list[str | None] = list(record.resources) or [None]
    events = []
    for n, reference in enumerate(read):
        profile = balp.READ if record.patient is None else balp.PATIENT_READ
        entities = [
            *fhir_entities.patient(record.patient),
            *([] if reference is None else [fhir_entities.resource(reference)]),
            *fhir_entities.transaction(record),
            *(fhir_entities.job(_facts(record, resources=False), record.request) if n == 0 else []),
        ]
        agents = [*fhir_agents.caller(record.who, balp.DESTINATION, balp.APPLICATION), site.agent(balp.SOURCE)]
        events.append(
            event(
                record,
                site,
                telling.type,
                telling.action,
                agents,
                entities,
                subtypes=telling.subtypes,
                profile=profile if record.outcome == "success" and reference else None,
            )
        )
    return events


def _write(record: AuditRecord, site: Site, telling: Telling) -> list[Element]:
    """BALP PatientCreate or PatientUpdate: of a Consent, or of a Patient by the feed of its facility."""
    entities = [
        *fhir_entities.patient(record.patient),
        *[fhir_entities.resource(reference) for reference in record.resources[:1]],
        *fhir_entities.transaction(record),
        *fhir_entities.job(_facts(record, resources=True), record.request),
    ]
    profile = balp.PATIENT_CREATE if telling.action == "C" else balp.PATIENT_UPDATE
    done_well = record.outcome == "success" and bool(record.patient and record.resources)
    return [
        event(
            record,
            site,
            telling.type,
            telling.action,
            [*fhir_agents.caller(record.who, balp.SOURCE, balp.APPLICATION), site.agent(balp.DESTINATION)],
            entities,
            subtypes=telling.subtypes,
            profile=profile if done_well else None,
        )
    ]


def _refusal(record: AuditRecord, site: Site, telling: Telling) -> list[Element]:
    """The caller's authority did not reach: a decision by roles alone."""
    agents = [*fhir_agents.caller(record.who, balp.APPLICATION), site.agent(balp.AUTHORIZER, with_network=False)]
    told = event(record, site, telling.type, telling.action, agents, _all_facts(record), subtypes=telling.subtypes)
    return [told]


def _token(record: AuditRecord, site: Site, telling: Telling) -> list[Element]:
    """A token was given out or refused (IHE IUA ITI-71); one that opens an emergency is told a second time as that."""
    agents = [*fhir_agents.caller(record.who, balp.APPLICATION), site.agent(balp.OAUTH_SERVICE)]
    entities = _all_facts(record)
    events = [event(record, site, telling.type, telling.action, agents, entities, subtypes=telling.subtypes)]
    is_new = ("declared", "before") not in record.details  # further tokens of one declaration start nothing
    if record.outcome == "success" and purposes.BREAK_GLASS in record.who.purposes and is_new:
        about = [*fhir_entities.patient(record.patient), *fhir_entities.transaction(record)]
        started = [balp.EMERGENCY_OVERRIDE_STARTED]
        events.append(event(record, site, balp.SECURITY_ALERT, "E", agents, about, subtypes=started))
    return events


def _activity(record: AuditRecord, site: Site, telling: Telling) -> list[Element]:
    """Whatever has no shape of its own: an alert, a sign-in, a use of the audit, what an operator did."""
    callers = fhir_agents.caller(record.who, balp.APPLICATION) if fhir_agents.has_client(record.who) else []
    if not callers and fhir_agents.has_user(record.who):
        callers = [fhir_agents.user(record.who)]
    if record.who.organization and not fhir_agents.has_client(record.who):
        callers.append(fhir_agents.user_organization(record.who))
    agents = [*callers, site.agent(balp.APPLICATION)]
    told = event(record, site, telling.type, telling.action, agents, _all_facts(record), subtypes=telling.subtypes)
    return [told]


_SHAPES: Mapping[Shape, Callable[[AuditRecord, Site, Telling], list[Element]]] = {
    "search": _searches,
    "read": _reads,
    "write": _write,
    "token": _token,
    "refusal": _refusal,
    "activity": _activity,
}
