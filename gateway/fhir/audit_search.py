"""Which AuditEvents does a search ask for? Of when, about whom, by whom, of what kind (IHE ATNA ITI-81, FHIR R4)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from gateway.audit_desk import EventQuestion
from gateway.fhir.answer_form import AnswerForm, parse_answer_form, parse_word
from gateway.fhir.audit_parameters import AUDIT_EVENT
from gateway.fhir.query_string import Pairs
from gateway.fhir.sift import Sifted, sift
from gateway.model import DateBound, PatientID, PatientRef, Token
from gateway.search_dates import is_within
from gateway.search_values import parse_dates, parse_identifier, parse_reference, parse_strings, parse_tokens
from gateway.watch.terms import (
    Event,
    Term,
    addresses_of,
    agents_of,
    codes_of,
    indexed,
    numbers_of,
    patients_of,
    things_of,
)

_SORTS = ("date", "-date")
Test = Callable[[Event], bool]
Condition = tuple[Test, tuple[Term, ...]]
"""Whether an event fulfils it; and under which terms all such events are indexed, if they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSearch:
    """One search on AuditEvent, parsed."""

    patients: tuple[PatientRef, ...]
    """Each narrows further."""
    question: EventQuestion
    form: AnswerForm

    def about(self, persons: Sequence[frozenset[PatientID]], own: frozenset[PatientID] | None = None) -> EventQuestion:
        """The question, about all of `persons`, each with every id it is known by; `own` where nothing else is told."""
        named = [*persons, *([own] if own is not None else [])]
        finds = self.question.finds
        return replace(
            self.question,
            finds=lambda event: finds(event) and all(ids & patients_of(event) for ids in named),
            terms=(*(tuple(("patient", id_) for id_ in sorted(ids)) for ids in named), *self.question.terms),
            patients=own,
        )


def parse_audit_search(pairs: Pairs, *, strict: bool, path_base: str) -> AuditSearch:
    """The search that `pairs` ask for. Raises InvalidQuery."""
    sifted = sift(pairs, AUDIT_EVENT, strict=strict)
    patients = [
        PatientRef(id=PatientID(parse_reference(one, "patient", "Patient", path_base))) for one in sifted.all("patient")
    ]
    patients += [
        PatientRef(identifier=parse_identifier(one, "patient.identifier")) for one in sifted.all("patient.identifier")
    ]
    tests: list[Test] = []
    terms: list[tuple[Term, ...]] = []
    for test, lane in _conditions(sifted, path_base):
        tests.append(test)
        if lane:
            terms.append(lane)
    bounds = [parse_dates(value, "date") for value in sifted.all("date")]
    tests += [_dated(alternatives) for alternatives in bounds]
    since, until = _narrowed(bounds)
    question = EventQuestion(
        finds=lambda event: all(test(event) for test in tests),
        terms=tuple(terms),
        since=since,
        until=until,
        descends=parse_word(sifted, "_sort", _SORTS, "-date") == "-date",
    )
    form = parse_answer_form(sifted, AUDIT_EVENT, strict=strict)
    return AuditSearch(patients=tuple(patients), question=question, form=form)


def _conditions(sifted: Sifted, base: str) -> Iterator[Condition]:
    for name, read in _CONDITIONS.items():
        for value in sifted.all(name):
            yield read(name, value, base)


def _code(name: str, value: str, _base: str) -> Condition:
    tokens = parse_tokens(value, name)

    def test(event: Event) -> bool:
        return any(_is(token, system, code) for system, code in codes_of(event, name) for token in tokens)

    return test, _terms(name, tokens)


def _word(name: str, value: str, _base: str) -> Condition:
    tokens = parse_tokens(value, name)
    words = {token.code for token in tokens}
    return lambda event: event[name] in words, _terms(name, tokens)


def _id(name: str, value: str, _base: str) -> Condition:
    ids = {token.code for token in parse_tokens(value, name)}
    return lambda event: event["id"] in ids, ()


def _reference(name: str, value: str, base: str) -> Condition:
    named = tuple(one.removeprefix(f"{base}/") for one in parse_strings(value, name))

    def test(event: Event) -> bool:
        stated = {reference["reference"] for reference in _OF[name](event) if "reference" in reference}
        # FHIR R4 search §reference: a bare id is of any type that may stand there.
        return not (stated | {one.partition("/")[2] for one in stated}).isdisjoint(named)

    return test, indexed((name, one) for one in named) if all("/" in one for one in named) else ()


def _identifier(name: str, value: str, base: str) -> Condition:
    tokens = parse_tokens(value, name)
    role = name.partition(".")[0]
    itself = role == "agent" and _site(base) in {token.code for token in tokens}

    def test(event: Event) -> bool:
        stated = [reference.get("identifier", {}) for reference in _OF[role](event)]
        found = [(one.get("system", ""), one["value"]) for one in stated if "value" in one]
        found += [("", number) for number in numbers_of(event)] if role == "agent" else []
        return any(_is(token, system, value) for system, value in found for token in tokens)

    return test, () if itself else _terms(name, tokens)


def _name(name: str, value: str, _base: str) -> Condition:
    beginnings = tuple(one.casefold() for one in parse_strings(value, name))

    def test(event: Event) -> bool:
        names = (one for agent in event["agent"] for one in (agent.get("name"), agent["who"].get("display")))
        return any(one.casefold().startswith(beginnings) for one in names if one)

    return test, ()


def _address(name: str, value: str, base: str) -> Condition:
    wanted = parse_strings(value, name)
    itself = urlsplit(base).hostname in wanted
    terms = () if itself else indexed((name, one) for one in wanted)
    return lambda event: not set(addresses_of(event)).isdisjoint(wanted), terms


def _site(base: str) -> str:
    """How the gateway names itself as an agent: it takes part in everything, so that is in no index."""
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}"


_OF: Mapping[str, Callable[[Event], Iterable[Event]]] = {"agent": agents_of, "entity": things_of}
_CONDITIONS: Mapping[str, Callable[[str, str, str], Condition]] = {
    "_id": _id,
    "type": _code,
    "subtype": _code,
    "action": _word,
    "outcome": _word,
    "agent": _reference,
    "agent.identifier": _identifier,
    "agent-name": _name,
    "address": _address,
    "entity": _reference,
    "entity.identifier": _identifier,
}


def _terms(name: str, tokens: Sequence[Token]) -> tuple[Term, ...]:
    found = [(name, token.code) for token in tokens if token.code is not None]
    return indexed(found) if len(found) == len(tokens) else ()


def _is(token: Token, system: str, code: str) -> bool:
    return token.code in (None, code) and token.system in (None, system)


def _dated(bounds: Sequence[DateBound]) -> Test:
    def test(event: Event) -> bool:
        at = datetime.fromisoformat(event["recorded"])
        return any(is_within(at, bound) for bound in bounds)

    return test


def _narrowed(dates: Sequence[Sequence[DateBound]]) -> tuple[datetime | None, datetime | None]:
    """The span that the dates leave: those with alternatives are looked at one by one."""
    since: list[datetime] = []
    until: list[datetime] = []
    for bound in (alternatives[0] for alternatives in dates if len(alternatives) == 1):
        start, end = bound.moment.start, bound.moment.end
        if bound.prefix in ("eq", "ap", "ge"):
            since.append(start)
        if bound.prefix in ("eq", "ap", "le"):
            until.append(end)
        if bound.prefix in ("gt", "sa"):
            since.append(end)
        if bound.prefix in ("lt", "eb"):
            until.append(start)
    return max(since, default=None), min(until, default=None)
