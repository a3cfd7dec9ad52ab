"""`python -m gateway consents`: what patients have said about sharing, as operators file and read it."""

import sys
from collections.abc import Sequence, Set
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

import click

from gateway.adapters.registry import FacilityRegistry
from gateway.adapters.sightings import Sightings
from gateway.audit.record import AuditRecord
from gateway.cli.consent_words import POLICY_WORDS, rule_words, state_of, version_words
from gateway.cli.context import Operator, print_json
from gateway.cli.ndjson import Line, LoadReport, iter_lines, print_report
from gateway.cli.notices import notices
from gateway.cli.patient_argument import patient_ref
from gateway.consent.belonging import Identity
from gateway.consent.groups import StoredGroups
from gateway.consent.store import Filed, Filing, StoredConsents, StoredVersion
from gateway.consent_desk import ConsentDesk
from gateway.errors import LoadRefused
from gateway.mpi.carried import CARRIED, CARRIED_BY
from gateway.mpi.resolve import PatientIndex
from gateway.mpi.retired import RETIRED_INTO

_LINES_A_TRANSACTION = 100
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group(name="consents")
def command() -> None:
    """Consents: whose imaging may be shown to whom, and why."""


command.add_command(notices)


@command.command()
@click.argument("file", type=click.Path(allow_dash=True))
@_AS_JSON
def load(file: str, as_json: bool) -> None:
    """File FHIR Consents (R4 or R5) from FILE (NDJSON; - reads standard input).

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
        self._desk = open_desk(operator)
        self._names = self._desk.names()
        self._consents = self._desk.consents

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
            if filed.outcome == "refused" or filed.outcome == "stale":
                report.reject(number, "a Consent of that id is on file for another patient")
                continue
            report.count(filed.outcome)
            if filed.outcome != "unchanged":
                changes.append((filing, filed))
        self._operator.audit.record([self._record(filing, filed) for filing, filed in changes])

    def _filing(self, line: Line) -> Filing:
        if line.value is None:
            raise LoadRefused([line.reason or ""])
        return self._desk.read(line.value, self._names)

    def _record(self, filing: Filing, filed: Filed) -> AuditRecord:
        reference = f"Consent/{filing.consent.id}/_history/{filed.version}"
        reason = f"consent {'filed' if filed.outcome == 'loaded' else 'changed'}"
        return self._operator.record_of(reason, patient=filing.patient, resources=[reference])


def open_consents(operator: Operator) -> StoredConsents:
    """The consents on file, as `serve` sees them."""
    identity = Identity(retired=RETIRED_INTO, carried=CARRIED_BY, known=CARRIED)
    return StoredConsents(operator.engine, operator.keys, operator.settings.consent_policy, identity)


def open_desk(operator: Operator) -> ConsentDesk:
    """The desk where Consents are handed in, as `serve` has it."""
    return ConsentDesk(
        consents=open_consents(operator),
        groups=StoredGroups(operator.engine, operator.keys),
        mpi=PatientIndex(operator.engine, operator.keys),
        facilities=FacilityRegistry(operator.engine, operator.keys).all,
        find_study=Sightings(operator.engine, operator.keys).find,
        keys=operator.keys,
        base=operator.settings.fhir_base,
        policies=operator.settings.consent_policy_uris,
    )


def _counts(report: LoadReport) -> list[tuple[str, str]]:
    counts = report.as_json()
    counts["rejected"] = len(report.rejected)
    return [(name, str(count)) for name, count in counts.items()]


@command.command()
@click.argument("consent_id", metavar="ID")
@_AS_JSON
def revoke(consent_id: str, as_json: bool) -> None:
    """Take the Consent ID out of force: its next version is inactive, and every version stays on file.

    The next request in every process obeys it. One that is not in force is left as it is.
    """
    id_ = consent_id.removeprefix("Consent/")
    with Operator() as operator:
        desk = open_desk(operator)
        versions = desk.consents.versions(id_)
        if not versions:
            raise LoadRefused([f"no Consent {id_} is on file"])
        last = versions[-1]
        operator.note("consent revocation asked for", patient=last.consent.person, details=[("consent", id_)])
        filed = desk.consents.revoke(last, operator.now)
        if filed.outcome == "stale":
            raise LoadRefused(["the Consent has just been changed: look at it again"])
        if filed.outcome == "updated":
            reference = f"Consent/{id_}/_history/{filed.version}"
            record = operator.record_of("consent revoked", patient=last.consent.person, resources=[reference])
            operator.audit.record([record])
    if as_json:
        print_json({"id": id_, "version": filed.version, "revoked": filed.outcome == "updated"})
    elif filed.outcome == "updated":
        click.echo(f"Consent/{id_} is revoked: version {filed.version} is inactive")
    else:
        click.echo(f"Consent/{id_} was not in force: nothing changed")


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
        groups = {one.reference for one in StoredGroups(operator.engine, operator.keys).all()}
        versions = [_as_it_counts(one, groups) for one in open_consents(operator).history(found.id)]
        operator.note("consents show", patient=found.id)
        now, implicit = operator.now, operator.settings.consent_policy
    if as_json:
        print_json({"patient": found.id, "policy": implicit, "consents": [_as_json(one, now) for one in versions]})
        return
    click.echo(f"Patient/{found.id}" + ("" if versions else ": no consent is on file"))
    for one in versions:
        click.echo("\n".join(version_words(one, now)))
    click.echo(f"What no consent in force speaks of, the policy {implicit} decides: {POLICY_WORDS[implicit]}.")


def _as_it_counts(one: StoredVersion, groups: Set[str]) -> StoredVersion:
    """A version that names a group which is no more can't be evaluated, as in every decision."""
    return one if one.consent.groups <= groups else replace(one, consent=replace(one.consent, root=None))


def _as_json(one: StoredVersion, now: datetime) -> dict[str, Any]:
    return {
        "id": one.consent.id,
        "version": one.consent.version,
        "state": state_of(one, now),
        "recorded": one.consent.recorded_at,
        "says": list(rule_words(one.consent.root)) if one.consent.root is not None else [],
        "resource": one.resource,
    }
