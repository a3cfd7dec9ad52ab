"""`python -m gateway consents`: what patients have said about sharing, as operators file and read it."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import click

from gateway.adapters.registry import FacilityRegistry
from gateway.audit.record import AuditRecord
from gateway.cli.context import Operator, print_json
from gateway.cli.ndjson import Line, LoadReport, iter_lines, print_report
from gateway.cli.patient_argument import patient_ref
from gateway.consent.belonging import Identity
from gateway.consent.fhir_consent import from_consent, patients_of
from gateway.consent.fhir_reference import FacilityNames, facility_names
from gateway.consent.fhir_structure import require_structure
from gateway.consent.period import FOREVER
from gateway.consent.policy import Provision
from gateway.consent.store import Filed, Filing, StoredConsents, StoredVersion
from gateway.consent.words import PURPOSE_WORDS
from gateway.errors import LoadRefused
from gateway.model import PatientID
from gateway.mpi.carried import CARRIED, CARRIED_BY
from gateway.mpi.resolve import PatientIndex
from gateway.mpi.retired import RETIRED_INTO
from gateway.mpi.sealed import identifier_key

_LINES_A_TRANSACTION = 100
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group(name="consents")
def command() -> None:
    """Consents: whose imaging may be shown to whom, and why."""


@command.command()
@click.argument("file", type=click.Path(allow_dash=True))
@_AS_JSON
def load(file: str, as_json: bool) -> None:
    """File FHIR R4 Consents from FILE (NDJSON; - reads standard input).

    The patient is named by Patient/{id} or by identifier, organisations by Organization/{facility id} or identifier. A
    Consent of a known id becomes its next version, an unchanged one does nothing. What can't be evaluated is refused.
    Good lines are kept, bad ones listed with their reason; the exit code is 1 if there were any.
    """
    with Operator() as operator:
        report = LoadReport()
        desk = _Desk(operator)
        operator.note("consents load begins")
        try:
            lines = iter_lines(file, "consents")
            while batch := list(islice(lines, _LINES_A_TRANSACTION)):
                desk.file(batch, report)
        except BaseException:
            operator.note("consents load stopped", outcome="failed", details=_counts(report))
            raise
        operator.note("consents load ended", details=_counts(report))
    print_report(report, as_json=as_json, noun="consents")
    if report.rejected:
        sys.exit(1)


class _Desk:
    """Where Consents are read, their patients looked up, and what holds is filed."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._base = operator.settings.fhir_base
        self._names: FacilityNames = facility_names(
            FacilityRegistry(operator.engine, operator.keys).all(), operator.settings.fhir_base
        )
        self._index = PatientIndex(operator.engine, operator.keys)
        self._consents = open_consents(operator)

    def file(self, lines: Sequence[Line], report: LoadReport) -> None:
        """Each line is filed in one transaction with the others, or refused; each change is in the audit."""
        filings: list[tuple[int, Filing]] = []
        for line in lines:
            try:
                filings.append((line.number, self._filing(line)))
            except LoadRefused as exc:
                report.reject(line.number, exc.reason)
        outcomes = self._consents.save([filing for _, filing in filings], self._operator.now)
        changes = []
        for (number, filing), filed in zip(filings, outcomes, strict=True):
            if filed.outcome == "refused":
                report.reject(number, "a Consent of that id is on file for another patient")
                continue
            report.count(filed.outcome)
            if filed.outcome != "unchanged":
                changes.append((filing, filed))
        self._operator.audit.record([self._record(filing, filed) for filing, filed in changes])

    def _filing(self, line: Line) -> Filing:
        if line.value is None:
            raise LoadRefused([line.reason or ""])
        consent = from_consent(line.value, self._names)
        require_structure(line.value)
        patient, key = self._patient(line.value)
        return Filing(patient=patient, consent=consent, resource=line.value, identifier_key=key)

    def _patient(self, resource: Mapping[str, Any]) -> tuple[PatientID, bytes | None]:
        refs = patients_of(resource, self._base)
        found = [self._index.resolve(ref) for ref in refs]
        persons = {patient.id for patient in found if patient is not None}
        if None in found:
            raise LoadRefused(["patient not known"])
        if len(persons) > 1:
            raise LoadRefused(["Consent.patient: its reference and its identifier mean two persons"])
        keys = [identifier_key(self._operator.keys, ref.identifier) for ref in refs if ref.identifier is not None]
        return persons.pop(), keys[0] if keys else None

    def _record(self, filing: Filing, filed: Filed) -> AuditRecord:
        reference = f"Consent/{filing.consent.id}/_history/{filed.version}"
        reason = f"consent {'filed' if filed.outcome == 'loaded' else 'changed'}"
        return self._operator.record_of(reason, patient=filing.patient, resources=[reference])


