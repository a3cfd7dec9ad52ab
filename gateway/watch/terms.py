"""By what is an AuditEvent looked for? What it names, as terms that an index can hold. Pure.

A term is `(name, value)`, the name that of the search parameter. What nearly every record has (that it was a REST
operation, that it went well) is no term: an index of it would be as long as the log.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Event = Mapping[str, Any]
Term = tuple[str, str]

COMMON: frozenset[Term] = frozenset(
    (
        *(("type", code) for code in ("rest", "110106", "110112", "110113")),
        *(("subtype", code) for code in ("search-type", "read", "disclose", "AuthZ-Consent", "ITI-71")),
        *(("action", code) for code in "ER"),
        ("outcome", "0"),
    )
)
"""What so many records say that it is not looked for by index."""

LONGEST = 512
"""Characters of a value that is indexed; a longer one is found all the same, by reading."""


def codes_of(event: Event, name: str) -> Iterator[tuple[str, str]]:
    """System and code of the event's `type` or `subtype`."""
    stated = event.get(name, [])
    for coding in stated if isinstance(stated, list) else [stated]:
        yield coding.get("system", ""), coding["code"]


def agents_of(event: Event) -> Iterator[Event]:
    """Whom its agents are, as References."""
    for agent in event["agent"]:
        yield agent["who"]


def things_of(event: Event) -> Iterator[Event]:
    """What its entities are, as References."""
    for entity in event.get("entity", ()):
        if "what" in entity:
            yield entity["what"]


def patients_of(event: Event) -> set[str]:
    """The ids of the patients it is about, or whom an agent of it is (FHIR `AuditEvent-patient`)."""
    named = (one.get("reference", "") for one in (*agents_of(event), *things_of(event)))
    return {reference.removeprefix("Patient/") for reference in named if reference.startswith("Patient/")}


def addresses_of(event: Event) -> Iterator[str]:
    """Where its agents were."""
    for agent in event["agent"]:
        if address := agent.get("network", {}).get("address"):
            yield address


def numbers_of(event: Event) -> Iterator[str]:
    """Further identifiers of its agents, such as a clinician's number."""
    for agent in event["agent"]:
        for extension in agent.get("extension", ()):
            yield extension["valueIdentifier"]["value"]


def terms_of(events: Iterable[Event]) -> set[Term]:
    """Every term of the events of one record."""
    found: set[Term] = set()
    for event in events:
        for name in ("type", "subtype"):
            found.update((name, code) for _, code in codes_of(event, name))
        found.update((name, event[name]) for name in ("action", "outcome"))
        found.update(("patient", one) for one in patients_of(event))
        found.update(("address", one) for one in addresses_of(event))
        found.update(("agent.identifier", one) for one in numbers_of(event))
        for name, references in (("agent", agents_of(event)), ("entity", things_of(event))):
            found.update(_of_references(name, references))
        found.discard(("agent.identifier", event["source"]["observer"]["identifier"]["value"]))
    return {term for term in found if term not in COMMON and len(term[1]) <= LONGEST}


def _of_references(name: str, references: Iterable[Event]) -> Iterator[Term]:
    for reference in references:
        if "reference" in reference:
            yield name, reference["reference"]
        if value := reference.get("identifier", {}).get("value"):
            yield f"{name}.identifier", value


def indexed(terms: Iterable[Term]) -> tuple[Term, ...]:
    """`terms` where all of them are in the index; else none, since those that aren't would be missed."""
    wanted = tuple(terms)
    return () if any(term in COMMON or len(term[1]) > LONGEST for term in wanted) else wanted
