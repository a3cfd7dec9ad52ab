"""From one audit record to the FHIR AuditEvents it stands for, as IHE BALP asks for them. Pure and lossless.

What happened first (search, read, token, alert, …), then an event for each facility that was asked, each consent basis
that was relied on, each facility that disclosed. A failure or refusal has the same shape and claims no profile: BALP's
are for success.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, assert_never

from gateway import purposes
from gateway.audit import balp, fhir_agents, fhir_entities
from gateway.audit.balp import Element, shown
from gateway.audit.fhir_agents import Site
from gateway.audit.record import Asked, AuditRecord, Decided, Outcome, Released

OUTCOMES: dict[Outcome, str] = {"success": "0", "refused": "4", "failed": "12"}
"""`audit-event-outcome`: success, minor failure (the caller's), major failure (ours). A consent's denial is `8`."""
Action = Literal["C", "R", "U", "D", "E"]


def to_audit_events(record: AuditRecord, *, base_url: str, site: str = "Imaging exchange gateway") -> list[Element]:
    """The FHIR R4 AuditEvents of `record`, with the ids `{record.id}-1`, `-2`, ... in a fixed order.

    `base_url` and `site` name the gateway. Everything the record says is in them.
    """
    here = Site(base_url=base_url, name=site)
    return [{**event, "id": f"{record.id}-{number}"} for number, event in enumerate(_events(record, here), start=1)]


def _events(record: AuditRecord, site: Site) -> Iterator[Element]:
    yield from _what_happened(record, site)
    for asked in record.asked:
        yield _asked(record, site, asked)
    for basis in _by_basis(record.decided):
        yield _consent_decision(record, site, basis)
    for n, released in enumerate(record.released):
        yield _disclosure(record, site, released, record.resources if n == 0 and _is_search(record) else ())


def _what_happened(record: AuditRecord, site: Site) -> list[Element]:
    match record.kind:
        case "imaging-search" | "patient-search" | "consent-search":
            return _searches(record, site)
        case "imaging-read" | "patient-read" | "consent-read":
            return _reads(record, site)
        case "consent-create" | "consent-update" | "patient-feed":
            return [_write(record, site)]
        case "access-refused":
            return [_access_refused(record, site)]
        case "token-issued" | "token-refused":
            return _token(record, site)
        case "alert" | "operator":
            return [_activity(record, site)]
    assert_never(record.kind)


def _is_search(record: AuditRecord) -> bool:
    return record.kind in ("imaging-search", "patient-search", "consent-search")


def _event(
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
    event: Element = {"resourceType": "AuditEvent", "id": record.id}
    profiles = [] if profile is None else [profile]
    if profiles and fhir_agents.is_token_use(record.who):
        profiles.append(balp.TOKEN_USE)
    if profiles:
        event["meta"] = {"profile": profiles}
    event["type"] = kind
    if subtypes:
        event["subtype"] = list(subtypes)
    event["action"] = action
    event["recorded"] = record.recorded.isoformat(timespec="microseconds").replace("+00:00", "Z")
    event["outcome"] = outcome or OUTCOMES[record.outcome]
    words = record.reason if why is None else why
    if words:
        event["outcomeDesc"] = shown(words)
    if record.who.purposes:
        event["purposeOfEvent"] = fhir_agents.purposes_of(record.who)
    event["agent"] = agents
    event["source"] = site.source
    if entities:
        event["entity"] = entities
    return event


def _facts(record: AuditRecord, *, resources: bool) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = [("kind", record.kind)]
    if record.algorithm is not None:
        facts.append(("algorithm", record.algorithm))
    if resources:
        facts += [("resource", reference) for reference in record.resources]
    return facts + [(f"detail:{name}", value) for name, value in record.details]


def _searches(record: AuditRecord, site: Site) -> list[Element]:
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
            _event(
                record,
                site,
                balp.REST,
                "E",
                agents,
                [*fhir_entities.patient(patient), *request, *job],
                subtypes=[balp.SEARCH_TYPE],
                profile=profile if asked_well else None,
            )
        )
    return events


def _reads(record: AuditRecord, site: Site) -> list[Element]:
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
            _event(
                record,
                site,
                balp.REST,
                "R",
                agents,
                entities,
                subtypes=[balp.READ_INTERACTION],
                profile=profile if record.outcome == "success" and reference else None,
            )
        )
    return events


def _write(record: AuditRecord, site: Site) -> Element:
    """BALP PatientCreate or PatientUpdate: of a Consent, or of a Patient by the feed of its facility."""
    creates = record.kind == "consent-create" or ("outcome", "loaded") in record.details
    entities = [
        *fhir_entities.patient(record.patient),
        *[fhir_entities.resource(reference) for reference in record.resources[:1]],
        *fhir_entities.transaction(record),
        *fhir_entities.job(_facts(record, resources=True), record.request),
    ]
    profile = balp.PATIENT_CREATE if creates else balp.PATIENT_UPDATE
    done_well = record.outcome == "success" and bool(record.patient and record.resources)
    return _event(
        record,
        site,
        balp.REST,
        "C" if creates else "U",
        [*fhir_agents.caller(record.who, balp.SOURCE, balp.APPLICATION), site.agent(balp.DESTINATION)],
        entities,
        subtypes=[balp.CREATE_INTERACTION if creates else balp.UPDATE_INTERACTION],
        profile=profile if done_well else None,
    )


def _asked_entities(record: AuditRecord) -> list[Element]:
    """Patient, raw request, request id and facts: for what has no profile of its own."""
    return [
        *fhir_entities.patient(record.patient),
        *fhir_entities.query(record),
        *fhir_entities.transaction(record),
        *fhir_entities.job(_facts(record, resources=True)),
    ]


def _access_refused(record: AuditRecord, site: Site) -> Element:
    """The caller's authority did not reach: a decision by roles alone."""
    agents = [*fhir_agents.caller(record.who, balp.APPLICATION), site.agent(balp.AUTHORIZER, with_network=False)]
    entities = _asked_entities(record)
    return _event(record, site, balp.SECURITY_ALERT, "E", agents, entities, subtypes=[balp.BY_ROLE])


def _token(record: AuditRecord, site: Site) -> list[Element]:
    """A token was given out or refused (IHE IUA ITI-71); one that opens an emergency is told a second time as that."""
    agents = [*fhir_agents.caller(record.who, balp.APPLICATION), site.agent(balp.OAUTH_SERVICE)]
    entities = _asked_entities(record)
    events = [
        _event(record, site, balp.USER_AUTHENTICATION, "E", agents, entities, subtypes=[balp.GET_ACCESS_TOKEN]),
    ]
    is_new = ("declared", "before") not in record.details  # further tokens of one declaration start nothing
    if record.kind == "token-issued" and purposes.BREAK_GLASS in record.who.purposes and is_new:
        about = [*fhir_entities.patient(record.patient), *fhir_entities.transaction(record)]
        started = [balp.EMERGENCY_OVERRIDE_STARTED]
        events.append(_event(record, site, balp.SECURITY_ALERT, "E", agents, about, subtypes=started))
    return events


def _activity(record: AuditRecord, site: Site) -> Element:
    """An alert, or what an operator did."""
    kind = balp.SECURITY_ALERT
    if record.kind == "operator":
        kind = balp.AUDIT_LOG_USED if record.reason.startswith("audit ") else balp.APPLICATION_ACTIVITY
    callers = fhir_agents.caller(record.who, balp.APPLICATION) if fhir_agents.has_client(record.who) else []
    if not callers and fhir_agents.has_user(record.who):
        callers = [fhir_agents.user(record.who)]
    if record.who.organization and not fhir_agents.has_client(record.who):
        callers.append(fhir_agents.user_organization(record.who))
    return _event(record, site, kind, "E", [*callers, site.agent(balp.APPLICATION)], _asked_entities(record))


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
    return _event(record, site, balp.DICOM_QUERY, "E", agents, entities, outcome=outcome, why="")


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
    return _event(
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
    return _event(
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