def open_consents(operator: Operator) -> StoredConsents:
    """The consents on file, as `serve` sees them."""
    identity = Identity(retired=RETIRED_INTO, carried=CARRIED_BY, known=CARRIED)
    return StoredConsents(operator.engine, operator.keys, operator.settings.consent_policy, identity)


def _counts(report: LoadReport) -> list[tuple[str, str]]:
    counts = report.as_json()
    counts["rejected"] = len(report.rejected)
    return [(name, str(count)) for name, count in counts.items()]


@command.command()
@click.argument("patient")
@_AS_JSON
def show(patient: str, as_json: bool) -> None:
    """All that is on file for PATIENT, every version of it, and which of it is in force.

    PATIENT is an id, Patient/ID or system|value.
    """
    with Operator() as operator:
        found = PatientIndex(operator.engine, operator.keys).resolve(patient_ref(patient))
        if found is None:
            raise LoadRefused(["patient not known"])
        versions = open_consents(operator).history(found.id)
        operator.note("consents show", patient=found.id)
        now, implicit = operator.now, operator.settings.consent_policy
    if as_json:
        print_json({"patient": found.id, "policy": implicit, "consents": [_as_json(one, now) for one in versions]})
        return
    click.echo(f"Patient/{found.id}; without a consent in force, the policy {implicit} decides")
    for one in versions:
        click.echo("\n".join(_as_text(one, now)))


def _state(one: StoredVersion, now: datetime) -> str:
    consent = one.consent
    if not one.current:
        return "superseded"
    if not consent.active:
        return str(one.resource.get("status"))
    root = consent.root
    if root is None:
        return "can't be evaluated, so it denies"
    if root.period_start is not None and now < root.period_start:
        return "not yet in force"
    return "expired" if root.period_end is not None and root.period_end <= now else "in force"


def _as_json(one: StoredVersion, now: datetime) -> dict[str, Any]:
    return {
        "id": one.consent.id,
        "version": one.consent.version,
        "state": _state(one, now),
        "recorded": one.consent.recorded_at,
        "says": list(_rule_words(one.consent.root)) if one.consent.root is not None else [],
        "resource": one.resource,
    }


def _as_text(one: StoredVersion, now: datetime) -> Iterator[str]:
    consent = one.consent
    recorded = f"{consent.recorded_at:%Y-%m-%d %H:%M} UTC"
    yield f"  Consent/{consent.id} version {consent.version}, recorded {recorded}: {_state(one, now)}"
    if consent.root is not None and one.current:
        yield from (f"    {words}" for words in _rule_words(consent.root))


def _rule_words(rule: Provision, lead: str = "") -> Iterator[str]:
    parts = [lead + ("permits" if rule.type == "permit" else "denies")]
    parts.append("what " + ", ".join(rule.authored_by) + " holds" if rule.authored_by else "everything")
    if rule.actors:
        parts.append("to " + ", ".join(rule.actors))
    if rule.purposes:
        parts.append("for " + ", ".join(PURPOSE_WORDS[code] for code in rule.purposes))
    if rule.period_start is not None:
        parts.append(f"from {rule.period_start.isoformat()}")
    if rule.period_end is not None and rule.period_end != FOREVER:
        parts.append(f"until before {rule.period_end.isoformat()}")
    yield " ".join(parts)
    for nested in rule.nested:
        yield from _rule_words(nested, "except that it ")
