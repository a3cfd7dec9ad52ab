"""The audit for people: auditors and privacy officers look through it, and make an accounting of disclosures.

Whom one looks for is sent in a form and not in the address (ASVS 5.0 14.2.1), and the
link of a further page is sealed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from flask import Blueprint, Response, g, request

from gateway.audit.record import AuditKind
from gateway.auth.guards import current_sign_in
from gateway.disclosure import Request
from gateway.errors import InvalidQuery
from gateway.fhir.accounting_routes import AccountingFace, Form, once, told
from gateway.fhir.audit_face import AuditFace
from gateway.fhir.paging import CURSOR
from gateway.fhir.query_string import Pairs
from gateway.model import ClientID, Identifier, PatientID, PatientRef, Requester
from gateway.pages.errors import html_errors
from gateway.pages.forms import protect_forms
from gateway.pages.shell import render

HOME = "/admin/audit"
WHAT: Mapping[str, tuple[str, Pairs]] = {
    "": ("everything", ()),
    "disclosed": ("what was disclosed", (("subtype", "disclose"),)),
    "denied": ("what consent denied", (("outcome", "8"), ("subtype", "AuthZ-Consent"))),
    "refused": ("who was refused", (("outcome", "4"),)),
    "emergency": ("break-glass", (("subtype", "110127,110138"),)),
    "sign-in": ("sign-ins", (("subtype", "110122,110123"),)),
    "changes": ("changes to security and identity", (("action", "C,U,D"),)),
    "read": ("who read the audit", (("type", "110101"),)),
}
"""What can be chosen, and what it means to the search."""
_OUTCOMES = {"0": "done", "4": "refused", "8": "denied", "12": "failed"}
_ROWS = "50"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPages:
    """What the pages need."""

    face: AuditFace
    accounting: AccountingFace
    base_url: str


def audit_pages_blueprint(pages: AuditPages) -> Blueprint:
    """`/admin/audit`: the list, what is looked for, an accounting (guard `requires_person`)."""
    blueprint = Blueprint("audit_pages", __name__)
    protect_forms(blueprint, pages.base_url)

    @blueprint.get(HOME, provide_automatic_options=False)
    def look() -> Response:
        cursor = request.args.get(CURSOR)
        return _list(pages, ((CURSOR, cursor),) if cursor else (("_count", _ROWS),), {})

    @blueprint.post(HOME, provide_automatic_options=False)
    def search() -> Response:
        stated = {name: request.form.get(name, "").strip() for name in ("patient", "agent", "from", "to", "what")}
        return _list(pages, _pairs(stated), stated)

    @blueprint.get(f"{HOME}/<id_>", provide_automatic_options=False)
    def event(id_: str) -> Response:
        found = pages.face.show(id_, _reader(pages), _asked("audit-read"))
        return render("audit_event.html", facts=list(_facts("", found)), home=HOME)

    @blueprint.post(f"{HOME}/accounting", provide_automatic_options=False)
    def account() -> Response:
        stated = {name: value for name, value in once(request.form, "kind", "start", "end").items() if value}
        form = _form(request.form.get("form", "pdf"))
        ref = _patient(request.form.get("patient", "").strip())
        body, patient = pages.accounting.answer(ref, stated, form, _reader(pages), _asked("accounting"))
        return told(body, patient, form)

    html_errors(blueprint, pages.face.rooms)
    return blueprint


def _list(pages: AuditPages, pairs: Pairs, stated: Mapping[str, str]) -> Response:
    bundle, _ = pages.face.answer(pairs, _reader(pages), _asked("audit-search"), strict=True)
    following = [link["url"].partition("?")[2] for link in bundle["link"] if link["relation"] == "next"]
    rows = [_row(entry["resource"]) for entry in bundle.get("entry", ())]
    choices = [(name, words) for name, (words, _) in WHAT.items()]
    more = f"{HOME}?{following[0]}" if following else None
    return render("audit.html", rows=rows, more=more, stated=stated, choices=choices, home=HOME)


def _pairs(stated: Mapping[str, str]) -> Pairs:
    if stated["what"] not in WHAT:
        raise InvalidQuery("there is no such choice")
    pairs: list[tuple[str, str]] = [("_count", _ROWS), *WHAT[stated["what"]][1]]
    if stated["patient"]:
        pairs.append(("patient.identifier" if "|" in stated["patient"] else "patient", stated["patient"]))
    if stated["agent"]:
        pairs.append(("agent.identifier", stated["agent"]))
    pairs += [("date", f"{prefix}{stated[name]}") for name, prefix in (("from", "ge"), ("to", "le")) if stated[name]]
    return tuple(pairs)


def _patient(text: str) -> PatientRef:
    system, found, value = text.partition("|")
    if found:
        return PatientRef(identifier=Identifier(system, value))
    if not text:
        raise InvalidQuery("an accounting is of one patient")
    return PatientRef(id=PatientID(text.removeprefix("Patient/")))


def _form(text: str) -> Form:
    for form in get_args(Form):
        if form == text:
            return form  # type: ignore[no-any-return]  # it is one of them
    raise InvalidQuery("an accounting comes as json, csv or pdf")


def _reader(pages: AuditPages) -> Requester:
    """Who has signed in, as readers of the audit are told there."""
    found = current_sign_in()
    account = found.account
    return Requester(
        client_id=ClientID("pages"),
        client_name="Pages of the exchange",
        organization=account.facility or "",
        scopes=(),
        purposes=(),
        issuer=pages.base_url,
        subject=account.id,
        token_id=found.id,
        expires_at=pages.face.rooms.clock(),
        subject_id=account.subject_id or account.login,
        subject_name=account.name,
        subject_role=account.subject_role or " ".join(sorted(account.roles)),
    )


def _asked(kind: AuditKind) -> Request:
    # What is looked for stands in the form: all of it but the form's own token.
    fields = "&".join(f"{name}={value}" for name, value in request.form.items() if name != "csrf_token")
    line = f"{request.method} {request.full_path.removesuffix('?')}"
    raw = f"{line}\n\n{fields}" if fields else line
    return Request(kind=kind, raw=raw, id=g.request_id, network=request.remote_addr)


def _row(event: Mapping[str, Any]) -> dict[str, str]:
    """An event in a line for people."""
    kinds = [coding.get("display", coding["code"]) for coding in (event["type"], *event.get("subtype", ()))]
    people = [
        agent.get("name") or agent["who"].get("display") or agent["who"].get("identifier", {}).get("value", "")
        for agent in event["agent"]
        if agent["requestor"]
    ]
    references = [entity.get("what", {}).get("reference", "") for entity in event.get("entity", ())]
    return {
        "id": event["id"],
        "at": event["recorded"][:19].replace("T", " "),
        "what": " · ".join(kinds),
        "who": ", ".join(name for name in people if name),
        "patient": next((one for one in references if one.startswith("Patient/")), ""),
        "well": _OUTCOMES[event["outcome"]],
        "why": event.get("outcomeDesc", ""),
    }


def _facts(name: str, value: Any) -> Any:
    """Everything an event says, a name and a value a line."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _facts(f"{name}.{key}" if name else key, inner)
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _facts(f"{name}[{n}]", inner)
    else:
        yield name, str(value)
