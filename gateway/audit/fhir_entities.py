"""What was used, as AuditEvent.entity: the patient, the request, the studies, the consents, and further facts. Pure."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, unquote

from gateway.audit import balp
from gateway.audit.balp import Element, shown
from gateway.audit.record import AuditRecord, Decided


def patient(person: str | None) -> list[Element]:
    """The patient, where one is known."""
    if person is None:
        return []
    what = {"reference": f"Patient/{person}"}
    return [{"what": what, "type": balp.PERSON, "role": balp.PATIENT_ROLE}]


def query(record: AuditRecord) -> list[Element]:
    """The raw request, byte for byte, base64 encoded (BALP `entity[query]`), and what it asks in words for people."""
    if not record.request:
        return []
    entity = {"type": balp.SYSTEM_OBJECT, "role": balp.QUERY_ROLE, "query": _base64(record.request)}
    return [{**entity, "description": _for_people(record.request)}]


def _for_people(request: str) -> str:
    """The request with its parameters decoded, one after another; what can't be seen is shown as `shown` does."""
    line, _, form = request.partition("\n\n")
    where, _, query = line.partition("?")
    pairs = [pair for text in (query, form) for pair in parse_qsl(text, keep_blank_values=True)]
    return "; ".join([shown(unquote(where)), *(f"{shown(name)} = {shown(value)}" for name, value in pairs)])


def transaction(record: AuditRecord) -> list[Element]:
    """The request's X-Request-Id."""
    if not record.request_id:
        return []
    return [{"what": {"identifier": {"value": shown(record.request_id)}}, "type": balp.X_REQUEST_ID}]


def resource(reference: str) -> Element:
    """A resource that was handed out, by its reference."""
    return {"what": {"reference": reference}, "type": balp.SYSTEM_OBJECT, "role": balp.DOMAIN_RESOURCE}


def study(uid: str) -> Element:
    """A study whose links were handed out, by its Study Instance UID."""
    identifier = {"system": balp.STUDY_INSTANCE_UID, "value": f"urn:oid:{uid}"}
    what = {"type": "ImagingStudy", "identifier": identifier}
    return {"what": what, "type": balp.SYSTEM_OBJECT, "role": balp.DOMAIN_RESOURCE}


def consents(decisions: Sequence[Decided]) -> list[Element]:
    """What the decisions rest on (the same for all of them): consents, else the implicit policy, else a right.

    BALP allows no entity but patient, consent and token here, so the decisions stand as details of the first one.
    """
    basis = decisions[0]
    if basis.consents:
        whats: list[Element] = [{"reference": reference} for reference in basis.consents]
    elif basis.policy is not None:
        whats = [{"identifier": {"system": balp.URI, "value": basis.policy}}]
    else:
        whats = [{"display": "no consent was relied on"}]
    entities: list[Element] = [{"what": what, "type": balp.CONSENT} for what in whats]
    facts = [("decision", decision_text(decision)) for decision in decisions]
    if basis.consents and basis.policy is not None:
        facts.append(("policy", basis.policy))
    entities[0]["detail"] = details(facts)
    return entities


def decision_text(decided: Decided) -> str:
    """`north: because …`, or `north, study 1.2.3: because …`."""
    about = decided.facility if decided.study is None else f"{decided.facility}, study {decided.study}"
    return f"{about}: {decided.reason}"


def token(token_id: str | None) -> list[Element]:
    """The access token that was used, by its `jti` alone."""
    if token_id is None:
        return []
    return [{"what": {"identifier": {"value": balp.JTI + balp.uri(token_id)}}, "type": balp.OAUTH_USER}]


def job(facts: Iterable[tuple[str, str]], request: str = "") -> list[Element]:
    """Further facts by name; `request` is the raw request, where the event has no query entity for it."""
    found = details(facts)
    if request:
        found.append({"type": "request", "valueBase64Binary": _base64(request)})
    return [{"type": balp.OTHER, "role": balp.JOB_ROLE, "detail": found}] if found else []


def details(facts: Iterable[tuple[str, str]]) -> list[Element]:
    r"""`facts` as AuditEvent.entity.detail. FHIR has no empty text: a lone `\`, which `shown` never gives, is one."""
    return [{"type": shown(name), "valueString": shown(value) or "\\"} for name, value in facts]


def _base64(text: str) -> str:
    return b64encode(text.encode("utf-8", "surrogatepass")).decode()
