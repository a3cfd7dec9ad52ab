"""One request and one answer on the FHIR API, apart from what they are about."""

from typing import Any

import orjson
from flask import Response, g, request

from gateway.audit.record import AuditKind
from gateway.disclosure import Request
from gateway.errors import PayloadTooLarge
from gateway.fhir.negotiation import is_strict, require_answer_type, require_form
from gateway.fhir.query_string import Pairs, read_pairs

MOST_FORM_BYTES = 64_000


def search_pairs() -> Pairs:
    """The search parameters of the request, of its URL and of its form alike (FHIR R4 search §3.1.1).

    Raises InvalidQuery, UnsupportedMediaType, PayloadTooLarge.
    """
    pairs = read_pairs(request.query_string)
    # A POST without a body asks by its URL alone.
    if request.method == "POST" and (request.content_type or _form()):
        require_form(request.content_type)
        pairs += read_pairs(_form())
    return pairs


def strictly() -> bool:
    """Whether unknown parameters are to be refused (`Prefer: handling=strict`)."""
    return is_strict(request.headers.get("Prefer"))


def the_request(kind: AuditKind) -> Request:
    """The request as the audit keeps it: its line and form as they came, no headers."""
    line = _line()
    raw = f"{line}\n\n{_form().decode(errors='replace')}" if request.method == "POST" else line
    return Request(kind=kind, raw=raw, id=g.request_id, network=request.remote_addr)


def the_line(kind: AuditKind) -> Request:
    """The request as the audit keeps it where its body is a resource: its line. What was sent is on file itself."""
    return Request(kind=kind, raw=_line(), id=g.request_id, network=request.remote_addr)


def _line() -> str:
    return f"{request.method} {request.environ.get('RAW_URI') or request.full_path.removesuffix('?')}"


def _form() -> bytes:
    if (request.content_length or 0) > MOST_FORM_BYTES:
        raise PayloadTooLarge(f"the body of a search or of $match has at most {MOST_FORM_BYTES} bytes")
    body = request.get_data()
    if len(body) > MOST_FORM_BYTES:
        raise PayloadTooLarge(f"the body of a search or of $match has at most {MOST_FORM_BYTES} bytes")
    return body


def require_acceptable() -> str:
    """The Content-Type of the answer. Raises NotAcceptable where the client takes none that there is."""
    return require_answer_type(request.headers.get("Accept"), request.args.get("_format"))


def answer(resource: Any, content_type: str, *, status: int = 200, pretty: bool = False) -> Response:
    """`resource` as JSON in `content_type`; nobody may store it."""
    body = orjson.dumps(resource, option=orjson.OPT_INDENT_2 if pretty else None)
    response = Response(body, status, content_type=f"{content_type}; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    return response
