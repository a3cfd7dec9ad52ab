"""The way back: an audit record put together again from its AuditEvents alone, to prove that they lose nothing."""

import re
from base64 import b64decode
from collections import Counter
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from gateway.audit.event_kinds import TOLD
from gateway.audit.record import Asked, AuditRecord, Decided, Released, Who
from tests.unit.audit.balp_rules import A_PERSON, CONSENT, IRCP, OBJECT, PROV, codes

Event = dict[str, Any]
DCM = "http://dicom.nema.org/resources/ontology/DCM#"
SEARCHES = frozenset(kind for kind, telling in TOLD.items() if telling.shape == "search")
READS = frozenset(kind for kind, telling in TOLD.items() if telling.shape == "read")


def agent_of(event: Event, code: str) -> Event:
    """The one agent in that role."""
    (found,) = [agent for agent in event["agent"] if code in codes(agent["type"])]
    return found


def entities_of(event: Event, code: str) -> list[Event]:
    """The entities of that type."""
    return [entity for entity in event.get("entity", []) if code in codes(entity["type"])]


def told(text: str) -> str:
    """The text that `shown` made readable, as it was."""
    return re.sub(
        r"\\u([0-9a-f]{4})|\\U([0-9a-f]{8})", lambda found: chr(int(found.group(1) or found.group(2), 16)), text
    )


def _value(detail: Event) -> str:
    return "" if detail["valueString"] == "\\" else told(detail["valueString"])


def record_of(events: list[Event]) -> AuditRecord:
    """The record that these events stand for."""
    first = events[0]
    facts = _job(first)
    named = [name for name, _ in facts]
    asked = [event for event in events if codes(event["type"]) == {DCM + "110112"}]
    decisions = [event for event in events if "AuthZ-Consent" in str(event.get("subtype"))]
    disclosures = [event for event in events if codes(event["type"]) == {DCM + "110106"}]
    requests = [entity["query"] for entity in first.get("entity", []) if "query" in entity]
    requests += [
        d["valueBase64Binary"] for e in first.get("entity", []) for d in e.get("detail", []) if d["type"] == "request"
    ]
    transactions = [e["what"]["identifier"]["value"] for e in first.get("entity", []) if "XrequestId" in str(e["type"])]
    kind = dict(facts)["kind"]
    patients = [e["what"]["reference"][8:] for e in first.get("entity", []) if A_PERSON in codes(e["type"])]
    references = [value for name, value in facts if name == "resource"]
    if kind in READS:
        references = [
            e["what"]["reference"]
            for event in events
            if "restful-interaction" in str(event.get("subtype"))
            and event["action"] == "R"
            and event["type"]["code"] == "rest"
            for e in entities_of(event, OBJECT)
        ]
    if disclosures and kind in SEARCHES:
        references = [e["what"]["reference"] for e in entities_of(disclosures[0], OBJECT) if "reference" in e["what"]]
    if kind in SEARCHES and patients and f"Patient/{patients[0]}" in references:
        patients = []
    return AuditRecord(
        id=first["id"].rpartition("-")[0],
        recorded=datetime.fromisoformat(first["recorded"]),
        kind=kind,  # type: ignore[arg-type]
        outcome={"0": "success", "4": "refused", "12": "failed"}[first["outcome"]],  # type: ignore[arg-type]
        reason=told(first.get("outcomeDesc", "")),
        who=_who(first),
        patient=patients[0] if patients else None,
        request=b64decode(requests[0]).decode() if requests else "",
        request_id=told(transactions[0]) if transactions else "",
        asked=tuple(_asked(event) for event in asked),
        decided=tuple(decided for event in decisions for decided in _decided(event)),
        released=tuple(_released(event) for event in disclosures),
        resources=tuple(references),
        algorithm=dict(facts).get("algorithm") if "algorithm" in named else None,
        details=tuple((name.removeprefix("detail:"), value) for name, value in facts if name.startswith("detail:")),
    )


