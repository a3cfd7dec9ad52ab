"""`/retrieval/orthanc/…`: the web service that Orthanc's authorization plugin asks (its contract, version 0.11).

The plugin remembers an answer for its `validity`, and for ever where there is none or it is 0: every answer has one of
at least a second (T96). It asks about each level of a resource by itself, from the patient down, and the first yes
counts: so a patient is never permitted, and a study only as a whole.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson
from flask import Blueprint, Response, g, request

from gateway.auth.bearer import token_of
from gateway.disclosure import Request
from gateway.errors import AccessRefused, InvalidQuery, NotAuthenticated
from gateway.metrics import RETRIEVAL_DECISIONS
from gateway.model import Facility, StudyUID
from gateway.retrieval.caller import Callers
from gateway.retrieval.counter import RetrievalCounter, code_of
from gateway.retrieval.guard import current_facility
from gateway.retrieval.parts import StudiesInPart
from gateway.retrieval.resource import Resource, is_uid, own_prefixes_of, read_uri
from gateway.retrieval.ruling import Caller
from gateway.strict_json import UnreadableJSON, read_strict_json

VALIDITY_S = 10
"""For how long an archive may go on by an answer: by so much does a revocation lag there."""
ANONYMOUS = "anonymous"
_LEVELS = frozenset(("patient", "study", "series", "instance", "system"))
_MOST_BYTES = 64_000
_PERMITTED = RETRIEVAL_DECISIONS.labels("archive", "permit")


def orthanc_blueprint(
    counter: RetrievalCounter, callers: Callers, parts: StudiesInPart, clock: Callable[[], datetime]
) -> Blueprint:
    """The plugin's web service. Its guard is `requires_facility`."""
    blueprint = Blueprint("retrieval_orthanc", __name__, url_prefix="/retrieval/orthanc")
    service = _Service(counter, callers, parts, clock)

    @blueprint.post("/tokens/validate", provide_automatic_options=False)
    def validate() -> Response:
        return _json(service.validate(current_facility(), _body()))

    @blueprint.post("/user/get-profile", provide_automatic_options=False)
    def profile() -> Response:
        return _json(service.profile(current_facility(), _body()))

    @blueprint.post("/tokens/decode", provide_automatic_options=False)
    def decode() -> Response:
        return _json(service.decode(current_facility(), _body()))

    @blueprint.put("/tokens/<kind>", provide_automatic_options=False)
    def create(kind: str) -> Response:
        # A link that opens for whoever holds it has no caller to ask consent for.
        refused = {"error": "not-supported", "message": "tokens are got by token exchange (RFC 8693) at /oauth/token"}
        return _json(refused, 501)

    return blueprint


class _Service:
    def __init__(
        self, counter: RetrievalCounter, callers: Callers, parts: StudiesInPart, clock: Callable[[], datetime]
    ) -> None:
        self._counter = counter
        self._callers = callers
        self._parts = parts
        self._clock = clock

    def validate(self, facility: Facility, body: Mapping[str, Any]) -> dict[str, Any]:
        """Whether the resource may be read by whoever holds the token, and for how long that may be remembered."""
        asked = _request_of(body)
        now = self._clock()
        try:
            caller = self._callers.at_archive(_token_in(body), facility, now)
        except (NotAuthenticated, AccessRefused) as exc:
            self._counter.refuse(facility, asked, code_of(exc))
            return _denied()
        try:
            resource = self._resource(facility, body, caller)
            ruling = self._counter.answer(caller, facility, resource, asked)
        except AccessRefused:
            return _denied()
        if not ruling.verdict.permitted:
            if ruling.verdict.in_part and resource is not None:
                self._parts.note(caller, facility, resource.study)
            return _denied()
        _PERMITTED.inc()
        g.is_routine = True
        left = int((caller.requester.expires_at - now).total_seconds())
        return {"granted": True, "validity": max(1, min(VALIDITY_S, left))}

    def profile(self, facility: Facility, body: Mapping[str, Any]) -> dict[str, Any]:
        """Nobody has a permission for all of an archive, nor for a label: every resource is asked about by itself."""
        name = ANONYMOUS
        try:
            caller = self._callers.at_archive(_token_in(body), facility, self._clock())
            name = caller.requester.client_id
        except (NotAuthenticated, AccessRefused):
            pass  # that profile has no permission either
        return {"name": name, "authorized-labels": [], "permissions": [], "groups": [], "validity": VALIDITY_S}

    def decode(self, facility: Facility, body: Mapping[str, Any]) -> dict[str, Any]:
        """What a facility-bound token is for; why it is for nothing, where it isn't."""
        try:
            caller = self._callers.bound(_token_in(body), facility, self._clock())
        except NotAuthenticated as exc:
            return {"error-code": "expired" if exc.expired else "invalid" if exc.presented else "unknown"}
        except AccessRefused:
            return {"error-code": "invalid"}
        studies = [{"dicom-uid": uid, "level": "study"} for uid in sorted(caller.studies or ())]
        return {"token-type": "facility-access", "redirect-url": "", "resources": studies}

    def _resource(self, facility: Facility, body: Mapping[str, Any], caller: Caller) -> Resource | None:
        level, uid, uri = body.get("level"), body.get("dicom-uid"), body.get("uri")
        if level not in _LEVELS or body.get("method") != "get":
            return None
        if level == "system":
            return read_uri(uri, own_prefixes_of(facility)) if isinstance(uri, str) else None
        if not isinstance(uid, str) or not is_uid(uid):
            return None
        if level == "study":
            return Resource(study=StudyUID(uid))
        if level == "series" and (study := self._parts.study_of(caller, facility, uid, self._clock())) is not None:
            return Resource(study=study, series=uid)
        return None  # of an instance alone nobody knows what it is part of


def _token_in(body: Mapping[str, Any]) -> str:
    value = body.get("token-value")
    if not isinstance(value, str) or not value:
        raise NotAuthenticated("a token is needed", presented=False)
    return token_of([value]) if " " in value or str(body.get("token-key", "")).lower() == "authorization" else value


def _request_of(body: Mapping[str, Any]) -> Request:
    """What of the question is put on record: never the token."""
    told = {name: body.get(name) for name in ("level", "dicom-uid", "method", "uri") if body.get(name) is not None}
    if isinstance(uri := told.get("uri"), str):
        told["uri"] = uri.partition("?")[0]
    raw = "POST /retrieval/orthanc/tokens/validate " + orjson.dumps(told).decode()
    shown = raw.encode("ascii", "backslashreplace").decode()[:500]
    return Request(kind="retrieval", raw=shown, id=g.get("request_id", ""), network=request.remote_addr)


def _denied() -> dict[str, Any]:
    RETRIEVAL_DECISIONS.labels("archive", "deny").inc()
    return {"granted": False, "validity": VALIDITY_S}


def _body() -> Mapping[str, Any]:
    request.max_content_length = _MOST_BYTES
    try:
        body = read_strict_json(request.get_data(cache=False))
    except UnreadableJSON as exc:
        raise InvalidQuery("the body is not JSON") from exc
    if not isinstance(body, dict):
        raise InvalidQuery("the body is not a JSON object")
    return body


def _json(body: Mapping[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, mimetype="application/json")
