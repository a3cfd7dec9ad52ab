"""What does a search on Patient ask for? Its query string, parsed (IHE PDQm ITI-78); nothing is silently widened."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import InvalidQuery, UnsupportedParameter
from gateway.fhir.answer_form import AnswerForm, parse_answer_form
from gateway.fhir.patient_parameters import PATIENT
from gateway.fhir.query_string import Pairs
from gateway.fhir.search_params import of_form
from gateway.fhir.sift import Sifted, sift
from gateway.model import PatientID, Token
from gateway.mpi.patient_query import (
    STRING_FIELDS,
    AndOfOrs,
    Description,
    PatientQuery,
    StringField,
    Text,
    comparable_contact,
)
from gateway.search_values import parse_dates, parse_references, parse_strings, parse_tokens

DEFAULT_SORT = "family,given,birthdate"
SORT_KEYS = ("family", "given", "birthdate", "_lastUpdated")
_SPECIAL_VALUES = "http://terminology.hl7.org/CodeSystem/special-values"
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientSearch(AnswerForm):
    """One search on Patient: who is asked for, and how the answer is wanted."""

    query: PatientQuery
    sort: tuple[tuple[str, bool], ...]
    """Each key with whether it descends, the first one deciding first."""


def parse_patient_search(pairs: Sequence[tuple[str, str]], *, strict: bool, path_base: str) -> PatientSearch:
    """The search that `pairs` ask for. `path_base` is the FHIR base URL, which references may carry.

    Raises InvalidQuery where it asks for nobody in particular or can't be understood.
    """
    sifted = sift(pairs, PATIENT, strict=strict)
    form = parse_answer_form(sifted, PATIENT, strict=strict)
    identifiers = tuple(_identifiers(value) for value in sifted.all("identifier"))
    targets = tuple(parse_strings(value, "targetSystem") for value in sifted.all("targetSystem"))
    query = PatientQuery(
        ids=tuple(
            tuple(map(PatientID, parse_references(value, "_id", "Patient", path_base))) for value in sifted.all("_id")
        ),
        identifiers=(*identifiers, *(tuple(Token(one, None) for one in systems) for systems in targets)),
        described=Description(
            strings=_strings(sifted.pairs),
            telecom=tuple(_contacts(value) for value in sifted.all("telecom")),
            birthdate=tuple(parse_dates(value, "birthdate") for value in sifted.all("birthdate")),
            gender=tuple(parse_tokens(value, "gender") for value in sifted.all("gender")),
            active=tuple(_truths(value) for value in sifted.all("active")),
        ),
        last_updated=tuple(parse_dates(value, "_lastUpdated") for value in sifted.all("_lastUpdated")),
        domains=_domains(identifiers) | {one for systems in targets for one in systems},
    )
    if not (query.ids or query.identifiers or query.described or query.last_updated):
        raise InvalidQuery("a search on Patient says whom it looks for: an identifier, a name, a birth date, …")
    return PatientSearch(**of_form(form), query=query, sort=_sort(sifted))


def _strings(pairs: Pairs) -> dict[StringField, AndOfOrs[Text]]:
    found: dict[StringField, AndOfOrs[Text]] = {}
    for name in STRING_FIELDS:
        clauses = [
            _texts(value, name, exact=spelled != name) for spelled, value in pairs if spelled in (name, f"{name}:exact")
        ]
        if clauses:
            found[name] = tuple(clauses)
    return found


def _texts(value: str, parameter: str, *, exact: bool) -> tuple[Text, ...]:
    texts = tuple(Text(one.strip(), exact) for one in parse_strings(value, parameter))
    if not all(one.folded for one in texts):
        raise InvalidQuery(f"{parameter} has neither a letter nor a digit")
    return texts


def _identifiers(value: str) -> tuple[Token, ...]:
    return tuple(Token(one.system, one.code.strip() if one.code else None) for one in parse_tokens(value, "identifier"))


def _domains(clauses: Sequence[Sequence[Token]]) -> frozenset[str]:
    # Only where a whole clause is of systems alone: what else is asked for must not be stripped.
    wanted = [tokens for tokens in clauses if all(one.system and not one.code for one in tokens)]
    return frozenset(one.system for tokens in wanted for one in tokens if one.system)


def _contacts(value: str) -> tuple[Token, ...]:
    tokens = parse_tokens(value, "telecom")
    if not all(one.code is None or comparable_contact(one.code) for one in tokens):
        raise InvalidQuery("telecom has neither a letter nor a digit")
    return tokens


def _truths(value: str) -> tuple[bool, ...]:
    tokens = parse_tokens(value, "active")
    if not all(one.code in _TRUTH and one.system in (None, _SPECIAL_VALUES) for one in tokens):
        raise InvalidQuery("active is true or false")
    return tuple(_TRUTH[one.code or ""] for one in tokens)


def _sort(sifted: Sifted) -> tuple[tuple[str, bool], ...]:
    keys = [(key.removeprefix("-"), key.startswith("-")) for key in sifted.one("_sort", DEFAULT_SORT).split(",")]
    if not all(key in SORT_KEYS for key, _ in keys):
        raise UnsupportedParameter("_sort is one or more of " + ", ".join(SORT_KEYS) + ", each with - to descend")
    first: dict[str, bool] = {}
    for key, descends in keys:
        first.setdefault(key, descends)
    return tuple(first.items())
