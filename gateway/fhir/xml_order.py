"""In which order does FHIR XML want the elements? (FHIR R4 §xml: the order of the schema)"""

from collections.abc import Mapping
from typing import Any

_ORDER = {
    name: place
    for place, name in enumerate(
        (
            *("id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension"),
            *(
                "versionId",
                "lastUpdated",
                "source",
                "profile",
                "security",
                "tag",
                "use",
                "role",
                "meaning",
                "reference",
            ),
            *("type", "identifier", "system", "version", "severity", "status", "scope", "category", "patient"),
            *("subject", "dateTime", "date", "performer", "organization", "grantor", "grantee", "manager"),
            *("controller", "sourceAttachment", "sourceReference", "regulatoryBasis", "policyBasis", "policy"),
            *("authority", "uri", "policyRule", "policyText", "verification", "decision", "value", "period", "start"),
            *("end", "assigner", "actor", "action", "securityLabel", "purpose", "class", "code", "dataPeriod", "data"),
            *("coding", "details", "display", "userSelected", "diagnostics", "location", "expression", "provision"),
            *("total", "link", "relation", "url", "entry", "fullUrl", "resource", "search", "mode", "parameter"),
            *("name", "part"),
        )
    )
}
"""One order in which most types of this API have their elements as their schemas want them."""
_FIRST = ("id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension")
_OWN_ORDER = {
    parent: {name: place for place, name in enumerate((*_FIRST, *names))}
    for parent, names in {
        "Patient": (
            *("identifier", "active", "name", "telecom", "gender", "birthDate", "deceasedBoolean", "deceasedDateTime"),
            *("address", "maritalStatus", "multipleBirthBoolean", "multipleBirthInteger", "photo", "contact"),
            *("communication", "generalPractitioner", "managingOrganization", "link"),
        ),
        "contact": ("relationship", "name", "telecom", "address", "gender", "organization", "period"),
        "telecom": ("system", "value", "use", "rank", "period"),
        "link": ("relation", "url", "other", "type"),
        "parameter": (
            *("name", "valueBoolean", "valueInteger", "valueString", "valueUri", "valueIdentifier", "valueReference"),
            *("resource", "part"),
        ),
        "search": ("mode", "score"),
        "DocumentReference": (
            *("masterIdentifier", "identifier", "version", "basedOn", "status", "docStatus", "modality", "type"),
            *("category", "subject", "context", "date", "author", "authenticator", "attester", "custodian"),
            *("relatesTo", "description", "securityLabel", "content"),
        ),
        "content": ("attachment", "format", "profile"),
        **dict.fromkeys(
            ("attachment", "sourceAttachment", "valueAttachment"),
            ("contentType", "language", "data", "url", "size", "hash", "title", "creation"),
        ),
        "QuestionnaireResponse": (
            *(
                "identifier",
                "basedOn",
                "partOf",
                "questionnaire",
                "status",
                "subject",
                "encounter",
                "authored",
                "author",
            ),
            *("author", "source", "item"),
        ),
        "item": ("linkId", "definition", "text", "answer", "item"),
    }.items()
}
_OWN_ORDER["name"] = {
    name: place
    for place, name in enumerate(("id", "extension", "use", "text", "family", "given", "prefix", "suffix", "period"))
}
_OWN_ORDER["address"] = {
    name: place
    for place, name in enumerate(
        (
            *("id", "extension", "use", "type", "text", "line", "city", "district", "state", "postalCode", "country"),
            "period",
        )
    )
}


def place_of(name: str, parent: str, node: Mapping[str, Any]) -> tuple[int, str]:
    """Where the element `name` of `node`, which is called `parent`, stands among the others."""
    if name == "text" and "coding" in node:  # a CodeableConcept has its words last
        return len(_ORDER), name
    order = _OWN_ORDER.get(parent, _ORDER)
    return order.get(name, len(order)), name
