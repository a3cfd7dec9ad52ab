"""Which Consents does a search ask for? IHE PCF ITI-108: by patient, status, actor and time."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.consent.fhir_r4 import status_in_r4
from gateway.consent.policy import Provision
from gateway.consent.store import StoredVersion
from gateway.consent.verdict import rules_of
from gateway.errors import InvalidQuery
from gateway.fhir.answer_form import AnswerForm, parse_answer_form, parse_word
from gateway.fhir.parameters import CONSENT
from gateway.fhir.query_string import Pairs
from gateway.fhir.sift import sift
from gateway.model import DateBound, PatientID, PatientRef, Token
from gateway.search_dates import is_within
from gateway.search_values import parse_dates, parse_identifier, parse_reference, parse_strings, parse_tokens

_SORTS = ("_lastUpdated", "-_lastUpdated")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentSearch:
    """One search on Consent, parsed. Each tuple is an AND of ORs."""

    patient: PatientRef
    status: tuple[tuple[Token, ...], ...]
    actor: tuple[tuple[str, ...], ...]
    last_updated: tuple[tuple[DateBound, ...], ...]
    id: tuple[tuple[Token, ...], ...]
    descends: bool
    """Whether the last changed come first."""
    form: AnswerForm

    def finds(self, stored: StoredVersion) -> bool:
        """Whether the Consent, as it now is, is one that is asked for."""
        status = status_in_r4(stored.resource)
        return (
            all(any(one.code == status for one in alternatives) for alternatives in self.status)
            and all(any(one.code == stored.consent.id for one in alternatives) for alternatives in self.id)
            and all(_names_any(stored, alternatives) for alternatives in self.actor)
            and all(
                any(is_within(stored.consent.recorded_at, bound) for bound in bounds) for bounds in self.last_updated
            )
        )


def parse_consent_search(pairs: Pairs, *, strict: bool, path_base: str) -> ConsentSearch:
    """The search that `pairs` ask for. Raises InvalidQuery, also where it doesn't name exactly one patient."""
    sifted = sift(pairs, CONSENT, strict=strict)
    by_id, by_identifier = sifted.all("patient"), sifted.all("patient.identifier")
    if len(by_id) + len(by_identifier) != 1:
        raise InvalidQuery("a search on Consent names exactly one patient: patient or patient.identifier")
    if by_id:
        patient = PatientRef(id=PatientID(parse_reference(by_id[0], "patient", "Patient", path_base)))
    else:
        patient = PatientRef(identifier=parse_identifier(by_identifier[0], "patient.identifier"))
    base = f"{path_base}/"
    return ConsentSearch(
        patient=patient,
        status=tuple(parse_tokens(value, "status") for value in sifted.all("status")),
        actor=tuple(
            tuple(one.removeprefix(base) for one in parse_strings(value, "actor")) for value in sifted.all("actor")
        ),
        last_updated=tuple(parse_dates(value, "_lastUpdated") for value in sifted.all("_lastUpdated")),
        id=tuple(parse_tokens(value, "_id") for value in sifted.all("_id")),
        descends=parse_word(sifted, "_sort", _SORTS, "_lastUpdated") == "-_lastUpdated",
        form=parse_answer_form(sifted, CONSENT, strict=strict),
    )


def _names_any(stored: StoredVersion, actors: Sequence[str]) -> bool:
    named = {name for rule in rules_of(stored.consent.root) for name in _actors_of(rule)}
    return not named.isdisjoint(actors)


def _actors_of(rule: Provision) -> Sequence[str]:
    # FHIR R4 search §reference: a bare id is of any type that may stand there.
    return (*rule.actors, *(name.partition("/")[2] for name in rule.actors if "/" in name and ":" not in name))