def _job(event: Event) -> list[tuple[str, str]]:
    return [
        (told(detail["type"]), _value(detail))
        for entity in entities_of(event, "http://terminology.hl7.org/CodeSystem/audit-entity-type#4")
        for detail in entity["detail"]
        if "valueString" in detail
    ]


def _first_agent(event: Event, code: str) -> Event:
    return next((agent for agent in event["agent"] if code in codes(agent["type"])), {})


def _who(event: Event) -> Who:
    client, user, organization = (_first_agent(event, code) for code in (DCM + "110150", IRCP, PROV))
    if client.get("who") == event["source"]["observer"]:
        client = {}
    of_client, of_user, of_org = (agent.get("who", {}) for agent in (client, user, organization))
    number = user.get("extension", [{}])[0].get("valueIdentifier", {}).get("value")
    return Who(
        client_id=_maybe(of_client.get("identifier", {}).get("value")),
        client_name=_maybe(of_client.get("display")),
        organization=of_org["reference"][13:]
        if "reference" in of_org
        else _maybe(of_org.get("identifier", {}).get("value")),
        subject_id=_maybe(number),
        subject_name=_maybe(user.get("name")),
        subject_role=_maybe(user.get("role", [{}])[0].get("text")),
        issuer=None if "system" not in of_user.get("identifier", {}) else unquote(of_user["identifier"]["system"]),
        subject=_maybe(of_user.get("identifier", {}).get("value")),
        token_id=None if "policy" not in user else unquote(user["policy"][0][len("urn:ietf:params:oauth:jti:") :]),
        purposes=tuple(concept["coding"][0]["code"] for concept in user.get("purposeOfUse", [])),
        network=_maybe(client.get("network", {}).get("address")),
    )


def _maybe(text: str | None) -> str | None:
    return None if text is None else told(text)


def _asked(event: Event) -> Asked:
    facts = dict(_job(event))
    return Asked(
        facility=agent_of(event, DCM + "110152")["who"]["reference"][13:],
        status=facts["status"],
        incomplete=facts["incomplete"] == "true",
        **{name: int(facts[name]) for name in ("elapsed_ms", "studies", "dropped", "contradicted")},  # type: ignore[arg-type]
    )


def _decided(event: Event) -> list[Decided]:
    entities = entities_of(event, CONSENT)
    facts = [(detail["type"], _value(detail)) for detail in entities[0]["detail"]]
    policies = [value for name, value in facts if name == "policy"]
    policies += [e["what"]["identifier"]["value"] for e in entities if "identifier" in e["what"]]
    found = []
    for text in (value for name, value in facts if name == "decision"):
        about = re.fullmatch(r"([a-z0-9-]+)(?:, study ([0-9.]+))?: (.*)", text, re.DOTALL)
        assert about is not None
        found.append(
            Decided(
                facility=about[1],
                decision="permit" if event["outcome"] == "0" else "deny",
                reason=about[3],
                consents=tuple(e["what"]["reference"] for e in entities if "reference" in e["what"]),
                policy=policies[0] if policies else None,
                study=about[2],
            )
        )
    return found


def _released(event: Event) -> Released:
    uids = [e["what"]["identifier"]["value"] for e in entities_of(event, OBJECT) if "identifier" in e["what"]]
    custodian = agent_of(event, "http://snomed.info/sct#159541003")["who"]["reference"]
    return Released(facility=custodian[13:], studies=tuple(uid.removeprefix("urn:oid:") for uid in uids))


def comparable(record: AuditRecord) -> dict[str, Any]:
    """The record without what has no meaning: the order of decisions."""
    known = {name: getattr(record, name) for name in AuditRecord.__slots__}
    # Decisions are grouped by what they rest on: each is there, in another order. A patient search whose answer is the
    # patient it was about names that patient once.
    known["decided"] = Counter(record.decided)
    if record.kind in SEARCHES and f"Patient/{record.patient}" in record.resources:
        known["patient"] = None
    return known
