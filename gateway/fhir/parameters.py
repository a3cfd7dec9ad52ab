"""Which parameters does each search have? The one table that parses requests and writes the CapabilityStatement."""

from dataclasses import dataclass, field
from typing import Literal

ParameterType = Literal["number", "date", "string", "token", "reference", "uri", "special"]
DEFINITIONS = "http://hl7.org/fhir/SearchParameter/"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchParameter:
    """One parameter: what it is called, how its value reads, what it does."""

    name: str
    type: ParameterType
    documentation: str
    definition: str | None = None
    """The canonical of its SearchParameter in FHIR R4, where there is one."""
    spellings: tuple[str, ...] = ()
    """Further ways to write it that mean the same, modifiers included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTable:
    """All that a search on one resource type understands."""

    resource_type: str
    parameters: tuple[SearchParameter, ...]
    elements: frozenset[str]
    """The elements that `_elements` may name (FHIR R4 definition of the resource)."""
    includes: tuple[str, ...] = ()
    by_spelling: dict[str, SearchParameter] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        spelled = {
            spelling: parameter for parameter in self.parameters for spelling in (parameter.name, *parameter.spellings)
        }
        object.__setattr__(self, "by_spelling", spelled)


REFUSED = frozenset(("_has", "_filter", "_query", "_content", "_text", "_list", "_include", "_revinclude", "_cursor"))
"""Never ignored, since the answer without them would be a much wider one. `_cursor` stands alone, in a page link."""

ID = SearchParameter(
    name="_id", type="token", definition=DEFINITIONS + "Resource-id", documentation="The id of the resource."
)

RESULT = (
    SearchParameter(
        name="_count",
        type="number",
        documentation="Matches a page: 50 unless said, at most 200; 0 counts only.",
    ),
    SearchParameter(
        name="_summary",
        type="token",
        documentation="`true`, `text`, `data`, `count` or `false`; not together with `_elements`.",
    ),
    SearchParameter(
        name="_elements", type="string", documentation="Top-level elements to return, besides the mandatory ones."
    ),
    SearchParameter(
        name="_total", type="token", documentation="`none`, `estimate` or `accurate`; the total is exact in each case."
    ),
    SearchParameter(name="_format", type="token", documentation="JSON, in any of the spellings of FHIR R4."),
    SearchParameter(name="_pretty", type="token", documentation="`true` indents the answer."),
)

COMMON_ELEMENTS = ("id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension")

_ONE_PATIENT = SearchParameter(
    name="patient",
    type="reference",
    definition=DEFINITIONS + "clinical-patient",
    documentation="The one patient: `Patient/{id}` or the bare id. Each search names exactly one patient.",
    spellings=("patient:Patient",),
)


def _name_of(resource_type: str) -> SearchParameter:
    return SearchParameter(
        name="name",
        type="string",
        definition=DEFINITIONS + resource_type + "-name",
        documentation="The beginning of the name, in any case.",
    )


def _elements(names: str) -> frozenset[str]:
    return frozenset((*COMMON_ELEMENTS, *names.split()))


IMAGING_STUDY = SearchTable(
    resource_type="ImagingStudy",
    parameters=(
        _ONE_PATIENT,
        SearchParameter(
            name="subject",
            type="reference",
            definition=DEFINITIONS + "ImagingStudy-subject",
            documentation="The same as `patient`.",
            spellings=("subject:Patient",),
        ),
        SearchParameter(
            name="patient.identifier",
            type="token",
            definition=DEFINITIONS + "Patient-identifier",
            documentation="The one patient, by an identifier: `system|value`; also written `patient:identifier`.",
            spellings=("patient:identifier", "subject.identifier", "subject:identifier"),
        ),
        ID,
        SearchParameter(
            name="identifier",
            type="token",
            definition=DEFINITIONS + "clinical-identifier",
            documentation="Study UID (`urn:dicom:uid|urn:oid:1.2.3`, `urn:oid:1.2.3`, `1.2.3`) or accession number.",
        ),
        SearchParameter(
            name="started",
            type="date",
            definition=DEFINITIONS + "ImagingStudy-started",
            documentation="When the study began; all prefixes. A date alone means that day where the study was made.",
        ),
        SearchParameter(
            name="modality",
            type="token",
            definition=DEFINITIONS + "ImagingStudy-modality",
            documentation="Modality of the study or one of its series, with or without its system.",
        ),
        SearchParameter(
            name="status",
            type="token",
            definition=DEFINITIONS + "ImagingStudy-status",
            documentation="`available`, or `unknown` where every source says that it is offline.",
        ),
        SearchParameter(
            name="bodysite",
            type="token",
            definition=DEFINITIONS + "ImagingStudy-bodysite",
            documentation="Body site of a series: SNOMED CT code, or the DICOM term where no code is known.",
        ),
        SearchParameter(
            name="endpoint",
            type="reference",
            definition=DEFINITIONS + "ImagingStudy-endpoint",
            documentation="Studies that this Endpoint serves.",
            spellings=("endpoint:Endpoint",),
        ),
        SearchParameter(
            name="_lastUpdated",
            type="date",
            definition=DEFINITIONS + "Resource-lastUpdated",
            documentation="When the study was new, changed or became visible; all prefixes. Dates alone are UTC days.",
        ),
        SearchParameter(
            name="_sort",
            type="string",
            documentation="`-started` unless said; `started`, `_lastUpdated`, `-_lastUpdated`.",
        ),
        SearchParameter(
            name="_include", type="special", documentation="`ImagingStudy:endpoint`, `ImagingStudy:patient`."
        ),
        *RESULT,
    ),
    includes=("ImagingStudy:endpoint", "ImagingStudy:patient", "ImagingStudy:subject"),
    elements=_elements(
        "identifier status modality subject encounter started basedOn referrer interpreter endpoint "
        "numberOfSeries numberOfInstances procedureReference procedureCode location reasonCode "
        "reasonReference note description series"
    ),
)

ENDPOINT = SearchTable(
    resource_type="Endpoint",
    parameters=(
        ID,
        _name_of("Endpoint"),
        SearchParameter(
            name="organization",
            type="reference",
            definition=DEFINITIONS + "Endpoint-organization",
            documentation="The facility whose images it serves.",
            spellings=("organization:Organization",),
        ),
        SearchParameter(
            name="status",
            type="token",
            definition=DEFINITIONS + "Endpoint-status",
            documentation="`active` or `suspended`.",
        ),
        *RESULT,
    ),
    elements=_elements(
        "identifier status connectionType name managingOrganization contact period payloadType "
        "payloadMimeType address header"
    ),
)

ORGANIZATION = SearchTable(
    resource_type="Organization",
    parameters=(
        ID,
        _name_of("Organization"),
        *RESULT,
    ),
    elements=_elements("identifier active type name alias telecom address partOf contact endpoint"),
)

CONSENT = SearchTable(
    resource_type="Consent",
    parameters=(
        _ONE_PATIENT,
        SearchParameter(
            name="patient.identifier",
            type="token",
            definition=DEFINITIONS + "Patient-identifier",
            documentation="The one patient, by an identifier: `system|value`; also written `patient:identifier`.",
            spellings=("patient:identifier",),
        ),
        ID,
        SearchParameter(
            name="status",
            type="token",
            definition=DEFINITIONS + "Consent-status",
            documentation="The status of the current version.",
        ),
        SearchParameter(
            name="actor",
            type="reference",
            definition=DEFINITIONS + "Consent-actor",
            documentation="Whom a rule of it names as recipient: a reference, or `system|value`.",
        ),
        SearchParameter(
            name="_lastUpdated",
            type="date",
            definition=DEFINITIONS + "Resource-lastUpdated",
            documentation="When the current version was filed; all prefixes. Dates alone are UTC days.",
        ),
        SearchParameter(
            name="_sort",
            type="string",
            documentation="`_lastUpdated` unless said; `-_lastUpdated` puts the last changed first.",
        ),
        *RESULT,
    ),
    elements=_elements(
        "identifier status scope category patient dateTime performer organization source policy "
        "policyRule verification provision"
    ),
)
