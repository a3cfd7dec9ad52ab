"""The search parameters of AuditEvent."""

from gateway.fhir.parameters import COMMON_ELEMENTS, DEFINITIONS, ID, RESULT, SearchParameter, SearchTable


def _one(name: str, kind: str, documentation: str, *spellings: str) -> SearchParameter:
    return SearchParameter(
        name=name,
        type=kind,  # type: ignore[arg-type]  # each is one of FHIR's
        definition=None if "." in name else f"{DEFINITIONS}AuditEvent-{name}",
        documentation=documentation,
        spellings=spellings,
    )


_ELEMENTS = (
    *("type", "subtype", "action", "period", "recorded", "outcome", "outcomeDesc"),
    *("purposeOfEvent", "agent", "source", "entity"),
)

AUDIT_EVENT = SearchTable(
    resource_type="AuditEvent",
    parameters=(
        ID,
        _one("date", "date", "When it was recorded; all prefixes. Dates alone are UTC days."),
        _one("patient", "reference", "Whom it is about, by any id they have had.", "patient:Patient"),
        _one(
            "patient.identifier", "token", "Whom it is about, by an identifier: `system|value`.", "patient:identifier"
        ),
        _one("agent", "reference", "Who took part: `Organization/{facility}`, `Patient/{id}`, or the id alone."),
        _one(
            "agent.identifier",
            "token",
            "Who took part: the client's id, `issuer|subject`, a clinician's number, an organisation's URI.",
            "agent:identifier",
        ),
        _one("agent-name", "string", "The beginning of an agent's name, in any case."),
        _one("address", "string", "The network address that an agent had."),
        _one("entity", "reference", "What it was about: `Consent/{id}/_history/{version}`, `ImagingStudy/{id}`, …"),
        _one(
            "entity.identifier",
            "token",
            "What it was about: a Study Instance UID (`urn:oid:1.2.3`), a request id, a token's `jti`.",
            "entity:identifier",
        ),
        _one("type", "token", "What kind of event it is."),
        _one("subtype", "token", "What it is more exactly."),
        _one("action", "token", "`C`, `R`, `U`, `D` or `E`."),
        _one("outcome", "token", "`0` went well, `4` refused, `8` consent denied or a facility failed, `12` failed."),
        SearchParameter(name="_sort", type="string", documentation="`-date` unless said; `date`."),
        *RESULT,
    ),
    elements=frozenset((*COMMON_ELEMENTS, *_ELEMENTS)),
)
