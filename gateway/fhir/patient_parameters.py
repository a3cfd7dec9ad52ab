"""Which parameters does a search on Patient have? Those of IHE PDQm ITI-78, and how the answer is wanted."""

from gateway.fhir.parameters import COMMON_ELEMENTS, DEFINITIONS, ID, RESULT, SearchParameter, SearchTable

_BEGINNING = "Its beginning, without case, accents and punctuation; `:exact`: as it is written."


def _text(name: str, what: str, definition: str) -> SearchParameter:
    return SearchParameter(
        name=name,
        type="string",
        definition=DEFINITIONS + definition,
        documentation=f"{what} {_BEGINNING}",
        spellings=(f"{name}:exact",),
    )


PATIENT = SearchTable(
    resource_type="Patient",
    parameters=(
        ID,
        SearchParameter(
            name="active",
            type="token",
            definition=DEFINITIONS + "Patient-active",
            documentation="`true`: records that their facility has made inactive are not searched.",
        ),
        _text("family", "A family name.", "individual-family"),
        _text("given", "A given name.", "individual-given"),
        SearchParameter(
            name="identifier",
            type="token",
            definition=DEFINITIONS + "Patient-identifier",
            documentation="`system|value`, or `value` in any system. `system|`: has an identifier there, and is told "
            "those of there alone (IHE PDQm §2:3.78.4.1.2.3).",
        ),
        SearchParameter(
            name="telecom",
            type="token",
            definition=DEFINITIONS + "individual-telecom",
            documentation="A telephone number, by its last nine digits, or another address, in any case.",
        ),
        SearchParameter(
            name="birthdate",
            type="date",
            definition=DEFINITIONS + "individual-birthdate",
            documentation="When the patient was born; all prefixes.",
        ),
        _text("address", "Any part of an address.", "individual-address"),
        _text("address-city", "A city.", "individual-address-city"),
        _text("address-country", "A country.", "individual-address-country"),
        _text("address-postalcode", "A postal code.", "individual-address-postalcode"),
        _text("address-state", "A state.", "individual-address-state"),
        SearchParameter(
            name="gender",
            type="token",
            definition=DEFINITIONS + "individual-gender",
            documentation="Administrative gender.",
        ),
        _text("mothersMaidenName", "The mother's maiden name.", "patient-extensions-Patient-mothersMaidenName"),
        SearchParameter(
            name="targetSystem",
            type="uri",
            documentation="The same as `identifier=system|`: the domains of which identifiers are told.",
        ),
        SearchParameter(
            name="_lastUpdated",
            type="date",
            definition=DEFINITIONS + "Resource-lastUpdated",
            documentation="When what may be seen of the patient last changed; all prefixes. Dates alone are UTC days.",
        ),
        SearchParameter(
            name="_sort",
            type="string",
            documentation="`family,given,birthdate` unless said; `_lastUpdated` too, each with `-` to descend.",
        ),
        *RESULT,
    ),
    elements=frozenset(
        (
            *COMMON_ELEMENTS,
            *("identifier", "active", "name", "telecom", "gender", "birthDate", "deceased", "address", "maritalStatus"),
            *("multipleBirth", "photo", "contact", "communication", "generalPractitioner", "managingOrganization"),
            "link",
        )
    ),
)
