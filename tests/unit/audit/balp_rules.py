"""BALP's required elements as a table (ITI BALP 1.1, read from the profiles), and a check of an event against it.

Written apart from `gateway/audit`: literal codes, no shared constants.
"""

from typing import Any

_HL7 = "http://terminology.hl7.org/CodeSystem/"
_DCM = "http://dicom.nema.org/resources/ontology/DCM#"
_BALP = "https://profiles.ihe.net/ITI/BALP/CodeSystem/"
_PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."

IRCP = _HL7 + "v3-ParticipationType#IRCP"
PROV = _HL7 + "v3-RoleClass#PROV"
AUTHSERVER = _HL7 + "extra-security-role-type#authserver"
A_PERSON, OBJECT = _HL7 + "audit-entity-type#1", _HL7 + "audit-entity-type#2"
CONSENT = "http://hl7.org/fhir/resource-types#Consent"
TOKEN = _BALP + "UserAgentTypes#UserOauthAgent"

# agent slice: code -> (must hold, must not hold, least, most)
_DEVICE = ({"who", "network"}, {"media"})
_USER = ({"who"}, {"media", "network"})
_PATIENT = {A_PERSON: ({"what", "role"}, set[str](), 1, 1)}
_QUERY_ENTITY = {OBJECT: ({"query", "role"}, {"what", "lifecycle", "detail"}, 1, 1)}
_DATA_ENTITY = {OBJECT: ({"what", "role"}, set[str](), 1, 1)}
_AUTHZ_AGENTS = {
    _DCM + "110150": (
        {"who", "network"},
        {"role", "altId", "name", "location", "media", "purposeOfUse"},
        1,
        1,
    ),
    IRCP: ({"who"}, {"altId", "location", "media", "network"}, 1, 1),
    PROV: ({"who"}, {"role", "altId", "name", "location", "policy", "media", "network"}, 1, 1),
    AUTHSERVER: (
        {"who"},
        {"role", "altId", "name", "location", "policy", "media", "network", "purposeOfUse"},
        1,
        1,
    ),
}


def _rest_agents(client: str, server: str) -> dict[str, Any]:
    return {_DCM + client: (*_DEVICE, 1, 1), _DCM + server: (*_DEVICE, 1, 1), IRCP: (*_USER, 0, 1)}


_SEARCH = {
    "type": _HL7 + "audit-event-type#rest",
    "subtype": "http://hl7.org/fhir/restful-interaction#search-type",
    "action": "E",
    "outcome": {"0"},
    "agents": _rest_agents("110153", "110152"),
}
_READ = {
    "type": _HL7 + "audit-event-type#rest",
    "subtype": "http://hl7.org/fhir/restful-interaction#read",
    "action": "R",
    "outcome": {"0"},
    "agents": _rest_agents("110152", "110153"),
}

RULES: dict[str, dict[str, Any]] = {
    _PROFILE + "Query": {**_SEARCH, "entities": _QUERY_ENTITY},
    _PROFILE + "PatientQuery": {**_SEARCH, "entities": {**_QUERY_ENTITY, **_PATIENT}},
    _PROFILE + "Read": {**_READ, "entities": _DATA_ENTITY},
    _PROFILE + "PatientRead": {**_READ, "entities": {**_DATA_ENTITY, **_PATIENT}},
    _PROFILE + "PatientCreate": {
        **_SEARCH,
        "subtype": "http://hl7.org/fhir/restful-interaction#create",
        "action": "C",
        "entities": {**_DATA_ENTITY, **_PATIENT},
    },
    _PROFILE + "PatientUpdate": {
        **_SEARCH,
        "subtype": "http://hl7.org/fhir/restful-interaction#update",
        "action": "U",
        "entities": {**_DATA_ENTITY, **_PATIENT},
    },
    _PROFILE + "AuthZconsent": {
        "type": _DCM + "110113",
        "subtype": _BALP + "AuthZsubType#AuthZ-Consent",
        "action": "E",
        "outcome": {"0", "8"},
        "agents": _AUTHZ_AGENTS,
        "entities": {**_PATIENT, CONSENT: ({"what"}, set(), 1, 99), TOKEN: ({"what"}, set(), 0, 1)},
        "closed": True,
        "observer_is": AUTHSERVER,
    },
    _PROFILE + "PrivacyDisclosure.Source": {
        "type": _DCM + "110106",
        "subtype": _HL7 + "iso-21089-lifecycle#disclose",
        "action": "R",
        "outcome": {"0"},
        "agents": {
            _DCM + "110153": ({"who", "network"}, set(), 1, 1),
            _DCM + "110152": ({"who", "network"}, set(), 1, 1),
            "http://snomed.info/sct#159541003": ({"who"}, set(), 0, 1),
            "http://snomed.info/sct#429577009": ({"who"}, set(), 0, 1),
        },
        "entities": {**_PATIENT, OBJECT: ({"what", "role"}, set(), 1, 99)},
        "observer_is": _DCM + "110153",
    },
    _PROFILE + "OAUTHaccessTokenUse.Comprehensive": {
        "agents": {
            _DCM + "110150": ({"who", "network"}, {"media"}, 1, 1),
            IRCP: ({"who", "policy"}, {"media", "network"}, 0, 1),
        },
        "entities": {},
    },
}


def codes(concept: dict[str, Any]) -> set[str]:
    """The codes of a CodeableConcept or Coding as `system#code`."""
    return {f"{coding['system']}#{coding['code']}" for coding in concept.get("coding", [concept])}


def _slice_problems(where: str, items: list[dict[str, Any]], table: dict[str, Any]) -> list[str]:
    problems = []
    for code, (needed, forbidden, least, most) in table.items():
        of_it = [item for item in items if code in codes(item["type"])]
        if not least <= len(of_it) <= most:
            problems.append(f"{where} {code}: {len(of_it)} of {least}..{most}")
        for item in of_it:
            problems += [f"{where} {code}: no {name}" for name in needed - set(item)]
            problems += [f"{where} {code}: {name} is not allowed" for name in forbidden & set(item)]
    return problems


def problems_of(event: dict[str, Any], profile: str) -> list[str]:
    """What keeps `event` from being an event of `profile`."""
    rule = RULES[profile]
    agents, entities = event["agent"], event.get("entity", [])
    problems = _slice_problems("agent", agents, rule["agents"]) + _slice_problems("entity", entities, rule["entities"])
    for name in ("type", "subtype"):
        stated = event.get(name, [])
        found = {code for concept in (stated if isinstance(stated, list) else [stated]) for code in codes(concept)}
        if name in rule and rule[name] not in found:
            problems.append(f"{name} is {found}")
    if event["action"] != rule.get("action", event["action"]):
        problems.append("action")
    if "outcome" in rule and event["outcome"] not in rule["outcome"]:
        problems.append("outcome")
    if rule.get("closed"):
        problems += [f"entity {e['type']}" for e in entities if not codes(e["type"]) & set(rule["entities"])]
    if observer := rule.get("observer_is"):
        whos = [agent["who"] for agent in agents if observer in codes(agent["type"])]
        problems += [] if whos == [event["source"]["observer"]] else ["val-audit-source"]
    users = [agent for agent in agents if IRCP in codes(agent["type"])]
    problems += [] if all(agent["requestor"] for agent in users) else ["the user is the requestor"]
    return problems
