"""`python -m gateway explain`: who would be asked about a patient for a client, what consent decides, and why."""

from collections.abc import Iterator, Sequence

import click

from gateway.adapters.registry import FacilityRegistry
from gateway.auth.client_store import DatabaseClientStore
from gateway.auth.clients import Client
from gateway.cli.consent_words import POLICY_WORDS, version_words
from gateway.cli.consents import open_consents
from gateway.cli.context import Operator, print_json
from gateway.cli.patient_argument import patient_ref
from gateway.consent.decide import decide_query
from gateway.consent.label_rules_file import load_label_rules
from gateway.consent.policy import Decision
from gateway.consent.words import PURPOSE_WORDS
from gateway.errors import LoadRefused
from gateway.model import ClientID, Facility, ImplicitPolicy, Requester
from gateway.mpi.resolve import PatientIndex
from gateway.purposes import code_of
from gateway.search import holders_of


@click.command(name="explain")
@click.option("--client", "client_id", required=True, metavar="ID", help="The client that would ask.")
@click.option("--patient", required=True, metavar="ID", help="An id, Patient/ID or system|value.")
@click.option("--purpose", "purposes", multiple=True, metavar="P", help="Why; needed where the client has several.")
@click.option("--subject-id", metavar="ID", help="The clinician who would ask (hl7-b2b subject_id).")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def command(client_id: str, patient: str, purposes: tuple[str, ...], subject_id: str | None, as_json: bool) -> None:
    """Who would be asked for a patient's imaging, and why; fetches nothing."""
    with Operator() as operator:
        client = DatabaseClientStore(operator.engine).find(client_id)
        if client is None or not client.enabled:
            raise LoadRefused([f"the client {client_id} is {'not registered' if client is None else 'disabled'}"])
        requester = _requester(client, _purposes(client, purposes), subject_id, operator)
        found = PatientIndex(operator.engine, operator.keys).resolve(patient_ref(patient))
        if found is None:
            raise LoadRefused(["patient not known"])
        holders = holders_of(found, FacilityRegistry(operator.engine, operator.keys).all())
        consents = open_consents(operator)
        policy = consents.find(found.id)
        facilities = [holder.facility for holder in holders.values()]
        floors = load_label_rules(operator.settings).floors(facilities)
        decisions = decide_query(policy, requester, list(holders), operator.now, floors)
        details = (("client", client.id), *(("purpose", code) for code in requester.purposes))
        operator.note("explain", patient=found.id, details=details)
        on_file = () if as_json else [one for one in consents.history(found.id) if one.current]
        now = operator.now
    if as_json:
        asked = [one.id for one in facilities if _is_asked(one, decisions[one.id])]
        print_json(
            {"patient": found.id, "asked": asked, "decisions": [_as_json(decisions[one.id]) for one in facilities]}
        )
        return
    why = " and ".join(PURPOSE_WORDS[code] for code in requester.purposes)
    click.echo(f"{client.name} of {client.organization} asks for Patient/{found.id}, for {why}")
    click.echo("\n".join(_table(facilities, [decisions[one.id] for one in facilities])))
    click.echo("\nWhat the patient has said:")
    click.echo("\n".join(words for one in on_file for words in version_words(one, now)) or "  no consent is on file")
    click.echo("\n" + "\n".join(_notes(list(decisions.values()), policy.implicit)))


def _purposes(client: Client, stated: Sequence[str]) -> tuple[str, ...]:
    """As at the token endpoint: one that is registered, or the only one that is."""
    if not stated and len(client.purposes) != 1:
        raise LoadRefused([f"--purpose is needed: {client.id} has {', '.join(client.purposes)}"])
    codes = [code_of(text) for text in stated] if stated else list(client.purposes)
    known = tuple(dict.fromkeys(code for code in codes if code is not None))
    if None in codes or not set(known) <= set(client.purposes):
        raise LoadRefused([f"--purpose: {client.id} is registered for {', '.join(client.purposes)} only"])
    return known


def _requester(client: Client, purposes: tuple[str, ...], subject_id: str | None, operator: Operator) -> Requester:
    return Requester(
        client_id=ClientID(client.id),
        client_name=client.name,
        organization=client.organization,
        scopes=client.scopes,
        purposes=purposes,
        issuer=operator.settings.base_url,
        subject=client.id,
        token_id="",
        expires_at=operator.now,
        subject_id=subject_id,
    )


def _is_asked(facility: Facility, decision: Decision) -> bool:
    return decision.permitted and not facility.suspended


def _as_json(decision: Decision) -> dict[str, object]:
    return {
        "facility": decision.facility,
        "decision": "permit" if decision.permitted else "deny",
        "reason": decision.reason,
        "consents": decision.consents,
    }


def _table(facilities: Sequence[Facility], decisions: Sequence[Decision]) -> Iterator[str]:
    if not facilities:
        yield "no facility has a record of this patient: nobody is asked"
        return
    width = max(len("facility"), *(len(one.id) for one in facilities))
    yield f"{'facility':<{width}}  asked  decision  why"
    for facility, decision in zip(facilities, decisions, strict=True):
        asked = "yes" if _is_asked(facility, decision) else "no"
        suspended = " (suspended by the operator)" if facility.suspended else ""
        kind = "permit" if decision.permitted else "deny"
        yield f"{facility.id:<{width}}  {asked:<5}  {kind:<8}  {decision.reason}{suspended}"


def _notes(decisions: Sequence[Decision], implicit: ImplicitPolicy) -> Iterator[str]:
    """How to read it: only what these decisions need."""
    if any(decision.policy for decision in decisions):
        yield f"What no consent in force speaks of, the policy {implicit} decides: {POLICY_WORDS[implicit]}."
    if any(not decision.permitted and len(decision.consents) > 1 for decision in decisions):
        yield "Of several consents in force a deny wins, whichever is newer."
    if any(decision.partial for decision in decisions):
        yield "Study by study: which studies may be shown is decided when the facility has answered."
    yield "Nobody was asked. This is what would be decided now."
